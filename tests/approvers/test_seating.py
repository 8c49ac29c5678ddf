"""Lent seats: one voice each, four-eyes for both, and what could not be learnt is neither yes nor no."""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers import request as requests
from approvers.card import shown_digest
from approvers.errors import CountersignError
from approvers.quorum import tally
from approvers.request import Request, RequestState
from approvers.reruling import overtaken_by
from approvers.seating import NotKnown, Standing
from tests.worlds import samples
from tests.worlds.samples import NOW, approval

SRE, SECURITY = frozenset({"sre"}), frozenset({"security"})


def answer(
    request: Request, name: str, *groups: str, verdict: str = "approve", unknown: tuple[str, ...] = (),
    fill_in: tuple[tuple[str, str], ...] = (), **lenders
):  # fmt: skip
    held = {f"user:{one}": held for one, held in lenders.items()}
    standing = Standing(held, dict.fromkeys(unknown, "Slack is down"), fill_in)
    one = approval(name, verdict=verdict, groups=groups)
    return requests.review(request, one, shown=None, current="", standing=standing)


def refused(request: Request, *args, **kw) -> CountersignError:
    with pytest.raises(CountersignError) as caught:
        answer(request, *args, **kw)
    return caught.value


def asked(seats: dict[str, int] | None = None, *, owners: tuple[str, ...] = ()) -> Request:
    """Return a request of dana's agent, whose caller has these owners as well."""
    request = samples.request(seats=seats or {"sre": 2})
    barred = {**request.ruling.barred_as, **dict.fromkeys(owners, "owner")}
    ruling = request.ruling.model_copy(update={"barred": tuple(barred), "barred_as": barred})
    return request.model_copy(update={"ruling": ruling})


def test_a_stand_in_answers_in_the_lent_seat_and_it_says_for_whom():
    after = answer(asked({"sre": 1}), "bob", ana=SRE)
    (one,) = after.reviews
    assert (after.state, one.reviewer, one.lent_by, one.groups) == ("APPROVED", "user:bob", "user:ana", ("sre",))
    assert requests.told(after) == "APPROVED by user:bob, for user:ana at 10:00:00 UTC"
    assert requests.open_grant(after, NOW).approved_by == ("user:bob",)
    assert overtaken_by(after, after.ruling) is None


def test_a_lent_seat_counts_when_policy_is_asked_again_before_the_mint():
    after = answer(answer(asked(), "bob", ana=SRE), "robin", "sre")
    assert overtaken_by(after, after.ruling) is None
    stricter = after.ruling.model_copy(update={"seats": {"sre": 3}})
    assert overtaken_by(after, stricter) == "policy now needs 3 of sre"


def test_a_stand_in_can_deny():
    after = answer(asked(), "bob", verdict="deny", ana=SRE)
    assert (after.state, requests.told(after)) == ("DENIED", "DENIED by user:bob, for user:ana at 10:00:00 UTC")


def test_an_own_seat_comes_before_a_lent_one_and_the_lender_keeps_theirs():
    once = answer(asked(), "bob", "sre", ana=SRE)
    assert once.reviews[0].lent_by is None
    assert answer(once, "ana", "sre").state == "APPROVED"


def test_where_the_own_seat_is_filled_already_the_answer_counts_in_the_lent_one():
    once = answer(asked({"sre": 1, "security": 1}), "cara", "sre")
    after = answer(once, "bob", "sre", ana=SECURITY)
    assert (after.state, after.reviews[1].lent_by) == ("APPROVED", "user:ana")


def test_whoever_answered_for_somebody_has_one_voice_only():
    once = answer(asked({"sre": 3}), "bob", ana=SRE)
    again = refused(once, "bob", "sre", ana=SRE, cara=SRE)
    assert (again.code, again.detail) == (
        "already_reviewed",
        "You have answered this request already; one review each.",
    )


def test_the_lender_is_refused_after_the_stand_in_and_hears_who_it_was():
    once = answer(asked(), "bob", ana=SRE)
    late = refused(once, "ana", "sre")
    assert (late.code, late.detail) == ("already_reviewed", "bob answered for you at 10:00:00 UTC; one review each.")


def test_the_stand_in_is_refused_after_the_lender():
    once = answer(asked(), "ana", "sre")
    late = refused(once, "bob", ana=SRE)
    assert (late.code, late.detail) == ("already_reviewed", "You stand in for ana, who has answered already.")
    assert answer(once, "bob", "sre", ana=SRE).state == "APPROVED"  # in an own seat they can


def test_two_stand_ins_of_one_person_are_one_voice():
    once = answer(asked(), "bob", ana=SRE)
    assert refused(once, "cara", ana=SRE).code == "already_reviewed"


def test_whoever_answers_for_another_lends_no_voice_to_a_third():
    once = answer(asked(), "bob", ana=SRE)
    assert refused(once, "cara", bob=SRE).code == "already_reviewed"
    other = answer(asked(), "cara", bob=SRE)
    assert refused(other, "bob", "sre", ana=SRE).code == "already_reviewed"


def test_nobody_answers_for_the_human_behind_the_agent_and_that_human_for_nobody():
    lent = refused(asked(), "bob", dana=SRE)
    assert (lent.code, "who is the human behind this agent" in lent.detail) == ("four_eyes", True)
    assert refused(asked(), "dana", "sre", ana=SRE).code == "four_eyes"
    assert refused(asked(), "dana", ana=SRE).detail.startswith("You are the human behind this agent")


@pytest.mark.parametrize("owner", ["user:ana", "group:platform"])
def test_nobody_answers_for_an_owner_of_the_caller(owner):
    lent = refused(asked(owners=(owner,)), "bob", ana=SRE | {"platform"})
    assert (lent.code, "who owns the caller that asks" in lent.detail) == ("four_eyes", True)
    assert refused(asked(owners=("group:platform",)), "bob", "platform", ana=SRE).code == "four_eyes"


def test_a_barred_lender_takes_nothing_from_an_own_seat_or_from_another_lender():
    assert answer(asked(), "bob", "sre", dana=SRE).reviews[0].lent_by is None
    assert answer(asked(), "bob", dana=SRE, kim=SRE).reviews[0].lent_by == "user:kim"


def test_lent_seats_that_are_not_asked_for_are_no_seats():
    assert refused(asked(), "bob", "security", ana=SECURITY).code == "no_seat"


def test_what_could_not_be_learnt_holds_up_only_whom_it_matters_to():
    mixed = asked({"sre": 1, "dba": 1})
    assert answer(mixed, "robin", "sre", unknown=("dba",)).reviews[0].groups == ("sre",)
    assert answer(mixed, "bob", unknown=("dba",), ana=SRE).reviews[0].lent_by == "user:ana"
    late = refused(mixed, "bob", "security", unknown=("dba",))
    assert isinstance(late, NotKnown)
    assert late.code == "membership_unknown"
    assert late.detail == "It could not be checked who is in dba (dba: Slack is down). Try again in a moment."
    assert refused(asked({"sre": 1}), "bob", unknown=("dba",)).code == "no_seat"


def test_an_owning_group_that_cannot_be_asked_could_hold_anybody():
    owned = asked({"sre": 1}, owners=("group:platform",))
    assert refused(owned, "robin", "sre", unknown=("platform",)).code == "membership_unknown"
    assert refused(owned, "dana", "sre", unknown=("platform",)).code == "four_eyes"
    assert answer(owned, "robin", "sre").state == "APPROVED"


def test_a_decided_request_says_so_first():
    done = answer(asked({"sre": 1}), "robin", "sre")
    assert refused(done, "bob", unknown=("sre",)).code == "already_decided"


def test_a_lent_review_survives_the_store_and_an_old_one_is_read():
    after = answer(asked(), "bob", ana=SRE)
    assert Request.model_validate_json(after.model_dump_json()) == after
    old = approval("robin").model_dump(mode="json")
    del old["lent_by"]
    assert type(after.reviews[0]).model_validate_json(str(old).replace("'", '"')).lent_by is None


PEOPLE = ("ana", "bob", "cara", "dana", "eve")
GROUPS = ("sre", "security", "platform")
lent = st.dictionaries(st.sampled_from(PEOPLE), st.sets(st.sampled_from(PEOPLE)), max_size=5)
members = st.fixed_dictionaries({name: st.frozensets(st.sampled_from(GROUPS)) for name in PEOPLE})
answers = st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(["approve"] * 5 + ["deny"])), max_size=12)
seats_of = st.dictionaries(st.sampled_from(GROUPS[:2]), st.integers(1, 2), min_size=1)
owners_of = st.sampled_from([(), ("user:eve",), ("group:platform",)])


@given(lent=lent, groups=members, clicks=answers, seats=seats_of, owners=owners_of)
def test_for_any_delegations_and_clicks_every_seat_is_a_different_voice_and_nobody_barred_speaks(
    lent, groups, clicks, seats, owners
):
    request = asked(seats, owners=owners)
    given_by = {taker: {f"user:{giver}": groups[giver] for giver in givers - {taker}} for taker, givers in lent.items()}
    for second, (name, verdict) in enumerate(clicks):
        one = approval(name, verdict=verdict, groups=tuple(sorted(groups[name])), at=NOW + timedelta(seconds=second))
        standing = Standing(MappingProxyType(given_by.get(name, {})))
        before = request
        try:
            request = requests.review(before, one, shown=shown_digest(before), current=shown_digest(before),
                                      standing=standing)  # fmt: skip
        except CountersignError:
            assert request is before
    spoken = [name for one in request.reviews for name in {one.reviewer, one.lent_by} - {None}]
    assert len(spoken) == len(set(spoken))
    barred = {f"user:{name}" for name in PEOPLE if "group:platform" in owners and "platform" in groups[name]}
    assert not set(spoken) & (barred | {"user:dana"} | set(owners))
    filled = [person for people in request.tally().filled.values() for person in people]
    assert len(filled) == len(set(filled))
    approvals = [one for one in request.reviews if one.verdict == "approve"]
    for one in approvals:
        voice = (one.lent_by or one.reviewer).removeprefix("user:")
        assert set(one.groups) == groups[voice]
        assert groups[voice] & seats.keys()
        assert one.lent_by is None or voice in lent[one.reviewer.removeprefix("user:")]
    assert (request.state is RequestState.APPROVED) == tally(seats, request.reviews).satisfied
    assert not (request.state is RequestState.APPROVED and len(approvals) < sum(seats.values()))


LEAD = (("lead", "sre"),)


class TestFillingIn:
    """A level has opened the seats of sre to the group lead (`may_fill`)."""

    def test_the_levels_group_takes_the_seat_and_the_answer_says_so(self):
        after = answer(asked({"sre": 1}), "kim", "lead", fill_in=LEAD)
        (one,) = after.reviews
        assert (after.state, one.groups, one.raised) == ("APPROVED", ("lead", "sre"), ("sre",))
        assert tally(after.ruling.seats, after.reviews).filled == {"sre": ("user:kim",)}

    def test_before_that_level_it_has_no_seat(self):
        assert refused(asked({"sre": 1}), "kim", "lead").code == "no_seat"

    def test_who_is_of_the_group_anyway_is_not_raised(self):
        (one,) = answer(asked({"sre": 1}), "kim", "lead", "sre", fill_in=LEAD).reviews
        assert (one.groups, one.raised) == (("lead", "sre"), ())

    def test_a_seat_that_is_not_asked_is_opened_to_nobody(self):
        error = refused(asked({"security": 1}), "kim", "lead", fill_in=LEAD)
        assert (error.code, "fill in" in error.detail) == ("no_seat", False)

    def test_who_has_no_seat_hears_who_may_fill_in(self):
        error = refused(asked({"sre": 1}), "kim", "ops", fill_in=LEAD)
        assert error.detail == (
            "You are in ops; this request has no seat for you. Asked: sre. lead may fill in for sre."
        )

    def test_four_eyes_looks_at_who_they_are_not_at_whom_they_fill_in_for(self):
        """The group sre owns the caller: its people are barred, and kim of lead is not one of them."""
        request = asked({"sre": 1}, owners=("group:sre",))
        assert answer(request, "kim", "lead", fill_in=LEAD).state == "APPROVED"
        assert refused(request, "robin", "lead", "sre", fill_in=LEAD).code == "four_eyes"
        assert refused(asked({"sre": 1}, owners=("group:lead",)), "kim", "lead", fill_in=LEAD).code == "four_eyes"

    def test_one_person_is_still_one_seat(self):
        once = answer(asked({"sre": 1, "lead": 1}), "kim", "lead", fill_in=LEAD)
        assert once.state == "PENDING"
        assert answer(once, "robin", "lead", fill_in=LEAD).state == "APPROVED"

    def test_a_seat_that_is_lent_opens_the_same_ones(self):
        (one,) = answer(asked({"sre": 1}), "bob", ana=frozenset({"lead"}), fill_in=LEAD).reviews
        assert (one.lent_by, one.groups, one.raised) == ("user:ana", ("lead", "sre"), ("sre",))

    def test_a_group_that_could_not_be_asked_is_neither_yes_nor_no(self):
        with pytest.raises(NotKnown, match="lead"):
            answer(asked({"sre": 1}), "kim", fill_in=LEAD, unknown=("lead",))
        assert refused(asked({"sre": 1}), "kim", unknown=("lead",)).code == "no_seat"
