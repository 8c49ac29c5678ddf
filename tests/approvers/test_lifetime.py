"""What comes to an ACTIVE grant and when: its end, a warning, an end because nobody is there; and how it is told."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers import grant as grants
from approvers import lifetime
from approvers.answer import agent_message, answer, retry
from approvers.card import render
from approvers.errors import Inadmissible
from approvers.grant import Grant, GrantState
from approvers.proving import proof_wanted
from approvers.request import Request
from bot.postings_lines import lines
from tests.approvers.test_answer import approved
from tests.worlds import samples
from tests.worlds.samples import NOW

TERMS = {"collect_within": timedelta(minutes=10), "warn_before": timedelta(minutes=2)}


def live(**changes) -> Grant:
    return lifetime.under(samples.grant("ACTIVE", **changes), **TERMS)


def at(seconds: float):
    return NOW + timedelta(seconds=seconds)


def test_under_the_terms_it_is_collected_within_and_warned_before():
    grant = live()
    assert (grant.collect_by, grant.warn_at, grant.beat_at) == (at(600), at(780), None)


def test_it_is_collected_by_its_end_at_the_latest():
    assert live(ttl_seconds=60).collect_by == at(60)


@pytest.mark.parametrize(("ttl", "warned"), [(239, False), (240, True)])
def test_what_is_shorter_than_twice_the_warning_is_not_warned_of(ttl: int, warned: bool):
    assert (live(ttl_seconds=ttl).warn_at is not None) is warned


def test_a_heartbeat_counts_from_the_mint():
    grant = live(heartbeat_seconds=30)
    assert (grant.beat_at, lifetime.silent_at(grant)) == (NOW, at(35))
    assert lifetime.silent_at(lifetime.beaten(grant, at(20))) == at(55)


@pytest.mark.parametrize(
    ("changes", "moment", "due"),
    [
        ({}, 599.999, None),
        ({}, 600, "never_collected"),
        ({"handed_at": NOW}, 600, None),
        ({"handed_at": NOW}, 780, "ending_soon"),
        ({"handed_at": NOW, "warned_at": NOW}, 899.999, None),
        ({"handed_at": NOW}, 900, "ttl_elapsed"),
        ({}, 900, "ttl_elapsed"),
        ({}, 780, "never_collected"),
        ({"heartbeat_seconds": 30, "beat_at": NOW}, 34.999, None),
        ({"heartbeat_seconds": 30, "beat_at": NOW}, 35, "heartbeat_lost"),
        ({"heartbeat_seconds": 30, "beat_at": NOW}, 900, "ttl_elapsed"),
        ({"heartbeat_seconds": 30, "beat_at": at(895)}, 899, "never_collected"),
        ({"collect_by": None, "warn_at": None}, 899.999, None),
    ],
)
def test_what_is_due_by_when(changes: dict, moment: float, due: str | None):
    """The last row is a grant of a record from before all this: nothing but its end comes to it."""
    assert lifetime.what_is_due(live().model_copy(update=changes), at(moment)) == due


@given(st.booleans(), st.booleans(), st.booleans(), st.integers(0, 900), st.integers(10, 3600))
def test_the_next_look_is_the_first_moment_at_which_anything_is_due(
    handed: bool, warned: bool, beats: bool, beat: int, promised: int
):  # fmt: skip
    changes = {"handed_at": NOW if handed else None, "warned_at": NOW if warned else None}
    if beats:
        changes |= {"heartbeat_seconds": promised, "beat_at": at(beat)}
    grant = live().model_copy(update=changes)
    look = lifetime.next_look(grant)
    assert look <= grant.ends_at
    assert lifetime.what_is_due(grant, look) is not None
    assert lifetime.what_is_due(grant, look - timedelta(milliseconds=1)) is None


def test_the_first_collecting_is_noted_once_and_a_beat_only_moves_forward():
    grant = live(heartbeat_seconds=30)
    assert lifetime.handed(lifetime.handed(grant, at(1)), at(2)).handed_at == at(1)
    later = lifetime.beaten(grant, at(9))
    assert lifetime.beaten(later, at(3)) is later
    assert lifetime.beaten(live(), at(9)).beat_at is None, "one that asked for no heartbeat has none"


HEARING = lifetime.Hearing(since=at(-3600), until=at(0))


@pytest.mark.parametrize(("gap", "since"), [(1, -3600), (5, -3600), (5.001, 5.001), (60, 60)])
def test_web_processes_are_there_without_a_gap_or_anew(gap: float, since: float):
    assert lifetime.heard(HEARING, at(gap)) == lifetime.Hearing(since=at(since), until=at(gap))


def test_the_first_note_counts_from_now():
    assert lifetime.heard(None, at(7)) == lifetime.Hearing(since=at(7), until=at(7))


@pytest.mark.parametrize(
    ("since", "until", "silent", "collect"),
    [
        (-3600, 100, 35, 600),  # there all the time: nothing is excused
        (40, 100, 75, 600),  # back since the 40th second: one interval from then on
        (580, 580, 615, 640),  # back shortly before it would count as never collected
        (-3600, 90, 135, 600),  # away at the 100th second: an interval from now, whenever that is asked
    ],
)
def test_silence_counts_only_from_when_somebody_hears(since: float, until: float, silent: float, collect: float):
    grant, now = live(heartbeat_seconds=30), at(max(100, until))
    excused = lifetime.excused(grant, lifetime.Hearing(since=at(since), until=at(until)), now)
    assert (lifetime.silent_at(excused), excused.collect_by) == (at(silent), at(collect))
    assert excused.ends_at == grant.ends_at
    assert lifetime.what_is_due(excused, at(900)) == "ttl_elapsed"


def test_nothing_is_excused_where_nobody_notes_that_he_hears_nor_of_what_promised_nothing():
    grant = live(heartbeat_seconds=30)
    assert lifetime.excused(grant, None, at(500)) is grant
    away = lifetime.Hearing(since=at(-9), until=at(-8))
    assert lifetime.excused(live(), away, at(30)).beat_at is None
    heard = lifetime.beaten(grant, at(90))
    there = HEARING.model_copy(update={"until": at(100)})
    assert lifetime.silent_at(lifetime.excused(heard, there, at(100))) == at(125)


@pytest.mark.parametrize("state", GrantState)
def test_an_extension_moves_nothing(state: str):
    old, new = samples.grant(state), samples.grant("ACTIVE").model_copy(update={"id": "grt_NEW", "handle": "NEW7"})
    after = lifetime.extended(old, new)
    assert after == old.model_copy(update={"extended_by": "grt_NEW", "extended_as": "NEW7"})


@pytest.mark.parametrize(
    ("cause", "said", "told"),
    [
        ("never_collected", "nobody collected it in time", "Nobody collected the credential in time"),
        ("heartbeat_lost", "its agent fell silent", "no heartbeat came in time"),
    ],
)
def test_whoever_was_not_there_is_told_so_and_may_ask_anew(cause, said: str, told: str):
    request, grant = approved(), live(heartbeat_seconds=30)
    ending = lifetime.ended(grant, cause, at(600))
    assert (ending.state, ending.ending.early, ending.ending.by) == ("REVOKING", True, "worker")
    assert proof_wanted(ending) == "probe_denied"
    assert retry(request, ending) == "new_request"
    assert told in agent_message(request, ending)
    assert "may ask anew" in agent_message(request, ending)
    assert render(request, ending).status == f"Revoking since 10:10:00 UTC: {said}."


@pytest.mark.parametrize("cause", ["ttl_elapsed", "revoke", "release", "kill"])
def test_of_any_other_end_nobody_is_told_to_ask_anew(cause: str):
    ended = grants.end(live(), cause, at(600), by="user:kim", reason="x")
    assert (retry(approved(), ended), agent_message(approved(), ended)) == (
        "no",
        "The credential has been ended. Stop.",
    )


def test_the_end_of_a_silent_one_names_its_last_beat():
    grant = lifetime.beaten(live(heartbeat_seconds=30), at(60))
    reason = lifetime.ended(grant, "heartbeat_lost", at(95)).ending.reason
    assert reason == "no heartbeat came in time; the last one was at 2026-11-20T10:01:00.000Z"


class TestOnTheCard:
    def facts(self, request: Request) -> dict[str, str]:
        return {fact.label: fact.text for fact in render(request, None).facts}

    def test_who_approves_sees_that_it_ends_when_its_agent_falls_silent(self):
        asked = samples.request(heartbeat_seconds=90)
        assert self.facts(asked)["Ends early"] == "if its agent falls silent for 1 min 30 s"
        assert "Ends early" not in self.facts(samples.request())
        assert asked.action_digest != samples.request().action_digest, "it is bound by what was approved"

    def test_a_warned_one_says_how_little_is_left(self):
        warned = lifetime.warned(live(), at(780.2))
        assert render(approved(), warned).status == "Live, approved by robin; ends 10:15:00 UTC, in less than 2 min."
        said = {line.key: line.text for line in lines(approved(), warned)}
        assert said["warned"] == "Ends 10:15:00 UTC, in 2 min."
        assert "warned" not in {line.key for line in lines(approved(), live())}

    def test_an_extended_one_says_what_goes_on_with_its_work(self):
        new = samples.grant("ACTIVE").model_copy(update={"id": "grt_NEW", "handle": "NEW7"})
        old = lifetime.extended(live(), new)
        status = render(approved(), old).status
        assert status == "Live, approved by robin; ends 10:15:00 UTC; its work goes on as NEW7."
        assert "Its work goes on as NEW7; this one ends as said." in [line.text for line in lines(approved(), old)]


def test_the_answer_says_until_when_to_collect_while_nobody_has():
    grant = live(heartbeat_seconds=30)
    told = answer(approved(), grant, 1)["grant"]
    assert (told["collect_by"], told["heartbeat_seconds"]) == ("2026-11-20T10:10:00.000Z", 30)
    assert answer(approved(), lifetime.handed(grant, NOW), 1)["grant"]["collect_by"] is None


@pytest.mark.parametrize(
    "plan", [None, samples.grant().plan.model_copy(update={"ends_early": False})], ids=["", "late"]
)
def test_a_heartbeat_that_could_end_nothing_is_refused_by_name(plan):
    with pytest.raises(Inadmissible) as caught:
        lifetime.check_heartbeat(30, plan)
    assert caught.value.field == "heartbeat_seconds"
    assert "leave `heartbeat_seconds` out" in caught.value.detail
    lifetime.check_heartbeat(None, plan)
