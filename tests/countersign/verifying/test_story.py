"""What records tell, without any policy: what cannot have happened, what is open still, what is to be looked at."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import cache

from countersign.verifying.story import Story
from tests.countersign.verifying.retelling import Record, chained, later, line, record, told
from tests.countersign.verifying.test_forged import KNOCK, READ, answered, granted
from tests.worlds.history import History, caller, person


@cache
def _log(scenario) -> str:
    return json.dumps(told(scenario))


def log(scenario) -> list[Record]:
    return json.loads(_log(scenario))


def story_of(records: list[Record], first: int = 0) -> tuple[Story, list]:
    story, found = Story(), []
    for seen in chained(records)[first:]:
        found += story.feed(seen)
    return story, [*found, *story.end()]


async def waiting(history: History) -> None:
    await answered(history, KNOCK)


async def live(history: History) -> None:
    await answered(history, READ, ("robin", "approve"))
    await history.work()


async def extended(history: History) -> None:
    request = await answered(history, READ, ("robin", "approve"))
    await history.work()
    view = await history.reader.look(request)
    history.asked += 1
    await history.submit(caller(), {**READ, "reason": "go on", "extends": view.grant.id})


async def broken_glass(history: History) -> None:
    wish = {"break_glass": True, "ticket": "INC-42", "actor": {"id": "user:dana"}, **READ}
    request = await history.submit(person("dana"), wish)
    history.time += timedelta(hours=3)
    await history.work()
    await history.after.take(person("kim"), request, "unjustified", "no incident")


def test_what_is_young_where_the_log_ends_is_open_and_no_fault():
    for scenario, opens in ((waiting, 1), (live, 0)):
        story, found = story_of(log(scenario))
        assert found == []
        assert len(story.open) == opens
    assert story.ended == {"APPROVED": 1}


def test_what_nobody_ended_long_ago_is_flagged():
    for scenario, words in ((waiting, "was never answered"), (live, "no proof of its end")):
        records = log(scenario)
        records.append({**records[0], "at": later(records[-1]["at"], days=2)})
        _, found = story_of(records)
        assert [(one.code, one.line) for one in found] == [("flag", line(records, "request.submitted"))]
        assert words in found[0].what


def test_an_after_review_that_is_late_or_finds_fault_is_flagged_and_one_by_the_user_is_bad():
    records = log(broken_glass)
    _, found = story_of(records)
    assert {one.code for one in found} == {"flag"}
    said = " ".join(one.what for one in found)
    assert "its after-review is late" in said and "unjustified" in said
    record(records, "break_glass.reviewed")["by"]["person"] = "user:dana"
    _, found = story_of(records)
    assert [one.line for one in found if one.grave] == [line(records, "break_glass.reviewed")]


def test_what_goes_on_with_a_grant_needs_one_that_is_live_and_its_own():
    records = log(extended)
    assert [one for one in story_of(records)[1] if one.grave] == []
    without = [one for one in records if one["type"] != "grant.minted"]
    found = [one for one in story_of(without)[1] if one.grave]
    assert [one.line for one in found] == [line(without, "request.submitted", 1)]
    record(records, "request.submitted", 1)["by"]["person"] = "caller:other"
    assert any("another principal" in one.what for one in story_of(records)[1])


def test_an_end_long_after_its_ttl_is_flagged_with_the_slack_that_clocks_have():
    records = log(granted)
    ended = record(records, "grant.revoked")["data"]
    ended["proof"] |= {"at": later(ended["proof"]["at"], hours=2)}
    took = record(records, "grant.revoked")["data"]["ending"]["requested_at"]
    ended["ending"]["requested_at"] = later(took, hours=2)
    _, found = story_of(records)
    assert [one.code for one in found] == ["flag"]
    assert "after its TTL was over (0:05:00 are what clocks may differ by)" in found[0].what


def test_no_move_that_the_grants_table_does_not_have():
    records = log(granted)
    del records[line(records, "grant.claimed") - 1]
    _, found = story_of(records)
    assert (found[0].line, found[0].code) == (line(records, "grant.minted"), "bad_story")
    assert "cannot become ACTIVE" in found[0].what


def test_a_log_whose_beginning_was_dropped_says_how_many_it_does_not_know_and_blames_nobody():
    records = log(granted)
    story, found = story_of(records, first=line(records, "review.recorded") - 1)
    assert (found, story.unseen) == ([], 1)


def test_a_request_that_begins_with_something_else_or_twice():
    records = log(granted)
    first = line(records, "request.submitted")
    without = [*records[: first - 1], *records[first:]]
    assert story_of(without)[1][0].code == "bad_story"
    twice = [*records[:first], records[first - 1], *records[first:]]
    assert (story_of(twice)[1][0].line, story_of(twice)[1][0].code) == (first + 1, "bad_story")


async def unused(history: History) -> None:
    await answered(history, KNOCK, ("robin", "approve"))
    history.time += timedelta(hours=3)
    await answered(history, {**KNOCK, "parameters": {"number": 2}})


def test_of_an_approval_that_nobody_used_in_time_only_a_word_is_kept():
    story, found = story_of(log(unused))
    assert found == []
    assert story.ended == {"APPROVED": 1, "open": 1}
    assert [type(life).__name__ for life in story._lives.values()] == ["str", "Life"]
    records = log(unused)
    approved = record(records, "request.approved")
    data = {"action_digest": record(records, "request.submitted")["data"]["action_digest"]}
    records.append({**approved, "type": "request.consumed", "data": data, "at": later(approved["at"], hours=4)})
    assert [(one.line, one.code) for one in story_of(records)[1]] == [(len(records), "bad_story")]
