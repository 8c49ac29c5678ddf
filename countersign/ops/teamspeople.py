"""Tell the doctor where cards can go in Microsoft Teams, and who can answer there: places, accounts, seats.

A bot cannot look around: it knows the conversations that it has heard from. What is asked about people is asked, and
judged, by the very functions that take a click, so that what is told here is what happens then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from approvers.roster import Person, Place, Roster
from bot.surfaces.port import Refused, SurfaceError
from bot.surfaces.teams_auth import Connector, GuardedConnectors
from bot.surfaces.teams_faults import AskedToWait, TeamsRefused
from bot.surfaces.teams_incoming import Account
from bot.surfaces.teams_people import People, Stranger
from bot.surfaces.teams_routes import Route, Routes
from countersign.ops import seats
from countersign.ops.findings import Finding
from workers.policies import Policies
from workers.settings import Settings
from workers.stores.port import Records

TRIES, LONGEST_WAIT_SECONDS = 3, 30.0
NOT_A_MEMBER = "MemberNotFoundInConversation"
ADD = "add the app to the team of that channel, and write @Countersign help there once"
WHICH = "copy the channel's id from its link (⋯, Get link to channel), and add the app to its team"
NO_PLACE = 'write teams = "19:…@thread.tacv2" at a [place.…] of countersign.toml'
HOSTS = "if that host is Microsoft's, add it to COUNTERSIGN_TEAMS_SERVICE_HOSTS"
GIVE_ACCOUNT = 'write teams = "TENANT:OBJECT" under [person.{}] (in Entra: Users, the person, Object ID)'
AGAIN = "try again when Teams answers"
MEET = "make them members of the team, or have them write `help` to Countersign"
TENANTS = "correct it, or add that tenant to COUNTERSIGN_TEAMS_TENANTS"


class Members(Connector):
    """Ask who is in a conversation: each once, and patiently where Teams wants us to wait."""

    def __init__(self, connectors: GuardedConnectors) -> None:
        """Speak by these."""
        super().__init__(connectors)
        self._seen: dict[tuple[str, str], dict[str, Any]] = {}

    async def member(self, route: Route, conversation: str, user_id: str) -> dict[str, Any]:
        """Return one member; what was found under one of their ids is known under the other, too."""
        if known := self._seen.get((conversation, user_id)):
            return known
        for left in reversed(range(TRIES)):
            try:
                found = await super().member(route, conversation, user_id)
                break
            except AskedToWait as error:
                if not left:
                    raise
                await asyncio.sleep(min(error.after_seconds, LONGEST_WAIT_SECONDS))
        for name in (user_id, str(found.get("id") or user_id)):
            self._seen[conversation, name] = found
        return found


async def places_and_people(
    settings: Settings, records: Records, policies: Policies, members: Members
) -> list[Finding]:
    """Return what is found about every place and everybody of the roster. Raises StoreError."""
    book, routes = policies.current, Routes(records, settings.teams_tenant_id)
    found, ways = await _places(members, routes, book.roster)
    if any(one.remedy == AGAIN for one in found):
        return found
    wanted = seats.seats_of(book)
    look = _Look(members, routes, People(members, policies, settings.tenants), settings.tenants, ways)
    lines, able = await look.at_all(book.roster, seats.seated(book.roster, wanted))
    return [*found, *lines, *seats.groups("Teams", book.roster, wanted, able)]


async def _places(members: Members, routes: Routes, roster: Roster) -> tuple[list[Finding], Mapping[str, Route]]:
    """Return a line for each place, and the ways to those where the app is."""
    found: list[Finding] = []
    ways: dict[str, Route] = {}
    for place in roster.places.values():
        if place.teams is None:
            continue
        route = await routes.of_channel(place.teams)
        finding = await _place(members, place, route)
        found.append(finding)
        if finding.verdict == "ok" and route:
            ways[place.name] = route
    if not found:
        words = "no place has a channel: cards go to each person directly, once they have written to the app"
        found = [Finding("warn", "teams place", words, NO_PLACE)]
    return found, ways


async def _place(members: Members, place: Place, route: Route | None) -> Finding:
    """Say whether the app is in a place's channel: whoever is in it may ask who else is."""
    name = f"{place.name} ({place.teams})"
    if route is None:
        return Finding("fail", "teams place", f"{name}: nothing has been heard from Teams there yet", ADD)
    try:
        await members.member(route, str(place.teams), route.bot_id)
    except TeamsRefused as error:
        if error.status == 403:
            return Finding("fail", "teams place", f"{name}: the app is not there ({error.error or 403})", ADD)
        if error.error != NOT_A_MEMBER:
            return Finding("fail", "teams place", f"{name}: {error}", WHICH)
    except Refused as error:
        return Finding("fail", "teams place", f"{name}: {error}", HOSTS)
    except SurfaceError as error:
        return Finding("fail", "teams place", f"{name}: {error}", AGAIN)
    return Finding("ok", "teams place", f"{name}: the app is there")


class _Look:
    """Look at people, where the app is."""

    def __init__(
        self, members: Members, routes: Routes, people: People, tenants: Sequence[str], ways: Mapping[str, Route]
    ) -> None:
        self._members, self._routes, self._people = members, routes, people
        self._tenants, self._ways = tenants, ways

    async def at_all(self, roster: Roster, seated: frozenset[str]) -> tuple[list[Finding], frozenset[str]]:
        """Return a line for each person who cannot answer, one for the rest, and the names of those who can.

        Who fills no seat and names no account is not spoken of.
        """
        able, trouble = set(), []
        for person in roster.persons.values():
            if not person.teams and person.name not in seated:
                continue
            finding = await self._one(roster, person)
            if finding is None:
                able.add(person.name)
            else:
                trouble.append(finding)
        words = f"{len(able)} of {len(roster.persons)} people of the roster can answer in Teams"
        first = Finding("ok" if able else "fail", "teams people", words, "" if able else "see the lines below")
        return [first, *trouble], frozenset(able)

    async def _one(self, roster: Roster, person: Person) -> Finding | None:
        """Return why this person cannot answer in Teams; None if they can."""
        remedy = GIVE_ACCOUNT.format(person.name)
        if person.teams is None:
            return Finding("warn", "teams people", f"{person.name} has no Teams account here", remedy)
        tenant, _, object_id = person.teams.lower().partition(":")
        if tenant not in self._tenants:
            words = f"{person.name}: nobody of tenant {tenant} is let in"
            return Finding("fail", "teams people", words, TENANTS)
        try:
            return await self._met(roster, person, tenant, object_id)
        except SurfaceError as error:
            return Finding("fail", "teams people", f"{person.name}: {error}", AGAIN)

    async def _met(self, roster: Roster, person: Person, tenant: str, object_id: str) -> Finding | None:
        """Find them where their cards go, else in their own chat, and judge them as a click there would be."""
        here = [place for place in roster.places.values() if place.name in self._ways]
        theirs = [one for one in here if any(person.name in roster.groups[group].people for group in one.groups)]
        tries = [(self._ways[place.name], str(place.teams), object_id) for place in theirs or here]
        own = await self._routes.of_person(tenant, object_id)
        if own and own.conversation_id and own.user_id:
            tries.append((own, own.conversation_id, own.user_id))
        for route, conversation, who in tries:
            try:
                seen = await self._members.member(route, conversation, who)
            except Refused:
                continue
            return await self._judged(
                person, Account(tenant, object_id, str(seen.get("id") or "")), conversation, route
            )
        words = f"{person.name}: in no channel that gets their cards, and has not written to the app"
        return Finding("warn", "teams people", words, MEET)

    async def _judged(self, person: Person, account: Account, conversation: str, route: Route) -> Finding | None:
        try:
            await self._people.identify(account, conversation, route)
        except Stranger as stranger:
            remedy = GIVE_ACCOUNT.format(person.name)
            return Finding("fail", "teams people", f"{person.name} ({person.teams}): {stranger.detail}", remedy)
        return None
