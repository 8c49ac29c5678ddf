"""The rulebook: who answers for whom, out of the file and out of what people said, at one moment."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.away import Away
from tests.bot.test_desk import World, person
from tests.worlds import samples
from tests.worlds.samples import NOW
from workers.policies import apply

PEOPLE = "[person.ana]\n[person.bob]\n"
FILE = samples.ROSTER_TEXT + PEOPLE + '[[delegation]]\nfrom = "robin"\nto = "bob"\nuntil = 2026-11-23\n'
BERLIN = samples.POLICY_TEXT.replace('timezone       = "UTC"', 'timezone = "Europe/Berlin"')


@pytest.fixture
async def world() -> World:
    return await World().start(BERLIN, FILE)


async def test_the_file_lends_to_the_end_of_its_day_in_the_policys_zone(world: World):
    book = world.policies.current
    midnight = NOW.replace(day=23, hour=23, minute=0)  # UTC: the 24th begins in Berlin
    assert book.lenders("bob", midnight - timedelta(milliseconds=1)) == ("robin",)
    assert book.lenders("bob", midnight) == ()


async def test_file_and_people_lend_side_by_side_and_the_card_says_who_answers(world: World):
    away = Away(world.store, world.policies, world.reader)
    await away.lend(person("kim"), "bob", NOW + timedelta(days=5))
    await away.lend(person("ana"), "bob", NOW + timedelta(days=5))
    book = world.policies.current
    assert book.lenders("user:bob", NOW) == ("ana", "kim", "robin")
    assert book.stand_ins({"sre": 2}, NOW) == ("bob answers for kim until 25 Nov", "bob answers for robin until 23 Nov")
    assert book.stand_ins({"sre": 1}, NOW + timedelta(days=4)) == ("bob answers for kim until 25 Nov",)
    assert book.stand_ins({"dba": 1}, NOW) == ()
    outside = {"dba": frozenset({"ana"})}
    assert book.stand_ins({"dba": 1}, NOW, outside) == ("bob answers for ana until 25 Nov",)


async def test_two_delegations_of_one_seat_are_one_line_with_the_later_day(world: World):
    await Away(world.store, world.policies, world.reader).lend(person("robin"), "bob", NOW + timedelta(days=9))
    assert world.policies.current.stand_ins({"sre": 1}, NOW) == ("bob answers for robin until 29 Nov",)


async def test_whom_the_roster_has_lost_lends_nothing(world: World):
    await Away(world.store, world.policies, world.reader).lend(person("ana"), "bob", NOW + timedelta(days=5))
    text = samples.ROSTER_TEXT + "[person.bob]\n"
    await apply(world.store.records, policy=None, roster=text, by="user:dana", why="ana left")
    await world.policies.refresh()
    assert world.policies.current.delegations == ()
