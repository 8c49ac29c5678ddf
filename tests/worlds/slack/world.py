"""A strict Slack workspace over HTTP on loopback, with people who click. It imports nothing of the product.

    async with SlackWorld.open() as slack:
        slack.add_user("U02", name="dana")
        slack.add_channel("C01", members=["U02"])
        slack.connect("http://127.0.0.1:8080/slack/events")
        …the app posts…
        card = await slack.wait_for_message("C01")
        delivery = await slack.click("U02", card, "approve")
        assert delivery.ok

It refuses what Slack refuses, with Slack's names (`refusals`), writes down every request both ways (`log`), and fails
on demand (`faults`). In synchronous tests: `with running_slack() as slack:`, the same names without await.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from tests.worlds.slack.board import BOT_USER, Board
from tests.worlds.slack.delivery import Courier, Delivery
from tests.worlds.slack.faults import Faults
from tests.worlds.slack.hands import Hands
from tests.worlds.slack.journal import Exchange, Refusal
from tests.worlds.slack.manifest import DEFAULT, App
from tests.worlds.slack.server import Server
from tests.worlds.slack.sockets import Sockets
from tests.worlds.slack.state import CHANNEL_FLAGS, USER_FLAGS, CannotDo, Channel, Clock, Message, User, UserGroup, View

T = TypeVar("T")
BOT_TOKEN, APP_TOKEN, SECRET = "xoxb-1-1-world", "xapp-1-A0APP-1-world", "5ecre7" * 5


class SlackWorld(Hands):
    """One workspace. Made with `open`."""

    bot_token, app_token, signing_secret = BOT_TOKEN, APP_TOKEN, SECRET

    def __init__(self, clock: Callable[[], float], manifest: Mapping[str, Any], enterprise_id: str | None) -> None:
        self.clock = clock
        self.board = Board(clock, App.of(manifest), enterprise_id=enterprise_id, touch=self._touch)
        self.faults = Faults(clock)
        self.sockets = Sockets(clock, self._touch)
        self.faults.on_down = self.sockets.cut
        self.server = Server(self.board, self.faults, self.sockets, BOT_TOKEN, APP_TOKEN)
        self.courier = Courier(SECRET, self.sockets, self.server.log, clock)
        self.courier.touch = self._touch
        self._watchers: list[asyncio.Event] = []

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        clock: Callable[[], float] | None = None,
        manifest: Mapping[str, Any] = DEFAULT,
        enterprise_id: str | None = None,
    ) -> AsyncIterator[SlackWorld]:
        """Run a workspace. `clock` (seconds since 1970) rules expiries; without one it is a `Clock` to push forward."""
        world = cls(clock or Clock(), manifest, enterprise_id)
        await world.start()
        try:
            yield world
        finally:
            await world.stop()

    async def start(self) -> None:
        await self.server.start()
        await self.courier.start()

    async def stop(self) -> None:
        await self.courier.stop()
        await self.server.stop()

    # --- what the app needs to know

    @property
    def api_url(self) -> str:
        return f"{self.server.origin}/api/"

    @property
    def team_id(self) -> str:
        return self.board.team_id

    @property
    def enterprise_id(self) -> str | None:
        return self.board.enterprise_id

    @property
    def bot_user_id(self) -> str:
        return BOT_USER

    def connect(self, events_url: str | None) -> None:
        """Deliver to this address from now on; None: through Socket Mode connections."""
        self.courier.url = events_url

    # --- furnish

    def add_user(
        self,
        user_id: str,
        name: str | None = None,
        email: str | None = None,
        *,
        team_id: str | None = None,
        guest_invited_by: str | None = None,
        hidden: bool = False,
        payload_team_id: str | None = None,
        payload_team_null: bool = False,
        **flags: Any,
    ) -> User:
        """Add an account; flags are those of `users.info` (deleted, is_restricted, is_stranger, enterprise_user …)."""
        user = User(user_id, name or user_id.lower(), email, team_id or self.team_id)
        self.board.users[user_id] = user
        placed = {"guest_invited_by": guest_invited_by, "hidden": hidden}
        self.change_user(
            user_id, payload_team_id=payload_team_id, payload_team_null=payload_team_null, **placed, **flags
        )
        return user

    def change_user(self, user_id: str, **changes: Any) -> None:
        """Change an account's fields or flags; the app is told only if the test sends `user_change`."""
        user = self.board.user(user_id)
        for name, value in changes.items():
            if name in USER_FLAGS:
                user.flags[name] = value
            elif hasattr(user, name):
                setattr(user, name, value)
            else:
                raise TypeError(f"{name} is not a field of a Slack user")

    def user_change(self, user_id: str) -> dict[str, Any]:
        """Return the event that tells of this account's present state."""
        return {"type": "user_change", "user": self.board.user(user_id).shown(with_email=True)}

    def add_channel(
        self, channel_id: str, members: Iterable[str] = (), *, name: str | None = None, bot: bool = True, **flags: Any
    ) -> Channel:
        """Add a channel; `bot=False`: the app is not in it. Flags: is_private, is_archived, is_ext_shared …"""
        if unknown := flags.keys() - set(CHANNEL_FLAGS):
            raise TypeError(f"{sorted(unknown)} are not flags of a channel")
        channel = Channel(
            channel_id, name or channel_id.lower(), {self.board.user(it).id for it in members}, bot, flags
        )
        self.board.channels[channel_id] = channel
        return channel

    def change_channel(self, channel_id: str, **flags: Any) -> None:
        """Change a channel's flags; the app is told only if the test sends an event."""
        channel = self.board.channel(channel_id)
        channel.bot_in = flags.pop("bot", channel.bot_in)
        channel.flags |= flags

    def join(self, user_id: str, channel_id: str) -> None:
        self.board.channel(channel_id).members.add(self.board.user(user_id).id)

    def leave(self, user_id: str, channel_id: str) -> None:
        self.board.channel(channel_id).members.discard(user_id)

    def add_usergroup(
        self, group_id: str, members: Iterable[str] = (), *, handle: str | None = None, disabled: bool = False
    ) -> None:
        """Add a user group, or put this one in place of the last with its id."""
        self.board.groups[group_id] = UserGroup(group_id, list(members), handle or group_id.lower(), disabled)

    def say(self, user_id: str, channel_id: str, text: str, blocks: Iterable[Mapping[str, Any]] = ()) -> Message:
        """Post as a person or as another app: never a message of the app under test."""
        shown = tuple(dict(block) for block in blocks)
        return self.board.put(Message(self.board.ts(), channel_id, text, shown, user=user_id, ours=False))

    # --- read

    def messages(self, channel_id: str) -> list[Message]:
        """Return what everybody in the channel sees at its top level, oldest first."""
        self.board.channel(channel_id)
        return [it for it in self._in(channel_id) if it.ephemeral_to is None and it.thread_ts is None]

    def replies(self, channel_id: str, ts: str) -> list[Message]:
        """Return the thread under a message, oldest first, without the message itself."""
        return [it for it in self._in(channel_id) if it.ephemeral_to is None and it.thread_ts == ts]

    def ephemerals(self, user_id: str) -> list[Message]:
        """Return what this person alone was shown, in every channel, oldest first."""
        return [it for it in self.board.messages if it.ephemeral_to == user_id]

    def dms(self, user_id: str) -> list[Message]:
        """Return the direct conversation of this person with the app, oldest first."""
        return [it for it in self._in(self.board.direct(user_id).id) if it.ephemeral_to is None]

    def message(self, channel_id: str, ts: str) -> Message:
        """Return a message's present state."""
        found = self.board.find(channel_id, ts)
        if found is None:
            raise CannotDo(f"there is no message {ts} in {channel_id}")
        return found

    def views(self, user_id: str) -> list[View]:
        """Return the modals this person has open, the one in front last."""
        return list(self.board.stack(user_id))

    def home(self, user_id: str) -> View | None:
        return self.board.homes.get(user_id)

    def _in(self, channel_id: str) -> list[Message]:
        return [it for it in self.board.messages if it.channel == channel_id]

    @property
    def log(self) -> list[Exchange]:
        return self.server.log

    @property
    def refusals(self) -> list[Refusal]:
        return self.server.refusals

    @property
    def warnings(self) -> list[str]:
        return self.board.warnings

    def calls(self, method: str) -> list[Exchange]:
        """Return every call of one Web API method, in order of arrival."""
        return [it for it in self.log if it.kind == "api" and it.method == method]

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
                    last = [(it.method, it.answer) for it in self.log[-5:]]
                    raise AssertionError(f"{what or ready} not seen within {timeout:g} s; last: {last}") from None
            return found
        finally:
            self._watchers.remove(watcher)

    async def wait_for_message(self, channel_id: str, count: int = 1, timeout: float = 30.0) -> Message:
        """Return the newest message of a channel once it has so many."""
        found = await self.until(lambda: self.messages(channel_id)[count - 1 :], timeout, f"{count} in {channel_id}")
        return found[-1]

    def _touch(self) -> None:
        for watcher in self._watchers:
            watcher.set()

    # --- strangers at the door

    async def send_raw(self, body: bytes, headers: Mapping[str, str]) -> Delivery:
        """Post these bytes with these headers to the app, as anybody could."""
        return await self.courier.send_raw(body, headers)

    def sign(self, body: bytes, ts: float | None = None) -> dict[str, str]:
        """Return Slack's signature headers over this body."""
        return self.courier.sign(body, ts)

    async def replay(self, delivery: Delivery) -> Delivery:
        """Send the very same request once more."""
        return await self.courier.replay(delivery)

    def revoke(self, token: str) -> None:
        """Make a token invalid: token_revoked from now on."""
        self.server.revoked.add(token)

    def restore(self, token: str) -> None:
        """Take a revocation back."""
        self.server.revoked.discard(token)

    def rescope(self, *scopes: str) -> None:
        """Install the app anew with exactly these bot scopes."""
        object.__setattr__(self.board.app, "scopes", frozenset(scopes))
