"""When answers are proof, and when they are not; the clock is a number and waiting moves it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.port import ProofOutcome, Reading
from workers.providers.probing import Answer, Pace, Told, read
from workers.providers.steady import Steady

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
ALLOWED, DENIED, UNCLEAR = Answer.ALLOWED, Answer.EXPLICIT_DENY, Answer.UNCLEAR
PACE = Pace(in_a_row=3, pause_seconds=0.5, patience_seconds=4.0, growth=2.0)


class Played:
    """Answers in order, the last for ever, and a clock that only waiting moves."""

    def __init__(self, twin: list[Answer], control: list[Answer]) -> None:
        self.now, self.pauses, self.asked = START, list[float](), 0
        self._twin, self._control = twin, control

    def read(self, pace: Pace = PACE) -> Reading:
        return read(self._ask_twin, self._ask_control, pace, now=lambda: self.now, sleep=self._sleep)

    def _ask_twin(self) -> Told:
        self.asked += 1
        return Told(self._twin[min(self.asked, len(self._twin)) - 1], "words of the twin")

    def _ask_control(self) -> Told:
        return Told(self._control[min(self.asked, len(self._control)) - 1], "words of the control")

    def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += timedelta(seconds=seconds)


def test_three_refusals_in_a_row_beside_an_allowed_control_are_proof():
    played = Played([DENIED], [ALLOWED])
    reading = played.read()
    assert (reading.outcome, reading.refused, reading.asked) == (ProofOutcome.PROVEN, 3, 3)
    assert reading.first_refused_at == START
    assert "words of the twin" in reading.detail
    assert played.pauses == [0.5, 0.5]


def test_a_denial_that_takes_its_time_is_waited_for_and_its_first_moment_is_kept():
    played = Played([ALLOWED, ALLOWED, DENIED], [ALLOWED])
    reading = played.read()
    assert (reading.outcome, reading.refused, reading.asked) == (ProofOutcome.PROVEN, 3, 5)
    assert played.pauses == [1.0, 2.0, 0.5, 0.5]
    assert reading.first_refused_at == START + timedelta(seconds=3)


def test_a_refusal_that_comes_and_goes_starts_again():
    reading = Played([DENIED, DENIED, ALLOWED, DENIED], [ALLOWED]).read()
    assert (reading.outcome, reading.refused, reading.asked) == (ProofOutcome.PROVEN, 5, 6)


def test_an_allowed_twin_is_still_active_and_the_wait_ends():
    played = Played([ALLOWED], [ALLOWED])
    reading = played.read()
    assert (reading.outcome, reading.refused, reading.first_refused_at) == (ProofOutcome.STILL_ACTIVE, 0, None)
    assert sum(played.pauses) < 10
    assert "still allowed" in reading.detail


@pytest.mark.parametrize("control", [DENIED, UNCLEAR])
def test_a_control_that_is_not_allowed_makes_every_refusal_worthless(control):
    reading = Played([DENIED], [control]).read()
    assert (reading.outcome, reading.refused, reading.first_refused_at) == (ProofOutcome.UNKNOWN, 0, None)
    assert "words of the control" in reading.detail


def test_an_unclear_twin_is_unknown():
    reading = Played([UNCLEAR], [ALLOWED]).read()
    assert reading.outcome is ProofOutcome.UNKNOWN
    assert "words of the twin" in reading.detail


def test_without_patience_it_asks_three_times_and_no_more():
    played = Played([ALLOWED], [ALLOWED])
    assert played.read(Pace(patience_seconds=0.0)).asked == 3


ANSWERS = st.lists(st.sampled_from(Answer), min_size=1, max_size=8)


@given(ANSWERS, ANSWERS)
def test_proof_always_means_the_last_three_were_refused_beside_an_allowed_control(twin, control):
    played = Played(twin, control)
    reading = played.read()
    told = [(twin[min(n, len(twin) - 1)], control[min(n, len(control) - 1)]) for n in range(reading.asked)]
    good = [pair == (DENIED, ALLOWED) for pair in told]
    assert (reading.outcome is ProofOutcome.PROVEN) == (good[-3:] == [True] * 3)
    assert reading.refused == sum(good)
    if reading.outcome is ProofOutcome.STILL_ACTIVE:
        assert told[-1][0] is ALLOWED
    assert (reading.first_refused_at is None) == (reading.outcome is not ProofOutcome.PROVEN)


def test_no_pause_is_longer_than_is_useful():
    """A denial that takes effect late is seen within two seconds."""
    played = Played([ALLOWED] * 8 + [DENIED], [ALLOWED])
    reading = played.read(Pace(patience_seconds=60.0))
    assert reading.outcome is ProofOutcome.PROVEN
    assert max(played.pauses) == Pace().longest_pause_seconds
    assert reading.read_at == played.now


def test_the_clock_of_a_reading_is_set_by_nobody():
    seconds = [7.0]
    steady = Steady(lambda: seconds[0])
    began = steady()
    assert abs(began - datetime.now(UTC)) < timedelta(seconds=5)
    seconds[0] = 9.5
    assert steady() - began == timedelta(seconds=2.5)
