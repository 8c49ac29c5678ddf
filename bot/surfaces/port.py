"""Say what a surface is: a place where people see cards and answer them. Chat surfaces post; the console is looked at.

A surface renders `approvers.card.Card` for its own markup and hands clicks to the desk; it decides nothing and keeps no
state. What it raises says whether a post is known to be missing (try again) or may have arrived (look before trying).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from approvers.card import Card
from bot.digest import Digest


class SurfaceError(Exception):
    """The surface did not do it. The sentence is for the operator and holds no secret."""


class Unreachable(SurfaceError):
    """Nothing was posted; worth another try. `after_seconds` is how long the platform wants us to wait."""

    def __init__(self, detail: str, *, after_seconds: float = 1.0) -> None:
        super().__init__(detail)
        self.after_seconds = after_seconds


class OutcomeUnknown(SurfaceError):
    """It may have arrived. A post is tried once more, and a double is adopted; an update is simply made again."""


class Refused(SurfaceError):
    """The platform will not take it, now or later (unknown channel, removed app): an operator has to act."""


@dataclass(frozen=True)
class MessageRef:
    """Name one posted message: the surface, the channel or conversation, and the message's id in it."""

    surface: str
    channel: str
    message: str


class Surface(Protocol):
    """Show cards to people. Every method may raise Unreachable, OutcomeUnknown or Refused."""

    @property
    def name(self) -> str:
        """Return the word that the roster's places use for it: `slack`, `teams`."""
        ...

    async def post(self, channel: str, card: Card) -> MessageRef:
        """Post a new card and return where it is.

        `channel` is a place's channel, or a person's account for a direct message; the answer names the channel in
        which the platform has put it.
        """
        ...

    async def update(self, ref: MessageRef, card: Card) -> None:
        """Make a posted card show the present state."""
        ...

    async def reply(self, ref: MessageRef, text: str) -> None:
        """Add one line to the thread of a posted card. `text` is plain: the surface escapes it for its own markup."""
        ...

    async def tell(self, account: str, text: str) -> None:
        """Tell one person privately; `account` is the person's name on this platform."""
        ...


@runtime_checkable
class Lists(Protocol):
    """Show many requests in one message, where a card for each would be too many. A surface may do without."""

    async def show_list(self, where: str | MessageRef, digest: Digest) -> MessageRef:
        """Post a new list to a channel or account, or make a posted one show the present state. Raises as `post`."""
        ...


@runtime_checkable
class Judges(Protocol):
    """Know whether an account may still act. A surface may do without; its accounts then count as able."""

    async def gone(self, account: str) -> bool:
        """Tell whether nobody can act by this account any more; what the platform does not say is a no."""
        ...
