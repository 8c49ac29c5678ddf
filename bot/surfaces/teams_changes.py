"""Follow where the app is installed and who is there: what Teams tells of itself, and nobody decides by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bot.surfaces.teams_incoming import Answer, Incoming
from bot.surfaces.teams_parts import Listen, TeamsParts
from workers.alerts import Alert
from workers.stores.layout import WAITING

MOST = 200
"""How many waiting requests are shown anew when the app comes into a channel."""


async def installed(parts: TeamsParts, call: Incoming) -> Answer:
    """Have what waits be shown here as well: until now, its cards were refused."""
    parts.people.forget()
    now = await parts.deps.store.records.now()
    back = [(place, to) for place, to in await _places(parts, call) if await parts.routes.was_dropped(to)]
    await parts.routes.learn(call.route)
    for place, channel in back:
        await parts.deps.alerts.send(_alert(place, channel, now).clear(now))
    parts.tasks.start(_shown_anew(parts))
    return Answer()


async def removed(parts: TeamsParts, call: Incoming) -> Answer:
    """Forget the way to where the app was, and tell on-call of every place that is lost with it."""
    parts.people.forget()
    now = await parts.deps.store.records.now()
    lost = await _places(parts, call)
    await parts.routes.drop(call.route)
    for place, channel in lost:
        if route := await parts.routes.known(channel):
            await parts.routes.drop(route)
        await parts.deps.alerts.send(_alert(place, channel, now))
    return Answer()


async def members(parts: TeamsParts, _call: Incoming) -> Answer:
    """Ask again who is there."""
    parts.people.forget()
    return Answer()


CHANGES: Mapping[str, Listen] = {"installed": installed, "removed": removed, "members": members}
"""Kind of call → what it does."""


async def _places(parts: TeamsParts, call: Incoming) -> list[tuple[str, str]]:
    """Return name and channel of the roster's places that are where this happened: the channel, or its whole team."""
    found = []
    for place in parts.deps.policies.current.roster.places.values():
        if place.teams is None or call.personal:
            continue
        known = await parts.routes.known(place.teams)
        team = call.route.team_id
        if place.teams == call.conversation or (team and known and known.team_id == team):
            found.append((place.name, place.teams))
    return found


async def _shown_anew(parts: TeamsParts) -> None:
    for request in await parts.deps.store.records.members(WAITING, limit=MOST):
        await parts.postings.refresh(request)


def _alert(place: str, channel: str, at: datetime) -> Alert:
    summary = (
        f"Countersign was removed from Teams at place {place} ({channel}): nobody sees a card there any more. "
        "Add the app to the team again, or name another channel in countersign.toml."
    )
    return Alert(f"teams.removed:{channel}", "critical", summary, at)
