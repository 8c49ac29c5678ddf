"""Hold what the workers' use cases share: their collaborators, and the one way to commit a move of a grant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from approvers.audit import By, Draft
from approvers.grant import Grant, GrantState, facts
from approvers.ids import request_of
from approvers.request import Request
from approvers.upgrades import read
from workers.alerts import Alert, Alerts, Severity
from workers.policies import Policies
from workers.providers.port import NotSent, Provider, Secret, Tagged
from workers.stores import layout
from workers.stores.port import Attempt, Commit, Snapshot, Store, transact

Seal = Callable[[Secret, Grant], bytes]
Move = Callable[[Grant, datetime], Grant]
RECORDED_AS = {"proven": "revoked", "ttl_elapsed": "ended", "stale": "lost", "outcome_unknown": "lost"}
"""Names of records and events where they differ from the state table's: a record says what is now true."""
WORKER = By(None, "countersign", "worker")


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
    """

    store: Store
    policies: Policies
    providers: Mapping[str, Provider]
    seal: Seal
    alerts: Alerts
    lease: timedelta
    tagged: Tagged | None = None

    def provider(self, name: str) -> Provider:
        """Return a provider. Raises NoProvider where this worker has none of that name: nothing is sent then."""
        if name not in self.providers:
            raise NoProvider(f"this worker has no provider {name}; start workers that have it")
        return self.providers[name]

    async def alert(self, kind: str, grant: Grant, summary: str, severity: Severity = "warning") -> None:
        """Tell on-call about a grant; the same kind for the same grant is one alert."""
        at = await self.store.records.now()
        details = {"grant": grant.id, "role": grant.plan.role, "actor": grant.actor}
        await self.alerts.send(Alert(f"{kind}:{grant.id}", severity, summary, at, details))
        await self.store.records.commit(Commit(at=at, counts={f"alerts:{kind}": 1}))


async def move(tools: Tools, attempt: Attempt, event: str, change: Move, **fields: Any) -> str:
    """Commit one move of a grant under the attempt's fence: record, audit, event, due time; returns the new state.

    `change` gives the grant after the move. A grant that has left the state in which the move exists raises
    IllegalTransition; a lost fence raises Fenced. Either way nothing is changed.
    """
    key = attempt.member
    request_id = request_of(key.partition(":")[2])
    request_key = layout.request_key(request_id)

    def step(seen: Snapshot) -> tuple[Commit | None, str]:
        before = read(Grant, seen.records[key].json)
        after = change(before, seen.now)
        request = read(Request, seen.records[request_key].json)
        part = layout.grant_changed(seen.records[key], after, at=seen.now, request=request)
        return told(seen, part, after, event, attempt=attempt, counts=_timed(before, after, seen.now), **fields), (
            f"{before.state} → {after.state}"
        )

    return await transact(tools.store.records, [key, request_key], step, chains=[request_id])


def told(seen: Snapshot, part: layout.Part, grant: Grant, event: str, **fields: Any) -> Commit:
    """Return the commit of a worker's move, with its audit record and its event."""
    kind = f"grant.{RECORDED_AS.get(event, event)}"
    draft = Draft(grant.request_id, kind, WORKER, "worker", facts(grant))
    line = layout.event(kind, seen.now, request=grant.request_id, grant=grant.id)
    return layout.commit(seen.now, part, drafts=[draft], events=[line], heads=seen.heads, **fields)


def _timed(before: Grant, after: Grant, now: datetime) -> dict[str, int]:
    """Return the histogram counters of a mint (from the approval) and of a revoke (from its request to its proof)."""
    if after.state is GrantState.ACTIVE:
        return layout.timing("mint_seconds", now - after.opened_at)
    if after.state is GrantState.REVOKED and after.proof and before.ending and before.ending.early:
        return layout.timing("revoke_seconds", after.proof.at - before.ending.requested_at)
    return {}
