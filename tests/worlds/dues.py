"""Hand out what the clock looks after, without the receipts that nobody signs here."""

from __future__ import annotations

from datetime import timedelta

from workers.stores.port import Commit, Handout, Store

LEASE = timedelta(seconds=20)


async def looked_after(store: Store, *, most: int = 9, lease: timedelta = LEASE) -> Handout:
    """Claim what is due in the clock's lane; receipts are dropped from the due set."""
    while True:
        handout = await store.due.claim("clock", most=most, lease=lease)
        receipts = [item for item in handout.items if item.member.startswith("receipt:")]
        for item in receipts:
            await store.records.commit(Commit(at=await store.records.now(), attempt=item))
        rest = [item for item in handout.items if item not in receipts]
        if rest or not receipts:
            return Handout(rest, handout.next_in)
