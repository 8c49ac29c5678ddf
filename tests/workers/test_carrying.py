"""Items are carried side by side: none waits for another, too many wait outside, and at the end all is settled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import structlog

from workers.carrying import Background, Carrier
from workers.stores.port import Attempt

LONG = 30.0
"""A patience that no test waits out."""


def items(*names: str) -> list[Attempt]:
    return [Attempt(name, number) for number, name in enumerate(names)]


class Hands:
    """Carry each item when its gate opens; note what began and what came back."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.cancelled: list[str] = []

    async def __call__(self, item: Attempt) -> str:
        self.begun.put_nowait(item.member)
        try:
            await self.gates.setdefault(item.member, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.cancelled.append(item.member)
            raise
        if item.member.startswith("broken"):
            raise RuntimeError(item.member)
        return "done"

    async def seen(self, count: int) -> list[str]:
        return [await self.begun.get() for _ in range(count)]

    def open(self, *names: str) -> None:
        for name in names:
            self.gates.setdefault(name, asyncio.Event()).set()


@pytest.fixture
async def hands() -> AsyncIterator[Hands]:
    hands = Hands()
    yield hands
    hands.open(*hands.gates)


async def test_a_job_returns_when_all_its_items_are_done(hands: Hands):
    carrier = Carrier(hands, patience_seconds=LONG)
    job = asyncio.create_task(carrier.take(items("a", "b", "c")))
    assert await hands.seen(3) == ["a", "b", "c"], "side by side"
    hands.open("a", "b")
    assert not job.done()
    hands.open("c")
    assert await job == "3 × done"


async def test_a_slow_item_goes_on_while_the_next_job_is_taken(hands: Hands):
    carrier = Carrier(hands, patience_seconds=0.0)
    assert await carrier.take(items("slow")) == "still under way"
    hands.open("quick")
    await carrier.take(items("quick"))
    hands.open("slow")
    await carrier.settle(timedelta(seconds=LONG))
    assert hands.cancelled == []


async def test_when_too_many_are_in_hand_the_job_waits(hands: Hands):
    carrier = Carrier(hands, most=2, patience_seconds=LONG)
    job = asyncio.create_task(carrier.take(items("a", "b", "c")))
    await hands.seen(2)
    await asyncio.sleep(0)
    assert hands.begun.empty(), "the third one has not begun"
    hands.open("a")
    assert await hands.seen(1) == ["c"]
    hands.open("b", "c")
    assert await job == "3 × done"


async def test_one_that_breaks_fails_its_job_and_no_other_item(hands: Hands):
    carrier = Carrier(hands, patience_seconds=LONG)
    hands.open("broken", "fine")
    with structlog.testing.capture_logs() as logs, pytest.raises(RuntimeError, match="broken"):
        await carrier.take(items("broken", "fine"))
    assert [line["event"] for line in logs] == ["item.broke"]
    assert await hands.seen(2) == ["broken", "fine"]
    hands.open("later")
    assert await carrier.take(items("later")) == "done"


async def test_one_that_breaks_after_its_job_is_told_in_the_log(hands: Hands):
    carrier = Carrier(hands, patience_seconds=0.0)
    await carrier.take(items("broken"))
    with structlog.testing.capture_logs() as logs:
        hands.open("broken")
        await carrier.settle(timedelta(seconds=LONG))
        await asyncio.sleep(0)
    assert [(line["event"], str(line["exc_info"])) for line in logs] == [("item.broke", "broken")]


async def test_the_end_waits_for_what_is_in_hand_and_then_gives_it_up(hands: Hands):
    carrier = Carrier(hands, patience_seconds=0.0)
    await carrier.take(items("slow", "stuck"))
    await hands.seen(2)
    hands.open("slow")
    await carrier.settle(timedelta(seconds=0.05))
    assert hands.cancelled == ["stuck"]
    await carrier.settle(timedelta(seconds=LONG))


async def test_a_job_without_items_does_nothing(hands: Hands):
    assert await Carrier(hands).take([]) == ""


def test_a_loop_in_a_thread_gives_results_and_errors_and_ends_with_its_block():
    async def where() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def fail() -> None:
        raise KeyError("x")

    with Background() as loop:
        assert loop.wait(where()) is loop.wait(where())
        inner = loop.wait(where())
        with pytest.raises(KeyError):
            loop.wait(fail())
    assert inner.is_closed()
