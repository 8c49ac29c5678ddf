"""Wait until grants that are being ended are proven ended: few calls for one, and not many more for five hundred."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from countersign.client import AsyncClient
from countersign.models import Grant, Request

AT_ONCE = 8
"""Grants read at the same time."""
PAUSE_SECONDS = 2.0
"""How long the server holds the look at one of them; the others are looked at that often at least."""


async def follow(
    client: AsyncClient,
    grants: Sequence[Grant],
    *,
    timeout_seconds: float,
    on_end: Callable[[Grant], None] | None = None,
) -> list[Grant]:
    """Return the grants as they stand once all are over, or when the time is; `on_end` hears of each as it ends."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    now = {grant.id: grant for grant in grants}

    def note(grant: Grant) -> None:
        if grant.over and not now[grant.id].over and on_end:
            on_end(grant)
        now[grant.id] = grant

    for grant in grants:
        if grant.over and on_end:
            on_end(grant)
    while waiting := [one for one in now.values() if not one.over]:
        left = deadline - loop.time()
        going_on = {one.id for one in await client.grants(state="REVOKING")}
        moved = [one for one in waiting if one.id not in going_on]
        for grant in await _read(client, moved if left > 0 else waiting):
            note(grant)
        if left <= 0:
            break
        if not moved:
            note(await _watch(client, waiting[0], min(left, PAUSE_SECONDS)))
    return list(now.values())


async def _read(client: AsyncClient, grants: Iterable[Grant]) -> list[Grant]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(grant: Grant) -> Grant:
        async with turns:
            return _of(grant, await client.get(grant.request_id or grant.id))

    return await asyncio.gather(*(one(grant) for grant in grants))


async def _watch(client: AsyncClient, grant: Grant, seconds: float) -> Grant:
    """Hold on to one grant until anything about it changes, or the time is over."""
    seen = await client.get(grant.request_id or grant.id)
    if (now := _of(grant, seen)).over:
        return now
    return _of(grant, await client.get(seen, wait=seconds, after=seen.version))


def _of(before: Grant, request: Request) -> Grant:
    return request.grant or before
