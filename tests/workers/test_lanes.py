"""Each account has its turns; one that does not answer is tried now and then only, and holds up no other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
import structlog

from tests.worlds.ministack import a_plan
from workers.lanes import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, TRIPS, WAIT_SECONDS, Lane, Lanes, Later
from workers.providers.port import NotSent, OutcomeUnknown, ProofOutcome, ProviderError, Reading, Refused

SILENT = Reading(ProofOutcome.UNKNOWN, 0, 0, None, "AWS could not be asked", unanswered=True)
HEARD = Reading(ProofOutcome.STILL_ACTIVE, 0, 3, None, "still allowed")


class Time:
    """Seconds that stand still until moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def lane(time: Time) -> Lane:
    return Lane("prod", 2, clock=time, jitter=lambda least, _most: least)


def raising(error: Exception) -> Callable[[], None]:
    def call() -> None:
        raise error

    return call


async def go(lane: Lane, call: Callable[[], object] = lambda: None) -> str:
    """Take a turn and call; say how it went."""
    try:
        async with lane.turn():
            await lane.call(call)
    except Later as later:
        return f"later {later.delay.total_seconds():g}"
    except ProviderError as error:
        return type(error).__name__
    return "called"


async def trip(lane: Lane) -> None:
    for _ in range(TRIPS):
        await go(lane, raising(NotSent("Throttling")))


@pytest.mark.parametrize(
    ("call", "counts"),
    [
        (raising(NotSent("Throttling")), True),
        (raising(OutcomeUnknown("no answer in time")), True),
        (raising(Refused("AccessDenied")), False),
        (raising(ProviderError("no room for another Deny")), False),
        (lambda: SILENT, True),
        (lambda: HEARD, False),
        (lambda: None, False),
    ],
    ids=["throttled", "timeout", "a no", "another error", "unread", "read", "fine"],
)
async def test_what_makes_an_account_troubled(lane: Lane, call: Callable[[], object], counts: bool):
    for number in range(TRIPS):
        assert not lane.troubled, number
        await go(lane, call)
    assert lane.troubled is counts


async def test_an_answer_in_between_starts_the_count_again(lane: Lane):
    for call in [raising(NotSent("x"))] * (TRIPS - 1) + [lambda: None] + [raising(NotSent("x"))] * (TRIPS - 1):
        await go(lane, call)
    assert not lane.troubled


async def test_a_troubled_account_is_tried_by_one_now_and_then_and_rarer_each_time(lane: Lane, time: Time):
    await trip(lane)
    pauses = []
    for _ in range(8):
        pause = float((await go(lane)).removeprefix("later "))
        pauses.append(pause)
        time.seconds += pause
        tries = [go(lane, raising(NotSent("still"))), go(lane), go(lane)]
        said = await asyncio.gather(*tries)
        assert said[0] == "NotSent", "one tries"
        assert all(word.startswith("later") for word in said[1:]), "and no other"
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pauses[0] == FIRST_PAUSE_SECONDS
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    time.seconds += 60
    assert await go(lane) == "called"
    assert not lane.troubled
    assert await go(lane) == "called"


async def test_calls_that_were_on_their_way_when_it_tripped_make_the_pause_no_longer(time: Time):
    lane, silence = Lane("prod", 16, clock=time, jitter=lambda least, _most: least), threading.Event()

    def call() -> None:
        assert silence.wait(10)
        raise OutcomeUnknown("no answer in time")

    on_their_way = [asyncio.create_task(lane.call(call)) for _ in range(5)]
    await asyncio.sleep(0)
    time.seconds += 1
    await trip(lane)
    silence.set()
    await asyncio.gather(*on_their_way, return_exceptions=True)
    assert await go(lane) == f"later {FIRST_PAUSE_SECONDS:g}"


async def test_one_that_tries_but_never_calls_does_not_end_the_trying(lane: Lane, time: Time):
    await trip(lane)
    time.seconds += FIRST_PAUSE_SECONDS
    async with lane.turn():
        pass  # its grant was taken away in the meantime
    assert (await go(lane)).startswith("later")
    time.seconds += FIRST_PAUSE_SECONDS
    assert await go(lane) == "called"


async def test_those_who_wait_for_a_turn_are_sent_away_when_the_account_turns_out_troubled(lane: Lane):
    ready, free = asyncio.Event(), asyncio.Event()

    async def hold() -> str:
        async with lane.turn():
            ready.set()
            await free.wait()
            return await go_on()

    async def go_on() -> str:
        try:
            await lane.call(raising(OutcomeUnknown("no answer in time")))
        except OutcomeUnknown:
            return "no answer"
        return "answer"

    holders = [asyncio.create_task(hold()) for _ in range(2)]
    await ready.wait()
    waiting = asyncio.create_task(go(lane))
    await asyncio.sleep(0)
    for _ in range(TRIPS - 1):
        with pytest.raises(NotSent):
            await lane.call(raising(NotSent("Throttling")))
    free.set()
    assert await asyncio.gather(*holders) == ["no answer", "no answer"]
    assert (await waiting).startswith("later")


async def test_no_more_calls_at_a_time_than_turns_even_when_their_attempts_were_given_up(lane: Lane):
    running, most = 0, 0
    free, both, lock = threading.Event(), threading.Event(), threading.Lock()

    def call() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == 2:
                both.set()
        free.wait(20)
        with lock:
            running -= 1

    given_up = [asyncio.create_task(go(lane, call)) for _ in range(2)]
    await asyncio.to_thread(both.wait, 20)
    for task in given_up:
        task.cancel()
    await asyncio.gather(*given_up, return_exceptions=True)
    more = [asyncio.create_task(go(lane, call)) for _ in range(2)]
    await asyncio.sleep(0)
    free.set()
    await asyncio.gather(*more)
    assert most == 2


async def test_whoever_would_wait_too_long_comes_again_later(lane: Lane, time: Time):
    free, ready = asyncio.Event(), asyncio.Semaphore(0)

    async def slow() -> None:
        async with lane.turn():
            ready.release()
            await free.wait()

    slow_ones = [asyncio.create_task(slow()) for _ in range(4)]
    for _ in range(2):
        await ready.acquire()
    time.seconds += WAIT_SECONDS + 1
    assert await go(lane) == "later 3", "two wait for two turns that take as long as the oldest already took"
    free.set()
    await asyncio.gather(*slow_ones)
    assert await go(lane) == "called"


@pytest.mark.parametrize(
    ("within", "said"),
    [(timedelta(seconds=0.5), "later 0.5"), (timedelta(), "in"), (timedelta(seconds=-1), "in"), (None, "later 1")],
    ids=str,
)
async def test_a_mint_comes_back_before_its_deadline_and_needs_no_turn_after_it(
    lane: Lane, within: timedelta | None, said: str
):
    await trip(lane)
    try:
        async with lane.turn(within):
            found = "in"
    except Later as later:
        found = f"later {later.delay.total_seconds():g}"
    assert found == said


async def test_an_account_that_hangs_takes_no_turn_from_another(time: Time):
    lanes = Lanes(lambda name: Lane(name, 2, clock=time))
    hanging, healthy = lanes.of(a_plan(account="a", account_id="1" * 12)), lanes.of(a_plan())
    assert hanging is lanes.of(a_plan(account="a", account_id="1" * 12, role="other")), "one lane for an account"
    free = threading.Event()
    stuck = [asyncio.create_task(go(hanging, lambda: free.wait(20))) for _ in range(10)]
    assert await asyncio.gather(*(go(healthy) for _ in range(50))) == ["called"] * 50
    assert not any(task.done() for task in stuck)
    free.set()
    await asyncio.gather(*stuck)
    await lanes.settle()


async def test_what_fails_aside_is_logged_and_breaks_nothing():
    async def breaks() -> None:
        raise ConnectionError("redis://:hush@store")

    lanes = Lanes()
    with structlog.testing.capture_logs() as logs:
        lanes.aside(breaks())
        await lanes.settle()
    assert [(line["event"], line["why"]) for line in logs] == [("aside.failed", "ConnectionError")]
