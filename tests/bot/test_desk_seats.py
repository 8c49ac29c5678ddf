"""Seats that the roster alone does not give: groups kept elsewhere, and seats that are lent."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from approvers.audit import By
from approvers.errors import CountersignError, Forbidden
from bot.away import Away
from bot.commits import MAX_DECIDED, Click
from bot.deps import make_desk
from bot.desk import NOTE_TRIES
from bot.directory import NotKnown
from bot.reading import Reader
from tests.bot.circles import NO_PATIENCE, ROSTER, Circles, town
from tests.bot.test_desk import World, caller, person
from tests.worlds import samples
from tests.worlds.samples import NOW
from tests.worlds.texts import records_of
from workers.policies import apply
from workers.stores import layout
from workers.stores.port import Commit, Records

LENT = '[[delegation]]\nfrom = "ana"\nto = "bob"\nuntil = 2026-11-22\n'


class Counted:
    """Be the records of a store, and note every call."""

    def __init__(self, records: Records) -> None:
        self.records, self.calls = records, list[str]()

    def __getattr__(self, name: str) -> object:
        self.calls.append(name)
        return getattr(self.records, name)


async def last(world: World, request: str, kind: str = "review.recorded") -> dict:
    records = await records_of(world.store, request)
    return next(one for one in reversed(records) if one["type"] == kind)["data"]


async def code_of(awaitable) -> str:
    with pytest.raises(CountersignError) as caught:
        await awaitable
    return caught.value.code


async def test_a_member_of_a_slack_group_fills_its_seat_and_the_list_is_on_the_record():
    world, _ = await town()
    view = await world.click(await world.ask(), "ana")
    assert (view.request.state, view.request.reviews[0].groups) == ("APPROVED", ("dba",))
    told = await last(world, view.request.id)
    assert told["seen_in"] == {"dba": {"source": "slack:S01", "at": "2026-11-20T10:00:00.000Z", "members": ["U-ana"]}}
    assert told["lent_by"] is None


async def test_who_left_the_group_between_card_and_click_has_no_seat_and_the_refusal_says_who_was_in_it():
    world, circles = await town()
    view = await world.ask()
    circles.groups["S01"] = {"bob"}
    assert await code_of(world.click(view, "ana")) == "no_seat"
    refused = await last(world, view.request.id, "review.refused")
    assert (refused["code"], refused["seen_in"]["dba"]["members"]) == ("no_seat", ["U-bob"])


async def test_a_source_that_cannot_be_asked_is_a_recorded_refusal_and_no_decision():
    world, circles = await town()
    circles.down = True
    view = await world.ask()
    with pytest.raises(NotKnown, match="Slack answered ratelimited"):
        await world.click(view, "ana")
    assert (await last(world, view.request.id, "review.refused"))["code"] == "membership_unknown"
    assert (await world.reader.look(view.request.id)).request.reviews == ()
    circles.down = False
    assert (await world.click(view, "ana")).request.state == "APPROVED"


async def test_a_seat_by_the_roster_alone_waits_for_no_broken_source():
    world, circles = await town("{ dba = 1, sre = 1 }")
    circles.down = True
    view = await world.click(await world.ask(), "robin")
    assert (view.request.state, view.request.reviews[0].groups) == ("PENDING", ("sre",))
    assert await code_of(world.click(view, "bob")) == "membership_unknown"


async def test_a_request_without_outside_seats_asks_nobody_outside():
    world, circles = await town("{ sre = 1 }")
    await world.click(await world.ask(), "robin")
    assert not circles.asked


async def test_a_decided_request_asks_nobody_outside():
    world, circles = await town()
    view = await world.click(await world.ask(), "ana")
    circles.asked.clear()
    assert await code_of(world.click(view, "bob")) == "already_decided"
    assert not circles.asked


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
async def test_an_owning_group_kept_in_slack_bars_its_members_and_everybody_while_it_is_silent(known: bool):
    roster = ROSTER.replace('owners       = ["user:dana"]', 'owners = ["group:dba"]')
    world, circles = await town("{ sre = 1 }", roster, S01={"robin"})
    circles.down = not known
    view = await world.ask()
    assert await code_of(world.click(view, "robin")) == ("four_eyes" if known else "membership_unknown")
    if known:
        assert (await world.click(view, "kim")).request.state == "APPROVED"
    else:
        assert await code_of(world.click(view, "kim")) == "membership_unknown"


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
async def test_an_owning_group_kept_in_slack_may_withdraw(known: bool):
    roster = ROSTER.replace('owners       = ["user:dana"]', 'owners = ["group:dba"]')
    world, circles = await town("{ sre = 1 }", roster)
    circles.down = not known
    view = await world.ask()
    assert await code_of(world.desk.cancel(person("bob"), view.request.id)) == (
        "forbidden" if known else "membership_unknown"
    )
    if known:
        view = await world.desk.cancel(person("ana"), view.request.id)
    else:
        view = await world.desk.cancel(caller(), view.request.id)
    assert view.request.state == "CANCELLED"


async def test_a_group_that_became_an_outside_one_during_the_click_is_unknown_and_not_empty():
    """The roster changes behind this process's back; the commit finds out, and nobody was asked about the new group."""
    world, circles = await town("{ sre = 1 }")
    view = await world.ask()
    moved = ROSTER.replace('people = ["dana", "robin", "alex", "kim"]', 'people = ["dana"]\nslack = "S02"')
    await apply(world.store.records, policy=None, roster=moved, by="user:dana", why="moved")
    assert await code_of(world.click(view, "robin")) == "membership_unknown"
    assert "S02" not in circles.asked


async def test_a_seat_lent_in_the_file_counts_until_the_end_of_its_last_day():
    world, _ = await town(roster=ROSTER + LENT)
    view = await world.ask()
    approved = await world.click(view, "bob")
    assert approved.request.reviews[0].lent_by == "user:ana"
    assert (await last(world, view.request.id))["lent_by"] == "user:ana"
    decided = await last(world, view.request.id, "request.approved")
    assert (decided["filled"], decided["lent"]) == ({"dba": ["user:bob"]}, {"user:bob": "user:ana"})
    assert await code_of(world.click(view, "ana")) == "already_decided"


@pytest.mark.parametrize(("minutes", "counts"), [(-1, True), (1, False)], ids=["before", "after"])
async def test_a_delegation_that_ended_between_card_and_click_lends_nothing(minutes: int, counts: bool):
    world, _ = await town(roster=ROSTER + LENT)
    world.time = NOW.replace(day=22, hour=23, minute=45)
    view = await world.ask()
    world.time = NOW.replace(day=23, hour=0, minute=0) + timedelta(minutes=minutes)
    if counts:
        assert (await world.click(view, "bob")).request.state == "APPROVED"
    else:
        assert await code_of(world.click(view, "bob")) == "no_seat"


async def test_a_seat_taken_back_in_the_middle_of_a_click_is_not_used():
    """Another process takes it back: this one still believes in it, and its commit finds out."""
    world, _ = await town()
    away = Away(world.store, world.policies, world.reader)
    await away.lend(person("ana"), "bob", NOW + timedelta(days=2))
    view = await world.ask()
    believed = world.policies.current
    await away.end(person("ana"))
    world.policies._book = believed
    assert await code_of(world.click(view, "bob")) == "no_seat"
    assert (await world.reader.look(view.request.id)).request.state == "PENDING"


async def test_lender_and_stand_in_at_once_are_one_voice():
    world, _ = await town("{ dba = 2 }", ROSTER + LENT)
    view = await world.ask()
    results = await asyncio.gather(world.click(view, "ana"), world.click(view, "bob"), return_exceptions=True)
    refused = [one for one in results if isinstance(one, Forbidden)]
    assert [one.code for one in refused] == ["already_reviewed"]
    assert len((await world.reader.look(view.request.id)).request.reviews) == 1


async def test_what_a_person_answered_is_at_hand_newest_first():
    world, _ = await town("{ sre = 2 }")
    asked = [await world.ask(f"k{number}", parameters={"n": number}) for number in range(MAX_DECIDED + 2)]
    for view in asked:
        await world.click(view, "robin")
    await world.click(asked[3], "kim", "deny")
    mine = await world.reader.decided("user:robin")
    assert [one.request.id for one in mine] == [one.request.id for one in reversed(asked)][:MAX_DECIDED]
    assert [one.request.state for one in await world.reader.decided("user:kim")] == ["DENIED"]
    assert await world.reader.decided("user:alex") == []


async def test_a_refused_click_is_not_among_what_a_person_answered():
    world, _ = await town("{ sre = 1 }")
    assert await code_of(world.click(await world.ask(), "dana")) == "four_eyes"
    assert await world.reader.decided("user:dana") == []


class Rival(Counted):
    """Be records in which somebody else writes the list of what robin answered just before every commit that does."""

    async def commit(self, one: Commit) -> None:
        key = layout.decided_key("user:robin")
        if key in one.puts:
            rival = Commit(at=one.at, expects={key: one.expects[key]}, puts={key: '{"v":1,"requests":[]}'})
            await self.records.commit(rival)
        self.calls.append("commit")
        await self.records.commit(one)


async def test_the_list_of_what_a_person_answered_never_costs_the_answer():
    world, _ = await town("{ sre = 1 }")
    view = await world.ask()
    rival = Rival(world.store.records)
    store = replace(world.store, records=rival)
    desk = make_desk(store, world.policies, Reader(store), world.directory)
    done = await desk.review(Click(person("robin"), view.request.id, "approve"))
    assert (done.request.state, rival.calls.count("commit")) == ("APPROVED", NOTE_TRIES + 1)


async def test_somebody_who_is_nobody_here_is_turned_away_on_the_record():
    world, _ = await town()
    view = await world.ask()
    stranger, error = By(None, "slack", "T09/U99"), Forbidden("Guests cannot answer here.", code="guest")
    await world.desk.turned_away(stranger, "slack", view.request.id, error, "approve")
    record = (await records_of(world.store, view.request.id))[-1]
    assert (record["type"], record["via"]) == ("review.refused", "slack")
    assert record["by"] == {"iss": "slack", "person": None, "sub": "T09/U99"}
    assert record["data"] == {"verdict": "approve", "code": "guest", "detail": "Guests cannot answer here."}
    assert (await world.store.signals.counts())["reviews_refused:guest"] == 1
    await world.desk.turned_away(stranger, "slack", "req_none", error, "approve")
    assert await world.store.log.chain("req_none") == []


async def test_a_mute_source_does_not_hold_a_click():
    world, circles = await town("{ dba = 1, sre = 1 }", patience=NO_PATIENCE)
    circles.mute = True
    done = await world.click(await world.ask(), "kim")
    assert done.request.reviews[0].groups == ("oncall", "sre")


async def test_a_click_costs_one_read_and_one_commit_and_one_read_more_where_its_asker_was_not_seen():
    world, _ = await town(roster=ROSTER + LENT)
    counted = Counted(world.store.records)
    store = replace(world.store, records=counted)
    here, elsewhere = (make_desk(store, world.policies, Reader(store), world.directory) for _ in range(2))
    for number, desk in enumerate((here, elsewhere)):
        view = await here.submit(caller(), samples.action(parameters={"n": number}), f"k{number}")
        counted.calls.clear()
        await desk.review(Click(person("bob"), view.request.id, "approve"))
        assert counted.calls == ["read"] * (number + 1) + ["commit"]


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
async def test_who_fills_in_may_be_of_a_group_kept_elsewhere(known: bool):
    """The Slack group dba may take the seat of sre; while Slack is silent that is neither yes nor no."""
    text = samples.POLICY_TEXT.replace(
        'ask = ["group:sre", "place:console"]', 'ask = ["group:dba"], may_fill = "sre"', 1
    )
    assert text != samples.POLICY_TEXT
    world = await World().start(text, ROSTER)
    world.directory.sources["slack"] = circles = Circles(S01={"ana"})
    circles.down = not known
    view = await world.ask()
    assert view.request.fill_in == (("dba", "sre"),)
    if known:
        assert (await world.click(view, "ana")).request.reviews[0].raised == ("sre",)
        assert "ana" in str((await last(world, view.request.id))["seen_in"])
    else:
        assert await code_of(world.click(view, "ana")) == "membership_unknown"
