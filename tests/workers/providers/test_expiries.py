"""One reading of the provider's clock shows every expiry that lies before it, for a second."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from tests.worlds.samples import NOW
from workers.providers.expiries import KEPT_SECONDS, Readings


class Watch:
    """A clock at the provider, and our own seconds; each reading is counted."""

    def __init__(self) -> None:
        self.there, self.seconds, self.asked = NOW, 0.0, 0
        self.readings = Readings(lambda: self.seconds)

    def ask(self) -> datetime:
        self.asked += 1
        return self.there

    def past(self, **ago: float) -> datetime:
        return self.readings.past(NOW - timedelta(**ago), self.ask)


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_what_expired_before_the_reading_needs_no_other(watch: Watch):
    assert [watch.past(seconds=number) for number in range(1, 50)] == [NOW] * 49
    assert watch.asked == 1


@pytest.mark.parametrize("ago", [0, -1], ids=["at that very second", "not yet expired"])
def test_what_a_reading_does_not_show_is_asked_anew(watch: Watch, ago: int):
    watch.past(seconds=9)
    watch.there = NOW + timedelta(seconds=5)
    assert watch.past(seconds=ago) == watch.there
    assert watch.asked == 2


def test_a_reading_is_used_for_a_second_only(watch: Watch):
    watch.past(seconds=9)
    watch.seconds = KEPT_SECONDS
    watch.past(seconds=9)
    assert watch.asked == 2


def test_a_clock_that_went_back_is_believed(watch: Watch):
    watch.past(seconds=9)
    watch.seconds, watch.there = KEPT_SECONDS, NOW - timedelta(minutes=5)
    assert watch.past(seconds=9) == watch.there


def test_a_clock_that_cannot_be_read_leaves_what_was_known_and_frees_the_turn(watch: Watch):
    def fail() -> datetime:
        raise OSError("away")

    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            watch.readings.past(NOW, fail)
    assert watch.past(seconds=1) == NOW


def test_those_who_ask_at_once_share_one_reading(watch: Watch):
    asked, answer = threading.Event(), threading.Event()

    def slow() -> datetime:
        watch.asked += 1
        asked.set()
        assert answer.wait(10)
        return NOW

    def look(_: int) -> datetime:
        return watch.readings.past(NOW - timedelta(seconds=1), slow)

    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(look, number) for number in range(8)]
        assert asked.wait(10)
        answer.set()
        assert {one.result() for one in found} == {NOW}
    assert watch.asked == 1


def test_one_reading_that_hangs_holds_up_no_other(watch: Watch):
    watch.readings = Readings(lambda: watch.seconds, turn_seconds=0.01)
    answer, hangs = threading.Event(), threading.Event()

    def hang() -> datetime:
        hangs.set()
        assert answer.wait(10)
        return NOW

    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(watch.readings.past, NOW, hang)
        assert hangs.wait(10)
        assert watch.past(seconds=1) == NOW
        assert not stuck.done()
        answer.set()
