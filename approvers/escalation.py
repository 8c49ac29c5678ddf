"""Say whom a ladder asks at which moment, and until when an answer counts. Later levels ask more people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from approvers.policy import Ladder, Level, Policy
from approvers.ruling import Ruling


def ladder_for(policy: Policy, ruling: Ruling) -> Ladder:
    """Return the ladder of a ruling that asks for review; several quorums climb together and expire with the first."""
    quorums = [policy.quorums[name] for name in ruling.quorums if name in policy.quorums]
    return combined([policy.ladders[name] for name in sorted({quorum.ladder for quorum in quorums})])


def combined(ladders: Sequence[Ladder]) -> Ladder:
    """Return one ladder that asks everybody whom any of them asks, at the same times."""
    if len(ladders) == 1:
        return ladders[0]
    if not ladders:
        raise ValueError("no ladder: the ruling asks nobody")
    expires_after = min(ladder.expires_after for ladder in ladders)
    starts = sorted({level.after for ladder in ladders for level in ladder.levels if level.after < expires_after})
    levels = []
    for start in starts:
        asked = [who for ladder in ladders for level in ladder.levels if level.after == start for who in level.ask]
        levels.append(Level(after=start, ask=tuple(dict.fromkeys(asked))))
    name = "-and-".join(ladder.name for ladder in ladders)[:63]
    return Ladder(name=name, expires_after=expires_after, levels=tuple(levels))


def expires_at(ladder: Ladder, submitted_at: datetime) -> datetime:
    """Return from when on no answer counts."""
    return submitted_at + ladder.expires_after


def level_at(ladder: Ladder, submitted_at: datetime, now: datetime) -> int:
    """Return the number of the level (from 0) that has been reached; time before the ask counts as the first."""
    reached = [number for number, level in enumerate(ladder.levels) if submitted_at + level.after <= now]
    return reached[-1] if reached else 0


def next_level_at(ladder: Ladder, submitted_at: datetime, now: datetime) -> datetime | None:
    """Return when the next level begins, or None on the last one."""
    later = level_at(ladder, submitted_at, now) + 1
    return submitted_at + ladder.levels[later].after if later < len(ladder.levels) else None


def asked_on(ladder: Ladder, level: int) -> tuple[str, ...]:
    """Return everybody whom the levels up to this one (from 0) ask, each once, in the order of asking."""
    return tuple(dict.fromkeys(who for one in ladder.levels[: level + 1] for who in one.ask))


def asked_at(ladder: Ladder, submitted_at: datetime, now: datetime) -> tuple[str, ...]:
    """Return everybody asked so far: `group:NAME` and `place:NAME`, each once, in the order of asking."""
    return asked_on(ladder, level_at(ladder, submitted_at, now))
