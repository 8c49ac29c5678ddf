"""The directory: outside groups are asked only where they count, and silence is neither yes nor no."""

from __future__ import annotations

import pytest

from bot.directory import UNASKED, NotKnown
from tests.bot.circles import DBA, NO_PATIENCE, ROSTER, Circles, town
from tests.bot.test_desk import World

ON_CALL = ROSTER + '[group.ops]\npeople = ["robin"]\nslack = "S02"\noncall = true\n'


@pytest.fixture
async def place() -> tuple[World, Circles]:
    return await town(roster=ON_CALL, S01={"ana", "robin"}, S02={"bob", "nobody-here"})


async def test_only_named_groups_with_a_part_outside_are_asked(place: tuple[World, Circles]):
    world, circles = place
    assert await world.directory.membership("user:ana", ["sre", "gone"]) is UNASKED
    assert await world.directory.membership("caller:report-bot", ["dba"]) is UNASKED
    assert not circles.asked
    found = await world.directory.membership("user:ana", ["sre", "dba"])
    assert circles.asked == {"S01": 1}
    assert (found.groups, found.outside) == ({"dba"}, {"dba": {"ana", "robin"}})
    assert (found.of("user:robin"), found.of("bob")) == ({"dba"}, frozenset())


async def test_what_was_seen_is_kept_as_evidence(place: tuple[World, Circles]):
    found = await place[0].directory.membership("user:ana", ["ops"])
    assert found.seen == {"ops": {"source": "slack:S02", "at": "2026-11-20T10:00:00.000Z",
                                  "members": ["U-bob", "U-nobody-here"]}}  # fmt: skip
    assert found.outside == {"ops": {"bob"}}  # whom the roster does not know is nobody


async def test_groups_are_those_of_the_file_and_those_outside(place: tuple[World, Circles]):
    directory = place[0].directory
    assert await directory.groups_of("user:robin") == {"sre", "dba", "ops"}
    assert await directory.groups_of("user:bob") == {"ops"}
    assert await directory.groups_of("user:cara") == await directory.groups_of("user:nobody-here") == frozenset()


@pytest.mark.parametrize(
    ("person", "reviews", "on_call"),
    [("ana", True, False), ("bob", True, True), ("robin", True, True), ("kim", True, True), ("cara", False, False)],
)
async def test_reviewers_are_in_some_group_and_on_call_is_a_group(place, person, reviews, on_call):
    directory = place[0].directory
    assert await directory.is_reviewer(f"user:{person}") is reviews
    assert await directory.is_on_call(f"user:{person}") is on_call


async def test_a_silent_source_holds_up_only_whom_it_matters_to(place: tuple[World, Circles]):
    world, circles = place
    circles.down = True
    assert await world.directory.is_on_call("user:robin")
    assert await world.directory.is_reviewer("user:kim")
    for question in (world.directory.is_on_call, world.directory.is_reviewer, world.directory.groups_of):
        with pytest.raises(NotKnown, match="Slack answered ratelimited") as caught:
            await question("user:bob")
        assert caught.value.code == "membership_unknown"


async def test_one_group_that_is_known_is_enough(place: tuple[World, Circles]):
    world, circles = place
    del circles.groups["S02"]
    assert await world.directory.is_reviewer("user:ana")
    found = await world.directory.membership("user:ana", ["dba", "ops"])
    assert (found.groups, set(found.unknown)) == ({"dba"}, {"ops"})


async def test_without_slack_its_groups_are_unknown_and_not_empty():
    world = await World().start(roster=ROSTER)
    found = await world.directory.membership("user:ana", ["dba"])
    assert found.unknown == {"dba": "Slack is not connected to this Countersign"}


async def test_a_source_that_never_answers_counts_as_unknown():
    world, circles = await town(patience=NO_PATIENCE)
    circles.mute = True
    found = await world.directory.membership("user:ana", ["dba"])
    assert found.unknown == {"dba": "Slack did not answer in time"}


async def test_a_new_roster_is_asked_by_at_once():
    world, circles = await town(roster=ROSTER.replace(DBA, DBA + 'people = ["kim"]\n'))
    assert await world.directory.groups_of("user:kim") == {"sre", "dba", "oncall"}
    circles.groups["S01"] = set()
    assert await world.directory.groups_of("user:ana") == frozenset()
