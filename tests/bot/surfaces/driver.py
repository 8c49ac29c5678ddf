"""Say what the contract suite needs of a surface: people who look, click and type there, and the world around it.

A driver is the hands and eyes of people on one platform, over its real protocol. It knows names (`robin`), requests
and words; cards, dialogs and payloads stay its own business. People: dana is behind the agent that asks, robin, alex
and kim can approve, bob is known but has no seat. Two come from outside: `stranger`, whom the roster does not name, and
`guest`, who is let in for other things at most.
"""

from __future__ import annotations

from typing import Any, Protocol


class Driver(Protocol):
    """One surface under test. Words are what that person alone reads after what they did."""

    async def ask(self, kind: str = "one", **changes: object) -> str:
        """Ask, and return the request's id. Kinds: `one` or `two` approvals, or `high` risk with one."""
        ...

    async def screen(self, request: str) -> Any:
        """Return the card as somebody has it before them now; it may be acted on later, when it is old."""
        ...

    def forged(self, screen: Any) -> Any:
        """Return a screen that shows something else than what was asked."""
        ...

    async def approve(self, who: str, request: str, screen: Any = None) -> str:
        """Approve as a person does there (through Review where the card has no Approve); return the words."""
        ...

    async def deny(self, who: str, request: str, reason: str = "", screen: Any = None) -> str:
        """Deny, in own words if there are any; return the words."""
        ...

    async def revoke(self, who: str, request: str) -> list[str]:
        """Take the credential away; return the words until there is proof, or a refusal."""
        ...

    async def take(self) -> str:
        """Let dana use break-glass, under a policy that has it, and return the request's id."""
        ...

    async def found(self, who: str, request: str, verdict: str, reason: str = "") -> str:
        """Review that use afterwards, as `justified` or, with words, as `unjustified`; return the words."""
        ...

    async def reads(self, request: str, *words: str) -> str:
        """Return what every copy of the card says once each says all of these words, whatever their case."""
        ...

    async def offers(self, request: str) -> set[str]:
        """Return what can be pressed on the card: approve, review, deny, revoke."""
        ...

    async def whole(self, who: str, request: str) -> str:
        """Return what this person reads who opens the whole request."""
        ...

    async def parsed(self, request: str) -> str:
        """Return everything of the card that the platform reads as markup."""
        ...

    async def command(self, who: str, text: str) -> str:
        """Type a command, or open the page that stands for it; return the words."""
        ...


class World(Protocol):
    """What surrounds a surface."""

    name: str
    driver: Driver

    async def state(self, request: str) -> str:
        """Return the request's state."""
        ...

    async def refusals(self, request: str) -> list[str]:
        """Return the codes of the refusals on its record."""
        ...

    async def reasons(self, request: str) -> list[str]:
        """Return the reasons of the answers that count."""
        ...

    async def copies(self, request: str) -> int:
        """Return how many cards people see of it."""
        ...

    async def pass_minutes(self, minutes: int) -> None:
        """Let time go by."""
        ...

    async def restart(self) -> None:
        """End the process and start another one over the same store."""
        ...

    async def cut(self) -> None:
        """Make the platform unreachable."""
        ...

    async def mend(self) -> None:
        """Make it reachable again."""
        ...
