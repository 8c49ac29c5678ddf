"""Bad input: each is a problem+json that names field and rule; no request is stored, the refusal is recorded."""

import gzip
import json
from typing import Any

import pytest

from bot.problems import MAX_BODY
from tests.worlds import samples
from tests.worlds.web import Web

JSON = {"Content-Type": "application/json", "Idempotency-Key": "k1"}
ACCESS = samples.BODY["access"]
BUCKET = "arn:aws:s3:::customer-exports"


def raw(text: str | bytes) -> dict[str, Any]:
    return {"data": text.encode() if isinstance(text, str) else text, "headers": JSON}


def body(**changes: Any) -> dict[str, Any]:
    made = {name: value for name, value in {**samples.BODY, **changes}.items() if value is not None}
    return {"json": made, "headers": {"Idempotency-Key": "k1"}}


def access(**changes: Any) -> dict[str, Any]:
    return body(access={**ACCESS, **changes})


def with_text(key: str, literal: str) -> dict[str, Any]:
    return raw(json.dumps({**samples.BODY, key: "@"}).replace('"@"', literal))


# what is sent, status, code, field, rule, and words that the detail must hold
TABLE: dict[str, tuple[dict[str, Any], int, str, str | None, str | None, str]] = {
    "unknown field": (body(reson="x"), 400, "malformed", "reson", None, "not a field"),
    "unknown inner field": (access(rol="x"), 400, "malformed", "access.rol", None, "not a field"),
    "missing field": (body(actor=None), 400, "malformed", "actor", None, "missing"),
    "wrong type": (body(ttl_seconds="900"), 400, "malformed", "ttl_seconds", None, "integer"),
    "a float for a whole number": (body(ttl_seconds=900.0), 400, "malformed", "ttl_seconds", None, "integer"),
    "true for a number": (body(ttl_seconds=True), 400, "malformed", "ttl_seconds", None, "integer"),
    "an unknown word": (body(risk="huge"), 400, "malformed", "risk", None, "low"),
    "parameters not an object": (body(parameters=[1]), 400, "malformed", "parameters", None, "JSON object"),
    "an empty body": (raw(""), 400, "malformed", None, None, "not JSON"),
    "not JSON": (raw("{action: 1}"), 400, "malformed", None, None, "not JSON"),
    "cut off": (raw('{"action": "s3:Get'), 400, "malformed", None, None, "not JSON"),
    "a list": (raw("[]"), 400, "malformed", None, None, "JSON object"),
    "null": (raw("null"), 400, "malformed", None, None, "JSON object"),
    "a key twice": (raw('{"action": "a:B", "action": "a:C"}'), 400, "malformed", "action", None, "twice"),
    "a key twice, deep": (raw('{"actor": {"id": "a:b", "id": "a:c"}}'), 400, "malformed", "id", None, "twice"),
    "NaN": (with_text("ttl_seconds", "NaN"), 400, "malformed", None, None, "NaN"),
    "Infinity": (with_text("ttl_seconds", "-Infinity"), 400, "malformed", None, None, "Infinity"),
    "a number beyond floats": (with_text("ttl_seconds", "1e400"), 400, "malformed", None, None, "too large"),
    "an integer beyond 2^53": (with_text("ttl_seconds", "9007199254740993"), 400, "malformed", None, None, "too large"),
    "4,400 digits": (with_text("ttl_seconds", "9" * 4400), 400, "malformed", None, None, "too large"),
    "deep nesting": (raw("[" * 100_000), 400, "malformed", None, None, "deeper"),
    "deep objects": (raw('{"a":' * 200 + "1" + "}" * 200), 400, "malformed", None, None, "deeper"),
    "bad UTF-8": (raw(b'{"reason": "\xff"}'), 400, "malformed", None, None, "UTF-8"),
    "UTF-16": (raw("{}".encode("utf-16")), 400, "malformed", None, None, "UTF-8"),
    "a lone surrogate": (with_text("reason", '"\\ud800"'), 400, "malformed", None, None, "surrogate"),
    "a lone surrogate as a key": (raw('{"\\ud800": 1}'), 400, "malformed", None, None, "surrogate"),
    "an action without service": (body(action="GetObject"), 400, "malformed", "action", None, "service:Action"),
    "a newline in a resource": (body(resource="a\nb"), 400, "malformed", "resource", None, "characters"),
    "an empty list of actions": (access(actions=[]), 400, "malformed", "access.actions", None, "at least 1"),
    "a short public key": (body(public_key="AAAA"), 400, "malformed", "public_key", None, "32 bytes"),
    "extends": (body(extends="grt_1"), 400, "malformed", "extends", None, "the id of a grant"),
    "callback": (body(callback_url="https://x.example"), 400, "not_built", "callback_url", None, "not built yet"),
    "our own action": (
        body(action="countersign:ApplyPolicy", access=None), 400, "inadmissible", "action", "action.reserved",
        "only `countersign apply`",
    ),
    "our own action, in other letters": (
        body(action="Countersign:x", access=None), 400, "inadmissible", "action", "action.reserved", "s3:GetObject",
    ),
    "our own action in a credential": (
        access(actions=["s3:GetObject", "countersign:ApplyPolicy"]), 400, "inadmissible", "access.actions[1]",
        "action.reserved", "Countersign's own",
    ),
    "unknown role": (access(role="admin"), 400, "inadmissible", "access.role", "role.unknown", "analytics"),
    "outside the ceiling": (
        access(actions=["iam:PassRole"]), 400, "inadmissible", "access.actions[0]", "role.analytics.ceiling", "outside",
    ),
    "a wildcard action": (access(actions=["s3:Get*"]), 400, "malformed", "access.actions[0]", None, "wildcard"),
    "every resource": (
        access(resources=["*"]), 400, "inadmissible", "access.actions[0]", "plan.mismatch", "too wide",
    ),
    "everything besides": (
        access(resources=[f"{BUCKET}/a", "*"]),
        400, "inadmissible", "access.resources[1]", "plan.resource_wildcard", "wide",
    ),
    "a misspelt action": (
        access(actions=["s3:GetObjec"]), 400, "inadmissible", "access.actions[0]", "plan.action_unknown",
        "did you mean s3:GetObject?",
    ),
    "an action and a resource of two services": (
        access(resources=["arn:aws:dynamodb:eu-central-1:000000000000:table/x"]),
        400, "inadmissible", "access.actions[0]", "plan.mismatch", "none of the resources",
    ),
    "every bucket": (
        access(resources=["arn:aws:s3:::*"]),
        400, "inadmissible", "access.resources[0]", "plan.resource_wildcard", "everything",
    ),
    "another account": (
        access(resources=["arn:aws:dynamodb:eu-central-1:999999999999:table/x"]),
        400, "inadmissible", "access.resources[0]", "plan.other_account", "999999999999",
    ),
    "named twice": (
        access(resources=[f"{BUCKET}/a", f"{BUCKET}/a"]),
        400, "inadmissible", "access.resources[1]", "plan.duplicate", "twice",
    ),
    "TTL over the policy's cap": (body(ttl_seconds=3601), 400, "inadmissible", "ttl_seconds", "provider.ttl", "1 h"),
    "TTL over everything": (body(ttl_seconds=43_201), 400, "malformed", "ttl_seconds", None, "43200"),
    "TTL of nothing": (body(ttl_seconds=0), 400, "malformed", "ttl_seconds", None, "1"),
    "somebody else's name": (
        body(actor={"id": "agent:other", "on_behalf_of": "user:dana"}),
        403, "not_your_actor", "actor.id", None, "report-bot",
    ),
    "nobody behind it": (
        body(actor={"id": "agent:report-bot"}),
        400, "inadmissible", "actor.on_behalf_of", "caller.report-bot.on_behalf_of", "user:",
    ),
    "an unknown human": (
        body(actor={"id": "agent:report-bot", "on_behalf_of": "user:nobody"}),
        400, "inadmissible", "actor.on_behalf_of", "person", "countersign.toml",
    ),
    "a long reason": (body(reason="x" * 65_537), 400, "malformed", "reason", None, "65536"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
async def test_bad_bodies_are_told_what_is_wrong_and_store_nothing(quick_web: Web, name: str):
    sent, status, code, field, rule, words = TABLE[name]
    got = await quick_web.call("POST", "/v1/requests", **sent)
    assert (got.status, got.code) == (status, code), got.json
    assert got.json.get("field") == field
    assert got.json.get("rule") == rule
    assert words in got.json["detail"]
    assert got.json["type"] == f"urn:countersign:problem:{code}"
    await nothing_stored(quick_web)
    (record,) = await quick_web.refusals()
    ours = field if field not in ("reson", "access.rol") else None
    assert record["data"]["field"] == ours
    assert (record["type"], record["data"]["code"]) == ("ask.refused", code)
    assert record["data"]["principal"] == samples.CALLER
    assert record["by"]["sub"] == f"k-{samples.CALLER}"


async def nothing_stored(web: Web) -> None:
    for index in ("recent", "waiting", "live", f"waiting:{samples.CALLER}"):
        assert await web.store.records.members(index) == []
    assert await web.store.records.find(f"idem:{samples.CALLER}:k1") is None
    assert await web.store.outbox.unread() == []


@pytest.mark.parametrize("kind", ["text/plain", "application/json; charset=utf-16", "application/x-json", None])
async def test_another_content_type_is_415(quick_web: Web, kind: str | None):
    headers = {"Idempotency-Key": "k1"} | ({"Content-Type": kind} if kind else {})
    skip = ["Content-Type"] if kind is None else []
    data = json.dumps(samples.BODY).encode()
    got = await quick_web.call("POST", "/v1/requests", data=data, headers=headers, skip_auto_headers=skip)
    assert (got.status, got.code, got.json["field"]) == (415, "wrong_content_type", "Content-Type")
    await nothing_stored(quick_web)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/json;charset=UTF-8"])
async def test_json_may_say_that_it_is_utf8(quick_web: Web, kind: str):
    headers = {"Idempotency-Key": "k1", "Content-Type": kind}
    data = json.dumps(samples.BODY).encode()
    assert (await quick_web.call("POST", "/v1/requests", data=data, headers=headers)).status == 202


@pytest.mark.parametrize("key", [None, "", "x" * 201, "ünïcode", "a\tb"])
async def test_the_idempotency_key_is_needed_and_plain(quick_web: Web, key: str | None):
    headers = {} if key is None else {"Idempotency-Key": key}
    got = await quick_web.call("POST", "/v1/requests", json=samples.BODY, headers=headers)
    assert (got.status, got.json["field"]) == (400, "Idempotency-Key")
    assert got.code == ("idempotency_key_missing" if key is None else "malformed")
    await nothing_stored(quick_web)


async def test_a_key_of_200_printable_characters_will_do(quick_web: Web):
    assert (await quick_web.ask("~" * 200)).status == 202


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_is_413(quick_web: Web, announced: bool):
    data = json.dumps({**samples.BODY, "reason": "x" * MAX_BODY}).encode()

    async def in_pieces():
        for start in range(0, len(data), 65_536):
            yield data[start : start + 65_536]

    got = await quick_web.call("POST", "/v1/requests", data=data if announced else in_pieces(), headers=JSON)
    assert (got.status, got.code) == (413, "too_large")
    assert str(MAX_BODY) in got.json["detail"]
    await nothing_stored(quick_web)


async def test_a_compressed_flood_is_413_too(quick_web: Web):
    data = gzip.compress(b" " * 20_000_000)
    got = await quick_web.call("POST", "/v1/requests", data=data, headers={**JSON, "Content-Encoding": "gzip"})
    assert (got.status, got.code) == (413, "too_large")


async def test_a_body_that_is_not_what_its_encoding_says_is_400(quick_web: Web):
    got = await quick_web.call("POST", "/v1/requests", data=b"not gzip", headers={**JSON, "Content-Encoding": "gzip"})
    assert (got.status, got.code) == (400, "malformed")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("?wait=51", "wait"), ("?wait=-1", "wait"), ("?wait=1.5", "wait"), ("?wait=ten", "wait"), ("?wait=", "wait"),
        ("?after=x", "after"), ("?wait=1&wait=2", "wait"), ("?watch=1", "watch"),
    ],
)  # fmt: skip
async def test_the_query_is_read_strictly(quick_web: Web, path: str, field: str):
    asked = (await quick_web.ask()).json["id"]
    got = await quick_web.call("GET", f"/v1/requests/{asked}{path}")
    assert (got.status, got.code, got.json["field"]) == (400, "malformed", field)


@pytest.mark.parametrize(
    ("path", "field"),
    [("/v1/requests?mine=no", "mine"), ("/v1/requests?state=WAITING", "state"), ("/v1/grants?state=LIVE", "state"),
     ("/v1/grants?actor=", "actor"), ("/v1/requests?mine&limit=5", "limit")],
)  # fmt: skip
async def test_lists_refuse_what_they_do_not_know(quick_web: Web, path: str, field: str):
    got = await quick_web.call("GET", path)
    assert (got.status, got.code, got.json["field"]) == (400, "malformed", field)


@pytest.mark.parametrize("value", ["wait=soon", "wait=", "wait=-1", "respond-async, wait=1.5"])
async def test_a_preference_to_wait_is_read_strictly(quick_web: Web, value: str):
    got = await quick_web.ask(headers={"Prefer": value})
    assert (got.status, got.json["field"]) == (400, "Prefer")
    await nothing_stored(quick_web)


@pytest.mark.parametrize(
    ("sent", "field"),
    [({}, "verdict"), ({"verdict": "maybe"}, "verdict"), ({"verdict": "approve", "why": "x"}, "why"),
     ({"verdict": "approve", "reason": 5}, "reason"), ({"verdict": "approve", "reason": "x" * 65_537}, "reason")],
)  # fmt: skip
async def test_reviews_are_read_strictly(quick_web: Web, sent: dict, field: str):
    asked = (await quick_web.ask()).json["id"]
    got = await quick_web.call("POST", f"/v1/requests/{asked}/reviews", who="user:robin", json=sent)
    assert (got.status, got.code, got.json["field"]) == (400, "malformed", field)
    assert (await quick_web.call("GET", f"/v1/requests/{asked}")).json["version"] == 1


@pytest.mark.parametrize("path", ["cancel", "consume"])
async def test_other_bodies_are_read_strictly(quick_web: Web, path: str):
    asked = (await quick_web.ask()).json["id"]
    got = await quick_web.call("POST", f"/v1/requests/{asked}/{path}", json={"sure": True})
    assert (got.status, got.code, got.json["field"]) == (
        400,
        "malformed",
        "sure" if path == "cancel" else "action_digest",
    )


HOSTILE = '<script>alert(1)</script>\u202e\u2066 \x00\x07\x1b[31m \u0000 "quoted" \\ \u2028 e\u0301 ' + "x" * 40_000


async def test_a_hostile_reason_of_40_kb_is_kept_whole(web: Web):
    asked = await web.ask(reason=HOSTILE)
    assert asked.status == 202
    chain = await web.records(asked.json["id"])
    assert chain[0]["data"]["action"]["reason"] == HOSTILE
    assert chain[0]["data"]["facts"]["reason"] == HOSTILE
    view = await web.deps.reader.look(asked.json["id"])
    assert view.request.action.reason == HOSTILE
    reviewed = await web.review(asked.json["id"], verdict="deny", reason=HOSTILE)
    assert reviewed.json["reviews"][0]["reason"] == HOSTILE


async def test_refusals_never_repeat_the_body(quick_web: Web):
    secret = "AKIAIOSFODNN7EXAMPLEwJalrXUtnFEMI"
    for sent in (
        raw(f'{{"{secret}": 1}}'), raw(f'{{"a": {secret}}}'), body(**{secret: 1, f"x {secret}": 2}), body(risk=secret),
    ):  # fmt: skip
        assert (await quick_web.call("POST", "/v1/requests", **sent)).status == 400
    records = await quick_web.refusals()
    assert len(records) == 4
    for record in records:
        assert record["data"]["detail"] is None
        assert secret not in json.dumps(record)
