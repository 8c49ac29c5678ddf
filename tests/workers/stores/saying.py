"""What the store tests say to a store: short ways to write commits, and one picture of all that can be seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from approvers.audit import By, Draft, Head
from workers.stores.port import Commit, Snapshot, Store, Versioned

NOBODY = By(None, "countersign", "test")
SECOND = timedelta(seconds=1)
MS = timedelta(milliseconds=1)


def draft(subject: str, kind: str = "request.noted", **data: Any) -> Draft:
    return Draft(subject, kind, NOBODY, "api", data)


async def say(store: Store, **fields: Any) -> Commit:
    """Commit these fields, decided now; return the commit, for a resend."""
    commit = Commit(at=await store.records.now(), **fields)
    await store.records.commit(commit)
    return commit


async def put(store: Store, key: str, json: str, version: int = 0, **fields: Any) -> Commit:
    return await say(store, expects={key: version}, puts={key: json}, **fields)


async def get(store: Store, key: str) -> Versioned:
    return (await store.records.read([key])).records[key]


async def picture(
    store: Store,
    *,
    keys: Sequence[str] = (),
    chains: Sequence[str] = (),
    names: Sequence[str] = (),
    indexes: Sequence[str] = (),
    grants: Sequence[str] = (),
) -> Mapping[str, Any]:
    """Return all that a caller can see of these, without times and event ids."""
    snapshot = await store.records.read(list(keys), list(chains))
    return {
        "records": dict(snapshot.records),
        "chains": {subject: await store.log.chain(subject) for subject in chains},
        "heads": dict(snapshot.heads),
        "log": (await store.log.size(), await store.log.tail((await store.log.base()).size, 10_000)),
        "base": await store.log.base(),
        "texts": await store.log.texts(list(chains)),
        "names": {name: await store.records.find(name) for name in names},
        "indexes": {index: await store.records.members(index) for index in indexes},
        "sealed": {grant: await store.records.sealed(grant) for grant in grants},
        "outbox": [event for _, event in await store.outbox.unread(1000)],
        "counts": dict(await store.signals.counts()),
    }


def counting(key: str, subject: str) -> Any:
    """A step for `transact`: add one to a number, and note it in a chain. Returns the number."""

    def step(snapshot: Snapshot) -> tuple[Commit, int]:
        found = snapshot.records[key]
        number = int(found.json or 0) + 1
        commit = Commit(
            at=snapshot.now,
            expects={key: found.version},
            puts={key: str(number)},
            drafts=[draft(subject, number=number)],
            heads={subject: snapshot.heads.get(subject, Head())},
        )
        return commit, number

    return step


def later(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=seconds)


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 5.0) -> None:
    """Ask again until the condition holds: time in a real server cannot be set."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 nothing in a server's clock sets an event here
            await asyncio.sleep(0.005)
