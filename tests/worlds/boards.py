"""A strict chat platform in memory, behind the surface port: channels, messages, threads, and faults on demand.

It refuses what a platform would refuse, notes every call, and counts what people see: a message that was stored counts,
whatever its sender was told.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from approvers.card import Card
from bot.surfaces.port import MessageRef, OutcomeUnknown, Refused, SurfaceError, Unreachable

Verb = Literal["post", "update", "reply"]


@dataclass
class Message:
    """What stands in a channel: the card as it is now, every face it had, and the lines of its thread."""

    ref: MessageRef
    card: Card
    faces: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def edits(self) -> int:
        return len(self.faces) - 1


@dataclass
class Gate:
    """Hold a call's answer: `reached` is set when the call is in, `open` lets its answer out."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def open(self) -> None:
        self.opened.set()


class Board:
    """One platform, by default with two channels and one person to write to."""

    def __init__(self, name: str = "slack", channels: tuple[str, ...] = ("C01", "C02"), people: tuple[str, ...] = ()):
        self.name = name
        self.channels: dict[str, list[Message]] = {channel: [] for channel in channels}
        self.people = {person: f"D-{person}" for person in people}
        self.calls: list[tuple[Verb, str]] = []
        self.whispers: list[tuple[str, str]] = []
        self._faults: defaultdict[str, list[tuple[Verb | None, SurfaceError]]] = defaultdict(list)
        self._lost: list[tuple[Verb, str]] = []
        self._down: dict[str, float] = {}
        self._gates: list[tuple[Verb, str, Gate]] = []
        self._busy: set[str] = set()
        self._number = 0

    # ---- what people see

    def messages(self, channel: str = "C01") -> list[Message]:
        return self.channels.get(self.people.get(channel, channel), [])

    def one(self, channel: str = "C01") -> Message:
        (message,) = self.messages(channel)
        return message

    def states(self, channel: str = "C01") -> list[str]:
        return [message.card.phase for message in self.messages(channel)]

    def handles(self, channel: str = "C01") -> list[str]:
        return [message.card.handle for message in self.messages(channel)]

    def count(self, verb: Verb, channel: str | None = None) -> int:
        return sum(1 for one, where in self.calls if one == verb and channel in (None, where))

    # ---- faults

    @contextmanager
    def down(self, *channels: str, after_seconds: float = 0.01) -> Iterator[None]:
        """Nothing gets through to these channels (none named: to any), and nothing is stored."""
        self._down |= dict.fromkeys(channels or (*self.channels, *self.people), after_seconds)
        try:
            yield
        finally:
            self._down.clear()

    def fail(self, channel: str, error: SurfaceError, verb: Verb | None = None, times: int = 1) -> None:
        """Answer the next calls with this error; nothing is stored."""
        self._faults[channel] += [(verb, error)] * times

    def lose(self, channel: str, verb: Verb = "post", times: int = 1) -> None:
        """Do what the next call asks, and lose the answer."""
        self._lost += [(verb, channel)] * times

    def hold(self, channel: str, verb: Verb = "post") -> Gate:
        """Do what the next call asks, and keep its answer until the gate is opened."""
        gate = Gate()
        self._gates.append((verb, channel, gate))
        return gate

    def remove(self, message: Message) -> None:
        """Delete a message, as an administrator does."""
        self.channels[message.ref.channel].remove(message)

    # ---- the port

    async def post(self, channel: str, card: Card) -> MessageRef:
        self._enter("post", channel)
        if channel in self.people:
            self.channels.setdefault(self.people[channel], [])
        where = self.people.get(channel, channel)
        if where not in self.channels:
            raise Refused(f"channel_not_found: {channel}")
        self._number += 1
        ref = MessageRef(self.name, where, f"{self._number:04d}.0")
        self.channels[where].append(Message(ref, card, [card.status]))
        await self._answer("post", channel)
        return ref

    async def update(self, ref: MessageRef, card: Card) -> None:
        self._enter("update", ref.channel)
        message = self._find(ref)
        assert message.card.request_id == card.request_id, "a card was edited into another request's"
        message.card = card
        message.faces.append(card.status)
        await self._answer("update", ref.channel)

    async def reply(self, ref: MessageRef, text: str) -> None:
        self._enter("reply", ref.channel)
        assert text.strip() and "\n" not in text
        self._find(ref).lines.append(text)
        await self._answer("reply", ref.channel)

    async def tell(self, account: str, text: str) -> None:
        if account not in self.people:
            raise Refused(f"user_not_found: {account}")
        self.whispers.append((account, text))

    def _enter(self, verb: Verb, channel: str) -> None:
        self.calls.append((verb, channel))
        if channel in self._down:
            raise Unreachable("down", after_seconds=self._down[channel])
        for fault in self._faults[channel]:
            if fault[0] in (None, verb):
                self._faults[channel].remove(fault)
                raise fault[1]
        assert channel not in self._busy, "two calls at once in one channel: their order is lost"

    async def _answer(self, verb: Verb, channel: str) -> None:
        self._busy.add(channel)
        try:
            for gate in self._gates:
                if gate[:2] == (verb, channel):
                    self._gates.remove(gate)
                    gate[2].reached.set()
                    await gate[2].opened.wait()
                    break
            await asyncio.sleep(0)
        finally:
            self._busy.discard(channel)
        if (verb, channel) in self._lost:
            self._lost.remove((verb, channel))
            raise OutcomeUnknown("no answer")

    def _find(self, ref: MessageRef) -> Message:
        assert ref.surface == self.name
        for message in self.channels.get(ref.channel, ()):
            if message.ref == ref:
                return message
        raise Refused("message_not_found")
