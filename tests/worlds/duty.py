"""A roster with somebody on call and somebody in no group, and live grants by the dozen, put into a store directly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from approvers import grant as grants
from approvers.ids import HANDLE_ALPHABET, grant_of, request_id
from approvers.request import Because, RequestState
from tests.worlds import samples
from tests.worlds.web import ROSTER, Web, make_key
from workers.policies import apply
from workers.stores import layout
from workers.stores.port import Store, transact

DUTY = ROSTER + '\n[person.eve]\nemail = "eve@example.com"\n\n[group.duty]\npeople = ["alex"]\noncall = true\n'
"""robin reviews, alex reviews and is on call, eve is in no group, kim holds an operator's key."""


async def on_duty(web: Web) -> Web:
    """Apply that roster and give eve a key."""
    await apply(web.store.records, policy=None, roster=DUTY, by="user:kim", why="duty")
    await web.deps.policies.refresh()
    web.keys["user:eve"] = await make_key(web.store, "user:eve", "review")
    return web


async def put_live(store: Store, number: int, *, actor: str = "agent:report-bot", state: str = "ACTIVE") -> list[str]:
    """Store this many live grants, each with its request, opened one after the other; returns the requests' ids."""
    asked, fresh = samples.request(), samples.grant(state)
    now, ids = await store.records.now(), []
    for n in range(number):
        at = now - timedelta(minutes=1) + timedelta(milliseconds=n)
        one = request_id(at, actor.encode().ljust(10, b"\0")[-10:])
        decided = {"state": RequestState.APPROVED, "because": Because.QUORUM, "decided_at": at}
        request = asked.model_copy(update={"id": one, "handle": _handle(n), "submitted_at": at, **decided})
        grant = fresh.model_copy(
            update={"id": grant_of(one), "request_id": one, "handle": request.handle, "actor": actor, "opened_at": at}
            | {"mint_by": at + timedelta(hours=1)}
            | ({"ends_at": at + timedelta(hours=1), "expiration": at + timedelta(hours=1)} if state == "ACTIVE" else {})
            | ({"may_live_until": at + timedelta(hours=1)} if state != "PENDING" else {})
        )
        due = {layout.grant_key(grant.id): at + timedelta(hours=1)} if state == "ACTIVE" else {}
        key = layout.request_key(one)
        stored = layout.put(key, 0, request.model_dump_json())
        opened = layout.grant_opened(grant)
        parts = stored, {**opened, "due": {**opened["due"], **due}}
        await transact(store.records, [], lambda seen, parts=parts: (layout.commit(seen.now, *parts), None))
        ids.append(one)
    return ids


async def prove(store: Store, request: str) -> None:
    """Write REVOKED with its proof, as a worker would."""
    key = layout.grant_key(grant_of(request))
    seen = await store.records.read([key, layout.request_key(request)])
    grant = grants.Grant.model_validate_json(seen.records[key].json)
    proof = samples.grant("REVOKED").proof
    assert proof is not None
    after = grants.proven(grant, proof.model_copy(update={"at": datetime.now(UTC)}), deny_written=True)
    await store.records.commit(layout.commit(seen.now, layout.grant_changed(seen.records[key], after, at=seen.now)))


def _handle(number: int) -> str:
    letters = HANDLE_ALPHABET
    return "".join(letters[number // len(letters) ** place % len(letters)] for place in range(4))
