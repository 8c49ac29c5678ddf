"""Follow what holds for every request: who is in the roster, which keys were taken back, whether approvals stop."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

DECIDING = frozenset(
    {
        "away.set", "break_glass.reviewed", "credential.collected", "freeze.lifted", "freeze.set",
        "grant.release_requested", "grant.revoke_requested", "request.cancelled", "request.consumed",
        "request.submitted", "review.recorded",
    }
)  # fmt: skip
"""Records of what only a proven identity can bring about; its key is checked in the same commit."""
OF_PEOPLE = frozenset({"away.set", "break_glass.reviewed", "break_glass.used", "review.recorded"})


class System:
    """Hold how the log's own matters stand at a place of it."""

    def __init__(self) -> None:
        """Begin with nothing applied."""
        self.frozen = False
        self._people: frozenset[str] | None = None
        self._revoked: dict[str, datetime] = {}

    def told(self, record: Mapping[str, Any], at: datetime) -> Iterator[tuple[str, str]]:
        """Take the next record of any subject; yield (code, what) where it cannot have happened."""
        kind, by = record["type"], record["by"]
        if kind in DECIDING:
            yield from self._who(kind, by)
        if record["subject"] == "sys":
            self._moved(kind, record["data"], at)

    def _who(self, kind: str, by: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        person = by["person"]
        if by["iss"] == "api-key" and by["sub"] in self._revoked:
            yield "bad_story", f"{kind} is by key {by['sub']}, which was taken back at {self._revoked[by['sub']]:%F %T}"
        if kind in OF_PEOPLE and self._people is not None and (person or "").removeprefix("user:") not in self._people:
            yield "bad_story", f"{kind} is by {person}, whom the roster of that time does not have"

    def _moved(self, kind: str, data: Mapping[str, Any], at: datetime) -> None:
        match kind:
            case "freeze.set":
                self.frozen = True
            case "freeze.lifted":
                self.frozen = False
            case "key.revoked":
                self._revoked[data["id"]] = at
            case "roster.applied":
                self._people = frozenset(tomllib.loads(data["text"]).get("person", {}))
