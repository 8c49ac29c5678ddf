"""The judge sees what must not be, and lets pass what may."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.faults.judging import Session, judge_denies, judge_order, judge_rest, judge_sessions, judge_story
from tests.faults.traps import Sighting

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
G = "grt_01ARZ3NDEKTSV4RRFFQ69G5FAV"
R = "req_01ARZ3NDEKTSV4RRFFQ69G5FAV"


def session(key: str = "ASIA1", *, ends: float = 10) -> Session:
    end = NOW + timedelta(minutes=ends)
    return Session(G, key, "secret", "token", max(end, NOW + timedelta(minutes=15)), end)


class World:
    """An AWS where some keys live."""

    def __init__(self, *living: str) -> None:
        self._living = living

    def now(self) -> datetime:
        return NOW

    def alive(self, one: Session) -> bool:
        return one.key in self._living


@pytest.mark.parametrize(
    ("living", "state", "ends", "wrong"),
    [
        (["ASIA1"], "ACTIVE", 10, []),
        (["ASIA1"], "REVOKING", 10, []),
        ([], "REVOKED", 10, []),
        (["ASIA1"], "REVOKED", 10, ["(REVOKED) is alive"]),
        (["ASIA1"], "FAILED", 10, ["(FAILED) is alive"]),
        (["ASIA1"], "REVOKING", -1, ["is alive past its end"]),
        ([], "ACTIVE", 10, ["is dead before its end"]),
        ([], "ACTIVE", -1, []),
        (["ASIA1", "ASIA2"], "ACTIVE", 10, ["2 credentials"]),
    ],
    ids=str,
)
def test_credentials(living: list[str], state: str, ends: float, wrong: list[str]) -> None:
    issued = [session(ends=ends), session("ASIA2", ends=ends)]
    verdict = judge_sessions(World(*living), issued, {G: {"state": state}}, {G: "ASIA1"}, lambda _: state)  # type: ignore[arg-type]
    assert len(verdict.wrong) == len(wrong)
    assert all(part in line for part, line in zip(wrong, verdict.wrong, strict=True))


@pytest.mark.parametrize(
    ("state", "ends", "wrong"),
    [("ACTIVE", 1, 0), ("REVOKED", -9, 0), ("FAILED", -9, 0), ("MINTING", 1, 1), ("REVOKING", 1, 1), ("ACTIVE", -1, 1)],
    ids=str,
)
def test_rest(state: str, ends: float, wrong: int) -> None:
    assert len(judge_rest({G: {"state": state}}, {G: NOW + timedelta(minutes=ends)}, NOW)) == wrong


@pytest.mark.parametrize(
    ("action", "state", "minutes", "wrong"),
    [
        ("AssumeRole", "MINTING", 0, 0),
        ("AssumeRole", "REVOKED", 0, 0),
        ("AssumeRole", "PENDING", 0, 1),
        ("PutRolePolicy", "REVOKING", 0, 0),
        ("PutRolePolicy", "REVOKED", 0, 0),
        ("PutRolePolicy", "ACTIVE", 0, 1),
        ("PutRolePolicy", "MINTING", 0, 1),
        ("DeleteRolePolicy", "REVOKED", 26, 0),
        ("DeleteRolePolicy", "REVOKED", 14, 1),
        ("PutRolePolicy", "", 0, 0),
    ],
    ids=str,
)
def test_order(action: str, state: str, minutes: float, wrong: int) -> None:
    seen = Sighting(action, G, state, NOW + timedelta(minutes=minutes), "", 0.0)
    assert len(judge_order([seen], [session()])) == wrong


def chain(*records: dict[str, Any]) -> list[str]:
    bodies, prev = list[str](), ""
    for n, record in enumerate(records, 1):
        bodies.append(json.dumps({"subject": R, "n": n, "prev": prev, **record}))
        prev = hashlib.sha256(bodies[-1].encode()).hexdigest()
    return bodies


def grant_record(state: str, **data: Any) -> dict[str, Any]:
    return {"type": "grant.moved", "data": {"state": state, **data}}


PROOF = {"kind": "expired"}
LIFE = [grant_record("MINTING"), grant_record("ACTIVE"), grant_record("REVOKING"), grant_record("REVOKED", proof=PROOF)]


@pytest.mark.parametrize(
    ("records", "wrong"),
    [
        (LIFE, 0),
        ([*LIFE, LIFE[-1]], 0),
        ([*LIFE[:3], grant_record("REVOKED")], 1),
        ([*LIFE[:3], grant_record("ACTIVE")], 1),
        ([grant_record("ACTIVE")], 1),
        (
            [
                grant_record("MINTING"),
                grant_record("ACTIVE", minted_at=str(NOW), ends_at=str(NOW + timedelta(hours=1))),
            ],
            1,
        ),
    ],
    ids=["whole", "collected", "no proof", "came back", "no claim", "too long"],
)
def test_story(records: list[dict[str, Any]], wrong: int) -> None:
    assert len(judge_story(R, chain(*records), 900)) == wrong


def test_a_broken_chain() -> None:
    bodies = chain(*LIFE)
    assert judge_story(R, [bodies[0], bodies[2]], 900)[0] == f"record 2 of {R} does not continue its chain"


@pytest.mark.parametrize(
    ("standing", "kind", "types", "minutes", "wrong"),
    [
        ({G}, "probe_denied", [], 0, 0),
        (set(), "probe_denied", ["grant.collected"], 0, 0),
        (set(), "expired", [], 0, 0),
        (set(), "probe_denied", [], 0, 1),
        (set(), "probe_denied", [], 14, 1),
        (set(), "probe_denied", [], 26, 0),
        ({G}, "probe_denied", ["grant.collected"], 26, 1),
        ({G, "grt_other"}, "probe_denied", [], 0, 1),
    ],
    ids=[
        "stands",
        "collected",
        "none needed",
        "missing",
        "missing late",
        "being collected",
        "left behind",
        "of nobody",
    ],
)
def test_denies(standing: set[str], kind: str, types: list[str], minutes: float, wrong: int) -> None:
    story = {G: [{"type": name} for name in types]}
    grants, now = {G: {"state": "REVOKED", "proof": {"kind": kind}}}, NOW + timedelta(minutes=minutes)
    assert len(judge_denies(standing, story, grants, [session()], now)) == wrong
