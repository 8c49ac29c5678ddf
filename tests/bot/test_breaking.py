"""Break-glass over the API: granted at once, everybody told, an after-review owed; and what happens until then.

The clock runs over the same store, with its time in the test's hand.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from approvers.request import Request
from approvers.upgrades import read
from bot.after_reviews import AfterReviews
from bot.breaking import Breaking, Owed, owed_in
from bot.directory import Directory, Members
from bot.directory import NotKnown as NotKnownToSlack
from bot.identity import Identity
from tests.bot.postings_town import Sink
from tests.bot.test_desk import World, caller, person
from tests.workers.test_leasing import Shop
from tests.worlds import glass, samples
from tests.worlds.dues import looked_after
from tests.worlds.samples import NOW
from tests.worlds.web import Answer, Web, make_key
from workers.clock.due import Clock
from workers.clock.owing import Owing
from workers.policies import Policies, apply
from workers.stores import layout
from workers.stores.memory import memory_store
from workers.stores.port import Commit, Store

LEASE = timedelta(seconds=20)
ALLOWED = {"action": "s3:ListAllMyBuckets", "resource": "arn:aws:s3:::names", "access": None}
"""What a rule allows to everybody."""


class Night:
    """One web process and one clock over a store whose time the test sets."""

    def __init__(self) -> None:
        self.time = NOW
        self.store: Store = memory_store(lambda: self.time)
        self.alerts = Sink()
        self.owing = Owing(self.store, self.alerts)
        self.web: Web

    async def take(self, key: str = "k1", **changes: Any) -> Answer:
        """Have dana use break-glass."""
        return await self.web.ask(key, who="user:dana", **{**glass.ASK, **changes})

    async def after(self, request: str, name: str = "robin", verdict: str = "justified", **more: Any) -> Answer:
        body = {"verdict": verdict, **more}
        return await self.web.call("POST", f"/v1/requests/{request}/after-review", who=f"user:{name}", json=body)

    async def until(self, hours: float) -> list[str]:
        """Let the clock do what falls due until then, each at its moment; returns a word for each."""
        until, words = NOW + timedelta(hours=hours), []
        while True:
            handout = await looked_after(self.store, lease=LEASE)
            words += [await self.owing.look_after(item) for item in handout.items]
            if not handout.items:
                if self.time + handout.next_in > until:
                    self.time = max(self.time, until)
                    return words
                self.time += handout.next_in

    async def owed(self) -> tuple[str, ...]:
        return owed_in(await self.record(layout.owed_key("user:dana"))).requests

    async def record(self, key: str):
        return (await self.store.records.read([key])).records[key]

    async def types(self, request: str) -> list[str]:
        return [one["type"] for one in await self.web.records(request)]


@pytest.fixture
async def night() -> AsyncIterator[Night]:
    one = Night()
    async with Web.over(one.store, policy=glass.POLICY) as one.web:
        yield one


# ---- the use


async def test_a_use_is_granted_at_once_and_everything_that_it_owes_is_in_the_same_commit(night: Night):
    got = await night.take()
    said = got.json
    assert (got.status, said["state"], said["because"], said["reviews"]) == (200, "APPROVED", "break_glass", [])
    assert (said["ruling"]["effect"], said["grant"]["state"], said["grant"]["break_glass"]) == (
        "break_glass",
        "PENDING",
        True,
    )
    assert said["after_review"] == {
        "due_at": "2026-11-21T10:00:00.000Z",
        "verdict": None,
        "by": None,
        "reason": "",
        "at": None,
        "overdue_at": None,
    }
    used = (await night.web.records(said["id"]))[-1]
    assert await night.types(said["id"]) == [
        "request.submitted",
        "request.approved",
        "grant.opened",
        "break_glass.used",
    ]
    assert used["by"]["person"] == "user:dana"
    assert (used["data"]["reason"], used["data"]["ticket"]) == (samples.BODY["reason"], "INC-42")
    assert len(used["data"]["plan_sha256"]) == 64
    assert await night.owed() == (said["id"],)
    due = await looked_after(night.store, lease=LEASE)
    assert [item.member for item in due.items] == [f"owing:{said['id']}"]


async def test_what_policy_allows_anyway_owes_nothing(night: Night):
    got = await night.take(**ALLOWED)
    assert (got.json["state"], got.json["because"], got.json["after_review"]) == ("APPROVED", "rule", None)
    assert await night.owed() == ()
    assert not (await looked_after(night.store, lease=LEASE)).items


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"ticket": None}, "needs a ticket", id="no-ticket"),
        pytest.param({"action": "s3:DeleteObject", "access": None, "reason": ""}, "Say why", id="denied-anyway"),
    ],
)
async def test_what_is_not_open_is_denied_in_words_and_owes_nothing(night: Night, changes: dict, words: str):
    got = await night.take(**changes)
    assert (got.status, got.json["state"], got.json["grant"]) == (200, "DENIED", None)
    assert words in got.json["agent_message"]
    assert await night.types(got.json["id"]) == ["request.submitted", "request.denied"]
    assert await night.owed() == ()


async def test_a_program_is_denied_in_words_and_on_record(night: Night):
    got = await night.web.ask(break_glass=True, ticket="INC-42")
    assert (got.status, got.json["state"]) == (200, "DENIED")
    assert "Break-glass is for people only" in got.json["agent_message"]
    assert await night.types(got.json["id"]) == ["request.submitted", "request.denied"]


async def test_somebody_whom_the_policy_does_not_name_is_denied(night: Night):
    night.web.keys["asking alex"] = await _key(night, "user:alex")
    got = await night.web.ask(who="asking alex", **{**glass.ASK, "actor": {"id": "user:alex"}})
    assert got.json["state"] == "DENIED"
    assert "Break-glass is not open to you" in got.json["agent_message"]


async def test_its_own_cap_on_the_time_holds(night: Night):
    got = await night.take(ttl_seconds=2400)
    assert (got.status, got.code, got.json["field"]) == (400, "inadmissible", "ttl_seconds")
    assert got.json["rule"] == "break_glass.ttl_max"


async def test_a_freeze_stops_everything_else(night: Night):
    await night.web.call("POST", "/v1/freeze", who="user:kim", json={"reason": "odd reads"})
    plain = await night.take("k0", **ALLOWED)
    assert (plain.status, plain.code) == (403, "frozen")
    got = await night.take()
    assert (got.status, got.json["state"], got.json["because"]) == (200, "APPROVED", "break_glass")


# ---- the next use


async def test_an_unreviewed_use_blocks_the_next_one_until_somebody_else_has_reviewed_it(night: Night):
    first = (await night.take()).json["id"]
    second = await night.take("k2", reason="Once more")
    assert second.json["state"] == "DENIED"
    assert "your last use is not reviewed yet" in second.json["agent_message"]
    assert await night.owed() == (first,)
    assert (await night.after(first)).status == 200
    third = await night.take("k3", reason="And again")
    assert third.json["state"] == "APPROVED"
    assert await night.owed() == (third.json["id"],)


async def test_two_uses_at_once_are_one_use(night: Night):
    got = await asyncio.gather(*(night.take(f"k{n}", reason=f"use {n}") for n in range(4)))
    assert sorted(one.json["state"] for one in got) == ["APPROVED", "DENIED", "DENIED", "DENIED"]
    assert len(await night.owed()) == 1


async def test_the_same_key_again_is_the_same_use(night: Night):
    first, again = await night.take(), await night.take()
    assert first.json["id"] == again.json["id"]
    assert again.json["because"] == "break_glass"
    assert len(await night.owed()) == 1


# ---- the after-review


@pytest.mark.parametrize(("verdict", "reason"), [("justified", ""), ("unjustified", "There was time to ask.")])
async def test_an_after_review_is_one_commit_and_the_same_again_is_no_other(night: Night, verdict: str, reason: str):
    request = (await night.take()).json["id"]
    got = await night.after(request, verdict=verdict, reason=reason)
    said = got.json["after_review"]
    assert (got.status, said["verdict"], said["by"], said["reason"]) == (200, verdict, "user:robin", reason)
    assert await night.owed() == ()
    record = (await night.web.records(request))[-1]
    assert (record["type"], record["by"]["person"]) == ("break_glass.reviewed", "user:robin")
    assert (record["data"]["used_by"], record["data"]["late"]) == ("user:dana", False)
    count = len(await night.web.records(request))
    again = await night.after(request, verdict=verdict, reason=reason)
    assert (again.status, again.json["after_review"]) == (200, said)
    assert len(await night.web.records(request)) == count
    other = await night.after(request, "alex", verdict=verdict, reason=reason)
    assert (other.status, other.code) == (409, "already_decided")


async def test_whoever_used_it_is_refused_on_the_record(night: Night):
    request = (await night.take()).json["id"]
    got = await night.after(request, "dana")
    assert (got.status, got.code) == (403, "four_eyes")
    record = (await night.web.records(request))[-1]
    assert (record["type"], record["data"]["code"]) == ("break_glass.review_refused", "four_eyes")
    assert record["by"]["person"] == "user:dana"
    assert len(await night.owed()) == 1


async def test_not_justified_without_words_is_refused_and_names_the_field(night: Night):
    request = (await night.take()).json["id"]
    got = await night.after(request, verdict="unjustified", reason="  ")
    assert (got.status, got.code, got.json["field"]) == (400, "inadmissible", "reason")


async def test_what_was_no_use_and_what_is_not_there(night: Night):
    plain = (await night.web.ask()).json["id"]
    got = await night.after(plain)
    assert (got.status, got.code) == (409, "nothing_owed")
    assert (await night.after("req_01ARZ3NDEKTSV4RRFFQ69G5FAV")).status == 404


async def test_a_program_gives_no_after_review(night: Night):
    request = (await night.take()).json["id"]
    night.web.keys["user:bot"] = await _key(night, samples.CALLER, "review")
    got = await night.after(request, "bot")
    assert (got.status, got.code) == (403, "people_only")


async def test_two_at_once_are_one(night: Night):
    request = (await night.take()).json["id"]
    got = await asyncio.gather(night.after(request), night.after(request, "alex", "unjustified", reason="no"))
    assert sorted(one.status for one in got) == [200, 409]
    assert (await night.types(request)).count("break_glass.reviewed") == 1


# ---- on-call, and time


async def test_on_call_hears_of_a_use_at_once_and_that_it_is_reviewed(night: Night):
    request = (await night.take()).json["id"]
    assert await night.until(0) == ["told"]
    (alert,) = night.alerts.sent
    assert (alert.key, alert.severity, alert.cleared) == (f"break_glass.used:{request}", "critical", False)
    assert "BREAK-GLASS: READ" in alert.summary and "taken by dana at 10:00 UTC, is reviewed by nobody" in alert.summary
    await night.after(request)
    assert await night.until(0) == ["reviewed"]
    assert night.alerts.keys[-1] == f"-break_glass.used:{request}"
    assert await night.until(100) == [], "the item is gone"


async def test_a_clock_that_dies_after_the_use_is_followed_by_one_that_tells_it(night: Night):
    request = (await night.take()).json["id"]
    await looked_after(night.store, lease=LEASE)  # and it dies with that in hand
    assert await night.until(0) == []
    assert await night.until(0.01) == ["told"]
    assert night.alerts.keys == [f"break_glass.used:{request}"]


async def test_a_clock_that_dies_between_telling_and_noting_tells_it_again(night: Night):
    request = (await night.take()).json["id"]
    (item,) = (await looked_after(night.store, lease=LEASE)).items
    night.time += 2 * LEASE
    await looked_after(night.store, lease=LEASE)  # another has it by now
    assert await night.owing.look_after(item) == "fenced"
    assert night.alerts.keys == [f"break_glass.used:{request}"]
    assert await night.until(0.1) == ["told"]


async def test_a_review_in_the_middle_of_a_look_is_not_lost(night: Night):
    request = (await night.take()).json["id"]

    class Meddling(Sink):
        async def send(self, alert: Any) -> None:
            await super().send(alert)
            if len(self.sent) == 1:
                assert (await night.after(request)).status == 200

    night.alerts = alerts = Meddling()
    night.owing = Owing(night.store, alerts)
    assert await night.until(0) == ["fenced", "reviewed"]
    assert alerts.keys == [f"break_glass.used:{request}", f"-break_glass.used:{request}"]


async def test_a_use_is_told_again_for_an_hour_then_once_its_review_is_due_and_from_then_on_until_it_is_given(
    night: Night,
):
    request = (await night.take()).json["id"]
    assert len(await night.until(2)) == 7
    assert set(night.alerts.keys) == {f"break_glass.used:{request}"}
    assert await night.until(23.99) == []
    assert await night.until(24) == ["overdue"]
    assert night.alerts.keys[-1] == f"break_glass.overdue:{request}"
    assert "and that was due at 2026-11-21T10:00:00.000Z" in night.alerts.sent[-1].summary
    assert len(await night.until(25)) == 6
    kept = read(Request, (await night.record(layout.request_key(request))).json).after_review
    assert kept and kept.overdue_at == NOW + timedelta(hours=24)
    assert (await night.types(request)).count("break_glass.overdue") == 1
    got = await night.after(request)
    assert got.json["after_review"]["overdue_at"] == "2026-11-21T10:00:00.000Z"
    assert (await night.web.records(request))[-1]["data"]["late"] is True
    assert await night.until(25) == ["reviewed"]
    assert night.alerts.keys[-2:] == [f"-break_glass.used:{request}", f"-break_glass.overdue:{request}"]


async def test_a_slow_address_of_on_calls_holds_up_no_other_item(night: Night):
    request = (await night.take()).json["id"]
    gate = asyncio.Event()

    class Slow(Sink):
        async def send(self, alert: Any) -> None:
            await gate.wait()
            await super().send(alert)

    slow = Slow()
    clock = Clock(night.store, queue=None, lease=LEASE, alerts=slow)  # type: ignore[arg-type] # it hands out nothing
    async with asyncio.timeout(30):
        await clock.attend()
    assert slow.sent == []
    gate.set()
    await clock.leave()
    assert slow.keys == [f"break_glass.used:{request}"]


async def test_people_hear_of_each_step_through_the_outbox():
    world = await World().start(policy=glass.POLICY)
    owing = Owing(world.store, Sink())

    async def told() -> list[str]:
        lines = await world.store.outbox.unread()
        await world.store.outbox.told([number for number, _ in lines])
        return [json.loads(line)["type"] for _, line in lines]

    async def looked() -> None:
        (item,) = (await looked_after(world.store, lease=LEASE)).items
        await owing.look_after(item)

    view = await world.desk.submit(person("dana"), samples.action(**glass.ASK), "k1")
    assert await told() == ["request.submitted", "request.approved", "break_glass.used"]
    await looked()
    assert await told() == []
    world.time += glass.WITHIN
    await looked()
    assert await told() == ["break_glass.overdue"]
    reviews = AfterReviews(world.store, world.policies, world.reader, world.directory)
    await reviews.take(person("robin"), view.request.id, "justified")
    assert await told() == ["break_glass.reviewed"]


# ---- who it is that asks


class Slack:
    """Say who is in a Slack group, or that it does not know."""

    def __init__(self, *people: str, silent: bool = False) -> None:
        self.people, self.silent = frozenset(people), silent

    async def members(self, group: str) -> Members:
        if self.silent:
            raise NotKnownToSlack("Slack did not answer in time")
        return Members(f"slack:{group}", self.people, tuple(sorted(self.people)), NOW)


async def _looked(
    slack: Slack, who: Identity, *, open_to: str = '"group:lead"', **changes: Any
) -> tuple[tuple[str, ...], int]:
    store = memory_store(lambda: NOW)
    policies = Policies(store.records, store.signals)
    roster = samples.ROSTER_TEXT.replace("[group.sre]", '[group.lead]\nslack = "S09"\n[group.sre]', 1)
    policy = glass.POLICY.replace('who = ["user:dana", "group:oncall"]', f"who = [{open_to}]")
    await apply(store.records, policy=policy, roster=roster, by="user:dana", why="test")
    await policies.refresh()
    directory = Directory(policies)
    directory.sources["slack"] = slack
    asked = samples.action(break_glass=True, **changes)
    found = await Breaking(store.records, directory).look(policies.current, who, asked)
    return found.groups, found.owed


async def test_groups_kept_elsewhere_count():
    assert await _looked(Slack("dana"), person("dana")) == (("lead", "sre"), 0)
    assert await _looked(Slack("robin"), person("dana")) == (("sre",), 0)


async def test_a_silent_group_refuses_only_whom_it_could_let_in():
    with pytest.raises(NotKnownToSlack, match="who is in lead"):
        await _looked(Slack(silent=True), person("dana"))
    for others in ('"user:dana"', '"user:dana", "group:lead"', '"group:sre", "group:lead"'):
        assert await _looked(Slack(silent=True), person("dana"), open_to=others) == (("sre",), 0)
    assert await _looked(Slack(silent=True), person("kim"), open_to='"group:oncall"') == (("oncall", "sre"), 0)


async def test_of_a_program_nothing_is_looked_up():
    assert await _looked(Slack(silent=True), caller()) == ((), 0)


async def test_the_record_of_what_is_owed_says_what_is_left():
    assert Owed(requests=("a", "b", "c")).without("b").requests == ("a", "c")
    assert Owed().without("b") == Owed()


async def _key(night: Night, principal: str, *scopes: str) -> str:
    return await make_key(night.store, principal, *(scopes or ("request",)))


# ---- the mint


async def test_what_break_glass_took_is_minted_under_a_freeze_and_what_people_approved_is_not():
    shop = Shop()
    await shop.start(policy=glass.POLICY)
    approved = await shop.approved()
    taken = await shop.desk.submit(person("dana"), samples.action(**glass.ASK), "k2")
    assert taken.grant and taken.grant.break_glass
    record = json.dumps({"v": 1, "on": True, "why": "incident 7"})
    await shop.store.records.commit(Commit(at=shop.time, expects={layout.FREEZE: 0}, puts={layout.FREEZE: record}))
    assert sorted(await shop.work()) == ["MINTING → ACTIVE", "overtaken"]
    assert (await shop.grant(approved)).failure == "frozen: incident 7"
    assert (await shop.grant(taken.grant.id)).state == "ACTIVE"
