"""Every line is JSON with its ids, and nothing secret gets through, not even from a library at DEBUG."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import boto3
import pytest
import structlog

from tests.worlds.aws_gate import AwsGate
from tests.worlds.aws_stub import AwsStub
from workers import logs

API_KEY = "cs_" + "Ab-_9" * 8 + "xyz"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Configure logging for one test, and put pytest's own handlers back."""
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    one = io.StringIO()
    logs.configure("web", "debug", one)
    yield one
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_process_time_level_and_bound_ids(stream: io.StringIO) -> None:
    with logs.bound(request="req_1"):
        logs.get_logger("bot.desk").info("request.approved", seats=2)
    logs.get_logger("bot.desk").warning("outside")
    inside, outside = lines(stream)
    assert inside.pop("at")
    assert inside == {
        "event": "request.approved",
        "level": "info",
        "logger": "bot.desk",
        "process": "web",
        "request": "req_1",
        "seats": 2,
    }
    assert "request" not in outside


def test_library_lines_have_the_same_shape(stream: io.StringIO) -> None:
    with logs.bound(request="req_1"):
        logging.getLogger("rq.worker").info("job %s", "mint-1", extra={"queue": "countersign"})
    (line,) = lines(stream)
    assert (line["event"], line["process"], line["request"], line["queue"]) == (
        "job mint-1",
        "web",
        "req_1",
        "countersign",
    )


def test_a_traceback_is_one_line_without_local_variables(stream: io.StringIO) -> None:
    def work() -> None:
        secret_local = "-".join(["canary"] * 2)  # noqa: F841 it must not be shown
        raise RuntimeError("no")

    try:
        work()
    except RuntimeError:
        logs.get_logger("x").exception("it.failed")
    (line,) = lines(stream)
    assert "RuntimeError: no" in str(line["exception"])
    assert "canary-canary" not in str(line)


@pytest.mark.parametrize(
    "name",
    ["password", "secret_access_key", "session_token", "Authorization", "cookie", "api_key", "sealed", "routing_key"],
)
def test_values_under_secret_names_are_withheld(stream: io.StringIO, name: str) -> None:
    logs.get_logger("x").info("e", **{name: "canary"})
    logs.get_logger("x").info("e", nested={"list": [{name: "canary"}]})
    assert "canary" not in stream.getvalue()
    assert stream.getvalue().count(logs.WITHHELD) == 2


@pytest.mark.parametrize(
    "text",
    [f"key {API_KEY}!", f"Bearer {API_KEY}", "redis://:canary@host/0", "rediss://user:canary@host", f"{API_KEY}"],
)
def test_texts_that_look_secret_are_scrubbed_wherever_they_stand(stream: io.StringIO, text: str) -> None:
    logger = logs.get_logger("x")
    logger.info(text, field=text, deep=[{"a": (text,)}])
    logging.getLogger("lib").info("said %s", text)
    try:
        raise RuntimeError(text)
    except RuntimeError:
        logger.exception("it.failed")
    assert API_KEY not in stream.getvalue()
    assert "canary" not in stream.getvalue()


@pytest.mark.parametrize(
    "text", ["cs_short", "https://host/a:b@c", "user@host", "12:30", "grt_01KFX0000000000000000000AA"]
)
def test_harmless_texts_are_left_alone(text: str) -> None:
    assert logs.scrub(text) == text


def test_the_level_holds(stream: io.StringIO) -> None:
    logs.configure("web", "warning", stream)
    logs.get_logger("x").info("quiet")
    logging.getLogger("lib").info("quiet")
    logs.get_logger("x").warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_the_sdk_does_not_log_the_credential_at_debug(stream: io.StringIO) -> None:
    """At DEBUG botocore logs whole answers: without our floor this test finds the secret."""
    with AwsStub() as stub, AwsGate(stub.url) as gate:
        sts = boto3.client(
            "sts", endpoint_url=gate.url, region_name="us-east-1", aws_access_key_id="AKIA", aws_secret_access_key="x"
        )

        def assume() -> str:
            sts.assume_role(RoleArn="arn:aws:iam::000000000000:role/r", RoleSessionName="grant-1")
            return gate.issued[-1].secret_access_key

        assert assume() not in stream.getvalue()
        logging.getLogger("botocore").setLevel(logging.DEBUG)
        try:
            assert assume() in stream.getvalue()  # the search works
        finally:
            logging.getLogger("botocore").setLevel(logging.INFO)
