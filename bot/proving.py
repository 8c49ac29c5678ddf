"""Tell a revocation as it goes on: how many ends are proven, and how each was. Few messages, however many grants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import timedelta

from approvers.card import status
from bot.reading import View
from bot.replies import MAX_ROWS, Reply
from bot.revocations import Revocations, ended

MOST_TOLD = 4
"""Messages about one revocation: chat lets an answer be continued five times."""


def milestones(total: int, most: int = MOST_TOLD) -> frozenset[int]:
    """Return at how many proven ends to say so: at each of a few, else in equal steps; always at the last."""
    steps = min(most, total)
    return frozenset(-(-total * step // steps) for step in range(1, steps + 1))


def proven(views: Sequence[View]) -> list[View]:
    """Return those of which nothing can live any more."""
    return [view for view in views if ended(view)]


def progress(views: Sequence[View], told: Collection[str]) -> Reply:
    """Say how far it is, with the proof of each end that is not told yet (`told`: request ids)."""
    done = proven(views)
    fresh = [view for view in done if view.request.id not in told]
    return Reply(f"Proven {len(done)} of {len(views)}", lines=_told(fresh))


def unproven(views: Sequence[View], told: Collection[str]) -> Reply:
    """Say at the end of the watch what is still open; it is pursued, though no longer told here."""
    done = progress(views, told)
    names = ", ".join(view.request.handle for view in views if not ended(view))
    line = f"Not proven yet: {names[:600]}. Countersign goes on until it is, and the cards will say so."
    return Reply(done.title, lines=(*done.lines, line))


async def ends(revocations: Revocations, requests: Sequence[str], lasting: timedelta) -> AsyncIterator[Reply]:
    """Yield what to tell as the ends of these requests are proven, in at most `MOST_TOLD` messages and a last one."""
    steps, told = milestones(len(requests)), set[str]()
    async for views in revocations.follow(requests, lasting):
        done = [view.request.id for view in proven(views)]
        last = views
        if len(done) == len(views) or any(len(told) < step <= len(done) for step in steps):
            yield progress(views, told)
            told.update(done)
    if len(told) < len(requests):
        yield unproven(last, told)


def _told(views: Iterable[View]) -> tuple[str, ...]:
    lines = [f"{view.request.handle}: {status(view.request, view.grant)}" for view in views]
    more = len(lines) - MAX_ROWS
    return (*lines[:MAX_ROWS], f"and {more} more") if more > 0 else tuple(lines)
