"""On-call groups of schedules kept elsewhere: who is named there is in the group, and silence is neither yes nor no."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from approvers.errors import Forbidden
from bot.directory import Directory, NotKnown
from bot.duty import check_on_call
from bot.schedules import KEPT, PAUSE, Schedules
from tests.bot.circles import Circles, seats
from tests.bot.test_desk import World, person
from tests.worlds import samples
from tests.worlds.schedule import TOKEN, ScheduleWorld, schedule_world
from tests.worlds.web import Alarm

KEY = "schedule.unreadable:db"


class House:
    """A desk whose sample ask needs somebody of `db-oncall`, the schedule, and a clock that the test turns."""

    def __init__(self, at: ScheduleWorld) -> None:
        self.at, self.alarm, self.world = at, Alarm(), World()
        self.directory: Directory = self.world.directory
        self.schedules = Schedules(self.world.policies, self.world.store.records.now, self.alarm, TOKEN)
        self.directory.sources["schedule"] = self.schedules

    async def apply(self, url: str, more: str = "") -> House:
        """Apply a roster with the schedule at this address; `more` belongs to its group."""
        roster = samples.ROSTER_TEXT + (
            f'[person.ana]\nemail = "Ana@example.com"\n[schedule.db]\nurl = "{url}"\n'
            f'[group.db-oncall]\noncall = "db"\n{more}'
        )
        await self.world.start(seats("{ db-oncall = 1 }"), roster)
        return self

    def later(self, by: timedelta) -> None:
        self.world.time += by

    async def unknown(self) -> str:
        """Return why the group is not known; fails if it is."""
        found = await self.directory.membership("user:dana", ["db-oncall"])
        assert (found.groups, found.outside) == (frozenset(), {})
        return found.unknown["db-oncall"]

    async def told(self) -> list[tuple[str, bool]]:
        """Return the alerts so far: key, and whether it is over."""
        await asyncio.sleep(0)  # they are told beside
        return [(one.key, one.cleared) for one in self.alarm.sent]


@pytest.fixture
async def at() -> AsyncIterator[ScheduleWorld]:
    async with schedule_world() as world:
        yield world


@pytest.fixture
async def house(at: ScheduleWorld) -> AsyncIterator[House]:
    made = await House(at).apply(at.url)
    yield made
    await made.schedules.aclose()


@pytest.mark.parametrize(
    ("on_call", "people"),
    [
        (["dana@example.com"], {"dana"}),
        (["DANA@EXAMPLE.COM", "user:robin"], {"dana", "robin"}),
        (["ana@example.com"], {"ana"}),
        (["user:dana", "dana@example.com", "dana@example.com"], {"dana"}),
        (["user:dana", "somebody@else.example", "user:nobody", "robin", "caller:report-bot"], {"dana"}),
    ],
)
async def test_people_are_found_by_address_or_name(house: House, on_call: list[str], people: set[str]):
    house.at.says = {"on_call": on_call}
    found = await house.directory.membership("user:dana", ["db-oncall", "sre"])
    assert found.outside == {"db-oncall": people}
    assert found.seen == {"db-oncall": {"source": "schedule:db", "at": "2026-11-20T10:00:00.000Z",
                                        "members": sorted(set(on_call))}}  # fmt: skip
    assert not house.at.strange


BAD: dict[str, tuple[Any, int, str]] = {
    "nobody": ({"on_call": []}, 200, "see on_call"),
    "nobody whom we know": ({"on_call": ["x@example.com", "dana"]}, 200, "names nobody of countersign.toml"),
    "over": ({"on_call": ["user:dana"], "until": "2026-11-20T10:00:00Z"}, 200, "a time that is over"),
    "no time zone": ({"on_call": ["user:dana"], "until": "2026-11-20T12:00:00"}, 200, "see until"),
    "no time": ({"on_call": ["user:dana"], "until": "tomorrow"}, 200, "see until"),
    "a list": (["user:dana"], 200, "see the whole"),
    "one person as text": ({"on_call": "user:dana"}, 200, "see on_call"),
    "a number": ({"on_call": ["user:dana", 7]}, 200, "see on_call.1"),
    "null": ({"on_call": None}, 200, "see on_call"),
    "nothing": ({}, 200, "see on_call"),
    "another key": ({"on_call": ["user:dana"], "untill": "2026-11-20T12:00:00Z"}, 200, "see untill"),
    "too many": ({"on_call": ["user:dana"] * 101}, 200, "see on_call"),
    "a page": ("<html>dana@example.com</html>", 200, "see the whole"),
    "cut off": ('{"on_call": ["user:da', 200, "see the whole"),
    "too long": ('{"on_call": ["user:dana"]}' + " " * 70_000, 200, "more than 65536 bytes"),
    "deep": ("[" * 60_000, 200, "see the whole"),
    "500": ({"on_call": ["user:dana"]}, 500, "HTTP 500"),
    "401": ({"on_call": ["user:dana"]}, 401, "HTTP 401"),
    "redirect": ({"on_call": ["user:dana"]}, 302, "HTTP 302"),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_strange_answer_is_unknown_and_told_once(house: House, kind: str):
    house.at.says, house.at.status, says = BAD[kind]
    for _ in range(2):
        assert says in await house.unknown()
        house.later(PAUSE)
    assert await house.told() == [(KEY, False)]
    assert not house.at.strange
    assert "dana@" not in house.alarm.sent[0].summary
    house.at.says, house.at.status = {"on_call": ["user:dana"]}, 200
    assert (await house.directory.membership("user:dana", ["db-oncall"])).groups == {"db-oncall"}
    assert await house.told() == [(KEY, False), (KEY, True)]


async def test_what_cannot_be_reached_is_unknown(house: House):
    await house.apply("http://127.0.0.1:9/db")
    assert "cannot be reached" in await house.unknown()
    assert await house.told() == [(KEY, False)]
    assert TOKEN not in house.alarm.sent[0].summary


async def test_an_answer_is_kept_for_a_minute_at_most(house: House):
    assert await house.directory.is_on_call("user:dana")
    house.at.says = {"on_call": ["user:robin"]}
    house.later(KEPT - timedelta(seconds=1))
    assert await house.directory.is_on_call("user:dana")
    house.later(timedelta(seconds=1))
    assert not await house.directory.is_on_call("user:dana")
    assert await house.directory.is_on_call("user:robin")
    assert house.at.asked == 2


async def test_an_answer_is_kept_no_longer_than_it_says(house: House):
    house.at.says = {"on_call": ["user:dana"], "until": "2026-11-20T11:00:10+01:00"}
    assert await house.directory.is_on_call("user:dana")
    house.at.says = {"on_call": ["user:robin"], "until": "2026-11-21T10:00:00Z"}
    house.later(timedelta(seconds=9))
    assert await house.directory.is_on_call("user:dana")
    house.later(timedelta(seconds=1))
    assert not await house.directory.is_on_call("user:dana")


async def test_a_clock_that_goes_back_reads_again(house: House):
    await house.directory.is_on_call("user:dana")
    house.later(-timedelta(hours=1))
    await house.directory.is_on_call("user:dana")
    assert house.at.asked == 2


async def test_an_answer_is_not_kept_beyond_its_end_while_the_schedule_is_silent(house: House):
    assert await house.directory.is_on_call("user:dana")
    house.at.status = 503
    house.later(KEPT)
    assert "HTTP 503" in await house.unknown()


async def test_many_who_ask_at_once_read_once(house: House):
    found = await asyncio.gather(*(house.directory.is_on_call(f"user:{name}") for name in ("dana", "robin") * 10))
    assert found == [True, False] * 10
    assert house.at.asked == 1


async def test_a_changed_address_is_asked_at_once(house: House):
    await house.directory.is_on_call("user:dana")
    async with schedule_world() as second:
        second.says = {"on_call": ["user:robin"]}
        await house.apply(second.url)
        assert await house.directory.is_on_call("user:robin")
        assert not await house.directory.is_on_call("user:dana")


async def test_a_silent_schedule_is_unknown_before_whoever_clicked_has_waited_long(house: House):
    house.at.hangs = True
    policies, now, hasty = house.world.policies, house.world.store.records.now, timedelta(milliseconds=50)
    house.directory.sources["schedule"] = Schedules(policies, now, house.alarm, TOKEN, patience=hasty)
    assert await house.unknown() == "the on-call schedule db did not answer in time"
    assert await house.told() == [(KEY, False)]


async def test_a_group_may_have_two_parts_and_both_have_to_be_known(at: ScheduleWorld):
    house = await House(at).apply(at.url, 'slack = "S01"\n')
    assert "Slack is not connected" in await house.unknown()
    circles = house.directory.sources["slack"] = Circles(S01={"robin"})
    found = await house.directory.membership("user:dana", ["db-oncall"])
    assert found.outside == {"db-oncall": {"dana", "robin"}}
    assert found.seen["db-oncall"]["source"] == "slack:S01, schedule:db"
    assert found.seen["db-oncall"]["members"] == ["U-robin", "dana@example.com"]
    circles.down = True
    assert await house.unknown() == "Slack answered ratelimited"
    circles.down, at.status = False, 500
    house.later(KEPT)
    assert "HTTP 500" in await house.unknown()
    await house.schedules.aclose()


async def test_without_a_reader_of_schedules_the_group_is_unknown():
    world = await World().start(roster=samples.ROSTER_TEXT + (
        '[schedule.db]\nurl = "https://oncall.example.com/db"\n[group.db-oncall]\noncall = "db"\n'
    ))  # fmt: skip
    with pytest.raises(NotKnown, match="the on-call schedule db is not connected"):
        await world.directory.is_on_call("user:dana")


async def test_whoever_is_on_call_has_the_seat_and_nobody_else(house: House):
    house.at.says = {"on_call": ["user:robin"]}
    asked = await house.world.ask()
    with pytest.raises(Forbidden) as caught:
        await house.world.click(asked, "alex")
    assert caught.value.code == "no_seat"
    with pytest.raises(Forbidden) as caught:
        await check_on_call(person("alex"), house.directory, "lift a freeze")
    assert caught.value.code == "not_on_call"
    await check_on_call(person("robin"), house.directory, "lift a freeze")
    done = await house.world.click(asked, "robin")
    assert done.request.state == "APPROVED"
    bodies = await house.world.store.log.chain(asked.request.id)
    seen = [json.loads(body)["data"]["seen_in"] for body in bodies if b"review.recorded" in body]
    assert seen == [{"db-oncall": {"source": "schedule:db", "at": "2026-11-20T10:00:00.000Z",
                                   "members": ["user:robin"]}}]  # fmt: skip


async def test_a_silent_schedule_refuses_the_click_as_not_known_and_not_as_no(house: House):
    asked = await house.world.ask()
    house.at.status = 500
    with pytest.raises(NotKnown, match="HTTP 500") as caught:
        await house.world.click(asked, "alex")
    assert caught.value.code == "membership_unknown"
    assert (await house.world.reader.look(asked.request.id)).request.state == "PENDING"


async def test_the_watch_tells_before_anybody_clicks_and_forgets_what_is_no_longer_asked(house: House):
    house.at.status = 500
    await house.schedules.look_at_all()
    assert await house.told() == [(KEY, False)]
    await house.world.start(samples.POLICY_TEXT, samples.ROSTER_TEXT)
    await house.schedules.look_at_all()
    assert await house.told() == [(KEY, False), (KEY, True)]
    assert house.at.asked == 1
