"""Being away: one record, one line in the log, and every process decides by it at its next commit."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from approvers.audit import SYSTEM
from approvers.errors import CountersignError
from bot.away import Away
from tests.bot.circles import PEOPLE
from tests.bot.test_desk import World, caller, person
from tests.worlds import samples
from tests.worlds.samples import NOW
from tests.worlds.texts import records_of
from workers.policies import Lent, Policies, apply
from workers.stores import layout

SUNDAY = NOW.replace(day=22, hour=23, minute=59, second=59)


@pytest.fixture
async def world() -> World:
    return await World().start(roster=samples.ROSTER_TEXT + PEOPLE)


@pytest.fixture
def away(world: World) -> Away:
    return Away(world.store, world.policies, world.reader)


async def lines(world: World) -> list[tuple[str, dict]]:
    records = await records_of(world.store, SYSTEM)
    await world.types(SYSTEM)
    return [(one["type"], one["data"]) for one in records if one["type"].startswith("away.")]


async def stored(world: World) -> list[dict]:
    record = (await world.store.records.read([layout.AWAY])).records[layout.AWAY]
    return json.loads(record.json)["away"]


async def test_a_seat_is_lent_at_once_and_on_the_record(world: World, away: Away):
    assert await away.lend(person("ana"), "user:bob", SUNDAY) == Lent("ana", "bob", SUNDAY)
    assert world.policies.current.lenders("bob", NOW) == ("ana",)
    until = "2026-11-22T23:59:59.000Z"
    assert await lines(world) == [("away.set", {"from": "user:ana", "to": "user:bob", "until": until})]
    assert await stored(world) == [
        {"from": "ana", "to": "bob", "until": until, "by": "user:ana", "at": "2026-11-20T10:00:00.000Z"}
    ]


async def test_who_lends_again_lends_to_the_new_one_only(world: World, away: Away):
    await away.lend(person("ana"), "bob", SUNDAY)
    await away.lend(person("cara"), "bob", SUNDAY)
    await away.lend(person("ana"), "kim", SUNDAY + timedelta(days=1))
    assert world.policies.current.lenders("bob", NOW) == ("cara",)
    assert world.policies.current.lenders("user:kim", NOW) == ("ana",)


async def test_a_seat_is_taken_back_once(world: World, away: Away):
    await away.lend(person("ana"), "bob", SUNDAY)
    await away.lend(person("cara"), "bob", SUNDAY)
    assert await away.end(person("ana")) is True
    assert await away.end(person("ana")) is False
    assert world.policies.current.lenders("bob", NOW) == ("cara",)
    assert (await lines(world))[2:] == [("away.ended", {"from": "user:ana", "to": "user:bob"})]


async def test_what_is_over_is_dropped_from_the_record_with_the_next_change(world: World, away: Away):
    await away.lend(person("ana"), "bob", SUNDAY)
    world.time = SUNDAY + timedelta(seconds=1)
    assert await away.end(person("ana")) is False
    await away.lend(person("cara"), "bob", SUNDAY + timedelta(days=2))
    assert [one["from"] for one in await stored(world)] == ["cara"]


async def test_another_process_hears_of_it(world: World, away: Away):
    other = Policies(world.store.records, world.store.signals)
    await other.refresh()
    await away.lend(person("ana"), "bob", SUNDAY)
    assert other.current.lenders("bob", NOW) == ()
    await other.refresh()
    assert other.current.lenders("bob", NOW) == ("ana",)


async def test_two_who_lend_at_once_both_do(world: World, away: Away):
    names = ["ana", "cara", "robin", "alex", "kim"]
    await asyncio.gather(*(away.lend(person(name), "bob", SUNDAY) for name in names))
    assert world.policies.current.lenders("bob", NOW) == tuple(sorted(names))


async def test_it_is_stored_under_the_rules_as_they_stand(world: World, away: Away):
    """Another process applies a roster without bob while this one still believes in him."""
    await apply(world.store.records, policy=None, roster=samples.ROSTER_TEXT + "[person.ana]\n", by="x", why="left")
    assert "bob" in world.policies.current.roster.persons
    with pytest.raises(CountersignError, match="no person 'bob'"):
        await away.lend(person("ana"), "bob", SUNDAY)


@pytest.mark.parametrize(
    ("who", "to", "until", "code", "field"),
    [
        (person("ana"), "nobody", SUNDAY, "inadmissible", "to"),
        (person("ana"), "caller:report-bot", SUNDAY, "inadmissible", "to"),
        (person("ana"), "ana", SUNDAY, "inadmissible", "to"),
        (person("ana"), "bob", NOW, "inadmissible", "until"),
        (person("ana"), "bob", NOW + timedelta(days=61), "inadmissible", "until"),
        (person("gone"), "bob", SUNDAY, "unknown_principal", None),
        (caller(), "bob", SUNDAY, "people_only", None),
    ],
    ids=["unknown", "program", "self", "over", "too-long", "left", "caller"],
)
async def test_what_cannot_be_lent_is_refused_and_not_stored(world: World, away: Away, who, to, until, code, field):
    with pytest.raises(CountersignError) as caught:
        await away.lend(who, to, until)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert await lines(world) == []


async def test_cards_that_wait_are_told_again_when_a_seat_is_lent_and_taken_back(world: World, away: Away):
    view = await world.ask()
    asked = [number for number, _ in await world.store.outbox.unread()]
    await world.store.outbox.told(asked)
    for change in (away.lend(person("robin"), "bob", SUNDAY), away.end(person("robin"))):
        await change
        told = await world.store.outbox.unread()
        assert [json.loads(line)["type"] for _, line in told] == ["card.refresh"]
        assert json.loads(told[0][1])["request"] == view.request.id
        await world.store.outbox.told([number for number, _ in told])
    await away.lend(person("cara"), "bob", SUNDAY)  # cara is in no group that is asked
    assert await world.store.outbox.unread() == []
