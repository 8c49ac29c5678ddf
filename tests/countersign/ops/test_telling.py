import asyncio
import contextlib
import json
import re
from pathlib import Path

import pytest

from approvers.audit import By, Draft
from approvers.grant import GRANT_TABLE
from approvers.records import TYPES
from approvers.request import REQUEST_TABLE
from approvers.storytelling import WORDS
from countersign.ops.following import follow
from countersign.ops.telling import _TELLERS, proof_sentence, tell
from tests.worlds.shortened import shorten
from workers.stores.memory import memory_store
from workers.stores.port import Commit
from workers.tools import RECORDED_AS

ROOT = Path(__file__).parents[3]
NAMED_OTHERWISE = {"revoke", "release", "kill", "claim"}
"""Events of the grant's table whose records are not called after them."""
PROOF = {"kind": "probe_denied", "at": "2026-11-20T10:00:00.000Z", "seconds": "1.234", "refused": 3, "asked": 3}


def record(kind: str, data: dict[str, object], person: str | None = "user:robin") -> dict[str, object]:
    return {"type": kind, "by": {"person": person, "sub": "worker"}, "data": data, "at": "2026-11-20T10:04:31.220Z"}


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("review.recorded", {"verdict": "approve", "reason": ""}, "robin says approve"),
        ("review.recorded", {"verdict": "deny", "reason": "too\nbroad"}, "robin says deny: too broad"),
        ("review.refused", {"verdict": "approve", "detail": "You asked."}, "robin may not approve: You asked."),
        (
            "request.expired",
            {"because": "nobody_answered"},
            "EXPIRED: nobody answered, which is neither a no nor a yes",
        ),
        ("grant.revoked", {"proof": PROOF}, "ended, and proven: refused 3 of 3 probes, 1.2 s after the request"),
        (
            "grant.revoked",
            {"proof": {**PROOF, "kind": "ttl_denied"}, "role_arn": "command:orders-db/orders-reader"},
            "ended, and proven: its time is over; refused 3 of 3 probes (ttl_denied)",
        ),
        (
            "grant.claimed",
            {"role_arn": "command:orders-db/orders-reader"},
            "a worker asks orders-db for the credential",
        ),
        ("grant.kill_requested", {"points": 60, "said": "many calls"}, "monitoring ends it, 60 points: many calls"),
        ("grant.flagged", {"points": 20, "said": "one call"}, "its session does what it was not granted, 20 points"),
        ("grant.reported", {"text": "Used: nothing."}, "what it did: Used: nothing."),
        ("freeze.set", {"why": "incident 7"}, "robin stops all approvals and mints: incident 7"),
        ("freeze.lifted", {"why": ""}, "robin lets approvals and mints go on"),
        (
            "revocation.requested",
            {"kind": "role", "name": "analytics", "grants": ["grt_1", "grt_2"], "reason": "leak"},
            "robin takes away all of role analytics, 2 live: leak",
        ),
        ("something.new", {}, "something.new by robin"),
    ],
)
def test_a_record_is_told_in_words(kind: str, data: dict[str, object], words: str) -> None:
    assert tell(record(kind, data)).startswith(words)


def test_an_ask_says_who_for_whom_what_and_who_is_asked() -> None:
    action = {
        "action": "s3:GetObject",
        "resource": "arn:aws:s3:::b/*",
        "actor": {"id": "agent:report-bot", "on_behalf_of": "user:dana"},
        "access": {"role": "analytics"},
        "ttl_seconds": 900,
    }
    told = tell(record("request.submitted", {"action": action, "ruling": {"effect": "review", "seats": {"sre": 2}}}))
    assert told == "report-bot (for dana) asks: s3:GetObject on arn:aws:s3:::b/* for 15 min; asked: 2 of sre"


def test_a_long_reason_is_cut() -> None:
    told = tell(record("review.recorded", {"verdict": "deny", "reason": "x" * 40_000}))
    assert len(told) < 200
    assert told.endswith("…")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("ttl_denied", "AWS's own clock ended it"),
        ("expired", "expired by AWS's own clock"),
        ("never_issued", "nothing was ever issued"),
    ],
)
def test_every_kind_of_proof_has_its_sentence(kind: str, words: str) -> None:
    assert words in proof_sentence({**PROOF, "kind": kind})
    assert f"({kind})" in proof_sentence({**PROOF, "kind": kind})


def test_every_record_type_that_the_product_writes_is_told_in_its_own_words() -> None:
    folders = ("bot", "workers", "countersign")
    sources = "\n".join(path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py"))
    written = set(re.findall(r'Draft\(\s*[\w.]+,\s*"([a-z_]+\.[a-z_]+)"', sources))
    written |= set(re.findall(r'"(session\.(?:started|ended))"', sources))
    written |= {f"request.{state.lower()}" for state in REQUEST_TABLE if state != "PENDING"}
    events = {event for moves in GRANT_TABLE.values() for event in moves}
    written |= {f"grant.{RECORDED_AS.get(event, event)}" for event in events - NAMED_OTHERWISE}
    written |= {
        "grant.revoke_requested",
        "grant.release_requested",
        "grant.claimed",
        "policy.applied",
        "roster.applied",
    }
    assert len(written) > 20
    assert written - set(_TELLERS) - set(WORDS) == set()
    assert written <= set(TYPES)
    lost = {"old": "log.test+0a0b0c0d+AAAA", "size": 7, "why": "gone"}
    said = tell({"type": "key.lost", "by": {"person": "user:lena", "sub": "x"}, "data": lost})
    assert said == "lena says that the signing key log.test+0a0b0c0d is lost, from log size 7 on: gone"


async def test_the_log_is_followed_from_where_it_stood() -> None:
    store = memory_store()

    async def write(*kinds: str) -> None:
        seen = await store.records.read([], ["sys"])
        drafts = [Draft("sys", kind, By("lena", "operator", "lena"), "command", {}) for kind in kinds]
        await store.records.commit(Commit(at=seen.now, drafts=drafts, heads=seen.heads))

    await write("x.old_one")
    lines = follow(store, await store.log.size())
    await write("x.new_one", "x.new_two")
    told = [await anext(lines), await anext(lines)]
    assert [line.split("  ")[-1].strip() for line in told] == ["x.new_one by lena", "x.new_two by lena"]
    assert re.match(r"\d\d:\d\d:\d\d  ", told[0])
    later = asyncio.ensure_future(anext(lines))
    await write("x.later_one")
    assert "x.later_one" in await asyncio.wait_for(later, 5)
    with contextlib.suppress(StopAsyncIteration):
        await lines.aclose()
    assert json.loads((await store.log.chain("sys"))[0])["type"] == "x.old_one"
    await shorten(store, 2)
    assert "x.new_two" in await anext(follow(store, 0)), "the first that is left"
