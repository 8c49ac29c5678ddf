"""Every error is a problem document of the one table; none is a page of HTML, and none tells what is inside."""

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from aiohttp import web as aio

from approvers import errors
from approvers.errors import CountersignError, Forbidden
from bot.problems import KINDS, Problem, describe, response
from bot.strangers import WORDS
from tests.worlds.web import Web
from workers import logs
from workers.stores.port import Conflict, Fenced, TooLate, Unavailable

ROOT = Path(__file__).parents[2]
ELSEWHERE = {
    "error", "bad_config", "bad_configuration", "bad_witness", "link_refused", "needs_approval", "not_signed",
    "signing_key",
}  # fmt: skip
"""Codes of errors that no API handler can raise: they stop a command or a process, or are told on a page."""


STRANGERS = set(WORDS) - {"two_people"}
"""Codes of accounts that are nobody here; two people of one account are told as `unknown_person`."""


def codes_in(folder: str) -> set[str]:
    """Return every code that the source spells: `code = "…"` in a class, and `code="…"` in a call."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Assign(
                    targets=[ast.Name(id="code") | ast.Attribute(attr="code")], value=ast.Constant(value=str(code))
                ):
                    found.add(code)
                case ast.keyword(arg="code", value=ast.Constant(value=str(code))):
                    found.add(code)
                case ast.Call(func=ast.Name(id="Problem" | "Told"), args=[ast.Constant(value=str(code)), *_]):
                    found.add(code)
    return found


def test_every_code_that_the_product_spells_is_in_the_table():
    spelled = codes_in("approvers") | codes_in("bot") | codes_in("workers")
    assert {"four_eyes", "not_your_grant", "too_many_waiting", "busy", "grant_ended"} <= spelled  # the search works
    assert spelled - ELSEWHERE <= set(KINDS)
    assert set(KINDS) >= STRANGERS


def test_the_table_has_no_code_that_nothing_raises():
    spelled = codes_in("approvers") | codes_in("bot") | codes_in("workers")
    assert set(KINDS) <= spelled | STRANGERS | {"http"}


@pytest.mark.parametrize("code", KINDS)
def test_a_document_has_all_that_rfc_9457_wants(code: str):
    got = response(describe(Problem(code, "Because.", field="f", rule="r")), "id-1")
    body = json.loads(got.body)
    assert got.content_type == "application/problem+json"
    assert got.status == KINDS[code].status == body["status"]
    assert body == {
        "type": f"urn:countersign:problem:{code}", "title": KINDS[code].title, "status": got.status,
        "detail": "Because.", "code": code, "field": "f", "rule": "r", "request_id": "id-1",
    }  # fmt: skip
    assert got.headers["Cache-Control"] == "no-store"
    assert ("Retry-After" in got.headers) == (KINDS[code].retry_after is not None)
    if got.status in (429, 503):
        assert int(got.headers["Retry-After"]) > 0
    assert ("WWW-Authenticate" in got.headers) == (got.status == 401)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("redis://:password@10.0.0.1"), "unavailable"),
        (Conflict("request:req_1"), "busy"),
        (Conflict("key:abc"), "unauthenticated"),
        (Fenced(), "busy"),
        (TooLate(), "expired"),
        (Forbidden("No.", code="something_newer"), "forbidden"),
        (errors.NotEvaluated("The rule broke."), "not_evaluated"),
        (CountersignError("Never seen."), "internal"),
        (ZeroDivisionError("secret"), "internal"),
    ],
)
def test_errors_become_codes(error: Exception, code: str):
    told = describe(error)
    assert told.code == code
    assert "password" not in told.detail
    assert "secret" not in told.detail


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v2/requests", 404, "not_found"),
        ("PUT", "/v1/requests", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("GET", "/v1/requests/%00", 404, "not_found"),
        ("GET", "/v1/requests/req_01J/%2e%2e/x", 404, "not_found"),
    ],
)
async def test_what_the_router_refuses_is_a_problem_too(quick_web: Web, method, path, status, code, accept):
    got = await quick_web.call(method, path, who="user:robin", headers={"Accept": accept})
    assert (got.status, got.code) == (status, code)
    if status == 405:
        assert got.headers["Allow"]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Log as the process itself does, and put pytest's own handlers back."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    logs.configure("web", "debug", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


async def test_an_unexpected_error_is_500_with_an_id_and_a_traceback_in_the_log(quick_web: Web, log: io.StringIO):
    async def broken(*_: object) -> None:
        raise RuntimeError("secret in a message of a library")

    quick_web.deps.desk.submit = broken
    got = await quick_web.ask(headers={"X-Request-Id": "trace-me", "Accept": "text/html"}, reason="secret reason")
    assert (got.status, got.code, got.json["request_id"]) == (500, "internal", "trace-me")
    assert "secret" not in got.body.decode()
    (line,) = [json.loads(text) for text in log.getvalue().splitlines() if "request.failed" in text]
    assert "RuntimeError" in line["exception"]
    assert line["request_id"] == "trace-me"
    assert "secret reason" not in log.getvalue()
    assert quick_web.keys["caller:report-bot"] not in log.getvalue()


async def test_a_client_that_hangs_up_in_the_middle_of_its_body_is_no_error_of_ours(quick_web: Web, log: io.StringIO):
    import asyncio  # noqa: PLC0415

    host, port = quick_web.base.removeprefix("http://").split(":")
    _reader, writer = await asyncio.open_connection(host, int(port))
    head = ["POST /v1/requests HTTP/1.1", "Host: x", f"Authorization: Bearer {quick_web.keys['caller:report-bot']}",
            "Content-Type: application/json", "Idempotency-Key: k", "Content-Length: 100", "", '{"action"']  # fmt: skip
    writer.write("\r\n".join(head).encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await quick_web.ask()).status == 202
    assert '"level": "error"' not in log.getvalue()


async def test_pages_and_redirects_of_a_surface_pass(quick_web: Web):
    got = await quick_web.call("GET", "/console", who=None)
    assert got.status == 308
    assert got.headers["X-Request-Id"]


def test_a_told_status_of_http_itself_is_kept():
    told = describe(aio.HTTPExpectationFailed())
    assert (told.code, response(told, "x").status) == ("http", 417)
