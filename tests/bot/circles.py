"""A platform's groups as a small world: who is in them, and whether it answers at all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from bot.directory import PATIENCE, Members, NotKnown
from tests.bot.test_desk import World
from tests.worlds import samples
from tests.worlds.samples import NOW

PEOPLE = "[person.ana]\n[person.bob]\n[person.cara]\n"
DBA = '[group.dba]\nslack = "S01"\n'
ROSTER = samples.ROSTER_TEXT + PEOPLE + DBA

NO_PATIENCE = timedelta(0)


class Circles:
    """Be a source of groups: bare names by group id. `down`: it says that it cannot say. `mute`: it never answers."""

    def __init__(self, **groups: Iterable[str]) -> None:
        self.groups = {group: set(people) for group, people in groups.items()}
        self.down = self.mute = False
        self.asked: Counter[str] = Counter()

    async def members(self, group: str) -> Members:
        """Return who is in the group."""
        self.asked[group] += 1
        if self.mute:
            await asyncio.Event().wait()
        if self.down or group not in self.groups:
            raise NotKnown("Slack answered ratelimited")
        people = frozenset(self.groups[group])
        return Members(f"slack:{group}", people, tuple(sorted(f"U-{name}" for name in people)), NOW)


def seats(text: str, quorum: str = "one") -> str:
    """Return the demo's policy with other seats in a quorum."""
    head, found, tail = samples.POLICY_TEXT.partition(f"[quorum.{quorum}]\n")
    line, _, rest = tail.partition("\n")
    assert found
    assert line.startswith("seats")
    return f"{head}{found}seats = {text}\n{rest}"


async def town(
    want: str = "{ dba = 1 }", roster: str = ROSTER, *, patience: timedelta = PATIENCE, **groups: Iterable[str]
) -> tuple[World, Circles]:
    """Return a desk whose sample ask needs these seats, and the platform that knows the group S01."""
    world = await World(patience).start(seats(want), roster)
    circles = Circles(**(groups or {"S01": {"ana"}}))
    world.directory.sources["slack"] = circles
    return world, circles
