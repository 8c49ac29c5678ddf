"""What sessions did, weighed: the field guide's cases, and that neither order nor repeats change what they come to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers import activity_flags
from approvers.activity import Activity, Call
from approvers.activity_flags import MOST_SEEN, OVERLAP, Scope, ended_at, looked, noted, raised, regions_of, verdict
from approvers.activity_words import NAMES, flagged, kill_reason, writes_done
from approvers.grant import Plan
from approvers.policy_models import Monitoring
from tests.worlds import samples
from tests.worlds.trail import EXPORT, OFFICE, a_call

AT = samples.NOW
DB = "arn:aws:rds:eu-central-1:123456789012:db:orders"
OTHER_DB = "arn:aws:rds:eu-central-1:123456789012:db:payments"
PLAN = samples.grant("ACTIVE").plan.model_copy(
    update={"actions": ("rds:StopDBInstance", "rds:Describe*"), "resources": (DB,)}
)
SCOPE = Scope(PLAN, frozenset({"eu-central-1"}), AT + timedelta(minutes=15))
OVER = AT + timedelta(minutes=20)
NO = "AccessDenied"


def call(action: str = "rds:StopDBInstance", resource: str = DB, after: float = 0, **changes: object) -> Call:
    return a_call(AT + timedelta(seconds=after), action, resource, **changes)


def seen(*calls: Call, scope: Scope = SCOPE) -> Activity:
    numbered = [replace(one, id=f"{n:012}") for n, one in enumerate(calls)]
    return noted(Activity(grant_id="grt_1"), numbered, scope)


FIVE_REFUSED = [call("rds:DeleteDBInstance", after=n, error=NO) for n in range(5)]
CASES = {
    "what was granted": ([call(), call("rds:DescribeDBInstances")], 0, ""),
    "who am I": ([call("sts:GetCallerIdentity", "")], 0, ""),
    "one refused stray call": ([call("s3:ListBucket", "arn:aws:s3:::payroll", error=NO)], 20, "ask"),
    "granted, on something else, refused": ([call(resource=OTHER_DB, error=NO)], 10, ""),
    "five refused": (FIVE_REFUSED, 70, "kill"),
    "four refused": (FIVE_REFUSED[:4], 10, ""),
    "a stolen key": ([call(), call(address="198.51.100.9")], 60, "kill"),
    "another address of the same office": ([call(), call(address="203.0.113.99")], 0, ""),
    "what was not granted goes through": ([call("s3:ListBucket", "arn:aws:s3:::payroll")], 80, "kill"),
    "tries for more rights": ([call("iam:CreateUser", "", error=NO)], 40, "ask"),
    "gets more rights": ([call("iam:CreateUser", "")], 120, "kill"),
    "tries to blind": ([call("cloudtrail:StopLogging", "", error=NO)], 70, "kill"),
    "refused after the end": ([replace(call(error=NO, after=n), at=OVER) for n in range(7)], 20, ""),
    "through after the end": ([replace(call(), at=OVER)], 100, "kill"),
    "another region": ([call("rds:DescribeDBInstances", "", region="ap-south-1")], 15, ""),
    "a call without a known action": ([call("signin:ConsoleLogin", "", known=False)] * 9, 10, ""),
    "a service works for us": ([call("iam:CreateRole", "", address="cloudformation.amazonaws.com")], 0, ""),
    "our own probe": ([call("ec2:DescribeRegions", "", session="grant-probe-grt_1")], 0, ""),
    "a failure is no refusal": ([call(error="DBInstanceNotFound", after=n) for n in range(9)], 0, ""),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_session_does_comes_to_these_points(name: str):
    calls, points, verdict_wanted = CASES[name]
    activity = seen(*calls)
    assert (activity.points, verdict(activity, Monitoring())) == (points, verdict_wanted), flagged(activity)


def test_an_unknown_action_never_ends_a_grant_however_low_the_threshold():
    activity = seen(call("signin:ConsoleLogin", "", known=False))
    assert verdict(activity, Monitoring(kill_at=1)) == ""
    assert verdict(activity, Monitoring(kill_at=1, ask_at=10)) == "ask"


def test_policy_may_leave_the_end_to_people_or_ask_nobody():
    activity = seen(*FIVE_REFUSED)
    assert verdict(activity, Monitoring(kill_at=None)) == "ask"
    assert verdict(activity, Monitoring(kill_at=None, ask_at=None)) == ""
    assert verdict(activity, Monitoring(kill_at=71)) == "ask"


def test_every_flag_has_points_and_words_and_what_went_through_weighs_at_least_as_much():
    assert set(NAMES) == set(activity_flags.WEIGHTS)
    assert all(through >= refused for through, refused in activity_flags.WEIGHTS.values())


ACTIONS = ["rds:StopDBInstance", "s3:ListBucket", "iam:CreateUser", "cloudtrail:StopLogging", "sts:GetCallerIdentity"]
CALLS = st.lists(
    st.builds(
        lambda action, resource, after, error, address, region, n: call(
            action, resource, after, error=error, address=address, region=region, id=f"{n:012}"
        ),
        st.sampled_from(ACTIONS), st.sampled_from([DB, OTHER_DB, "", "orders"]), st.integers(0, 2_000),
        st.sampled_from(["", NO, "Throttling"]), st.sampled_from([OFFICE, "198.51.100.9", "ec2.amazonaws.com"]),
        st.sampled_from(["eu-central-1", "us-east-1"]), st.integers(0, 40),
    ),
    max_size=12,
)  # fmt: skip


@given(CALLS, st.integers(0, 12), st.randoms(use_true_random=False))
def test_order_and_repeats_change_nothing_and_more_calls_never_lower_the_sum(calls, cut, random):
    unique = list({one.id: one for one in calls}.values())
    whole = noted(Activity(grant_id="g"), unique, SCOPE)
    mixed = random.sample(unique, len(unique))
    in_parts = noted(noted(Activity(grant_id="g"), mixed[:cut], SCOPE), mixed, SCOPE)
    again = noted(in_parts, mixed, SCOPE)
    assert again == in_parts
    for one in (in_parts, again):
        assert {flag.kind: (flag.points, flag.through) for flag in one.flags} == {
            flag.kind: (flag.points, flag.through) for flag in whole.flags
        }
        assert (one.calls, one.refusals, one.write_calls) == (whole.calls, whole.refusals, whole.write_calls)
    assert noted(Activity(grant_id="g"), unique[:cut], SCOPE).points <= whole.points


def test_evidence_and_names_are_bounded_and_counts_go_on():
    calls = [call(f"s3:Get{n}", f"name-{n}", after=n, error=NO, known=False) for n in range(200)]
    activity = seen(*calls)
    assert (activity.calls, activity.refusals, activity.more) == (200, 200, 2 * (200 - activity_flags.MOST_NAMES))
    assert all(len(flag.evidence) <= activity_flags.MOST_EVIDENCE for flag in activity.flags)
    assert len(activity.model_dump_json()) < 40_000


def test_what_the_log_says_is_made_harmless():
    activity = seen(call("s3:GetObject", "arn:aws:s3:::x/\u202egnp.exe\n<b>", error=NO))
    text = flagged(activity)
    assert "\u202e" not in text
    assert "\n" not in text
    assert "U+202E" in text


def test_a_look_goes_on_where_the_last_one_was_and_never_counts_twice_after_too_many():
    many = [call(after=n / 10, id=f"{n:012}") for n in range(MOST_SEEN + 200)]
    first = looked(Activity(grant_id="g"), many[:10], SCOPE, at=AT + timedelta(minutes=1))
    assert (first.read_from, first.complete) == (AT + timedelta(minutes=1) - OVERLAP, True)
    full = looked(first, many, SCOPE, at=AT + timedelta(minutes=5))
    assert (full.calls, full.complete, len(full.seen)) == (MOST_SEEN + 200, False, MOST_SEEN)
    later = [one for one in many if one.at >= full.read_from]
    assert looked(full, later, SCOPE, at=AT + timedelta(minutes=6)).calls == full.calls
    assert not looked(first, [], SCOPE, at=AT, whole=False).complete


def test_writes_are_written_down_with_their_time():
    activity = seen(call(after=7), call("rds:DescribeDBInstances"), call(after=9, error=NO))
    assert writes_done(activity) == (
        f"1 write: 10:00:07 rds:StopDBInstance on {DB}, went through, from 203.0.113.7 in eu-central-1"
    )
    assert writes_done(seen()) == "no writes were seen"
    assert kill_reason(seen(*FIVE_REFUSED)) == (
        "70 points: five or more calls were refused (60); actions that were not granted, refused (10)"
    )


def test_the_end_is_by_the_clouds_clock():
    live = samples.grant("ACTIVE")
    assert ended_at(samples.grant("PENDING")) is None
    assert ended_at(live) == live.ends_at + activity_flags.END_SLACK
    ended = samples.grant("REVOKED")
    assert ended_at(ended) == ended.proof.at + activity_flags.PROOF_SLACK
    ahead = timedelta(minutes=5)  # the cloud's clock is five minutes ahead of the store's
    skewed = ended.model_copy(update={"ends_at": ended.ends_at + ahead})
    assert ended_at(skewed) == ended.proof.at + ahead + activity_flags.PROOF_SLACK


def expected(resources: tuple[str, ...], home: tuple[str, ...] = ("eu-west-1",)) -> set[str]:
    return set(regions_of(PLAN.model_copy(update={"resources": resources}), home))


def test_where_work_is_expected():
    assert expected((DB,)) == {"eu-central-1"}
    assert expected((DB, EXPORT)) == {"eu-central-1", "eu-west-1"}
    assert expected((EXPORT,), ()) == set()
    assert expected(("arn:aws:rds:*:123456789012:db:orders",)) == {"eu-west-1"}


@pytest.mark.parametrize(
    ("granted", "name", "fits"),
    [
        (DB, "orders", True), (DB, "payments", False), (DB, DB, True), ("*", "anything", True), ("*", DB, True),
        ("arn:aws:s3:::exports/2026/*", "exports", True), ("arn:aws:s3:::exports/2026/*", "payroll", True),
        ("arn:aws:s3:::exports/2026/*", "arn:aws:s3:::exports/2025/a", False),
    ],
)  # fmt: skip
def test_a_resource_fits_what_was_granted_and_a_bare_name_its_end_or_a_step(granted: str, name: str, fits: bool):
    assert activity_flags.fits(granted, name) == fits


def test_a_bare_name_that_fits_nothing_weighs_as_little_as_a_refusal():
    assert dict(raised(call(resource="payments"), SCOPE)) == {"outside_resource": False}


def test_the_plan_of_a_wildcard_grant_holds_what_it_names():
    plan = Plan.model_validate({**PLAN.model_dump(), "actions": ("S3:get*",), "resources": ("*",)})
    assert list(raised(call("s3:GetBucketTagging", "arn:aws:s3:::x"), Scope(plan))) == []
