"""Granted against used: what the report says, and the narrower ask that it proposes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from approvers.activity import Activity, Call
from approvers.activity_flags import Scope, looked
from approvers.activity_report import Proposal, report, summary
from approvers.grant import Plan
from tests.approvers.test_activity import AT, DB, NO, OTHER_DB, PLAN, call


def plan(actions: tuple[str, ...], resources: tuple[str, ...] = (DB, OTHER_DB)) -> Plan:
    return PLAN.model_copy(update={"actions": actions, "resources": resources})


def after(granted: Plan, *calls: Call, whole: bool = True) -> Activity:
    numbered = [replace(one, id=f"{n:012}") for n, one in enumerate(calls)]
    return looked(Activity(grant_id="grt_1"), numbered, Scope(granted), at=AT, whole=whole)


STOP, START, DROP = "rds:StopDBInstance", "rds:StartDBInstance", "rds:DeleteDBInstance"


def test_fewer_actions_and_resources_are_proposed():
    granted = plan((STOP, START, DROP))
    activity = after(granted, call(STOP), call(STOP, after=2), call(START, after=3), call(DROP, after=4, error=NO))
    found = report(granted, activity)
    assert [(one.name, one.through) for one in found.used] == [(STOP, 2), (START, 1)]
    assert (found.never, found.unseen, found.untouched) == ((DROP,), (), (OTHER_DB,))
    assert found.proposal == Proposal((STOP, START), (DB,))
    assert summary(granted, activity) == (
        f"Used 2 of 3 granted actions: {STOP} 2 times; {START} once. Never used: {DROP}. Never reached: {OTHER_DB}. "
        f"Refused: once ({DROP}). 3 writes: 10:00:00 {STOP} on {DB}, went through, from 203.0.113.7 in eu-central-1; "
        f"10:00:02 {STOP} on {DB}, went through, from 203.0.113.7 in eu-central-1; and 1 more. "
        f"Ask for less next time: {STOP}; {START} on {DB}."
    )


def test_what_was_all_used_has_no_proposal():
    granted = plan((STOP,), (DB,))
    found = report(granted, after(granted, call(STOP)))
    assert (found.never, found.untouched, found.proposal) == ((), (), None)


def test_nothing_used_says_so():
    granted = plan((STOP,))
    assert report(granted, after(granted)).proposal is None
    assert summary(granted, after(granted)) == (
        "None of 1 granted action was seen in use. Never used: rds:StopDBInstance. No writes were seen. "
        "Nothing was used: next time, do without."
    )


def test_what_the_log_cannot_show_is_never_called_unused_and_stays_in_the_proposal():
    granted = plan(("s3:GetObject", STOP, DROP))
    found = report(granted, after(granted, call(STOP)))
    assert (found.never, found.unseen, found.untouched) == ((DROP,), ("s3:GetObject",), ())
    assert found.proposal == Proposal((STOP, "s3:GetObject"), (DB, OTHER_DB))
    only = plan(("s3:GetObject",))
    assert summary(only, after(only)) == (
        "None of 1 granted action was seen in use. The account's log does not show s3:GetObject. No writes were seen."
    )


def test_a_pattern_gives_way_to_the_little_that_was_done_under_it():
    granted = plan(("rds:*",), ("arn:aws:rds:eu-central-1:123456789012:db:*",))
    found = report(granted, after(granted, call(STOP), call(START, resource=OTHER_DB)))
    assert found.proposal == Proposal((STOP, START), (DB, OTHER_DB))


@pytest.mark.parametrize("why", ["bare", "unnamed"])
def test_resources_stay_where_it_is_not_known_which_were_reached(why: str):
    granted = plan((STOP, START))
    calls = [call(STOP), call(STOP, resource="payments" if why == "bare" else "", after=1)]
    assert report(granted, after(granted, *calls)).proposal == Proposal((STOP,), granted.resources)


def test_what_was_not_read_whole_has_no_proposal_and_says_at_least():
    granted = plan((STOP, START))
    activity = after(granted, call(STOP), whole=False)
    assert report(granted, activity).proposal is None
    assert "counts are at least so many" in summary(granted, activity)


def test_what_could_not_be_read_is_not_called_unused():
    assert summary(PLAN, Activity(grant_id="g")) == "What it did is not known: the account's log could not be read."


def test_what_went_through_outside_is_not_proposed():
    granted = plan((STOP,))
    found = report(granted, after(granted, call(STOP), call("s3:ListBucket", "arn:aws:s3:::payroll")))
    assert [one.name for one in found.outside] == ["s3:ListBucket"]
    assert found.proposal == Proposal((STOP,), (DB,))
