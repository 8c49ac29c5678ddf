"""Tell a log again with something changed: chained anew, so that only what it tells can give the forger away."""

from __future__ import annotations

import asyncio
import copy
import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from approvers.audit import canonical
from approvers.times import stamp
from countersign.verifying.core import Chains, Seen
from countersign.verifying.findings import Finding
from countersign.verifying.replaying import Replay
from countersign.verifying.story import Story
from tests.worlds.history import History, play

Record = dict[str, Any]


@cache
def _played(seed: int, requests: int) -> tuple[Seen, ...]:
    async def told() -> list[Seen]:
        return await (await play(seed, requests)).told()

    return tuple(asyncio.run(told()))


def played(seed: int, requests: int = 12) -> list[Record]:
    """Return the records of a random history, to be changed at will."""
    return [copy.deepcopy(seen.record) for seen in _played(seed, requests)]


def told(scenario: Callable[[History], Any]) -> list[Record]:
    """Return the records that a scenario writes."""

    async def run() -> list[Seen]:
        history = await History(1).begin()
        await scenario(history)
        return await history.told()

    return [seen.record for seen in asyncio.run(run())]


def chained(records: Sequence[Record]) -> list[Seen]:
    """Chain records anew: numbers and hashes fit whatever they say, which is checked."""
    heads: dict[str, tuple[int, str]] = {}
    chains, seen = Chains({}), []
    for position, record in enumerate(records, 1):
        n, prev = heads.get(record["subject"], (0, ""))
        record = {**record, "n": n + 1, "prev": prev}
        body = canonical(record)
        heads[record["subject"]] = n + 1, hashlib.sha256(body).hexdigest()
        seen.append(Seen(position, position, body, record))
        chains.follow(seen[-1])
    return seen


def findings(records: Sequence[Record]) -> list[Finding]:
    """Return what story and replay find in them, grave or not, in the order of a verification."""
    story, replay, found = Story(), Replay(), list[Finding]()
    for seen in chained(records):
        found += [*story.feed(seen), *replay.feed(seen)]
    return [*found, *story.end(), *replay.end()]


def grave(records: Sequence[Record]) -> list[Finding]:
    """Return what makes them bad."""
    return [one for one in findings(records) if one.grave]


def line(records: Sequence[Record], kind: str, number: int = 0) -> int:
    """Return the line of the first (or another) record of that type."""
    return [place for place, record in enumerate(records, 1) if record["type"] == kind][number]


def record(records: Sequence[Record], kind: str, number: int = 0) -> Record:
    """Return the first (or another) record of that type."""
    return records[line(records, kind, number) - 1]


def later(text: str, **time: float) -> str:
    """Return a moment moved."""
    return stamp(datetime.fromisoformat(text) + timedelta(**time))
