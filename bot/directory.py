"""Know who is in which group: by the roster, by groups that a chat platform keeps, and by on-call schedules.

Only an outside source is ever asked over a network, and only about groups that have a part there. What it could not
say is told apart from "no": the group is then `unknown`, and whoever depends on it is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from approvers.roster import Group, Roster
from approvers.seating import NotKnown, not_known
from approvers.times import stamp
from workers.policies import Policies

__all__ = ["Directory", "GroupSource", "Members", "Membership", "NotKnown"]


@dataclass(frozen=True)
class Members:
    """One outside group as it was seen.

    Attributes:
        source: which group of which platform, such as `slack:S01`; where a group has two parts, both of them.
        people: bare names; only who maps to exactly one person of the roster.
        accounts: ids as the platform gave them, sorted; they are recorded with the decision.
        at: when the platform was asked.
    """

    source: str
    people: frozenset[str]
    accounts: tuple[str, ...]
    at: datetime


class GroupSource(Protocol):
    """Know the members of a platform's groups, or whom a schedule names."""

    async def members(self, group: str) -> Members:
        """Return who is in the group with this id. Raises NotKnown where that could not be learnt."""
        ...


@dataclass(frozen=True)
class Membership:
    """What outside sources say of one person.

    Attributes:
        groups: the outside groups that this person is in, by the roster's names. Roster groups are not repeated here.
        outside: every outside group that was looked at, with all its people (bare names).
        seen: evidence for the record: group → source, moment, members as the platform gave them.
        unknown: groups whose outside part could not be asked, and why.
    """

    groups: frozenset[str] = frozenset()
    outside: Mapping[str, frozenset[str]] = field(default_factory=dict)
    seen: Mapping[str, Any] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)

    def of(self, person: str) -> frozenset[str]:
        """Return the outside groups of anybody (`user:NAME` or bare), among those that were looked at."""
        name = person.removeprefix("user:")
        return frozenset(group for group, people in self.outside.items() if name in people)


UNASKED = Membership()
"""Where no group with members elsewhere is in play."""
PATIENCE = timedelta(seconds=1.5)
"""How long a source may take before its groups count as unknown: whoever clicked waits, at most three seconds."""


class Directory:
    """Answer who is in which group, at this moment."""

    def __init__(self, policies: Policies, patience: timedelta = PATIENCE) -> None:
        """Begin without sources: `sources["schedule"]` is set where schedules are read, `sources["slack"]` by Slack."""
        self._policies, self._patience = policies, patience.total_seconds()
        self.sources: dict[str, GroupSource] = {}

    async def membership(self, principal: str, groups: Iterable[str]) -> Membership:
        """Ask the outside sources about the named groups that have an outside part, all at once."""
        roster = self._policies.current.roster
        asked = sorted(roster.outside_groups.intersection(groups)) if principal.startswith("user:") else []
        if not asked:
            return UNASKED
        found = dict(zip(asked, await asyncio.gather(*(self._ask(roster, group) for group in asked)), strict=True))
        known = {group: one for group, one in found.items() if isinstance(one, Members)}
        outside = {group: one.people.intersection(roster.persons) for group, one in known.items()}
        seen = {
            group: {"source": one.source, "at": stamp(one.at), "members": list(one.accounts)}
            for group, one in known.items()
        }
        unknown = {group: one.detail for group, one in found.items() if isinstance(one, NotKnown)}
        name = principal.removeprefix("user:")
        return Membership(frozenset(group for group in outside if name in outside[group]), outside, seen, unknown)

    async def groups_of(self, principal: str) -> frozenset[str]:
        """Return every group of a person, by the roster and outside. Raises NotKnown where a source could not say."""
        roster = self._policies.current.roster
        found = await self.membership(principal, roster.groups)
        if found.unknown:
            raise not_known(found.unknown)
        return roster.groups_of(principal) | found.groups

    async def is_on_call(self, principal: str) -> bool:
        """Tell whether a person is in a group that is on call. Raises NotKnown where that hangs on a silent source."""
        return await self._in_any(principal, self._policies.current.roster.on_call_groups())

    async def is_reviewer(self, principal: str) -> bool:
        """Tell whether a person is in any group. Raises NotKnown where that hangs on a silent source."""
        return await self._in_any(principal, frozenset(self._policies.current.roster.groups))

    async def _in_any(self, principal: str, groups: frozenset[str]) -> bool:
        if self._policies.current.roster.groups_of(principal) & groups:
            return True
        found = await self.membership(principal, groups)
        if not found.groups and found.unknown:
            raise not_known(found.unknown)
        return bool(found.groups)

    async def _ask(self, roster: Roster, group: str) -> Members | NotKnown:
        """Return who is in the group by all of its outside parts; one that is silent leaves the whole unknown."""
        parts = [*_parts(roster.groups[group])]
        found = await asyncio.gather(*(self._ask_part(*part) for part in parts))
        unknown = [one.detail for one in found if isinstance(one, NotKnown)]
        if unknown:
            return NotKnown("; ".join(unknown))
        return _merged([one for one in found if isinstance(one, Members)])

    async def _ask_part(self, kind: str, name: str, words: str) -> Members | NotKnown:
        source = self.sources.get(kind)
        if source is None:
            return NotKnown(f"{words} is not connected to this Countersign")
        try:
            async with asyncio.timeout(self._patience):
                return await source.members(name)
        except NotKnown as error:
            return error
        except TimeoutError:
            return NotKnown(f"{words} did not answer in time")


def _parts(group: Group) -> Iterator[tuple[str, str, str]]:
    """Yield where a group has members elsewhere: the source, the id there, and words for it."""
    if group.slack:
        yield "slack", group.slack, "Slack"
    if group.schedule:
        yield "schedule", group.schedule, f"the on-call schedule {group.schedule}"


def _merged(parts: list[Members]) -> Members:
    if len(parts) == 1:
        return parts[0]
    return Members(
        ", ".join(one.source for one in parts),
        frozenset(name for one in parts for name in one.people),
        tuple(sorted({account for one in parts for account in one.accounts})),
        min(one.at for one in parts),
    )
