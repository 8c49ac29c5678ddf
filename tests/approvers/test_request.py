"""The request's machine: every move of the table, every refusal, and what must hold for any sequence of reviews."""

import itertools
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers import request as requests
from approvers.card import shown_digest
from approvers.errors import AlreadyDecided, Expired, Forbidden, IllegalTransition, NotEvaluated, Outdated
from approvers.request import REQUEST_EVENTS, REQUEST_TABLE, SUBMIT, Because, Request, RequestState
from tests.worlds import samples
from tests.worlds.samples import NOW, approval

PEOPLE = ("dana", "robin", "alex", "kim")
TERMINAL = [state for state in RequestState if not REQUEST_TABLE[state]]


def answer(request: Request, name: str, verdict: str = "approve", shown: str | None = None, **kw: object) -> Request:
    return requests.review(request, approval(name, verdict=verdict, **kw), shown=shown, current=shown_digest(request))


def test_the_table_is_complete_and_its_terminal_states_are_written_out():
    assert set(REQUEST_TABLE) == set(RequestState)
    assert {event for moves in REQUEST_TABLE.values() for event in moves} | {"submit"} == set(REQUEST_EVENTS)
    assert len(TERMINAL) == 4
    assert set(SUBMIT) < set(RequestState)


@pytest.mark.parametrize(
    ("state", "event", "target"), list(itertools.product(RequestState, sorted(REQUEST_EVENTS), RequestState))
)
def test_a_move_is_in_the_table_or_changes_nothing(state: RequestState, event: str, target: RequestState):
    request = samples.request().model_copy(update={"state": state})
    if target in REQUEST_TABLE[state].get(event, ()):
        assert request.moved(event, target).state is target
    else:
        with pytest.raises(IllegalTransition):
            request.moved(event, target)


def test_one_approval_fills_the_one_seat():
    after = answer(samples.request(), "robin")
    assert (after.state, after.because, after.decided_by) == ("APPROVED", Because.QUORUM, "user:robin")
    assert after.human_decision


def test_two_seats_take_two_people_and_the_second_decides():
    first = answer(samples.request(seats={"sre": 2}), "robin")
    assert first.state is RequestState.PENDING
    assert first.decided_at is None
    assert answer(first, "alex").state is RequestState.APPROVED


def test_one_denial_ends_it_whatever_was_approved_before():
    after = answer(answer(samples.request(seats={"sre": 2}), "robin"), "alex", "deny")
    assert (after.state, after.because) == ("DENIED", Because.REVIEWER)


def test_nobody_answers_twice():
    once = answer(samples.request(seats={"sre": 2}), "robin")
    with pytest.raises(Forbidden) as caught:
        answer(once, "robin", "deny")
    assert caught.value.code == "already_reviewed"


def test_the_human_behind_the_agent_may_neither_approve_nor_deny():
    for verdict in ("approve", "deny"):
        with pytest.raises(Forbidden) as caught:
            answer(samples.request(), "dana", verdict)
        assert caught.value.code == "four_eyes"


def test_who_is_in_no_asked_group_has_no_seat():
    with pytest.raises(Forbidden) as caught:
        answer(samples.request(), "robin", groups=("finance",))
    assert caught.value.code == "no_seat"


def test_the_loser_of_a_race_hears_who_was_first():
    with pytest.raises(AlreadyDecided, match="APPROVED by user:robin at 10:00:00"):
        answer(answer(samples.request(), "robin"), "alex")


def test_the_second_of_the_expiry_itself_is_too_late():
    request = samples.request()
    assert answer(request, "robin", at=request.expires_at - timedelta(milliseconds=1)).state == "APPROVED"
    with pytest.raises(Expired):
        answer(request, "robin", at=request.expires_at)


def test_a_click_on_what_was_not_shown_does_not_count():
    with pytest.raises(Outdated):
        answer(samples.request(), "robin", shown=shown_digest(samples.request(ttl_seconds=600)))
    assert answer(samples.request(), "robin", shown=shown_digest(samples.request())).state == "APPROVED"


def test_only_the_asker_the_human_behind_and_the_owner_withdraw():
    for who in ("caller:report-bot", "user:dana"):
        assert requests.cancel(samples.request(), NOW, who).state == "CANCELLED"
    with pytest.raises(Forbidden):
        requests.cancel(samples.request(), NOW, "user:robin", frozenset({"sre"}))
    owned = samples.request()
    owned = owned.model_copy(update={"facts": owned.facts.model_copy(update={"owners": ("group:sre",)})})
    assert requests.cancel(owned, NOW, "user:robin", frozenset({"sre"})).state == "CANCELLED"
    with pytest.raises(AlreadyDecided):
        requests.cancel(answer(samples.request(), "robin"), NOW, "caller:report-bot")


def test_an_expiry_is_not_a_denial():
    after = requests.expire(samples.request(), NOW)
    assert (after.state, after.because, after.human_decision) == ("EXPIRED", Because.NOBODY_ANSWERED, False)


clicks = st.lists(
    st.tuples(st.sampled_from(PEOPLE), st.sampled_from(["approve", "deny"]), st.integers(-60, 2_000)), max_size=12
)


@given(clicks=clicks, seats=st.integers(1, 3))
def test_for_any_clicks_the_asker_never_counts_a_denial_wins_and_ends_stay_ends(clicks: list, seats: int):
    request = samples.request(seats={"sre": seats})
    for name, verdict, second in clicks:
        before = request
        try:
            request = answer(request, name, verdict, at=NOW + timedelta(seconds=second))
        except (AlreadyDecided, Expired, Forbidden, NotEvaluated):
            assert request is before
        if before.state in TERMINAL:
            assert request is before
    counted = [one.reviewer for one in request.reviews]
    assert len(counted) == len(set(counted))
    assert "user:dana" not in counted
    denied = any(one.verdict == "deny" for one in request.reviews)
    assert (request.state is RequestState.DENIED) == denied
    approvals = len(counted) - denied
    assert (request.state is RequestState.APPROVED) == (not denied and approvals >= seats)
    assert all(one.at < request.expires_at for one in request.reviews)


@given(st.sampled_from(TERMINAL), st.sampled_from(PEOPLE[1:]), st.sampled_from(["approve", "deny"]))
def test_terminal_states_absorb(state: RequestState, name: str, verdict: str):
    ended = samples.request().model_copy(update={"state": state, "because": Because.WITHDRAWN})
    with pytest.raises(AlreadyDecided):
        answer(ended, name, verdict)
    with pytest.raises(AlreadyDecided):
        requests.cancel(ended, NOW, samples.CALLER)
    with pytest.raises(IllegalTransition):
        requests.expire(ended, NOW)


def test_while_the_stores_time_has_gone_back_nothing_is_decided():
    before = samples.request()
    late = before.submitted_at - timedelta(seconds=3)
    with pytest.raises(NotEvaluated, match="gone backwards"):
        requests.check_open(before, late)
    requests.check_open(before, before.submitted_at - timedelta(seconds=1))  # as two readings may differ
