"""Take the first records out of a store's log, as an operator's truncation leaves it; requests that are over go too."""

from __future__ import annotations

import json
from datetime import datetime

from approvers.audit import Base, Head, head_of
from approvers.ids import grant_of
from approvers.taken_out import TakenOut
from approvers.tree import Frontier
from workers.stores import layout
from workers.stores.cutting import Cut
from workers.stores.port import Store


async def shorten(store: Store, size: int) -> TakenOut:
    """Take out all records up to that size, and what belongs to chains that end there."""
    base = await store.log.base()
    bodies = await store.log.tail(base.size, 1_000_000)
    count = size - base.size
    frontier = Frontier(base.size, list(base.peaks))
    frontier.extend(bodies[:count])
    ends: dict[str, Head] = {}
    for body in bodies[:count]:
        record = json.loads(body)
        ends[record["subject"]] = head_of(body, record["n"])
    left = {json.loads(body)["subject"] for body in bodies[count:]}
    over = sorted(subject for subject in ends if subject not in left and subject != "sys")
    gone = [key for one in over for key in (layout.request_key(one), layout.grant_key(grant_of(one)))]
    heads = {subject: head for subject, head in ends.items() if subject not in over}
    cut = Cut(since=base.size, base=Base(size, tuple(frontier.peaks), heads), ended=over, records=gone)
    await store.log.cut(cut)
    return TakenOut(size, datetime.fromisoformat(json.loads(bodies[count])["at"]))
