"""The reference policy of `docs/policies` answers every one of its cases as written, and every rule has a case."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from pydantic_core import to_json

from approvers.action import parse_action
from approvers.errors import Inadmissible
from approvers.facts import WINDOWS, History
from approvers.policy import Policy, check_together, parse_policy
from approvers.roster import Roster, parse_roster
from approvers.ruling import Ruling, check_limits, gather, rule, ttl_for
from workers.data.levels import load_levels
from workers.providers.plans import plan

FOLDER = Path(__file__).parents[1] / "docs" / "policies"
FRIDAY = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
CASES: list[dict[str, Any]] = tomllib.loads((FOLDER / "cases.toml").read_text())["case"]
SAID = {
    "environment": "prod",
    "ttl_seconds": 900,
    "ticket": "OPS-1",
    "reason": "The shop is slow since the deploy.",
}


@lru_cache(maxsize=1)
def files() -> tuple[Policy, Roster]:
    return parse_policy((FOLDER / "policy.toml").read_text()), parse_roster((FOLDER / "countersign.toml").read_text())


def ruled(case: dict[str, Any]) -> Ruling:
    policy, roster = files()
    told = {**SAID, **case["ask"]}
    access = {name: told.pop(name) for name in ("role", "actions", "resources")}
    actor = case["caller"] if case["caller"].startswith("user:") else _actor(roster, case["caller"])
    who = {"id": actor, "on_behalf_of": case.get("behind"), "model": told.pop("model", None)}
    body = {**told, "action": access["actions"][0], "resource": access["resources"][0], "access": access,
            "actor": {name: value for name, value in who.items() if value}}  # fmt: skip
    action = parse_action(to_json(body), rfc8785.dumps)
    planned = plan(action, roster, ttl_for(policy, action.ttl_seconds), load_levels())
    first, asked = case.get("first_time", False), case.get("asked_in_ten_minutes", 1)
    new = tuple(sorted(one.lower() for one in access["actions"])) if first else ()
    counts = tuple(asked if WINDOWS.index(one) >= WINDOWS.index("10m") else 1 for one in WINDOWS)
    facts = gather(
        action,
        principal=case["caller"],
        caller=roster.caller(case["caller"]),
        plan=planned,
        policy=policy,
        levels=load_levels(),
        at=case.get("at", FRIDAY),
        history=History(around=40, asked=counts, known=0 if first else 1, new=new, total=400),
        tags={name: tuple(tags) for name, tags in case.get("tags", {}).items()},
        proof=case.get("token", {}),
        groups=case.get("in_groups", ()),
        owed=case.get("owed", 0),
    )
    check_limits(policy, facts)
    return rule(policy, facts, sha256="f" * 64)


def _actor(roster: Roster, principal: str) -> str:
    caller = roster.caller(principal)
    assert caller is not None
    return caller.actors[0].replace("*", "7")


@pytest.mark.parametrize("case", CASES, ids=[case["says"] for case in CASES])
def test_a_case_is_answered_as_written(case: dict[str, Any]) -> None:
    if "refused" in case:
        with pytest.raises(Inadmissible) as refused:
            ruled(case)
        assert refused.value.rule == case["refused"]
        return
    ruling = ruled(case)
    got = (ruling.effect, sorted(hit.name for hit in ruling.rules), dict(ruling.seats), sorted(ruling.narrow))
    assert got == (case["answer"], sorted(case["rules"]), case.get("seats", {}), case.get("narrow", []))


def test_every_rule_decides_some_case() -> None:
    policy, _ = files()
    decided = {name for case in CASES for name in case.get("rules", ())}
    assert policy.rules.keys() - decided == set()


def test_the_files_fit_together() -> None:
    check_together(*files())
