"""Say what has to follow from a decision, and in what a record differs from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from approvers import request as requests
from approvers.request import Request
from approvers.times import stamp

ERASED = "\u25a0"
"""Stands for each character of a text that was erased."""
LATELY = frozenset({"mint_by", "policy_sha256"})
"""Fields that the first records of these kinds did not have."""


class DoesNotFollow(Exception):
    """What was recorded is not what comes out; the text says in what."""


@dataclass(frozen=True)
class Follows:
    """One record that has to come next: its type, what it has to say, and from what it follows, in words."""

    type: str
    data: Mapping[str, Any]
    why: str
    lately: frozenset[str] = field(default=LATELY)


def plain(value: Any) -> Any:
    """Return a value as a parsed record has it."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def same(one: Any, two: Any) -> bool:
    """Tell whether two values are the same; of texts that were erased only the length is left."""
    if one == two:
        return True
    if not (isinstance(one, str) and isinstance(two, str)) or len(one) != len(two):
        return False
    return not one.strip(ERASED) or not two.strip(ERASED)


def differs(follows: Follows, record: Mapping[str, Any]) -> str:
    """Say in which fields a record differs from what has to stand there; empty where it does not."""
    data, wanted = record["data"], plain(follows.data)
    parts = []
    for name in sorted(wanted.keys() | data.keys()):
        if name not in data and name in follows.lately and record["v"] == 1:
            continue
        if not same(data.get(name), wanted.get(name)):
            parts.append(f"{name} is {_short(data.get(name))}, and {_short(wanted.get(name))} comes out")
    return "; ".join(parts)


def same_model(recorded: Mapping[str, Any], made: Any, what: str) -> None:
    """Check that a part of a record is what comes out, whole. Raises DoesNotFollow, naming the fields."""
    wanted = plain(made)
    names = [name for name in sorted(wanted.keys() | recorded.keys()) if not same(recorded.get(name), wanted.get(name))]
    if names:
        first = names[0]
        told = f"{first} is {_short(recorded.get(first))}, and {_short(wanted.get(first))} comes out"
        more = f" (also {', '.join(names[1:])})" if names[1:] else ""
        raise DoesNotFollow(f"{what} is not what its policy gives: {told}{more}")


def decided(request: Request, why: str) -> Follows:
    """Return the record of a decision."""
    lent = {one.reviewer: one.lent_by for one in request.reviews if one.lent_by}
    data = {
        "state": str(request.state),
        "because": str(request.because),
        "decided_by": request.decided_by,
        "action_digest": request.action_digest,
        "policy_sha256": request.ruling.policy_sha256,
        "seats": dict(request.ruling.seats),
        "filled": {group: list(people) for group, people in request.tally().filled.items()},
    }
    return Follows(f"request.{request.state.lower()}", {**data, "lent": lent} if lent else data, why)


def opened(request: Request, why: str) -> Follows:
    """Return the record of the grant that an approval opens."""
    assert request.decided_at is not None
    grant = requests.open_grant(request, request.decided_at)
    data = {"grant": grant.id, "plan": grant.plan, "approved_by": list(grant.approved_by),
            "mint_by": stamp(grant.mint_by)}  # fmt: skip
    return Follows("grant.opened", data, why)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}…"
