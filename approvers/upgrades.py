"""Lift stored records to the present version, and refuse by name what a newer Countersign wrote.

Each kind has a list of functions from version n to n + 1; a record of an old version is lifted step by step when it is
read, and written back in the new form with its next change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from approvers.errors import NewerRecord
from approvers.facts import NO_HISTORY
from approvers.grant import Grant
from approvers.request import Request

M = TypeVar("M", bound=BaseModel)
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]


def lifted_facts(facts: dict[str, Any], *, plan: dict[str, Any] | None, action: dict[str, Any]) -> dict[str, Any]:
    """Return facts of the first form as they are written now: what was not looked at then counts as not known."""
    lifted = dict(facts)
    old_levels, _ = lifted.pop("access_levels"), lifted.pop("environments")
    levels = [old_levels[0] if len(old_levels) == 1 else "unknown" for _ in facts["actions"]]
    return lifted | {
        "account_environment": plan["environment"] if plan else None,
        "break_glass": False,
        "environment": action["environment"],
        "extends": None,
        "groups": [],
        "history": NO_HISTORY.model_dump(mode="json"),
        "levels": levels,
        "owed": 0,
        "pairs": [],
        "tag_keys": [],
        "tags": [None] * len(facts["resources"]),
        **dict.fromkeys(("issuer", "ref", "repository_id", "workflow")),
    }


def _request_2(raw: dict[str, Any]) -> dict[str, Any]:
    """Give facts the inputs that rules read since."""
    facts = lifted_facts(raw["facts"], plan=raw["plan"], action=raw["action"])
    return {**raw, "v": 2, "facts": facts, "ruling": {**raw["ruling"], "narrow": []}}


def _grant_2(raw: dict[str, Any]) -> dict[str, Any]:
    return {**raw, "v": 2}


UPGRADES: Mapping[type[BaseModel], Sequence[Upgrade]] = {Request: (_request_2,), Grant: (_grant_2,)}
"""The steps from version 1 on; the present version of a kind is one more than it has steps."""


def read(kind: type[M], text: str, upgrades: Mapping[type[BaseModel], Sequence[Upgrade]] = UPGRADES) -> M:
    """Return the record that the JSON holds, lifted to the present version.

    Raises:
        NewerRecord: it was written by a newer version; nothing is guessed.
    """
    steps = upgrades[kind]
    newest = len(steps) + 1
    if text.startswith(f'{{"v":{newest},'):  # as we write it ourselves: no second parse
        return kind.model_validate_json(text)
    raw = json.loads(text)
    version = raw.get("v")
    if not isinstance(version, int) or version > newest or version < 1:
        raise NewerRecord(f"a stored {kind.__name__} has version {version}; this Countersign reads up to {newest}")
    for step in steps[version - 1 :]:
        raw = step(raw)
    return kind.model_validate_json(json.dumps(raw))
