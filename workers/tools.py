"""Hold what the workers' use cases share: their collaborators, and the one way to commit a move of a grant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

from approvers.audit import By, Draft
from approvers.grant import Grant, GrantState, Plan, facts
from approvers.ids import request_of
from approvers.request import Request
from approvers.upgrades import read
from workers.alerts import Alert, Alerts, Severity
from workers.lanes import Lanes
from workers.policies import Policies
from workers.providers.port import NotSent, Provider, Secret, Tagged, Watched
from workers.stores import layout
from workers.stores.port import Attempt, Commit, Snapshot, Store, transact
from workers.troubles import tell_of

P = ParamSpec("P")
T = TypeVar("T")
Seal = Callable[[Secret, Grant], bytes]
Move = Callable[[Grant, datetime], Grant]
RECORDED_AS = {"proven": "revoked", "ttl_elapsed": "ended", "stale": "lost", "outcome_unknown": "lost"}
"""Names of records and events where they differ from the state table's: a record says what is now true."""
WORKER = By(None, "countersign", "worker")


@dataclass(frozen=True)
class Beside:
    """What a move changes beside its grant: the records and chains to read for that, and the part of the commit."""

    keys: Sequence[str] = ()
    chains: Sequence[str] = ()
    part: Callable[[Snapshot, Grant], layout.Part] = lambda _seen, _after: {}


NOTHING_BESIDE = Beside()
NO_PART: layout.Part = MappingProxyType({})


class NoProvider(NotSent):
    """This worker was started without the provider that a grant needs."""


@dataclass(frozen=True)
class Tools:
    """Hold the collaborators; the composition root picks the implementations.

    Attributes:
        seal: encrypts a secret to the grant's caller, or to the web process's delivery key.
        lease: how long one attempt may take; a dead worker's item comes back after it. Longer than the slowest
            honest cloud call.
        tagged: reads the tags of accounts; None where this worker has no rights to.
        watched: reads what sessions did; None where nothing can tell.
        lanes: the turns of each account at its provider.
    """

    store: Store
    policies: Policies
    providers: Mapping[str, Provider]
    seal: Seal
    alerts: Alerts
    lease: timedelta
    tagged: Tagged | None = None
    watched: Watched | None = None
    lanes: Lanes = field(default_factory=Lanes)

    def provider(self, name: str) -> Provider:
        """Return a provider. Raises NoProvider where this worker has none of that name: nothing is sent then."""
        if name not in self.providers:
            raise NoProvider(f"this worker has no provider {name}; start workers that have it")
        return self.providers[name]

    async def ask(self, plan: Plan, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a provider in a thread of the plan's account; on-call hears when that account is in trouble, or well."""
        lane = self.lanes.of(plan)
        try:
            return await lane.call(call, *args, **kwargs)
        finally:
            if lane.troubled or lane.told or (lane.well and not lane.looked_up):
                lane.told, lane.looked_up = lane.troubled, True
                self.lanes.aside(tell_of(self.store.records, self.alerts, lane.name, troubled=lane.troubled))

    async def alert(self, kind: str, grant: Grant, summary: str, severity: Severity = "warning") -> None:
        """Tell on-call about a grant; the same kind for the same grant is one alert."""
        at = await self.store.records.now()
        await self.alerts.send(_about(kind, grant, summary, severity, at))
        await self.store.records.commit(Commit(at=at, counts={f"alerts:{kind}": 1}))

    async def clear(self, kind: str, grant: Grant, summary: str, severity: Severity = "warning") -> None:
        """Tell on-call that what was told about a grant is over."""
        at = await self.store.records.now()
        await self.alerts.send(_about(kind, grant, summary, severity, at).clear(at))


def _about(kind: str, grant: Grant, summary: str, severity: Severity, at: datetime) -> Alert:
    details = {"grant": grant.id, "role": grant.plan.role, "actor": grant.actor}
    return Alert(f"{kind}:{grant.id}", severity, summary, at, details)


async def move(
    tools: Tools, attempt: Attempt, event: str, change: Move, *, beside: Beside = NOTHING_BESIDE, **fields: Any
) -> str:  # fmt: skip
    """Commit one move of a grant under the attempt's fence: record, audit, event, due time; returns the new state.

    `change` gives the grant after the move. A grant that has left the state in which the move exists raises
    IllegalTransition; a lost fence raises Fenced. Either way nothing is changed.
    """
    before, after, _ = await moved(tools, attempt, event, change, beside=beside, **fields)
    return f"{before.state} → {after.state}"


async def moved(
    tools: Tools,
    attempt: Attempt,
    event: str,
    change: Move,
    *,
    beside: Beside = NOTHING_BESIDE,
    first: Snapshot | None = None,
    stay: bool = False,
    **fields: Any,
) -> tuple[Grant, Grant, bool]:
    """Commit one move as `move` does; returns the grant before and after, and whether the attempt goes on.

    With `stay` it goes on if what comes next is due at once: the item stays leased to it instead of coming due. `first`
    is what was just read of the grant, its request and its chain.
    """
    key = attempt.member
    request_id = request_of(key.partition(":")[2])
    request_key = layout.request_key(request_id)

    def step(seen: Snapshot) -> tuple[Commit | None, tuple[Grant, Grant, bool]]:
        before = read(Grant, seen.records[key].json)
        after = change(before, seen.now)
        request = read(Request, seen.records[request_key].json)
        part = layout.grant_changed(seen.records[key], after, at=seen.now, request=request)
        more = {**fields, "attempt": attempt, "counts": _timed(before, after, seen.now)}
        stays = stay and part.get("due", {}).get(key, seen.now + tools.lease) <= seen.now
        if stays:
            part = {**part, "due": {one: at for one, at in part["due"].items() if one != key}}
            more["lease_until"] = seen.now + tools.lease
        commit = told(seen, part, after, event, beside.part(seen, after), **more)
        return commit, (before, after, stays)

    keys, chains = [key, request_key, *beside.keys], [request_id, *beside.chains]
    return await transact(tools.store.records, keys, step, chains=chains, first=first)


def told(
    seen: Snapshot, part: layout.Part, grant: Grant, event: str, beside: layout.Part = NO_PART, **fields: Any
) -> Commit:  # fmt: skip
    """Return the commit of a worker's move, with its audit record and its event."""
    kind = f"grant.{RECORDED_AS.get(event, event)}"
    draft = Draft(grant.request_id, kind, WORKER, "worker", facts(grant))
    line = layout.event(kind, seen.now, request=grant.request_id, grant=grant.id)
    return layout.commit(seen.now, part, beside, drafts=[draft], events=[line], heads=seen.heads, **fields)


def _timed(before: Grant, after: Grant, now: datetime) -> dict[str, int]:
    """Return the histogram counters of a mint (from the approval) and of a revoke (from its request to its proof)."""
    if after.state is GrantState.ACTIVE and before.state is GrantState.MINTING:
        return layout.timing("mint_seconds", now - after.opened_at)
    if after.state is GrantState.REVOKED and after.proof and before.ending and before.ending.early:
        return layout.timing("revoke_seconds", after.proof.at - before.ending.requested_at)
    return {}
