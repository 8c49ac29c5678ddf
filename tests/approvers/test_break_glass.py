"""A use of break-glass cannot be mistaken for an approval, and somebody else reviews it, once."""

from datetime import timedelta

import pytest

from approvers import after_review, card_after_review
from approvers.after_review import NothingOwed, is_owed, late, reviewed
from approvers.answer import agent_message, answer
from approvers.card import push, render
from approvers.errors import AlreadyDecided, Forbidden, Inadmissible
from approvers.request import Because, RequestState, open_grant
from approvers.seating import NotKnown
from tests.worlds import glass, samples
from tests.worlds.glass import TELL, finding, used
from tests.worlds.samples import NOW

# ---- who may review it, and what that leaves


@pytest.mark.parametrize(("verdict", "reason"), [("justified", ""), ("unjustified", "There was time to ask.")])
def test_somebody_with_a_seat_reviews_it_and_nothing_is_owed_any_more(verdict: str, reason: str):
    before = used()
    after = reviewed(before, finding("robin", verdict, reason), TELL)
    assert is_owed(before) and not is_owed(after)
    owed = after.after_review
    assert owed and (owed.verdict, owed.by, owed.reason) == (verdict, "user:robin", reason)
    assert owed.due_at == NOW + glass.WITHIN
    assert after.model_copy(update={"after_review": before.after_review}) == before


def test_somebody_in_a_group_that_is_told_may_review_it_without_a_seat():
    assert not is_owed(reviewed(used(), finding("kim", "justified", "", "oncall"), TELL))
    with pytest.raises(Forbidden, match=r"You are in oncall; this after-review is not yours\. Asked: sre\.") as refused:
        reviewed(used(), finding("kim", "justified", "", "oncall"), ("place:prod",))
    assert refused.value.code == "no_seat"


@pytest.mark.parametrize("groups", [("sre",), ("sre", "oncall"), ("visitors",)])
def test_whoever_used_it_may_not_review_it_whatever_their_groups(groups: tuple[str, ...]):
    with pytest.raises(Forbidden, match=r"You took this yourself; somebody else has to review it") as refused:
        reviewed(used(), finding("dana", "justified", "", *groups), TELL)
    assert refused.value.code == "four_eyes"


def test_whoever_it_was_done_for_may_not_review_it_either():
    ruling = used().ruling.model_copy(update={"barred": ("user:alex",), "barred_as": {"user:alex": "on_behalf_of"}})
    with pytest.raises(Forbidden, match="This was done for you"):
        reviewed(used().model_copy(update={"ruling": ruling}), finding("alex"), TELL)


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_not_justified_needs_words(reason: str):
    with pytest.raises(Inadmissible, match="Say in a few words") as refused:
        reviewed(used(), finding("robin", "unjustified", reason), TELL)
    assert refused.value.field == "reason"


def test_a_repeat_changes_nothing_and_anything_else_comes_too_late():
    after = reviewed(used(), finding("robin", "unjustified", "There was time."), TELL)
    again = finding("robin", "unjustified", "There was time.", at=NOW + timedelta(hours=5))
    assert reviewed(after, again, TELL) is after
    for other in (finding("robin"), finding("alex", "unjustified", "There was time."), finding("dana")):
        with pytest.raises(AlreadyDecided, match=r"K7QF is reviewed already: unjustified, by user:robin at 2026-"):
            reviewed(after, other, TELL)


def test_where_nothing_was_broken_there_is_nothing_to_review():
    with pytest.raises(NothingOwed):
        reviewed(samples.request(), finding(), TELL)


def test_a_silent_group_on_which_it_hangs_is_no_yes_and_one_on_which_it_does_not_is_no_no():
    silent = {"oncall": "Slack did not answer in time"}
    with pytest.raises(NotKnown, match="who is in oncall"):
        reviewed(used(), finding("kim", "justified", "", "visitors", unknown=silent), TELL)
    assert not is_owed(reviewed(used(), finding("kim", "justified", "", "sre", unknown=silent), TELL))
    ruling = used().ruling.model_copy(update={"barred": ("group:oncall",), "barred_as": {"group:oncall": "owner"}})
    with pytest.raises(NotKnown):  # they may own what did it
        reviewed(used().model_copy(update={"ruling": ruling}), finding("kim", unknown=silent), TELL)


def test_it_hangs_on_seats_on_who_is_told_and_on_who_is_barred():
    ruling = used().ruling.model_copy(update={"barred": ("user:dana", "group:owners")})
    request = used().model_copy(update={"ruling": ruling})
    assert after_review.decisive(request, ("group:oncall", "place:prod")) == {"sre", "oncall", "owners"}


# ---- what people and programs are told


def test_its_card_is_unmistakable_and_offers_what_is_left_to_do():
    request = used()
    grant = open_grant(request, NOW)
    assert grant.break_glass and grant.approved_by == ()
    card = render(request, grant)
    assert card.headline == "BREAK-GLASS: dana took s3:GetObject"
    assert card.title == "BREAK-GLASS: READ customer-exports/2026/* in prod-payments"
    assert "BREAK-GLASS" in card.push
    assert card.warnings[0] == (
        "Nobody reviewed this: dana took it by break-glass. An after-review is owed until 10:00 UTC on 21 Nov."
    )
    assert card.status == (
        "Approved by nobody (break-glass of dana); the credential is being minted. "
        "An after-review is owed until 10:00 UTC on 21 Nov."
    )
    assert [(one.verb, one.label) for one in card.buttons] == [
        ("revoke", "Revoke"),
        ("justified", "Justified"),
        ("unjustified", "Not justified"),
    ]


def test_an_approval_never_looks_like_it():
    card = render(samples.request(), None)
    assert "BREAK" not in card.model_dump_json()
    assert {one.verb for one in card.buttons} == {"approve", "deny"}


def test_once_reviewed_the_card_says_who_found_what_and_warns_no_more():
    request = glass.found("unjustified", "There was time\nto ask.")
    card = render(request, None)
    assert card.buttons == () and not any("Nobody reviewed" in one for one in card.warnings)
    assert card.status.endswith("Found NOT justified by robin at 11:00 UTC on 20 Nov: There was time ⏎ to ask.")
    assert "Found justified by robin at 11:00 UTC on 20 Nov." in render(glass.found(), None).status


def test_a_late_review_is_told_until_it_is_given():
    request = late(used(), NOW + glass.WITHIN)
    said = "The after-review was due at 10:00 UTC on 21 Nov; nobody has given it."
    assert said in render(request, None).status and said in render(request, None).warnings[0]
    after = reviewed(request, finding("robin", at=NOW + timedelta(hours=30)), TELL)
    assert "nobody has given it" not in render(after, None).status
    assert after.after_review and after.after_review.overdue_at == NOW + glass.WITHIN
    assert card_after_review.overdue(after) == said, "the thread keeps the line that it has"


def test_the_asker_is_told_what_it_costs():
    request = used()
    said = answer(request, None, 1)
    assert (said["state"], said["because"], said["human_decision"]) == ("APPROVED", "break_glass", False)
    assert said["after_review"]["due_at"] == "2026-11-21T10:00:00.000Z"
    assert "Taken by break-glass" in said["agent_message"] and "reviews it until" in said["agent_message"]
    assert "break-glass" not in agent_message(glass.found(), None)


def test_a_refused_use_is_told_why():
    ruling = used().ruling.model_copy(
        update={"effect": "deny", "rules": (), "because": "Break-glass is not open to you; ask for a review."}
    )
    changes = {"state": RequestState.DENIED, "because": Because.RULE, "ruling": ruling, "after_review": None}
    assert "What was said: Break-glass is not open to you" in agent_message(used().model_copy(update=changes), None)


def test_a_line_that_stands_alone_says_it_too():
    assert push(used()).startswith("report-bot → BREAK-GLASS: READ customer-exports/2026/* in prod-payments, 15 min")
