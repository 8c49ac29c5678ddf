"""Name what a revocation takes away: one grant, everything of an actor, a principal or a role, or all of it.

One reading of what people type, for chat, the command line and the API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from approvers.errors import Malformed
from approvers.ids import CROCKFORD, HANDLE_ALPHABET, HANDLE_LENGTH

if TYPE_CHECKING:
    from approvers.grant import Grant

Kind = Literal["grant", "actor", "principal", "role", "all"]
LONGEST_NAME = 200
_ID = re.compile(rf"(?:req|grt)_[{CROCKFORD}]{{26}}")
_HANDLE = re.compile(rf"[{HANDLE_ALPHABET}]{{{HANDLE_LENGTH}}}", re.IGNORECASE)
WAYS = "an id or a handle (K7QF), actor:NAME, principal:NAME, role:NAME, or all"


class Roles(Protocol):
    """Know the roles by name; a roster does."""

    @property
    def roles(self) -> Mapping[str, object]:
        """Return them by name."""
        ...


@dataclass(frozen=True)
class Target:
    """Say what to revoke. `name` is an id or handle, or the actor's, principal's or role's name; empty for `all`."""

    kind: Kind
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse what could mean more, or something else, than was meant."""
        if self.kind not in get_args(Kind):
            raise Malformed(f"{self.kind!r} is no kind of target; there is {', '.join(get_args(Kind))}", field="target")
        if (self.kind == "all") == bool(self.name):
            raise Malformed(f"name what to revoke: {WAYS}; only `all` has no name", field="target")
        if len(self.name) > LONGEST_NAME or not self.name.isprintable() or self.name != self.name.strip():
            raise Malformed(f"this is no name: write {WAYS}", field="target")

    @classmethod
    def parse(cls, text: str, roster: Roles | None = None) -> Target:
        """Read what a person typed: `K7QF`, `grt_…`, `agent:report-bot`, `actor:…`, `role:analytics`, `all`.

        With a roster a role's bare name will do, and comes before a handle that reads the same. Raises Malformed.
        """
        text = text.strip()
        kind, colon, name = text.partition(":")
        match kind.lower():
            case "all" if not colon:
                return cls("all")
            case "actor" | "principal" | "role" | "grant" as named if colon:
                return cls(named, name.strip())
            case "user" | "caller" if name:
                return cls("principal", text)
        if kind and name:
            return cls("actor", text)
        if roster is not None and text in roster.roles:
            return cls("role", text)
        if _ID.fullmatch(text) or _HANDLE.fullmatch(text):
            return cls("grant", text)
        raise Malformed(f"{text[:60]!r} names nothing to revoke: write {WAYS}", field="target")

    @property
    def wide(self) -> bool:
        """Tell whether new grants may come under it while it is carried out, so that a freeze belongs before it."""
        return self.kind != "grant"

    def hits(self, grant: Grant) -> bool:
        """Tell whether it names this grant."""
        match self.kind:
            case "all":
                return True
            case "actor":
                return grant.actor == self.name
            case "principal":
                return grant.principal == self.name
            case "role":
                return grant.plan.role == self.name
            case "grant":
                return self.name in (grant.id, grant.request_id) or self.name.upper() == grant.handle

    def __str__(self) -> str:
        """Return the words that `parse` reads."""
        return self.name if self.kind == "grant" else f"{self.kind}:{self.name}".rstrip(":")
