"""Policy, people and roles that change between a request and the click on it: the stricter answer wins, and says so."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from approvers.audit import check_chain
from approvers.card import render, shown_digest
from approvers.errors import AlreadyDecided, CountersignError, Expired, Forbidden, NotEvaluated, Outdated
from approvers.grant import overtaken
from approvers.policy import Policy
from bot.commits import Click
from bot.reading import View
from tests.approvers.rules_world import edited
from tests.bot.circles import ROSTER as OUTSIDE
from tests.bot.circles import Circles, seats
from tests.bot.postings_town import ONE_PLACE, Town
from tests.bot.test_desk import World, person
from tests.worlds import samples
from workers.policies import apply
from workers.stores import layout

POLICY, ROSTER = samples.POLICY_TEXT, samples.ROSTER_TEXT
STOP = '[rule.stop]\neffect = "deny"\nowner = "sre"\nnote = "Stop."\nwhen = { role = ["analytics"] }\n'
NIGHT = (
    '[rule.night]\neffect = "review"\nquorum = "two"\nowner = "sre"\nnote = "Out of hours."\n'
    'when = { outside_hours = "08:00-10:30" }\n'
)
ALLOW = (
    '[rule.fine]\neffect = "allow"\nuntil = 2027-05-31\nowner = "sre"\nnote = "Fine."\n'
    'when = { role = ["analytics"] }\n'
)
TWO = edited(POLICY, "[quorum.one]\nseats  = { sre = 1 }", "[quorum.one]\nseats  = { sre = 2 }")


@pytest.fixture
async def world() -> World:
    return await World().start()


async def put(world: World, policy: str | None = None, roster: str | None = None) -> None:
    """Apply behind this process's back: its copy is old, and its commit finds out."""
    await apply(world.store.records, policy=policy, roster=roster, by="user:kim", why="test")


async def raised(awaitable) -> CountersignError:
    with pytest.raises(CountersignError) as caught:
        await awaitable
    return caught.value


async def now(world: World, view: View):
    return (await world.reader.look(view.request.id)).request


async def record(world: World, view: View, kind: str) -> dict:
    bodies = await world.store.log.chain(view.request.id)
    check_chain(view.request.id, bodies)
    return next(one for one in reversed([json.loads(body) for body in bodies]) if one["type"] == kind)


def shown(view: View) -> dict[str, str]:
    return {"shown": shown_digest(view.request)}


async def events(world: World) -> list[str]:
    return [json.loads(line)["type"] for _, line in await world.store.outbox.unread()]


class TestADenial:
    async def test_it_closes_the_request_in_the_name_of_policy_and_the_clicker_hears_it(self, world: World):
        view = await world.ask()
        await put(world, POLICY + STOP)
        error = await raised(world.click(view, "robin", **shown(view)))
        assert isinstance(error, AlreadyDecided)
        assert error.detail == f"What applies to this has changed: stop: Stop; {view.request.handle} is denied now."
        after = await now(world, view)
        assert (after.state, after.because, after.decided_by, after.reviews) == ("DENIED", "rule", "policy", ())
        assert (await world.types(view.request.id))[1:] == ["request.reruled", "request.denied", "review.refused"]
        assert (await record(world, view, "request.denied"))["by"]["sub"] == "policy"
        assert await world.reader.waiting() == []
        assert "request.denied" in await events(world)

    async def test_the_record_holds_both_policies_and_the_facts_that_were_ruled_on(self, world: World):
        view = await world.ask()
        await put(world, POLICY + STOP)
        world.time += timedelta(minutes=1)
        await raised(world.click(view, "robin"))
        told = (await record(world, view, "request.reruled"))["data"]
        assert told["was"] == {
            "effect": "review",
            "policy_sha256": view.request.ruling.policy_sha256,
            "seats": {"sre": 1},
        }
        assert told["ruling"]["policy_sha256"] == world.policies.current.policy_sha256 != told["was"]["policy_sha256"]
        assert told["facts"]["at"] == "2026-11-20T10:01:00.000Z"

    async def test_who_has_no_seat_closes_nothing(self, world: World):
        view = await world.ask()
        await put(world, POLICY + STOP)
        for name, code in (("dana", "four_eyes"), ("stranger", "no_seat")):
            assert (await raised(world.click(view, name))).code == code
        assert (await now(world, view)).state == "PENDING"

    async def test_a_persons_denial_needs_no_second_ruling(self, world: World):
        view = await world.ask()
        await put(world, POLICY + STOP)
        assert (await world.click(view, "robin", "deny", reason="no")).request.because == "reviewer"


class TestMoreSeats:
    async def test_a_card_is_out_of_date_and_the_request_waits_for_what_is_needed_now(self, world: World):
        view = await world.ask()
        await put(world, TWO)
        error = await raised(world.click(view, "robin", **shown(view)))
        assert isinstance(error, Outdated)
        assert error.detail == (
            "What applies to this has changed: it needs 2 of sre now, was 1 of sre. Look again, then decide."
        )
        after = await now(world, view)
        assert (after.state, after.ruling.seats, after.reviews) == ("PENDING", {"sre": 2}, ())
        assert "2 of sre" in render(after, None).asked
        assert (await world.types(view.request.id))[1:] == ["request.reruled", "review.refused"]
        assert "request.reruled" in await events(world)
        fresh = {"shown": shown_digest(after)}
        assert (await world.click(view, "robin", **fresh)).request.state == "PENDING"
        assert (await world.click(view, "alex", **fresh)).request.state == "APPROVED"
        assert (await world.types(view.request.id)).count("request.reruled") == 1

    async def test_who_saw_no_card_counts_under_the_stricter_ruling_in_the_same_commit(self, world: World):
        view = await world.ask()
        await put(world, TWO)
        got = await world.click(view, "robin")
        assert (got.request.state, got.request.ruling.seats, got.version) == ("PENDING", {"sre": 2}, 2)
        assert (await world.types(view.request.id))[1:] == ["request.reruled", "review.recorded"]
        assert (await world.click(view, "alex")).grant.approved_by == ("user:robin", "user:alex")

    async def test_the_clock_looks_at_it_at_once_for_its_ladder_may_be_another(self, world: World):
        view = await world.ask()
        assert not (await world.store.due.claim("clock", most=9, lease=timedelta(seconds=1))).items
        await put(world, TWO)
        await raised(world.click(view, "robin", **shown(view)))
        [item] = (await world.store.due.claim("clock", most=9, lease=timedelta(seconds=1))).items
        assert item.member == layout.request_key(view.request.id)

    async def test_time_alone_can_ask_for_more_and_it_stays_so(self, world: World):
        await put(world, POLICY + NIGHT)
        await world.policies.refresh()
        world.time += timedelta(minutes=10)
        view = await world.ask()
        assert view.request.ruling.seats == {"sre": 1}
        world.time += timedelta(minutes=25)
        assert isinstance(await raised(world.click(view, "robin", **shown(view))), Outdated)
        world.time -= timedelta(minutes=20)
        await world.click(view, "robin")
        assert (await now(world, view)).ruling.seats == {"sre": 2}

    async def test_another_group_asked_now_may_be_kept_elsewhere_and_is_looked_up(self):
        world = await World().start(POLICY, OUTSIDE)
        world.directory.sources["slack"] = circles = Circles(S01={"ana"})
        view = await world.ask()
        await put(world, seats("{ dba = 1 }"))
        await world.policies.refresh()
        assert (await raised(world.click(view, "ana", **shown(view)))).code == "outdated_card"
        assert circles.asked["S01"] == 1
        assert (await now(world, view)).ruling.seats == {"dba": 1, "sre": 1}


class TestLessTime:
    async def test_the_end_comes_nearer_and_never_farther(self, world: World):
        view = await world.ask()
        await put(world, edited(POLICY, 'expires_after = "30m"', 'expires_after = "10m"'))
        assert isinstance(await raised(world.click(view, "robin", **shown(view))), Outdated)
        assert (await now(world, view)).expires_at == view.request.submitted_at + timedelta(minutes=10)

    async def test_what_is_over_by_that_counts_for_nobody(self, world: World):
        view = await world.ask()
        await put(world, edited(POLICY, 'expires_after = "30m"', 'expires_after = "10m"'))
        world.time += timedelta(minutes=11)
        assert isinstance(await raised(world.click(view, "robin")), Expired)
        assert (await now(world, view)).expires_at < world.time
        assert isinstance(await raised(world.click(view, "alex")), Expired)


class TestTheRoster:
    async def test_who_became_the_callers_owner_is_barred_and_fills_no_seat_any_more(self, world: World):
        await put(world, TWO)
        await world.policies.refresh()
        view = await world.click(await world.ask(), "kim")
        await put(world, roster=edited(ROSTER, 'owners       = ["user:dana"]', 'owners = ["user:kim"]'))
        error = await raised(world.click(view, "robin", **shown(view)))
        assert "user:kim cannot answer it any more" in error.detail
        again = await world.click(view, "robin", **shown(view))  # the old card: what it shows is what is approved
        assert again.request.state == "PENDING", "kim's yes does not count any more"
        assert (await world.click(view, "alex")).request.state == "APPROVED"

    async def test_an_account_that_became_production_is_ruled_on_as_such(self):
        staging = edited(ROSTER, '"prod"\n', '"staging"\n')
        world = await World().start(roster=staging)
        write = {**samples.BODY["access"], "actions": ["s3:PutObject"]}
        view = await world.ask(action="s3:PutObject", access=write, environment="staging")
        assert view.request.ruling.seats == {"sre": 1}
        await put(world, roster=ROSTER)
        assert "2 of sre now" in (await raised(world.click(view, "robin", **shown(view)))).detail

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("[caller.report-bot]", "[caller.other-bot]", "caller:report-bot is not in countersign.toml any more"),
            ("[role.analytics]", "[role.other]", "Role analytics is not in countersign.toml any more"),
            ("countersign-base-analytics", "countersign-base-other", "Role analytics leads elsewhere now"),
            ('["s3:GetObject*", ', "[", "does not hold s3:GetObject any more"),
        ],
        ids=["caller", "role", "arn", "ceiling"],
    )
    async def test_what_is_gone_cannot_be_approved_and_only_the_refusal_is_stored(self, world: World, old, new, said):
        view = await world.ask()
        await put(world, roster=edited(ROSTER, old, new))
        error = await raised(world.click(view, "robin"))
        assert isinstance(error, Forbidden)
        assert said in error.detail
        assert (await world.types(view.request.id))[1:] == ["review.refused"]
        assert (await now(world, view)).state == "PENDING"
        assert (await world.click(view, "robin", "deny")).request.state == "DENIED"

    async def test_a_cap_that_came_down_is_told_and_a_narrower_approval_would_fit(self, world: World):
        view = await world.ask()
        text = edited(POLICY, 'prod = "1h"', 'prod = "10m"').replace('"15m" }', '"10m" }')
        await put(world, text.replace('ttl_default      = "15m"', 'ttl_default = "5m"'))
        assert "longer than the 10 min" in (await raised(world.click(view, "robin"))).detail
        assert (await now(world, view)).state == "PENDING"


class TestNothingChanges:
    @pytest.mark.parametrize("text", [POLICY + ALLOW, POLICY + "# a remark\n"], ids=["lenient", "remark"])
    async def test_the_pinned_ruling_stays_and_so_do_the_cards(self, world: World, text: str):
        view = await world.ask()
        await put(world, text)
        got = await world.click(view, "robin", **shown(view))
        assert (got.request.state, got.request.ruling) == ("APPROVED", view.request.ruling)
        assert "request.reruled" not in await world.types(view.request.id)
        told = (await record(world, view, "review.recorded"))["data"]
        assert told["policy_sha256"] == world.policies.current.policy_sha256 != got.request.ruling.policy_sha256


class Broken(Policy):
    """A policy whose rules cannot be computed."""

    @property
    def zone(self):
        raise ZeroDivisionError


async def test_what_cannot_be_evaluated_is_no_yes_and_told_apart(world: World):
    view = await world.ask()
    book = world.policies.current
    world.policies._book = replace(book, policy=Broken.model_construct(**dict(book.policy)))
    error = await raised(world.click(view, "robin"))
    assert isinstance(error, NotEvaluated)
    assert "could not be evaluated" in error.detail
    assert (await record(world, view, "review.refused"))["data"]["code"] == "not_evaluated"
    assert (await now(world, view)).state == "PENDING"


class TestTheCards:
    ROSTER = (
        ONE_PLACE + '\n[person.ana]\n[group.dba]\npeople = ["ana"]\n[place.late]\nslack = "C02"\ngroups = ["dba"]\n'
    )
    BOTH = edited(POLICY, "[quorum.one]\nseats  = { sre = 1 }", "[quorum.one]\nseats  = { sre = 1, dba = 1 }").replace(
        '["group:sre", "place:console"]', '["group:sre", "place:console", "group:dba"]'
    )

    async def clicked(self, town: Town, text: str) -> CountersignError:
        view = await town.ask()
        await town.quiet()
        await apply(town.store.records, policy=text, roster=None, by="user:kim", why="test")
        click = Click(person("robin"), view.request.id, "approve", shown=shown_digest(view.request))
        error = await raised(town.desk.review(click))
        await town.quiet()
        return error

    async def test_every_copy_shows_what_is_needed_now_and_who_is_asked_anew_gets_one(self):
        town = await Town().start(self.ROSTER)
        async with town.web():
            assert isinstance(await self.clicked(town, self.BOTH), Outdated)
            assert "1 of dba and 1 of sre" in town.board.one("C01").card.asked
            assert town.board.one("C02").card.shown == town.board.one("C01").card.shown

    async def test_a_denial_by_policy_is_shown_as_one(self):
        town = await Town().start(self.ROSTER)
        async with town.web():
            assert isinstance(await self.clicked(town, POLICY + STOP), AlreadyDecided)
            assert town.board.states("C01") == ["Denied"]
            assert town.board.one("C01").card.outcome.startswith("Denied by policy (stop)")

    async def test_a_mint_that_was_stopped_is_said_on_the_card_and_in_its_thread(self):
        town = await Town().start(self.ROSTER)
        async with town.web():
            view = await town.ask()
            await town.quiet()
            await town.click(view)
            await town.move(view, "overtaken", lambda grant, _: overtaken(grant, "policy now denies it (stop)"))
            await town.quiet()
            message = town.board.one("C01")
            assert message.card.status == "Failed, nothing was issued: policy now denies it (stop)"
            assert any("policy now denies it (stop)" in line for line in message.lines)
