"""Say whom a ladder asks at which moment, and until when an answer counts. Later levels ask more people."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from approvers.policy import Ladder, Level, Policy
from approvers.ruling import Ruling


class JoinedLevel(Level):
    """A step of several ladders at once: each opens its own seats to its own groups only."""

    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def fills(self) -> tuple[tuple[str, str], ...]:
        """Return which groups (first) may take the seats of which others from this level on."""
        return self.pairs


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
        levels.append(_joined([level for ladder in ladders for level in ladder.levels if level.after == start]))
    name = "-and-".join(ladder.name for ladder in ladders)[:63]
    return Ladder(name=name, expires_after=expires_after, levels=tuple(levels))


def _joined(levels: Sequence[Level]) -> Level:
    return JoinedLevel(
        after=levels[0].after,
        ask=tuple(dict.fromkeys(who for level in levels for who in level.ask)),
        alert=any(level.alert for level in levels),
        pairs=tuple(dict.fromkeys(pair for level in levels for pair in level.fills)),
    )


def fill_in(ladder: Ladder, level: int, seats: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Return which groups may take which of these seats, once this level (from 0) is reached."""
    pairs = dict.fromkeys(pair for one in ladder.levels[: level + 1] for pair in one.fills)
    return tuple(pair for pair in pairs if pair[1] in seats)


def alerts(ladder: Ladder, level: int) -> bool:
    """Tell whether on-call hears of a request that is on this level (from 0)."""
    return any(one.alert for one in ladder.levels[: level + 1])


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
