"""Serve the page for when something goes wrong: freeze and lift, look at what a target hits, take it away, see it end.

It works on targets (a role, an actor, a principal, all), as chat and the API do, and shows how far each end is: live,
being ended, proven. Who may not is told so, on the record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from aiohttp import web

from approvers.errors import Forbidden
from approvers.grant import GrantState
from approvers.targets import Target
from bot.deps import Deps
from bot.problems import describe
from bot.reading import View
from bot.sessions import SignedIn
from bot.surfaces import console_notes as notes
from bot.surfaces.console_actions import noted, reason_of
from bot.surfaces.console_fragments import MAX_CARDS, Fragments
from bot.surfaces.console_guard import SIGNED_IN
from workers.stores.rooms import ROOM, rooms_seen

PLACE = "stop"
"""What notes of this page are about."""
HOME = "/console/stop"
MAX_TARGETS = 100
Take = Callable[[SignedIn, str], Awaitable[str]]


@dataclass(frozen=True)
class Choice:
    """One target that hits something now: its words, its page, how many are live under it and how many are ending."""

    words: str
    path: str
    live: int
    ending: int


@dataclass(frozen=True)
class Room:
    """One base role: its alias, its name at AWS, the Denies there, what is live on it, and whether that is too much."""

    role: str
    name: str
    denies: int
    live: int
    tight: bool
    seen_at: datetime


class Stops:
    """Render the two pages, and take their forms."""

    def __init__(self, deps: Deps, fragments: Fragments) -> None:
        self._deps, self._fragments = deps, fragments

    async def switches(self, _request: web.Request) -> str:
        """Render the freeze as it stands, and every target that hits something."""
        views = await self._deps.revocations.select(Target("all"))
        found = choices(views)
        return self._fragments.fill(
            "_stop.html",
            frozen=await self._deps.stops.look(),
            choices=found[:MAX_TARGETS],
            hidden=len(found[MAX_TARGETS:]),
            rooms=await self._rooms(views),
            room=ROOM,
        )

    async def target(self, request: web.Request) -> str:
        """Render what a target hits, live or being ended, and what of it has ended lately."""
        target = _target(request)
        views = await self._deps.revocations.select(target)
        over = [one for one in await self._fragments.ended() if one.grant and target.hits(one.grant)]
        going = [view for view in views if _ending(view)]
        return self._fragments.fill(
            "_hit.html",
            target=str(target),
            path=path_of(target),
            wide=target.wide,
            live=len(views) - len(going),
            going=len(going),
            hit=self._fragments.cards(views[:MAX_CARDS]),
            hidden=max(0, len(views) - MAX_CARDS),
            over=self._fragments.cards(over),
            frozen=await self._deps.stops.look(),
        )

    async def freeze(self, request: web.Request) -> web.Response:
        """Stop approvals and mints."""

        async def take(who: SignedIn, reason: str) -> str:
            done = await self._deps.stops.freeze(who.identity, reason)
            return "Frozen: no approval counts, and nothing is minted." if done.changed else "It was frozen already."

        return await self._taken(request, "freeze", HOME, take)

    async def lift(self, request: web.Request) -> web.Response:
        """Let approvals and mints go on."""

        async def take(who: SignedIn, reason: str) -> str:
            done = await self._deps.stops.unfreeze(who.identity, reason)
            return "Not frozen any more: approvals count again." if done.changed else "Nothing was frozen."

        return await self._taken(request, "unfreeze", HOME, take)

    async def revoke(self, request: web.Request) -> web.Response:
        """Take away all that the target hits; the page shows each end as it is proven."""
        target = _target(request)

        async def take(who: SignedIn, reason: str) -> str:
            done = await self._deps.revocations.revoke(who.identity, target, reason or "revoked in the console")
            going = sum(map(_ending, done))
            return f"Revoking {going}: each is called ended only when that is proven." if done else "Nothing live."

        return await self._taken(request, f"revoke {target.kind}", path_of(target), take)

    async def _rooms(self, views: Iterable[View]) -> list[Room]:
        """Return every base role as the last sweep saw it, with what is live on it now; the fullest first."""
        live = Counter(view.grant.plan.role_arn for view in views if view.grant and not _ending(view))
        seen, _ = await rooms_seen(self._deps.store.records)
        found = [
            Room(one.role, arn.rpartition("/")[2], one.denies, live[arn], one.tight, one.seen_at)
            for arn, one in seen.roles.items()
        ]
        return sorted(found, key=lambda one: (-one.denies, one.role, one.name))

    async def _taken(self, request: web.Request, what: str, page: str, take: Take) -> web.Response:
        """Carry out a form, and lead back to its page with what came of it."""
        who = request[SIGNED_IN]

        async def recorded() -> str:
            try:
                return await take(who, reason_of(request))
            except Forbidden as error:
                route = f"console {what}"
                await self._deps.refusals.asked(who.identity, "call.refused", route, describe(error), who.session.id)
                raise

        note = await noted(PLACE, recorded)
        response = web.Response(status=303, headers={"Location": f"{page}#note-{PLACE}"})
        notes.put(response, who, note, secure=self._deps.settings.base_url.startswith("https:"))
        return response


def choices(views: Iterable[View]) -> list[Choice]:
    """Return all, every role, every actor and every principal that something is live under, in this order."""
    live: Counter[Target] = Counter()
    ending: Counter[Target] = Counter()
    kinds = [Target("all")]
    for view in views:
        if view.grant is None:
            continue
        grant = view.grant
        targets = [Target("all"), Target("role", grant.plan.role), Target("actor", grant.actor),
                   Target("principal", grant.principal)]  # fmt: skip
        (ending if _ending(view) else live).update(targets)
        kinds += targets
    order = {"all": 0, "role": 1, "actor": 2, "principal": 3}
    found = sorted(set(kinds), key=lambda one: (order[one.kind], one.name))
    return [Choice(str(one), path_of(one), live[one], ending[one]) for one in found]


def path_of(target: Target) -> str:
    """Return the address of a target's page."""
    return f"{HOME}/of/{quote(str(target), safe='')}"


def _target(request: web.Request) -> Target:
    """Read the target of the address. Raises Malformed."""
    return Target.parse(request.match_info["target"])


def _ending(view: View) -> bool:
    return view.grant is not None and view.grant.state is GrantState.REVOKING
