"""Make an ask smaller in approving it: a shorter TTL, fewer actions, tighter resources; never anything more.

Only what every rule that asks for the review lets a reviewer narrow (`Ruling.narrow`). Earlier approvals stand: who
approved the whole approved its part. The headline stays what was asked; the plan is what will be minted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from approvers.errors import Forbidden, Malformed
from approvers.grant import Plan
from approvers.patterns import Patterns
from approvers.request import Narrowed, Request, RequestState
from approvers.times import spell

MAX_RESOURCES = 20
MAX_RESOURCE = 2_048
"""How many resources, and characters of one, a plan may have; as at intake."""
TTL_STEPS = (60, 300, 900, 1_800, 3_600, 7_200)
"""Seconds that a reviewer is offered below what was asked; over the API any number may be given."""
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Narrow(_Value):
    """What a reviewer wants instead; None leaves it as it is."""

    ttl_seconds: int | None = None
    actions: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None


class Offer(_Value):
    """What a form may offer to make smaller, as it stands; an empty part may not, or cannot, be made smaller.

    `ttls` are seconds, the shortest first; the last is what would be granted now.
    """

    ttls: tuple[int, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]


def offer(request: Request) -> Offer | None:
    """Return what a reviewer may make smaller in this request; None where that is nothing."""
    plan, may = request.plan, request.ruling.narrow
    if plan is None or request.state is not RequestState.PENDING:
        return None
    ttls = (*(step for step in TTL_STEPS if step < plan.ttl_seconds), plan.ttl_seconds)
    made = Offer(
        ttls=ttls if "ttl" in may and len(ttls) > 1 else (),
        actions=plan.actions if "actions" in may and len(plan.actions) > 1 else (),
        resources=plan.resources if "resources" in may else (),
    )
    return made if made.ttls or made.actions or made.resources else None


def narrowed(request: Request, wish: Narrow, by: str, at: datetime) -> Request:
    """Return the request with its plan made smaller; a wish that changes nothing returns it as it is.

    Who narrows again what somebody narrowed before them goes on from there; `before` stays what was asked.

    Raises:
        Forbidden: `may_not_narrow` where the rules do not let a reviewer change this.
        Malformed: the wish is wider than what was asked in some part, or leaves nothing; names field and remedy.
    """
    if is_whole(request, wish):
        return request
    plan = request.plan
    if plan is None:
        detail = "This asks for no credential, so there is nothing to narrow: leave `narrow` out."
        raise Forbidden(detail, code="may_not_narrow", field="narrow")
    ttl = plan.ttl_seconds if wish.ttl_seconds is None else _ttl(request, plan, wish.ttl_seconds)
    actions = plan.actions if wish.actions is None else _actions(request, plan, wish.actions)
    resources = plan.resources if wish.resources is None else _resources(request, plan, wish.resources)
    after = plan.model_copy(update={"ttl_seconds": ttl, "actions": actions, "resources": resources})
    earlier = request.narrowed
    also = tuple(who for who in (*earlier.also, earlier.by) if who != by) if earlier else ()
    told = Narrowed(before=earlier.before if earlier else plan, by=by, at=at, also=also)
    return request.model_copy(update={"plan": after, "narrowed": told})


def is_whole(request: Request, wish: Narrow) -> bool:
    """Tell whether this wish leaves everything as it stands."""
    plan = request.plan
    if plan is None or wish == Narrow():
        return wish == Narrow()
    return (
        wish.ttl_seconds in (None, plan.ttl_seconds)
        and (wish.actions is None or _lower(wish.actions) == _lower(plan.actions))
        and (wish.resources is None or set(wish.resources) == set(plan.resources))
    )


def parts(plan: Plan) -> dict[str, Any]:
    """Return the parts of a plan that can be narrowed, as records and answers say them."""
    return plan.model_dump(mode="json", include={"actions", "resources", "ttl_seconds"})


def difference(asked: Mapping[str, Any], granted: Mapping[str, Any], most: int = 3) -> str:
    """Say what is smaller, of two plans' `parts`: `15 min instead of 30 min, without s3:PutObject`.

    Of long lists the first `most` are named. The text may hold anybody's words.
    """
    told = []
    if granted["ttl_seconds"] != asked["ttl_seconds"]:
        told.append(f"{_spelled(granted['ttl_seconds'])} instead of {_spelled(asked['ttl_seconds'])}")
    if gone := [name for name in asked["actions"] if name not in granted["actions"]]:
        told.append(f"without {_few(gone, most)}")
    if granted["resources"] != asked["resources"]:
        told.append(f"only on {_few(granted['resources'], most)} instead of {_few(asked['resources'], most)}")
    return ", ".join(told)


def smaller(request: Request, most: int = 3) -> str:
    """Say what reviewers have made smaller in this request; empty where they took it as it was asked."""
    if request.narrowed is None or request.plan is None:
        return ""
    return difference(parts(request.narrowed.before), parts(request.plan), most)


def _ttl(request: Request, plan: Plan, seconds: int) -> int:
    if seconds == plan.ttl_seconds:
        return seconds
    _check_allowed(request, "ttl", "ttl_seconds")
    if not 1 <= seconds < plan.ttl_seconds:
        detail = f"{seconds} s is not shorter than the {plan.ttl_seconds} s that would be granted"
        raise Malformed(f"{detail}; give 1 to {plan.ttl_seconds}", field="narrow.ttl_seconds")
    return seconds


def _actions(request: Request, plan: Plan, names: Sequence[str]) -> tuple[str, ...]:
    """Return the plan's actions that are named, in the plan's order and spelling; letter case is none of AWS's."""
    known = {name.lower(): name for name in plan.actions}
    kept = _lower(names)
    if kept == known.keys():
        return plan.actions
    _check_allowed(request, "actions", "actions")
    _check_some("actions", names)
    for number, name in enumerate(names):
        if name.lower() not in known:
            detail = f"{name[:200]!r} would not be granted as it stands; keep some of: {', '.join(plan.actions)}"
            raise Malformed(detail, field=f"narrow.actions[{number}]")
    return tuple(name for low, name in known.items() if low in kept)


def _resources(request: Request, plan: Plan, arns: Sequence[str]) -> tuple[str, ...]:
    if set(arns) == set(plan.resources):
        return plan.resources
    _check_allowed(request, "resources", "resources")
    _check_some("resources", arns)
    if len(arns) > MAX_RESOURCES:
        detail = f"{len(arns)} resources are more than {MAX_RESOURCES}; name fewer"
        raise Malformed(detail, field="narrow.resources")
    planned = Patterns(plan.resources)
    for number, arn in enumerate(arns):
        field = f"narrow.resources[{number}]"
        if not _PRINTABLE.fullmatch(arn) or "${" in arn or "?" in arn or len(arn) > MAX_RESOURCE:
            detail = f"{arn[:200]!r} has characters that a policy could read otherwise, or too many"
            raise Malformed(f"{detail}; use plain ASCII, no '?' or '${{'", field=field)
        if not planned.covers(arn):  # a `*` of the new one is a plain character there, which only a `*` holds
            detail = f"{arn[:200]!r} is not inside what would be granted; write ARNs inside: {_few(plan.resources)}"
            raise Malformed(detail, field=field)
        if arn in arns[:number]:
            raise Malformed(f"{arn[:200]!r} is named twice; leave the second one out", field=field)
    return tuple(arns)


def _lower(names: Sequence[str]) -> set[str]:
    return {name.lower() for name in names}


def _check_some(part: str, entries: Sequence[str]) -> None:
    if not entries:
        raise Malformed(f"keep at least one of the {part}, or deny the request", field=f"narrow.{part}")


def _check_allowed(request: Request, part: str, field: str) -> None:
    may = request.ruling.narrow
    if part in may:
        return
    names = [hit.name for hit in request.ruling.rules] or ["the policy's default"]
    words = {"ttl": "the time", "actions": "the actions", "resources": "the resources"}
    lets = f"only {' and '.join(words[one] for one in words if one in may)}" if may else "nothing"
    verb = "allows" if len(names) == 1 else "together allow"
    detail = f"A reviewer may not narrow {words[part]} here: {', '.join(names)} {verb} {lets}."
    raise Forbidden(
        f"{detail} Approve or deny it, or have `narrow` extended in each of these rules.",
        code="may_not_narrow",
        field=f"narrow.{field}",
    )


def _spelled(seconds: int) -> str:
    return spell(timedelta(seconds=seconds))


def _few(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
