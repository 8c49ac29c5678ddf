"""The rulebook: who answers for whom at one moment, and whose yes a change of it needs."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from approvers.applying import ask, bound, changes, check_approval
from approvers.applying_ruling import APPLY
from approvers.audit import By
from approvers.card import render
from approvers.errors import AlreadyDecided, Forbidden, Inadmissible
from approvers.policy import parse_policy
from approvers.request import Request
from approvers.roster import parse_roster
from bot.away import Away
from bot.identity import SCOPES, Identity
from bot.stops import Stops
from countersign.ops.policy_files import NotApplied
from countersign.ops.second import Approval, Asked, second_yes
from tests.bot.test_desk import World, person
from tests.worlds import samples
from tests.worlds.samples import NOW
from tests.worlds.texts import records_of
from workers.policies import Applied, NeedsApproval, Policies, apply
from workers.stores import layout

PEOPLE = "[person.ana]\n[person.bob]\n"
FILE = samples.ROSTER_TEXT + PEOPLE + '[[delegation]]\nfrom = "robin"\nto = "bob"\nuntil = 2026-11-23\n'
BERLIN = samples.POLICY_TEXT.replace('timezone       = "UTC"', 'timezone = "Europe/Berlin"')


@pytest.fixture
async def world() -> World:
    return await World().start(BERLIN, FILE)


async def test_the_file_lends_to_the_end_of_its_day_in_the_policys_zone(world: World):
    book = world.policies.current
    midnight = NOW.replace(day=23, hour=23, minute=0)  # UTC: the 24th begins in Berlin
    assert book.lenders("bob", midnight - timedelta(milliseconds=1)) == ("robin",)
    assert book.lenders("bob", midnight) == ()


async def test_file_and_people_lend_side_by_side_and_the_card_says_who_answers(world: World):
    away = Away(world.store, world.policies, world.reader)
    await away.lend(person("kim"), "bob", NOW + timedelta(days=5))
    await away.lend(person("ana"), "bob", NOW + timedelta(days=5))
    book = world.policies.current
    assert book.lenders("user:bob", NOW) == ("ana", "kim", "robin")
    assert book.stand_ins({"sre": 2}, NOW) == ("bob answers for kim until 25 Nov", "bob answers for robin until 23 Nov")
    assert book.stand_ins({"sre": 1}, NOW + timedelta(days=4)) == ("bob answers for kim until 25 Nov",)
    assert book.stand_ins({"dba": 1}, NOW) == ()
    outside = {"dba": frozenset({"ana"})}
    assert book.stand_ins({"dba": 1}, NOW, outside) == ("bob answers for ana until 25 Nov",)


async def test_two_delegations_of_one_seat_are_one_line_with_the_later_day(world: World):
    await Away(world.store, world.policies, world.reader).lend(person("robin"), "bob", NOW + timedelta(days=9))
    assert world.policies.current.stand_ins({"sre": 1}, NOW) == ("bob answers for robin until 29 Nov",)


async def test_whom_the_roster_has_lost_lends_nothing(world: World):
    await Away(world.store, world.policies, world.reader).lend(person("ana"), "bob", NOW + timedelta(days=5))
    text = samples.ROSTER_TEXT + "[person.bob]\n"
    await apply(world.store.records, policy=None, roster=text, by="user:dana", why="ana left")
    await world.policies.refresh()
    assert world.policies.current.delegations == ()


LOCKED = samples.POLICY_TEXT + '\n[apply]\nquorum = "two"\n'
NEW = LOCKED.replace('prod = "1h"', 'prod = "30m"')


class Locked:
    """A world whose policy wants two other people's yes to each change, and what `countersign apply` would do."""

    def __init__(self, world: World) -> None:
        self.world, self.records = world, world.store.records

    async def apply(self, text: str, approval: str | None = None, why: str = "shorter") -> list[Applied]:
        return await apply(self.records, policy=text, roster=None, by="user:dana", why=why, approval=approval)

    async def ask(self, text: str, why: str = "shorter", by: str = "dana", *, wait: bool = False) -> Asked:
        """Ask for the change as the command does, or find the ask that there is."""
        stood = (await self.records.read([layout.POLICY, layout.ROSTER])).records
        was = {"policy.toml": _text(stood[layout.POLICY].json), "countersign.toml": _text(stood[layout.ROSTER].json)}
        pair = [(parse_policy(one), parse_roster(was["countersign.toml"])) for one in (was["policy.toml"], text)]
        what = bound({"policy.toml": text}, was, why, changes(pair[0], pair[1]))
        return await second_yes(self.world.store, Approval(by, why, what, NeedsApproval("Two.")), wait=wait)

    async def approved(self, text: str, *people: str) -> str:
        """Ask for the change, have people approve it, and return the approval."""
        await self.ask(text)
        for name in people or ("robin", "alex"):
            await self.click(name)
        found = await self.ask(text)
        assert found.use is not None
        return found.use

    async def click(self, name: str, verdict: str = "approve") -> None:
        await self.world.policies.refresh()
        (waiting,) = [view for view in await self.world.reader.waiting() if view.request.action.action == APPLY]
        await self.world.click(waiting, name, verdict, reason="Not this week.")

    async def in_force(self) -> str:
        return _text((await self.records.read([layout.POLICY])).records[layout.POLICY].json)


def _text(record: str) -> str:
    return str(json.loads(record)["text"])


@pytest.fixture
async def locked() -> Locked:
    return Locked(await World().start(LOCKED))


async def test_a_change_needs_the_quorum_that_the_policy_in_force_names(locked: Locked):
    with pytest.raises(NeedsApproval, match="wants the yes of two"):
        await locked.apply(NEW)
    asked = await locked.ask(NEW)
    assert asked.use is None and "needs 2 of sre" in asked.words
    (view,) = await locked.world.reader.waiting()
    assert (view.request.ruling.effect, dict(view.request.ruling.seats)) == ("review", {"sre": 2})
    assert view.request.ruling.barred_as == {"user:dana": "principal"}
    assert '"limits: ttl_max prod: 1 h → 30 min  (STRICTER)"' in (view.request.action.parameters or "")
    card = render(view.request, None)
    assert [fact.text for fact in card.facts if fact.label == "What changes"] == [
        "limits: ttl_max prod: 1 h → 30 min  (STRICTER)"
    ]
    assert card.asked == "You are asked because [apply] in the policy needs 2 of sre."
    with pytest.raises(Forbidden, match="asked for this yourself"):
        await locked.click("dana")
    await locked.click("robin")
    with pytest.raises(NeedsApproval, match="is not approved"):
        await locked.apply(NEW, view.request.id)
    await locked.click("alex")
    assert await locked.in_force() == LOCKED
    (done,) = await locked.apply(NEW, (await locked.ask(NEW)).use)
    assert done.changed and await locked.in_force() == NEW
    record = (await records_of(locked.world.store, "sys"))[-1]
    assert (record["type"], record["data"]["approval"], record["data"]["why"]) == (
        "policy.applied", view.request.id, "shorter",
    )  # fmt: skip
    assert (await locked.world.types(view.request.id))[-1] == "request.consumed"


async def test_one_approval_is_for_one_change_of_what_stood_and_for_who_asked(locked: Locked):
    approval = await locked.approved(NEW)
    with pytest.raises(NeedsApproval, match="another change"):
        await locked.apply(NEW + "# and more\n", approval)
    with pytest.raises(NeedsApproval, match="another change"):
        await locked.apply(NEW, approval, why="another reason")
    with pytest.raises(NeedsApproval, match="another change"):
        await apply(locked.records, policy=NEW, roster=None, by="user:kim", why="shorter", approval=approval)
    await locked.apply(NEW, approval)
    back = await locked.approved(LOCKED)
    with pytest.raises(NeedsApproval, match="another change"):
        await locked.apply(LOCKED + "# other\n", back)
    await locked.apply(LOCKED, back)
    with pytest.raises(AlreadyDecided, match="used already"):
        await locked.apply(NEW, approval)
    assert await locked.in_force() == LOCKED
    again = await locked.ask(NEW)  # the same change once more is a new ask
    assert again.use is None and "Nothing is applied yet" in again.words


async def test_what_stands_changes_while_people_think_and_the_approval_is_void(locked: Locked):
    approval = await locked.approved(NEW)
    other = LOCKED.replace('prod = "1h"', 'prod = "45m"')
    await locked.apply(other, await locked.approved(other))
    with pytest.raises(NeedsApproval, match="what is in force has changed since"):
        await locked.apply(NEW, approval)
    assert await locked.in_force() == other


@pytest.mark.parametrize("text", [samples.POLICY_TEXT, LOCKED.replace('quorum = "two"\n', 'quorum = "one"\n')])
async def test_the_lock_itself_opens_with_its_own_key_only(locked: Locked, text: str):
    with pytest.raises(NeedsApproval):
        await locked.apply(text)
    await locked.apply(text, await locked.approved(text))
    assert await locked.in_force() == text


async def test_the_freeze_stops_no_change_of_the_rules(locked: Locked):
    stops = Stops(locked.world.store, locked.world.policies, locked.world.directory)
    await stops.freeze(person("kim"), "incident")
    await locked.world.policies.refresh()
    assert locked.world.policies.current.frozen == "incident"
    await locked.apply(NEW, await locked.approved(NEW))
    assert await locked.in_force() == NEW


async def test_who_waits_goes_on_once_people_have_approved(locked: Locked, capsys: pytest.CaptureFixture[str]):
    await locked.ask(NEW)
    waits = asyncio.create_task(locked.ask(NEW, wait=True))
    await locked.click("robin")
    assert not waits.done()
    await locked.click("alex")
    found = await asyncio.wait_for(waits, 10)
    assert found.use is not None
    assert "waiting for" in capsys.readouterr().err
    await locked.apply(NEW, found.use)


async def test_every_process_follows_at_once(locked: Locked):
    other = Policies(locked.records, locked.world.store.signals)
    await other.refresh()
    following = asyncio.create_task(other.follow())
    await asyncio.sleep(0)
    await locked.apply(NEW, await locked.approved(NEW))
    async with asyncio.timeout(4):  # sooner than it would look by itself
        while other.current.texts[layout.POLICY] != NEW:
            await locked.world.store.signals.changed("config:nothing", timedelta(milliseconds=5))
    following.cancel()


async def test_a_no_is_told_and_so_is_whoever_is_nobody(locked: Locked):
    await locked.ask(NEW)
    await locked.click("robin", "deny")
    told = await locked.ask(NEW)
    assert (told.code, told.use) == (3, None)
    assert "DENIED by user:robin" in told.words and "Not this week." in told.words
    with pytest.raises(NotApplied, match="'eve' is no person of"):
        await locked.ask(NEW, by="eve")
    with pytest.raises(NotApplied, match="--why"):
        await locked.ask(NEW, why="")


async def test_nobody_asks_for_a_change_by_hand_whatever_they_can_prove(locked: Locked):
    what = bound({"policy.toml": NEW}, {"policy.toml": LOCKED}, "x", ["nothing changes in meaning"])
    for iss, via in (("api-key", "api"), ("console", "console"), ("slack", "slack"), ("teams", "teams")):
        who = Identity("user:dana", frozenset(SCOPES), By("user:dana", iss, "1"), via)
        with pytest.raises(Inadmissible, match="only `countersign apply` asks for"):
            await locked.world.desk.submit(who, ask("user:dana", what), f"by-hand-{via}")
    assert await locked.world.reader.waiting() == []


async def test_an_approval_by_fewer_than_the_policy_wants_is_none(locked: Locked):
    await locked.approved(NEW)
    (found,) = [one for one in await _all(locked) if one.action.action == APPLY]
    what = json.loads(found.action.parameters or "")
    check_approval(found, parse_policy(LOCKED), "user:dana", what)
    for fewer in (found.reviews[:1], (found.reviews[0], found.reviews[1].model_copy(update={"reviewer": "user:dana"}))):
        with pytest.raises(NeedsApproval, match="not approved by 2 of sre"):
            check_approval(found.model_copy(update={"reviews": fewer}), parse_policy(LOCKED), "user:dana", what)


async def _all(locked: Locked) -> list[Request]:
    found = await locked.ask(NEW)
    assert found.use is not None
    return [(await locked.world.reader.look(found.use)).request]


async def test_nothing_is_locked_before_the_first_apply_and_an_unchanged_file_needs_nobody():
    world = await World().start(LOCKED)
    (done,) = await Locked(world).apply(LOCKED)
    assert not done.changed
