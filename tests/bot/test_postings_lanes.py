"""One lane: one thing at a time, in order, when the platform lets us, and only while we may act."""

import asyncio
import time
from collections.abc import Callable

import pytest

from bot.postings_alarms import Alarms
from bot.postings_lanes import FIRST_PAUSE, STORE_SECONDS, Lane, NotNow
from bot.postings_record import Cards
from bot.postings_scenes import Scene
from bot.surfaces.port import OutcomeUnknown, Unreachable
from tests.bot.postings_town import Sink
from tests.worlds import samples
from tests.worlds.boards import Board
from tests.worlds.samples import NOW
from workers.stores.memory import memory_store
from workers.stores.port import Snapshot, Unavailable

FAR = float("inf")


class Shows:
    """Note which requests are shown, and fail as asked: each fault once, in order."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.begun: list[float] = []
        self.fresh: list[bool] = []
        self.faults: list[Exception] = []
        self.during: Callable[[], None] = lambda: None
        self.owed: dict[str, int] = {}
        """How many lines the threads of a request lack."""

    async def __call__(self, lane: Lane, request: str, scene: Scene | None, *, talk: bool) -> bool:
        self.begun.append(time.monotonic())
        self.fresh.append(scene is not None)
        self.during()
        await asyncio.sleep(0)
        if self.faults:
            raise self.faults.pop(0)
        self.shown.append(f"{request} says" if talk else request)
        self.owed[request] = self.owed.get(request, 0) - talk
        return self.owed[request] > 0


def lane(shows: Shows) -> Lane:
    return Lane(("slack", "C01"), Board(), shows, Alarms(memory_store().records, Sink()))


def scene(name: str) -> Scene:
    asked = samples.request().model_copy(update={"id": name})
    return Scene(asked, None, Cards(), Snapshot(NOW, {}), time.monotonic(), ())


async def run(one: Lane, may_until: float = FAR) -> None:
    if task := one.wake(may_until):
        await asyncio.wait_for(task, 5)


async def test_requests_are_shown_in_order_each_once():
    shows = Shows()
    one = lane(shows)
    for name in ("req_1", "req_2", "req_1", "req_3"):
        one.add(scene(name))
    await run(one)
    assert shows.shown == ["req_1", "req_2", "req_3"]
    assert shows.fresh == [True, False, False]


async def test_lines_are_said_one_by_one_when_no_card_waits():
    shows = Shows()
    shows.owed = {"req_1": 2, "req_2": 1}
    one = lane(shows)
    shows.during = lambda: one.add(scene("req_3")) if len(shows.begun) == 3 else None
    for name in ("req_1", "req_2"):
        one.add(scene(name))
    await run(one)
    assert shows.shown == ["req_1", "req_2", "req_1 says", "req_3", "req_1 says", "req_2 says"]


async def test_while_lines_have_to_wait_cards_go_on():
    shows = Shows()
    shows.owed = {"req_1": 1}
    one = lane(shows)

    def refuse_to_talk() -> None:
        if len(shows.begun) == 2:
            shows.faults.append(Unreachable("its messages for now", after_seconds=0.3))
            one.add(scene("req_2"))

    shows.during = refuse_to_talk
    one.add(scene("req_1"))
    await run(one)
    assert shows.shown == ["req_1", "req_2", "req_1 says"]
    assert shows.begun[2] - shows.begun[1] < 0.2  # the card did not wait for what the line was told to
    assert shows.begun[3] - shows.begun[1] >= 0.3


async def test_what_is_asked_again_while_it_is_shown_is_shown_again_from_a_new_reading():
    shows = Shows()
    one = lane(shows)
    shows.during = lambda: one.add(scene("req_1")) if len(shows.begun) == 1 else None
    one.add(scene("req_1"))
    await run(one)
    assert (shows.shown, shows.fresh) == (["req_1", "req_1"], [True, False])


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (Unreachable("429", after_seconds=0.2), 0.2),
        (OutcomeUnknown("?"), FIRST_PAUSE),
        (Unavailable("store"), STORE_SECONDS),
    ],
    ids=["told to wait", "no answer", "no store"],
)
async def test_what_could_not_be_shown_stays_first_and_waits(fault: Exception, seconds: float):
    shows = Shows()
    shows.faults = [fault]
    one = lane(shows)
    one.add(scene("req_1"))
    one.add(scene("req_2"))
    await run(one)
    assert shows.shown == ["req_1", "req_2"]
    assert shows.begun[1] - shows.begun[0] >= seconds


async def test_nothing_is_begun_after_its_time_and_what_waits_is_kept():
    shows = Shows()
    shows.faults = [Unreachable("down", after_seconds=0.01)] * 100
    one = lane(shows)
    one.add(scene("req_1"))
    await run(one, time.monotonic() + 0.1)
    tried = len(shows.begun)
    assert 1 <= tried < 100 and shows.shown == []
    await run(one, time.monotonic() - 1)
    assert len(shows.begun) == tried
    with pytest.raises(NotNow):
        one.check()
    shows.faults.clear()
    await run(one)
    assert shows.shown == ["req_1"]


async def test_an_act_that_comes_too_late_is_put_back():
    shows = Shows()
    shows.faults = [NotNow()]
    one = lane(shows)
    one.add(scene("req_1"))
    await run(one)
    assert (shows.shown, len(shows.begun)) == (["req_1"], 2)


async def test_waits_double_while_nobody_answers_and_begin_anew_after_an_answer():
    shows = Shows()
    one = lane(shows)
    shows.faults = [OutcomeUnknown("?"), OutcomeUnknown("?")]
    one.add(scene("req_1"))
    await run(one)
    first, second, third = shows.begun
    assert second - first >= FIRST_PAUSE and third - second >= 2 * FIRST_PAUSE
    one.well()
    shows.faults = [OutcomeUnknown("?")]
    one.add(scene("req_1"))
    await run(one)
    assert shows.begun[4] - shows.begun[3] < 2 * FIRST_PAUSE
