"""Turn answers of a twin and a control session into proof, or into the reason why there is none.

The twin carries the grant's tag, the control a fresh one. Proof is: the twin explicitly denied *and* the control
allowed, several times in a row. The control catches a Deny that hits everybody and an outage that looks like a denial.
Pure: who is asked, the clock and the waiting are passed in.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from workers.providers.port import ProofOutcome, Reading


class Answer(enum.Enum):
    """What a session was told when it asked."""

    ALLOWED = "allowed"
    EXPLICIT_DENY = "explicitly denied"
    UNCLEAR = "neither allowed nor explicitly denied"


@dataclass(frozen=True)
class Told:
    """Hold one answer with the provider's own words."""

    answer: Answer
    words: str = ""


@dataclass(frozen=True)
class Pace:
    """Say how often to ask, and how long to wait for a denial to take effect."""

    in_a_row: int = 3
    pause_seconds: float = 0.3
    patience_seconds: float = 8.0
    """Past this no new run is begun: what is still open then is left to the caller's own retry."""
    growth: float = 1.6
    """While the twin is not refused, each pause is this many times the one before: a denial takes its time."""
    longest_pause_seconds: float = 2.0
    """But no longer than this: what is refused by now should be seen soon."""


def read(
    twin: Callable[[], Told],
    control: Callable[[], Told],
    pace: Pace,
    *,
    now: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> Reading:
    """Ask both until the twin was refused `in_a_row` times or patience is over, and say what that shows."""
    until = now() + timedelta(seconds=pace.patience_seconds)
    asked = refused = run = 0
    first: datetime | None = None
    pause = pace.pause_seconds
    while True:
        of_twin, at, of_control = twin(), now(), control()
        asked += 1
        if of_twin.answer is Answer.EXPLICIT_DENY and of_control.answer is Answer.ALLOWED:
            refused, run, first = refused + 1, run + 1, first or at
            pause = pace.pause_seconds
        else:
            run, first = 0, None
            pause = min(pace.longest_pause_seconds, pause * pace.growth)
        if run == pace.in_a_row:
            return Reading(ProofOutcome.PROVEN, refused, asked, first, _proof_text(run, of_twin), read_at=now())
        if run == 0 and asked >= pace.in_a_row and now() >= until:
            return _no_proof(refused, asked, of_twin, of_control)
        sleep(pause)


def _proof_text(run: int, twin: Told) -> str:
    return f"refused {run} times in a row while another session was allowed; AWS said: {twin.words}"


def _no_proof(refused: int, asked: int, twin: Told, control: Told) -> Reading:
    if twin.answer is Answer.ALLOWED:
        detail = "a session of this grant is still allowed"
        return Reading(ProofOutcome.STILL_ACTIVE, refused, asked, None, detail)
    if twin.answer is Answer.EXPLICIT_DENY:
        detail = f"another session was {control.answer.value} too, so the refusal proves nothing: {control.words}"
    else:
        detail = f"the probe was {twin.answer.value}: {twin.words}"
    return Reading(ProofOutcome.UNKNOWN, refused, asked, None, detail)
