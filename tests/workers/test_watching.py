"""Watching a session, over the in-memory store and a small log of calls: flags, the end by monitoring, the report."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from approvers.activity import Activity
from approvers.audit import check_chain
from approvers.grant import Grant, GrantState
from tests.bot.test_desk import caller, person
from tests.workers.test_leasing import Shop
from tests.worlds import samples
from tests.worlds.trail import HOME, Trail, a_call
from workers.leasing import advance
from workers.stores import layout
from workers.stores.port import Attempt
from workers.watching import look

NO, STRAY = "AccessDenied", "arn:aws:s3:::payroll"


class Street(Shop):
    """A shop whose sessions are watched."""

    def __init__(self) -> None:
        super().__init__()
        self.trail = Trail(lambda: self.time)
        self.tools = replace(self.tools, watched=self.trail)

    async def work(self) -> list[str]:
        words = []
        while item := await self.item():
            do = look if item.member.startswith("activity:") else advance
            words.append(await do(self.tools, item))
        return words

    async def live(self, **changes) -> str:
        grant = await self.approved(**changes)
        assert await self.work() == ["MINTING → ACTIVE"]
        await self.custody.collect(caller(), grant)
        return grant

    async def activity(self, grant_id: str) -> Activity:
        key = layout.activity_key(grant_id)
        return Activity.model_validate_json((await self.store.records.read([key])).records[key].json)

    def does(self, action: str = "s3:GetObject", resource: str = STRAY, times: int = 1, **changes) -> None:
        self.trail.add(*[a_call(self.time, action, resource, **changes) for _ in range(times)])

    async def stories(self, grant: Grant) -> list[str]:
        bodies = await self.store.log.chain(grant.request_id)
        check_chain(grant.request_id, bodies)
        return [json.loads(body)["type"] for body in bodies]

    async def told(self) -> list[str]:
        return [json.loads(line)["type"] for _, line in await self.store.outbox.unread(100)]

    @property
    def alerts(self) -> list[str]:
        return [("-" if one.cleared else "") + one.key.partition(":")[0] for one in self.pager.alerts]


@pytest.fixture
async def street() -> Street:
    street = Street()
    await street.start()
    return street


async def test_five_refused_calls_end_the_grant_as_a_revocation_does_with_proof(street: Street):
    grant_id = await street.live(undo="put the objects back")
    street.does("s3:PutObject", "arn:aws:s3:::customer-exports/2026/new.csv")
    street.does("s3:DeleteBucket", times=5, error=NO)
    words = await street.later(seconds=31)
    assert words[0].startswith("killed: ")
    assert words[1:] == ["REVOKING → REVOKED"]
    grant = await street.grant(grant_id)
    assert (grant.ending.cause, grant.ending.by, grant.proof.kind) == ("kill", "monitoring", "probe_denied")
    assert grant.ending.reason.startswith("110 points: five or more calls were refused (60); ")
    assert grant.flagged.startswith("110 points: ")
    assert (await street.activity(grant_id)).killed_at == grant.ending.requested_at
    [alert] = street.pager.alerts
    assert (alert.key, alert.severity) == (f"activity.killed:{grant_id}", "critical")
    assert "1 write: " in alert.summary
    assert "s3:PutObject on arn:aws:s3:::customer-exports/2026/new.csv" in alert.details["writes"]
    assert alert.details["undo"] == "put the objects back"
    assert "five or more calls were refused (60)" in alert.details["flags"]
    assert (await street.stories(grant))[-2:] == ["grant.kill_requested", "grant.revoked"]
    assert "grant.kill_requested" in await street.told()


async def test_one_stray_call_asks_people_once_and_the_grant_lives(street: Street):
    grant_id = await street.live()
    street.does("s3:DeleteBucket", error=NO)
    assert await street.later(seconds=31) == ["flagged: 20 points"]
    grant = await street.grant(grant_id)
    assert (grant.state, grant.flag_points) == (GrantState.ACTIVE, 20)
    assert "s3:DeleteBucket on arn:aws:s3:::payroll, refused (AccessDenied)" in grant.flagged
    assert (await street.told())[-1] == "grant.flagged"
    assert (await street.stories(grant))[-1] == "grant.flagged"
    assert await street.later(seconds=60) == ["20 points, 1 calls"]
    assert street.alerts == ["activity.ask"]
    street.does("cloudtrail:DescribeTrails", "", error=NO)
    assert await street.later(seconds=60) == ["20 points, 2 calls"]
    street.does("iam:CreateUser", "", error=NO)
    assert await street.later(seconds=60) == ["flagged: 50 points"]
    assert street.alerts == ["activity.ask"] * 2


async def test_the_log_is_late_and_each_call_counts_once(street: Street):
    street.trail.lag = timedelta(minutes=5)
    grant_id = await street.live()
    street.does(resource="arn:aws:s3:::customer-exports/2026/a", times=3)
    await street.later(seconds=31)
    assert (await street.activity(grant_id)).calls == 0
    for _ in range(6):
        await street.later(seconds=60)
    assert (await street.activity(grant_id)).calls == 3


async def test_after_its_end_a_grant_is_looked_at_a_while_and_then_reported_once(street: Street):
    grant_id = await street.live(ttl_seconds=10)
    street.does(resource="arn:aws:s3:::customer-exports/2026/a")
    words = []
    for _ in range(20):
        words += await street.later(seconds=60)
    assert words.count("reported") == 1
    assert "nothing to watch" not in words
    grant, activity = await street.grant(grant_id), await street.activity(grant_id)
    assert (grant.state, grant.report) == (
        GrantState.REVOKED,
        "Used 1 of 1 granted action: s3:GetObject once. No writes were seen. "
        "Ask for less next time: s3:GetObject on arn:aws:s3:::customer-exports/2026/a.",
    )
    watched = activity.reported_at - grant.proof.at
    assert timedelta(minutes=15) <= watched < timedelta(minutes=16)
    assert (await street.stories(grant))[-1] == "grant.reported"
    assert (await street.told())[-1] == "grant.reported"
    assert await street.later(days=1) == []


async def test_a_call_that_goes_through_after_the_end_is_an_incident(street: Street):
    grant_id = await street.live(ttl_seconds=10)
    await street.later(seconds=11)
    street.time += timedelta(minutes=1)
    street.does(resource="arn:aws:s3:::customer-exports/2026/a")
    await street.work()
    [alert] = street.pager.alerts
    assert (alert.key, alert.severity) == (f"activity.incident:{grant_id}", "critical")
    grant = await street.grant(grant_id)
    assert (grant.state, grant.ending.cause) == (GrantState.REVOKED, "ttl_elapsed")
    assert grant.flagged.startswith("100 points: calls went through after its end (100).")
    await street.later(minutes=1)
    assert len(street.pager.alerts) == 1


async def test_refused_calls_after_the_end_are_told_to_nobody_before_the_report(street: Street):
    grant_id = await street.live(ttl_seconds=10)
    await street.later(seconds=11)
    street.time += timedelta(minutes=1)
    street.does(resource="arn:aws:s3:::customer-exports/2026/a", times=8, error=NO)
    for _ in range(20):
        await street.later(seconds=60)
    assert street.alerts == []
    assert "Flags: calls after its end, refused (20)." in (await street.grant(grant_id)).report


@pytest.mark.parametrize(("trouble", "told_after"), [("denied", 1), ("throttled", 3)])
async def test_what_cannot_be_read_ends_nothing_and_is_told_and_cleared(street: Street, trouble: str, told_after: int):
    grant_id = await street.live()
    setattr(street.trail, trouble, "AWS said no")
    street.does("s3:DeleteBucket", times=9, error=NO)
    await street.later(seconds=31)
    looks = 1
    while not street.alerts:
        looks += len(await street.later(seconds=60))
        assert looks < 9
    assert looks == told_after
    assert street.pager.alerts[0].key == "activity.unreadable:prod-payments"
    assert (await street.grant(grant_id)).state is GrantState.ACTIVE
    setattr(street.trail, trouble, "")
    await street.later(minutes=5)
    assert street.alerts[-2:] == ["-activity.unreadable", "activity.killed"]


async def test_a_log_that_stays_unreadable_is_given_up_and_the_report_says_so(street: Street):
    grant_id = await street.live(ttl_seconds=10)
    street.trail.denied = "AccessDenied"
    for _ in range(30):
        await street.later(minutes=5)
    assert (await street.grant(grant_id)).report.startswith("What it did is not known")
    assert street.alerts[-2:] == ["activity.unreadable", "-activity.unreadable"], "nobody reads it any more"
    assert await street.later(days=1) == []


async def test_who_gets_no_turn_comes_again_soon_and_is_no_trouble_for_ten_minutes(street: Street):
    await street.live()
    street.trail.busy = True
    assert await street.later(seconds=31) == ["no turn yet"]
    assert await street.later(seconds=15) == ["no turn yet"]
    assert await street.later(seconds=15) == []
    assert await street.later(seconds=15) == ["no turn yet"]
    assert await street.later(minutes=10) == ["not read: no turn"]
    assert street.alerts == []


async def test_a_crash_between_the_end_and_its_alert_tells_at_the_next_look(street: Street):
    await street.live()
    street.does("s3:DeleteBucket", times=5, error=NO)

    class Dies:
        async def send(self, alert):
            raise RuntimeError("killed here")

    tools, street.tools = street.tools, replace(street.tools, alerts=Dies())
    with pytest.raises(RuntimeError):
        await street.later(seconds=31)
    street.tools = tools
    await street.later(seconds=60)
    assert street.alerts == ["activity.killed"]
    await street.later(seconds=60)
    assert street.alerts == ["activity.killed"]


async def test_what_somebody_has_ended_meanwhile_is_not_ended_again(street: Street):
    grant_id = await street.live()
    await street.custody.revoke(person("kim"), grant_id, "enough")
    street.does("s3:DeleteBucket", times=5, error=NO)
    words = await street.later(seconds=31)
    assert "REVOKING → REVOKED" in words
    grant = await street.grant(grant_id)
    assert (grant.ending.by, (await street.activity(grant_id)).killed_at) == ("user:kim", None)


async def test_what_is_being_ended_and_not_proven_yet_is_told_and_not_ended_again(street: Street):
    grant_id = await street.live()
    await street.custody.revoke(person("kim"), grant_id, "enough")
    street.cloud.broken = "AWS does not answer"
    street.does("s3:DeleteBucket", times=5, error=NO)
    words = await street.later(seconds=31)
    assert "flagged: 80 points" in words
    grant = await street.grant(grant_id)
    assert (grant.state, grant.ending.by, grant.flag_points) == (GrantState.REVOKING, "user:kim", 80)


async def test_what_asked_to_look_is_over_once_monitoring_has_ended_it(street: Street):
    await street.live()
    street.does("s3:DeleteBucket", error=NO)
    await street.later(seconds=31)
    street.does("s3:DeleteBucket", times=5, error=NO)
    await street.later(seconds=60)
    assert sorted(street.alerts) == ["-activity.ask", "activity.ask", "activity.killed"]
    for _ in range(20):
        await street.later(seconds=60)
    assert len(street.alerts) == 3, "what was ended is a person's to close"


async def test_policy_decides_whether_monitoring_ends_a_grant(street: Street):
    await street.start(samples.POLICY_TEXT + "\n[monitoring]\nkill_at = 500\n")
    grant_id = await street.live()
    street.does("s3:DeleteBucket", times=5, error=NO)
    assert await street.later(seconds=31) == ["flagged: 80 points"]
    assert (await street.grant(grant_id)).state is GrantState.ACTIVE


async def test_each_look_reads_the_accounts_regions_and_goes_on_where_the_last_one_was(street: Street):
    await street.live()
    begun = street.time
    await street.later(seconds=31)
    await street.later(seconds=60)
    (first, regions), (second, _) = street.trail.asked
    assert regions == (HOME,)
    assert first == begun - timedelta(minutes=10)
    assert second == begun + timedelta(seconds=31) - timedelta(minutes=15)


async def test_without_somebody_to_read_the_log_nothing_is_watched(street: Street):
    street.tools = replace(street.tools, watched=None)
    await street.live()
    assert await street.later(minutes=1) == []


async def test_a_worker_that_cannot_read_the_log_leaves_it_to_one_that_can(street: Street):
    grant_id = await street.live()
    able, street.tools = street.tools, replace(street.tools, watched=None)
    street.does("s3:DeleteBucket", times=5, error=NO)
    assert await street.later(minutes=1) == ["nothing to watch with"]
    street.tools = able
    await street.later(minutes=1)
    assert (await street.grant(grant_id)).ending.cause == "kill"


async def test_where_no_worker_can_any_more_it_is_left_in_the_end(street: Street):
    await street.live(ttl_seconds=10)
    street.tools = replace(street.tools, watched=None)
    assert "nothing to watch" in await street.later(minutes=76)
    assert await street.later(minutes=5) == []


async def test_a_crash_between_the_last_word_and_its_alert_tells_a_minute_later(street: Street):
    grant_id = await street.live(ttl_seconds=10)
    await street.later(seconds=11)
    street.time += timedelta(minutes=20)
    street.does(resource="arn:aws:s3:::customer-exports/2026/a")

    class Dies:
        async def send(self, alert):
            raise RuntimeError("killed here")

    tools, street.tools = street.tools, replace(street.tools, alerts=Dies())
    with pytest.raises(RuntimeError):
        await street.work()
    assert (await street.activity(grant_id)).reported_at
    street.tools = tools
    await street.later(minutes=1)
    assert street.alerts == ["activity.incident"]
    assert await street.later(minutes=5) == []


async def test_a_look_that_lost_its_lease_changes_nothing(street: Street):
    grant_id = await street.live()
    street.does("s3:DeleteBucket", times=5, error=NO)
    assert await look(street.tools, Attempt(layout.activity_key(grant_id), 99)) == "fenced"
    assert (await street.grant(grant_id)).state is GrantState.ACTIVE
