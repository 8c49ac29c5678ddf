"""What a waiting request needs as time passes, to the moment: levels, reach, reminders, and when to look next."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers import request as requests
from approvers.answer import answer, nobody_reached
from approvers.card import render, shown_digest
from approvers.escalation import asked_on
from approvers.policy import Ladder, Level
from approvers.request import Because, Request
from approvers.upgrades import read
from approvers.waiting import Watch, first_look, look, reach_by, reached, remind_at
from tests.worlds import samples
from tests.worlds.samples import NOW, approval

MINUTE, MS = timedelta(minutes=1), timedelta(milliseconds=1)


def ladder(*starts: int, lasts: int = 30) -> Ladder:
    """A ladder whose levels begin after so many minutes, each with a place of its own."""
    levels = tuple(Level(after=start * MINUTE, ask=(f"place:p{n}",)) for n, start in enumerate(starts, 1))
    return Ladder(name="l", expires_after=lasts * MINUTE, levels=levels)


ONE, THREE = ladder(0), ladder(0, 10, 20)


def asked(lasts: timedelta = 30 * MINUTE) -> Request:
    return samples.request().model_copy(update={"expires_at": NOW + lasts})


def after(
    minutes: float, request: Request | None = None, *, on: Ladder | None = THREE, shown: bool | None = True, empty=()
) -> Watch:
    return look(request or asked(), on, NOW + minutes * MINUTE, reached=shown, empty=empty)


class TestTheLadder:
    @pytest.mark.parametrize(("minutes", "level", "next_at"), [(9.99, 0, 10), (10, 1, 20), (10.1, 1, 20), (20, 2, 25)])
    def test_a_level_begins_at_its_time_and_the_next_look_is_at_the_next(self, minutes, level, next_at):
        watch = after(minutes)
        assert (watch.request.level, watch.why) == (level, "time" if level else "")
        assert watch.next_at == NOW + next_at * MINUTE

    def test_a_clock_that_was_away_goes_straight_to_the_level_that_is_due(self):
        watch = after(22)
        assert (watch.request.level, watch.request.level_since) == (2, NOW + 22 * MINUTE)
        assert asked_on(THREE, watch.request.level) == ("place:p1", "place:p2", "place:p3")

    def test_the_last_level_and_a_ladder_that_is_gone_stay_where_they_are(self):
        assert after(29, after(20).request).request.level == 2
        assert after(20, on=None).request.level == 0

    def test_the_card_says_which_level_asks_and_approves_the_same_as_before(self):
        before, raised = asked(), after(10).request
        assert render(raised, None).status == "Waiting until 10:30:00 UTC; level 2 since 10:10."
        assert shown_digest(raised) == shown_digest(before)

    @given(st.integers(0, 29 * 60), st.integers(0, 29 * 60), st.sampled_from([True, False, None]))
    def test_levels_only_rise_and_every_look_ends_before_the_request(self, first, second, shown):
        early, late = sorted((first / 60, second / 60))
        one = after(early, shown=shown)
        two = after(late, one.request, shown=shown)
        assert two.request.level >= one.request.level
        for watch, at in ((one, early), (two, late)):
            assert NOW + at * MINUTE < watch.next_at <= watch.request.expires_at


class TestNobodyWasShownIt:
    def test_in_time_nothing_happens_and_at_the_set_time_the_next_level_is_asked_early(self):
        calm = after(2 - 1 / 60000, shown=False)
        assert (calm.request, calm.next_at) == (asked(), NOW + 2 * MINUTE)
        hurried = after(2, shown=False)
        assert (hurried.request.level, hurried.why, hurried.unreached) == (1, "unreached", False)
        assert hurried.next_at == NOW + 4 * MINUTE

    def test_each_level_has_the_time_and_then_on_call_is_told_again_and_again(self):
        request = after(4, after(2, shown=False).request, shown=False).request
        assert request.level == 2
        assert not after(6 - 1 / 60000, request, shown=False).unreached
        told = after(6, request, shown=False)
        assert (told.unreached, told.why, told.next_at) == (True, "", NOW + 7 * MINUTE)
        assert after(7, told.request, shown=False).unreached

    def test_its_answer_says_so_until_it_is_shown(self):
        lost = after(2, on=ONE, shown=False).request
        assert (answer(asked(), None, 1)["nobody_reached"], answer(lost, None, 2)["nobody_reached"]) == (False, True)
        assert "Nobody has been shown it yet" in answer(lost, None, 2)["agent_message"]
        found = after(3, lost, on=ONE, shown=True)
        assert (nobody_reached(found.request), found.unreached) == (False, False)

    def test_without_any_chat_nothing_is_known_and_nobody_is_alarmed(self):
        for minutes in (2, 10, 29):
            assert not after(minutes, on=ONE, shown=None).unreached
            assert after(minutes, on=ONE, shown=None).request.unreached_at is None

    def test_a_delivered_copy_is_no_alarm_for_ever(self):
        assert not any(after(minutes, on=ONE).unreached for minutes in range(30))

    def test_an_end_that_nobody_could_see_coming_is_told_apart_from_silence(self):
        assert requests.expire(asked(), NOW, reached=False).because is Because.NOBODY_REACHED
        over = answer(requests.expire(asked(), NOW, reached=False), None, 2)
        assert (over["nobody_reached"], over["retry"], over["human_decision"]) == (True, "no", False)
        assert requests.expire(asked(), NOW).because is Because.NOBODY_ANSWERED

    @pytest.mark.parametrize(
        ("cards", "known"),
        [
            ("", None),
            ('{"v":1,"copies":[]}', False),
            ('{"v":1,"copies":[{"state":"due","message":""},{"state":"unknown","message":""}]}', False),
            ('{"v":1,"copies":[{"state":"due","message":""},{"state":"posted","message":"1.0"}]}', True),
            ('{"v":1,"copies":[],"seen_at":"2026-11-20T10:00:00.000Z"}', True),
        ],
    )
    def test_what_its_cards_say(self, cards, known):
        assert reached(cards, asked()) is known

    def test_who_has_answered_has_seen_it(self):
        half = asked().model_copy(update={"reviews": (approval("robin"),)})
        assert reached('{"v":1,"copies":[]}', half) is True


class TestNobodyIsLeft:
    def test_a_group_that_is_newly_empty_asks_the_next_level_at_once_and_only_once(self):
        watch = after(0, empty=("sre",))
        assert (watch.request.level, watch.why, watch.request.empty) == (1, "empty", ("sre",))
        again = after(1, watch.request, empty=("sre",))
        assert (again.request.level, again.why) == (1, "")
        assert again.next_at == NOW + 2 * MINUTE

    def test_it_is_over_when_somebody_is_there_again(self):
        assert after(1, after(0, empty=("sre",)).request).request.empty == ()

    def test_a_new_request_that_nobody_can_answer_is_looked_at_at_once(self):
        assert first_look(asked(), THREE, ("sre",)) == NOW
        assert first_look(asked(), THREE, ()) == NOW + 2 * MINUTE


class TestTheReminder:
    @pytest.mark.parametrize(("lasts", "before"), [(60, 5), (30, 5), (20, 5), (16, 4), (2, 0.5)])
    def test_five_minutes_before_the_end_or_a_quarter_of_the_time(self, lasts, before):
        assert remind_at(asked(lasts * MINUTE)) == NOW + (lasts - before) * MINUTE

    def test_what_lives_for_seconds_reminds_nobody(self):
        assert remind_at(asked(timedelta(seconds=119))) is None
        assert reach_by(asked(timedelta(seconds=5))) > NOW + timedelta(seconds=5)

    def test_once_and_the_card_says_how_little_is_left(self):
        assert after(25 - 1 / 60000).request.reminded_at is None
        request = after(25, after(20).request).request
        assert request.reminded_at == NOW + 25 * MINUTE
        assert render(request, None).status.endswith("level 3 since 10:20. Less than 5 min left.")
        assert after(26, request).request == request

    def test_a_late_reminder_says_how_much_is_really_left(self):
        assert render(after(28.4).request, None).status.endswith("Less than 2 min left.")


def test_records_of_before_read_with_the_defaults():
    old = json.loads(asked().model_dump_json())
    for name in ("level", "level_since", "reminded_at", "unreached_at", "empty"):
        del old[name]
    assert read(Request, json.dumps(old, separators=(",", ":"))) == asked()


class TestWhatALevelOpens:
    """A level with `may_fill` and `alert`: what the record keeps of it."""

    LADDER = Ladder(name="l", expires_after=30 * MINUTE, levels=(
        Level(after=0 * MINUTE, ask=("place:p1",)),
        Level(after=10 * MINUTE, ask=("group:lead",), may_fill="sre"),
        Level(after=20 * MINUTE, ask=("group:boss",), may_fill="sre", alert=True),
    ))  # fmt: skip

    @pytest.mark.parametrize(
        ("minutes", "pairs", "told"),
        [(9, (), False), (10, (("lead", "sre"),), False), (20, (("lead", "sre"), ("boss", "sre")), True)],
    )
    def test_what_is_reached_is_on_the_record(self, minutes, pairs, told):
        request = after(minutes, on=self.LADDER).request
        assert (request.fill_in, request.alerted_at) == (pairs, NOW + minutes * MINUTE if told else None)

    def test_nobody_is_taken_off_by_a_level_that_opens_nothing(self):
        lead = after(10, on=self.LADDER).request
        later = self.LADDER.model_copy(update={"levels": (*self.LADDER.levels[:1], *THREE.levels[1:])})
        assert after(20, lead, on=later).request.fill_in == (("lead", "sre"),)

    def test_it_is_told_once(self):
        told = after(20, on=self.LADDER).request
        assert after(25, told, on=self.LADDER).request.alerted_at == told.alerted_at

    def test_a_level_reached_early_opens_early(self):
        assert after(1, on=self.LADDER, empty=("sre",)).request.fill_in == (("lead", "sre"),)
