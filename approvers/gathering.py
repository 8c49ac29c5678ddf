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

    Args:
        action: what is asked, with the caller's claims.
        principal: who proved to ask, `caller:NAME` or `user:NAME`.
        caller: the principal's entry in the roster; None for a person.
        plan: what would be minted; None for an action approval.
        policy: gives the environments, the default TTL and its own risk lists.
        levels: what the actions are.
        at: the store's time.

    Raises:
        NotEvaluated: the table of actions names a risk list that no rule knows.
    """
    asked = action.access
    names = _once([action.action, *(asked.actions if asked else ())], key=str.lower)
    lists = {name for one in names for name in (*levels.lists(one), *policy.risk.lists_of(one))}
    if not lists <= _LISTS:
        raise NotEvaluated(f"the action table has unknown risk lists: {', '.join(sorted(lists - _LISTS))}")
    access = {found if (found := levels.level(one)) in _LEVELS else UNKNOWN for one in names}
    environments = _environments(action.environment, plan, policy)
    # model_construct: every value is checked already (Action, Plan, the tables above), and this runs per request.
    return Facts.model_construct(
        at=from_ms(to_ms(at)),
        principal=principal,
        principal_kind=caller.kind if caller else "person",
        owners=caller.owners if caller else (),
        actor=action.actor.id,
        on_behalf_of=action.actor.on_behalf_of,
        model=action.actor.model,
        project=action.project,
        stage=action.stage,
        urgency=action.urgency,
        actions=names,
        access_levels=tuple(sorted(access)),
        risk_lists=tuple(sorted(lists)),
        resources=_once([action.resource, *(asked.resources if asked else ())]),
        role=plan.role if plan else None,
        account=plan.account if plan else None,
        environment=environments[-1],
        environments=environments,
        data_classes=tuple(sorted(set(action.data_classes))),
        ttl_seconds=plan.ttl_seconds if plan else ttl_for(policy, action.ttl_seconds),
        reason=action.reason,
        ticket=action.ticket,
        claimed_risk=action.risk,
        has_access=asked is not None,
    )


def _environments(claim: str, plan: Plan | None, policy: Policy) -> tuple[str, ...]:
    """Return what counts as the environment, the strictest last.

    The account's is proven; the claim joins it where it is stricter. Without an account nothing is proven: the claim
    counts beside `unknown`, so that deny and review rules see it, and no allow rule can rest on it.
    """
    ranks = {name: rank for rank, name in enumerate((*policy.environments, UNKNOWN))}
    proven = plan.environment if plan and plan.environment in ranks else UNKNOWN
    claimed = claim if claim in ranks else UNKNOWN
    if plan and ranks[claimed] <= ranks[proven]:
        return (proven,)
    return tuple(sorted({proven, claimed}, key=ranks.__getitem__))


def _once(words: Iterable[str], key: Callable[[str], str] = str) -> tuple[str, ...]:
    """Return each word once, in the order in which they were first written."""
    seen: dict[str, str] = {}
    for word in words:
        seen.setdefault(key(word), word)
    return tuple(seen.values())
