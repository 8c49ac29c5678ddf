"""Extend a grant: a new request that names the grant it goes on with, ruled on like any other.

The grant that is extended ends by itself, at its own time; the new one, once approved and minted, goes on. What is
extended is looked up at the ask, and its record is named in the commit: it cannot end in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from approvers.action import Action
from approvers.errors import Forbidden, Inadmissible
from approvers.grant import Grant, GrantState, Plan
from approvers.patterns import Patterns
from approvers.request import Extended as Named
from approvers.request import Request
from approvers.times import stamp
from approvers.upgrades import read
from bot.identity import Identity
from workers.stores import layout
from workers.stores.layout import Part
from workers.stores.port import Records

FIELD = "extends"
ANEW = "leave `extends` out and ask anew"


@dataclass(frozen=True)
class Extended:
    """What was looked up for one ask; for one that extends nothing: nothing."""

    part: Part = field(default_factory=dict)
    grant: Named | None = None

    def marked(self, request: Request) -> Request:
        """Return the request with the grant that it goes on with, for its card."""
        return request.model_copy(update={"extended": self.grant}) if self.grant else request


NOTHING = Extended()


class Extending:
    """Check what an ask extends."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def look(self, who: Identity, action: Action, plan: Plan | None) -> Extended:
        """Return what the commit of this ask has to find unchanged.

        Raises:
            Forbidden: `not_your_grant`: it is another principal's or actor's.
            Inadmissible: there is no such grant, it is not live, or it holds less than is asked for.
        """
        if action.extends is None:
            return NOTHING
        if plan is None:
            raise _no("only a credential can be extended: add `access`, or leave `extends` out", "extends.access")
        key = layout.grant_key(action.extends)
        record = (await self._records.read([key])).records[key]
        if not record.version:
            raise _no(
                f"there is no grant {action.extends}; name one of yours that is ACTIVE, or {ANEW}", "extends.grant"
            )
        grant = read(Grant, record.json)
        if (grant.principal, grant.actor) != (who.principal, action.actor.id):
            raise Forbidden(f"{grant.id} is not a grant of {who.principal} for {action.actor.id}; {ANEW}.",
                            code="not_your_grant", field=FIELD)  # fmt: skip
        if grant.state is not GrantState.ACTIVE or grant.ends_at is None:
            raise _no(f"{grant.handle} is {grant.state}, and only an ACTIVE grant can be extended; {ANEW}",
                      "extends.state")  # fmt: skip
        _check_within(plan, grant)
        return Extended({"expects": {key: record.version}},
                        Named(grant=grant.id, handle=grant.handle, ends_at=grant.ends_at))  # fmt: skip


def _check_within(plan: Plan, grant: Grant) -> None:
    """Refuse what is not a part of the grant's plan: more than that is another ask."""
    old, until = grant.plan, f"{grant.handle}, which ends {stamp(grant.ends_at)}" if grant.ends_at else grant.handle
    same = (plan.provider, plan.account_id) == (old.provider, old.account_id)
    if not same or old.role_arn not in (plan.role_arn, *plan.more_arns):  # it was minted on one of the alias's roles
        raise _no(f"{until}, is of role {old.role} in {old.account}, not {plan.role} in {plan.account}; {ANEW}",
                  "extends.role")  # fmt: skip
    actions = Patterns(name.lower() for name in old.actions)
    _check_all("action", [name for name in plan.actions if not actions.covers(name.lower())], until)
    resources = Patterns(old.resources)
    _check_all("resource", [arn for arn in plan.resources if not resources.covers(arn)], until)


def _check_all(kind: str, more: Sequence[str], until: str) -> None:
    if more:
        raise _no(f"{until}, does not hold the {kind} {more[0]}; ask for no more than it holds, or {ANEW}",
                  f"extends.{kind}s")  # fmt: skip


def _no(detail: str, rule: str) -> Inadmissible:
    return Inadmissible(f"{detail}.", field=FIELD, rule=rule)
