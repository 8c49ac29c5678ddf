"""Collect everything that a ruling looks at, and tell what is proven from what is claimed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, get_args

from approvers.action import Action
from approvers.errors import NotEvaluated
from approvers.facts import NO_HISTORY, UNKNOWN, AccessLevel, ActionTable, Facts, History, RiskList
from approvers.grant import Plan
from approvers.limits import ttl_for
from approvers.policy import Policy
from approvers.quick import made
from approvers.roster import Caller
from approvers.times import from_ms, to_ms

_LISTS = frozenset(get_args(RiskList))
_LEVELS = frozenset(get_args(AccessLevel))
NO_TAGS: Mapping[str, tuple[str, ...]] = {}
NO_PROOF: Mapping[str, str] = {}


def gather(
    action: Action,
    *,
    principal: str,
    caller: Caller | None,
    plan: Plan | None,
    policy: Policy,
    levels: ActionTable,
    at: datetime,
    history: History = NO_HISTORY,
    tags: Mapping[str, tuple[str, ...]] = NO_TAGS,
    proof: Mapping[str, str] = NO_PROOF,
    groups: Iterable[str] = (),
    owed: int = 0,
) -> Facts:
    """Collect everything that a ruling looks at.

    `principal` is proven, `caller` its entry in the roster (None for a person), `plan` what would be minted (None for
    an action approval), `at` the store's time; the policy gives the default TTL. `history` is what the principal did
    before, `tags` what is known of resources, `proof` what the caller's own token says (`issuer`, `repository_id`,
    `ref`, `workflow`), `groups` the principal's own groups where they were looked up, `owed` its open after-reviews.

    Raises:
        NotEvaluated: the table of actions names a risk list that no rule knows.
    """
    asked = action.access
    names = _once([action.action, *(asked.actions if asked else ())], key=str.lower)
    resources = _once([action.resource, *(asked.resources if asked else ())])
    # made, not validated: every value is checked already (Action, Plan, the tables above), and this runs per request.
    return made(
        Facts,
        **_said(action),
        **_proven(proof),
        **_planned(plan),
        **_known(names, levels),
        actions=names,
        at=from_ms(to_ms(at)),
        groups=tuple(sorted(groups)),
        history=history,
        owed=owed,
        owners=_answerable(caller, proof),
        principal=principal,
        principal_kind=caller.kind if caller else "person",
        resources=resources,
        tag_keys=policy.tag_keys,
        tags=tuple([tags.get(one) for one in resources]),
        ttl_seconds=plan.ttl_seconds if plan else ttl_for(policy, action.ttl_seconds),
    )


def _said(action: Action) -> dict[str, Any]:
    """Return what the ask itself says, as it says it; the reason without blanks at its ends.

    Rules count a reason without them, and of one that is erased later only the length is left.
    """
    return {
        "actor": action.actor.id,
        "break_glass": action.break_glass,
        "claimed_risk": action.risk,
        "data_classes": tuple(sorted(set(action.data_classes))),
        "environment": action.environment,
        "extends": action.extends,
        "has_access": action.access is not None,
        "model": action.actor.model,
        "on_behalf_of": action.actor.on_behalf_of,
        "project": action.project,
        "reason": action.reason.strip(),
        "stage": action.stage,
        "ticket": action.ticket,
        "urgency": action.urgency,
    }


def _proven(proof: Mapping[str, str]) -> dict[str, str | None]:
    """Return what the caller's own token says."""
    return {name: proof.get(name) for name in ("issuer", "ref", "repository_id", "workflow")}


def _planned(plan: Plan | None) -> dict[str, str | None]:
    """Return where it would be done; for an action approval nothing is proven of that."""
    if plan is None:
        return {"account": None, "account_environment": None, "role": None}
    return {"account": plan.account, "account_environment": plan.environment, "role": plan.role}


def _known(names: tuple[str, ...], levels: ActionTable) -> dict[str, tuple[str, ...]]:
    """Return what the tables know of the actions."""
    return {
        "levels": tuple([_level(name, levels) for name in names]),
        "pairs": levels.pairs(names),
        "risk_lists": _risk_lists(names, levels),
    }


def _answerable(caller: Caller | None, proof: Mapping[str, str]) -> tuple[str, ...]:
    """Return who may not approve what the caller asks: its owners, and the person who started the job, if proven."""
    owners = caller.owners if caller else ()
    started = proof.get("started_by")
    return (*owners, started) if started and started not in owners else owners


def _level(name: str, levels: ActionTable) -> str:
    level = levels.level(name)
    return level if level in _LEVELS else UNKNOWN


def _risk_lists(names: Iterable[str], levels: ActionTable) -> tuple[str, ...]:
    lists = {found for name in names for found in levels.lists(name)}
    if not lists <= _LISTS:
        raise NotEvaluated(f"the action table has unknown risk lists: {', '.join(sorted(lists - _LISTS))}")
    return tuple(sorted(lists))


def _once(words: Iterable[str], key: Callable[[str], str] = str) -> tuple[str, ...]:
    """Return each word once, in the order in which they were first written."""
    seen: dict[str, str] = {}
    for word in words:
        seen.setdefault(key(word), word)
    return tuple(seen.values())
