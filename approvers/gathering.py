"""Collect everything that a ruling looks at, and tell what is proven from what is claimed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import get_args

from approvers.action import Action
from approvers.errors import NotEvaluated
from approvers.facts import UNKNOWN, AccessLevel, ActionTable, Facts, RiskList
from approvers.grant import Plan
from approvers.limits import ttl_for
from approvers.policy import Policy
from approvers.quick import made
from approvers.roster import Caller
from approvers.times import from_ms, to_ms

_LISTS = frozenset(get_args(RiskList))
_LEVELS = frozenset(get_args(AccessLevel))


def gather(
    action: Action,
    *,
    principal: str,
    caller: Caller | None,
    plan: Plan | None,
    policy: Policy,
    levels: ActionTable,
    at: datetime,
) -> Facts:
    """Collect everything that a ruling looks at.

    `principal` is proven, `caller` its entry in the roster (None for a person), `plan` what would be minted (None for
    an action approval), `at` the store's time; the policy gives environments, default TTL and its own risk lists.

    Raises:
        NotEvaluated: the table of actions names a risk list that no rule knows.
    """
    asked = action.access
    names = _once([action.action, *(asked.actions if asked else ())], key=str.lower)
    environments = _environments(action.environment, plan, policy)
    # made, not validated: every value is checked already (Action, Plan, the tables above), and this runs per request.
    return made(
        Facts,
        access_levels=_access_levels(names, levels),
        account=plan.account if plan else None,
        actions=names,
        actor=action.actor.id,
        at=from_ms(to_ms(at)),
        claimed_risk=action.risk,
        data_classes=tuple(sorted(set(action.data_classes))),
        environment=environments[-1],
        environments=environments,
        has_access=asked is not None,
        model=action.actor.model,
        on_behalf_of=action.actor.on_behalf_of,
        owners=caller.owners if caller else (),
        principal=principal,
        principal_kind=caller.kind if caller else "person",
        project=action.project,
        reason=action.reason,
        resources=_once([action.resource, *(asked.resources if asked else ())]),
        risk_lists=_risk_lists(names, levels, policy),
        role=plan.role if plan else None,
        stage=action.stage,
        ticket=action.ticket,
        ttl_seconds=plan.ttl_seconds if plan else ttl_for(policy, action.ttl_seconds),
        urgency=action.urgency,
    )


def _access_levels(names: Iterable[str], levels: ActionTable) -> tuple[str, ...]:
    found = {levels.level(name) for name in names}
    return tuple(sorted({level if level in _LEVELS else UNKNOWN for level in found}))


def _risk_lists(names: Iterable[str], levels: ActionTable, policy: Policy) -> tuple[str, ...]:
    lists = {found for name in names for found in (*levels.lists(name), *policy.risk.lists_of(name))}
    if not lists <= _LISTS:
        raise NotEvaluated(f"the action table has unknown risk lists: {', '.join(sorted(lists - _LISTS))}")
    return tuple(sorted(lists))


def _environments(claim: str, plan: Plan | None, policy: Policy) -> tuple[str, ...]:
    """Return what counts as the environment, the strictest last.

    The account's is proven; a stricter claim counts as every step from there up to it, so that no higher claim escapes
    what a lower one meets. Without an account nothing is proven: the claim counts beside `unknown`, so that deny and
    review rules see it and no allow rule can rest on it. A claim that is no environment of the policy could be any.
    """
    ranks = (*policy.environments, UNKNOWN)
    claimed = ranks.index(claim) if claim in ranks else len(ranks) - 1
    if plan is None:
        return (ranks[claimed], UNKNOWN) if ranks[claimed] != UNKNOWN else ranks
    proven = ranks.index(plan.environment) if plan.environment in ranks else len(ranks) - 1
    return ranks[proven : max(proven, claimed) + 1]


def _once(words: Iterable[str], key: Callable[[str], str] = str) -> tuple[str, ...]:
    """Return each word once, in the order in which they were first written."""
    seen: dict[str, str] = {}
    for word in words:
        seen.setdefault(key(word), word)
    return tuple(seen.values())
