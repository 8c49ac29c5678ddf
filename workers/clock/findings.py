"""Act on what a look at one base role found: put back a Deny that is gone, move on what was revoked by hand, tell.

A Deny is never removed while a session that it ends may be alive, and what nobody knows is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from approvers import grant as grants
from approvers.audit import By, Draft
from approvers.grant import COLLECT_MARGIN, Grant, GrantState, Plan, collect_at, facts
from approvers.request import Request
from approvers.upgrades import read
from workers.clock.alarms import Alarms
from workers.providers.port import Handle, ProviderError, RoleLook
from workers.rooms import handle_of, label
from workers.stores import layout
from workers.stores.port import Commit, Snapshot, transact
from workers.stores.rooms import ALERT_AT, ROOM, RoomSeen
from workers.tools import Tools

DOCTOR = "grt_00DOCTOR"
"""How the ids begin that `countersign doctor --aws` uses: no grant is behind them."""
RECONCILER = By("system:reconciler", "countersign", "worker")
DIRECTLY = "a Deny for it stands at AWS: revoked directly"
NOT_YET_ENDED = frozenset({GrantState.PENDING, GrantState.MINTING, GrantState.ACTIVE})
OVER = frozenset({GrantState.REVOKED, GrantState.FAILED})
IN_SIGHT = timedelta(minutes=1)
"""IAM tells of a write only after a moment: a Deny younger than this that is not seen is written again, not told."""


@dataclass(frozen=True)
class Base:
    """One base role: its plan, what stands there, that in figures, and the grants whose Deny must stand."""

    plan: Plan
    look: RoleLook
    seen: RoomSeen
    held: Mapping[str, Grant]


async def settle_role(tools: Tools, base: Base, alarms: Alarms) -> None:
    """Do and tell all that the look calls for; what AWS does not do is told, and holds up nothing else."""
    arn = base.plan.role_arn
    if base.look.gone:
        summary = f"The base role {arn} is gone: nothing can be minted on it, and nothing there can be ended early"
        await alarms.tell("role_gone", label(base.plan), arn, summary, "critical")
        return
    await _tell_state(base, alarms)
    standing = set(base.look.denies)
    for grant_id in sorted({*base.held} - standing):
        await _put_back(tools, base, alarms, base.held[grant_id], "was gone")
    for grant_id in base.look.changed:
        await _put_back(tools, base, alarms, base.held[grant_id], "had been changed")
    for grant_id in sorted(standing - {*base.held}):
        await _look_at_stray(tools, base, alarms, grant_id)


async def _tell_state(base: Base, alarms: Alarms) -> None:
    arn, name, seen = base.plan.role_arn, label(base.plan), base.seen
    if base.look.weak:
        await alarms.tell("role_changed", name, arn, f"The base role {arn}: {'; '.join(base.look.weak)}", "critical")
    if base.look.everyone:
        summary = f"Every older session of {arn} is denied (countersign-revoke-all): remove it once all is over"
        await alarms.tell("role_wide_deny", name, arn, summary, "critical")
    if seen.denies >= ALERT_AT:
        summary = f"{name} holds {seen.denies} of about {ROOM} Denies; early revokes will soon be refused"
        await alarms.tell("deny_budget", name, arn, summary)
    if seen.overbooked:
        summary = f"{name}: {seen.needed} grants live or ending, {seen.denies} Denies, and room for {ROOM}: not all that is live can be ended at once"  # noqa: E501
        await alarms.tell("deny_full", name, arn, summary, "critical")


async def _put_back(tools: Tools, base: Base, alarms: Alarms, grant: Grant, what: str) -> None:
    """Write a Deny again that somebody removed or changed while a session of the grant may still be alive."""
    now = await tools.store.records.now()
    if now >= collect_at(grant):
        return
    try:
        await tools.ask(base.plan, tools.provider("aws").revoke, handle_of(tools, grant))
        came = "has been put back"
    except ProviderError as error:
        came = f"cannot be put back: {error}"
    if now - _ended_at(grant) > IN_SIGHT:
        summary = f"The Deny of {grant.id} on {base.plan.role_arn} {what} and {came}"
        await alarms.tell("deny_missing", grant.id, base.plan.role_arn, summary, "critical", once=True)


async def _look_at_stray(tools: Tools, base: Base, alarms: Alarms, grant_id: str) -> None:
    """Handle a Deny that no record asks for."""
    key, arn = layout.grant_key(grant_id), base.plan.role_arn
    seen = await tools.store.records.read([key])
    if not seen.records[key].version:
        summary = f"A Deny for {grant_id} stands on {arn}, but no such grant is known; it is kept"
        if grant_id.startswith(DOCTOR):
            summary = f"A Deny of `countersign doctor --aws` ({grant_id}) stands on {arn}: remove it if no doctor runs"
        await alarms.tell("orphan_deny", grant_id, arn, summary, "info" if grant_id.startswith(DOCTOR) else "warning")
        return
    grant = read(Grant, seen.records[key].json)
    elsewhere = arn not in grant.plan.arns if grant.state is GrantState.PENDING else arn != grant.plan.role_arn
    if elsewhere and grant.state not in OVER:
        summary = (
            f"A Deny for {grant_id} stands on {arn}, but its session is one of {grant.plan.role_arn}: it ends nothing"
        )
        await alarms.tell("orphan_deny", grant_id, arn, summary)
    elif grant.state in NOT_YET_ENDED:
        await _move_on(tools, grant)
    elif grant.state in OVER and _may_go(grant, seen.now, elsewhere=elsewhere):
        await _remove(tools, base.plan, alarms, grant)
    # Otherwise an attempt wrote it and has not committed yet: the due item of that grant goes on from there.


async def _remove(tools: Tools, plan: Plan, alarms: Alarms, grant: Grant) -> None:
    """Remove a Deny from a role where no record asks for it."""
    handle = Handle(grant.id, plan, grant.ends_at, grant.expiration)
    try:
        await tools.ask(plan, tools.provider("aws").collect, handle)
    except ProviderError as error:
        summary = f"The Deny of {grant.id} on {plan.role_arn} is of no use any more and cannot be removed: {error}"
        await alarms.tell("collect_failed", grant.id, plan.role_arn, summary)


def _may_go(grant: Grant, now: datetime, *, elsewhere: bool) -> bool:
    """Tell whether a stray Deny of an ended grant is of no use any more: no session of it can be alive."""
    if grant.deny_written and grant.collected_at is None and not elsewhere:
        return False  # its own due item collects it
    return now >= (collect_at(grant) if grant.may_live_until else _ended_at(grant) + COLLECT_MARGIN)


def _ended_at(grant: Grant) -> datetime:
    """Return since when its Deny may stand."""
    if grant.proof:
        return grant.proof.at
    return grant.ending.requested_at if grant.ending else grant.opened_at


async def _move_on(tools: Tools, grant: Grant) -> None:
    """End a grant in the record as somebody ended it at AWS, so that both say the same; its proof follows as ever."""
    key, request_key = layout.grant_key(grant.id), layout.request_key(grant.request_id)

    def step(seen: Snapshot) -> tuple[Commit | None, None]:
        now_is = read(Grant, seen.records[key].json)
        if now_is.state not in NOT_YET_ENDED:
            return None, None
        after = grants.end(now_is, "revoke", seen.now, by="system:reconciler", reason=DIRECTLY)
        part = layout.grant_changed(
            seen.records[key], after, at=seen.now, request=read(Request, seen.records[request_key].json)
        )
        kind = "grant.revoked" if after.state is GrantState.REVOKED else "grant.revoke_requested"
        draft = Draft(grant.request_id, kind, RECONCILER, "worker", facts(after))
        line = layout.event(kind, seen.now, request=grant.request_id, grant=grant.id)
        return layout.commit(seen.now, part, drafts=[draft], events=[line], heads=seen.heads), None

    await transact(tools.store.records, [key, request_key], step, chains=[grant.request_id])
