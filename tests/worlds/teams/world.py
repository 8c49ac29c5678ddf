"""A strict Microsoft Teams tenant over HTTP on loopback, with people who click. It imports nothing of the product.

    async with TeamsWorld.open() as teams:
        teams.add_person("robin")
        teams.add_channel("19:c1@thread.tacv2", members=["robin"])
        teams.connect("http://127.0.0.1:8080/api/messages")     # with teams.settings() in the app's environment
        await teams.install("19:c1@thread.tacv2")
        …the app posts…
        card = await teams.wait_for_message("19:c1@thread.tacv2")
        delivery = await teams.click("robin", card, "approve")
        assert delivery.ok

It plays issuer, token endpoint and connector, refuses what Teams refuses (`refusals`) and more, notes bad manners
(`violations`), writes every request down (`log`), and fails on demand (`faults`, `issuer`, `tokens`). In synchronous
tests: `with running_teams() as teams:`, the same names without await.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

from tests.worlds.teams import state
from tests.worlds.teams.activities import Activities
from tests.worlds.teams.board import Board
from tests.worlds.teams.delivery import Courier, Delivery
from tests.worlds.teams.faults import Faults
from tests.worlds.teams.hands import Hands
from tests.worlds.teams.issuer import METADATA, Issuer, Key
from tests.worlds.teams.journal import Exchange, Refusal
from tests.worlds.teams.limits import Limits
from tests.worlds.teams.matrix import Strange, malformed, strange
from tests.worlds.teams.server import Server
from tests.worlds.teams.state import CannotDo, Message, Person, Place, Private, Team
from tests.worlds.teams.tokens import Tokens

T = TypeVar("T")
DROP: Any = object()


class TeamsWorld(Hands):
    """One tenant. Made with `open`."""

    tenant, other_tenant = state.TENANT, state.OTHER_TENANT
    app_id, app_secret, bot_id = state.APP_ID, state.APP_SECRET, state.BOT_ID

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.board = Board(clock, self._touch)
        self.faults, self.issuer, self.tokens, self.limits = Faults(), Issuer(), Tokens(), Limits(clock)
        self.faults.on_change = self._touch
        self.server = Server(self.board, self.faults, self.issuer, self.tokens, self.limits)
        self.courier = Courier(self.issuer, self.server.log, clock)
        self.courier.touch = self._touch
        self.activities = Activities(self.board)
        self._watchers: list[asyncio.Event] = []
        self.add_person("admin")

    @classmethod
    @asynccontextmanager
    async def open(cls, clock: Callable[[], float] | None = None) -> AsyncIterator[TeamsWorld]:
        """Run a tenant. `clock` (seconds) rules rates and waits: the real one unless given (see `state.Clock`)."""
        world = cls(clock or time.time)
        await world.start()
        try:
            yield world
        finally:
            await world.stop()

    async def start(self) -> None:
        await self.server.start()
        await self.courier.start()
        self.move("emea")

    async def stop(self) -> None:
        await self.courier.stop()
        await self.server.stop()

    # --- what the app needs to know

    @property
    def origin(self) -> str:
        return self.server.origin

    @property
    def service_url(self) -> str:
        return self.activities.service_url

    @property
    def issuer_url(self) -> str:
        return self.origin + METADATA

    @property
    def token_url(self) -> str:
        return f"{self.origin}/{self.tenant}/oauth2/v2.0/token"

    def settings(self) -> dict[str, str]:
        """Return the environment of an app that belongs here."""
        return {
            "COUNTERSIGN_TEAMS_APP_ID": self.app_id,
            "COUNTERSIGN_TEAMS_APP_SECRET": self.app_secret,
            "COUNTERSIGN_TEAMS_TENANT_ID": self.tenant,
            "COUNTERSIGN_TEAMS_ISSUER_URL": self.issuer_url,
            "COUNTERSIGN_TEAMS_TOKEN_URL": self.token_url,
            "COUNTERSIGN_TEAMS_SERVICE_HOSTS": "127.0.0.1",
        }

    def connect(self, messages_url: str | None) -> None:
        """Deliver to this address from now on."""
        self.courier.url = messages_url

    def move(self, region: str) -> None:
        """Name another service URL in every activity from now on; the old one goes on working."""
        self.activities.service_url = f"{self.origin}/{region}/"

    # --- furnish

    def add_person(
        self,
        name: str,
        *,
        object_id: str | None = DROP,
        role: str | None = "user",
        tenant: str | None = None,
        upn: str | None = None,
        **more: Any,
    ) -> Person:
        """Add an account. Without `object_id` it gets one made from its name; None: it has none."""
        chosen = state.object_id(name) if object_id is DROP else object_id
        person = Person(name, chosen, tenant or self.tenant, role, upn, **more)
        self.board.people[name] = person
        return person

    def change_person(self, name: str, **changes: Any) -> Person:
        """Change an account from now on (role, upn, tenant, object_id, shown_name, old_key, gone)."""
        self.board.people[name] = replace(self.board.person(name), **changes)
        return self.board.people[name]

    def account(self, name: str) -> str:
        """Return what the roster file has for this person: TENANT:OBJECT."""
        person = self.board.person(name)
        return f"{person.tenant}:{person.object_id}"

    def add_team(self, team_id: str, name: str = "Platform") -> Team:
        """Add a team; its id is that of its General channel."""
        return self.board.teams.setdefault(team_id, Team(team_id, name))

    def add_channel(
        self, channel_id: str, members: Iterable[str] = (), *, team: str | None = None, name: str | None = None
    ) -> Place:
        """Add a channel to a team (without one: to a team of its own). The app is not in it until `install`."""
        home = self.add_team(team or f"19:general-{state.object_id(channel_id)[:8]}@thread.tacv2")
        place = Place(channel_id, "channel", name or channel_id, home, {self.board.person(it).name for it in members})
        self.board.places[channel_id] = place
        return place

    def add_chat(self, chat_id: str, members: Iterable[str] = ()) -> Place:
        """Add a group chat."""
        place = Place(chat_id, "chat", chat_id, None, {self.board.person(it).name for it in members})
        self.board.places[chat_id] = place
        return place

    def join(self, person: str, place_id: str) -> None:
        self.board.place(place_id).members.add(self.board.person(person).name)

    def leave(self, person: str, place_id: str) -> None:
        """Take a person out of a place; the app is not told."""
        self.board.place(place_id).members.discard(person)

    def block(self, where: str, blocked: bool = True) -> None:
        """Block the app in a place, or (a name) for a person: 403 MessageWritesBlocked. The app is not told."""
        place = self.board.personal(where) if where in self.board.people else self.board.place(where)
        place.blocked = blocked

    # --- read

    def messages(self, place_id: str) -> list[Message]:
        """Return what everybody sees at the top level of a channel or chat, oldest first."""
        return [it for it in self.board.inside(self.board.place(place_id)) if it.reply_to is None]

    def cards(self, place_id: str) -> list[Message]:
        """Return the app's top-level cards there, oldest first."""
        return [it for it in self.messages(place_id) if it.ours and it.card is not None]

    def replies(self, message: Message) -> list[Message]:
        """Return the thread under a message, oldest first, without the message itself."""
        return [it for it in self.board.messages.values() if it.reply_to == message.id]

    def chat(self, person: str) -> list[Message]:
        """Return the app's messages in the chat with this person, oldest first."""
        return [it for it in self.board.inside(self.board.personal(person)) if it.ours]

    def private(self, person: str) -> list[Private]:
        """Return what this person alone was shown in answer to clicks, oldest first."""
        return list(self.board.privates.get(person, []))

    def screen(self, person: str, message: Message) -> Message | Private:
        """Return what this person sees in a message's place now: an edit takes the place of their own card."""
        now = self.message(message.id)
        own = [it for it in self.private(person) if it.kind == "card" and it.message and it.message.id == message.id]
        return own[-1] if own and own[-1].edited == now.edited else now

    def delete(self, message: Message) -> None:
        """Delete a message as an owner of the team may; the app is not told."""
        del self.board.messages[self.message(message.id).id]

    def message(self, message_id: str) -> Message:
        """Return a message's present state."""
        if message_id not in self.board.messages:
            raise CannotDo(f"there is no message {message_id}")
        return self.board.messages[message_id]

    @property
    def log(self) -> list[Exchange]:
        return self.server.log

    @property
    def refusals(self) -> list[Refusal]:
        return self.server.refusals

    @property
    def violations(self) -> list[str]:
        return self.limits.violations

    def calls(self, *methods: str) -> list[Exchange]:
        """Return every connector call of these methods (all), in order of arrival."""
        return [it for it in self.log if it.kind == "connector" and (not methods or it.method in methods)]

    # --- wait

    async def until(self, ready: Callable[[], T], timeout: float = 30.0, what: str = "") -> T:
        """Return what `ready` returns once that is true; it is asked again after every change here."""
        watcher = asyncio.Event()
        self._watchers.append(watcher)
        end = time.monotonic() + timeout
        try:
            while not (found := ready()):
                watcher.clear()
                try:
                    async with asyncio.timeout(end - time.monotonic()):
                        await watcher.wait()
                except TimeoutError:
                    last = [(it.kind, it.method, it.status, it.answer) for it in self.log[-5:]]
                    raise AssertionError(f"{what or ready} not seen within {timeout:g} s; last: {last}") from None
            return found
        finally:
            self._watchers.remove(watcher)

    async def wait_for_message(self, place_id: str, count: int = 1, timeout: float = 30.0) -> Message:
        """Return the app's newest message of a place's top level once there are so many."""

        def enough() -> list[Message]:
            return [it for it in self.messages(place_id) if it.ours][count - 1 :]

        return (await self.until(enough, timeout, f"{count} in {place_id}"))[-1]

    async def wait_for_chat(self, person: str, count: int = 1, timeout: float = 30.0) -> Message:
        """Return the newest message to one person once there are so many."""
        return (await self.until(lambda: self.chat(person)[count - 1 :], timeout, f"{count} to {person}"))[-1]

    def _touch(self) -> None:
        for watcher in self._watchers:
            watcher.set()

    # --- strangers at the door

    def activity(self, person: str, place_id: str | None = None, text: str = "list") -> dict[str, Any]:
        """Return a message activity as Teams would deliver it, to be changed and sent with `send_raw`."""
        place = self.board.personal(person) if place_id is None else self.board.place(place_id)
        message = Message(id=self.board.number(), place=place.id)
        return self.activities.text(self.board.person(person), place, message, text, place.kind != "personal")

    async def send_raw(
        self,
        activity: Mapping[str, Any] | bytes,
        *,
        token: str | None = None,
        authorization: str | None = DROP,
        claims: Mapping[str, Any] | None = None,
        head: Mapping[str, Any] | None = None,
        key: Key | None = None,
        content_type: str | None = "application/json; charset=utf-8",
        headers: Mapping[str, str] | None = None,
    ) -> Delivery:
        """Post an activity, or any bytes, as anybody could.

        The token is a good one with some claims or headers changed (None: left out) or another key, or the `token`
        given; `authorization` replaces the whole header (None: none).
        """
        body = activity if isinstance(activity, bytes) else json.dumps(activity).encode()
        said = {} if isinstance(activity, bytes) else activity
        if authorization is DROP:
            good = self.issuer.claims(self.app_id, str(said.get("serviceUrl", self.service_url)))
            authorization = f"Bearer {token or self.issuer.sign({**good, **(claims or {})}, key=key, head=head)}"
        sent = {"Authorization": authorization, "Content-Type": content_type, **(headers or {})}
        return await self.courier.send(body, {name: it for name, it in sent.items() if it is not None}, said)

    async def replay(self, delivery: Delivery) -> Delivery:
        """Send the very same request once more."""
        return await self.courier.send(delivery.sent, delivery.headers, delivery.activity)

    def strange(self, activity: Mapping[str, Any]) -> list[Strange]:
        """Return every way to send this activity that has to be answered with 401."""
        return strange(self.issuer, activity, self.app_id, self.other_tenant)

    def malformed(self, activity: Mapping[str, Any]) -> dict[str, bytes]:
        """Return bodies that have to be answered with 400, by name; they go out with a good token."""
        return malformed(activity)
