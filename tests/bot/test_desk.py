"""The desk over the in-memory store: one commit per answer, every refusal a record, races decided once."""

import asyncio
import base64
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from approvers.answer import agent_message
from approvers.audit import By, check_chain
from approvers.cases import read_case
from approvers.errors import AlreadyDecided, CountersignError, Expired, Forbidden, Inadmissible, Outdated
from approvers.ids import grant_of
from bot.commits import MAX_WAITING, Click
from bot.custody import Custody, NotReady
from bot.deps import make_desk
from bot.desk import KeyReused, TooManyWaiting
from bot.directory import PATIENCE, Directory
from bot.identity import Identity
from bot.reading import NotFound, Reader
from tests.worlds import samples
from tests.worlds.samples import NOW
from tests.worlds.texts import records_of
from workers.policies import NotConfigured, Policies, apply
from workers.stores import layout
from workers.stores.memory import memory_store
from workers.stores.port import Commit


class World:
    """A store with a settable clock, the demo's rules applied, and a desk on it."""

    def __init__(self, patience: timedelta = PATIENCE) -> None:
        self.time = NOW
        self.store = memory_store(lambda: self.time)
        self.policies = Policies(self.store.records, self.store.signals)
        self.reader = Reader(self.store)
        self.directory = Directory(self.policies, patience)
        self.desk = make_desk(self.store, self.policies, self.reader, self.directory)
        self.custody = Custody(self.store, self.reader)

    async def start(self, policy: str = samples.POLICY_TEXT, roster: str = samples.ROSTER_TEXT) -> "World":
        await apply(self.store.records, policy=policy, roster=roster, by="user:dana", why="test")
        await self.policies.refresh()
        return self

    async def ask(self, key: str = "k1", **changes):
        return await self.desk.submit(caller(), samples.action(**changes), key)

    async def click(self, view, name: str, verdict: str = "approve", **kw):
        return await self.desk.review(Click(person(name), view.request.id, verdict, **kw))

    async def types(self, subject: str) -> list[str]:
        bodies = await self.store.log.chain(subject)
        check_chain(subject, bodies)
        return [json.loads(body)["type"] for body in bodies]


def caller(name: str = "report-bot") -> Identity:
    return Identity(f"caller:{name}", frozenset({"request"}), By(f"caller:{name}", "api-key", "k"), "api")


def person(name: str) -> Identity:
    return Identity(f"user:{name}", frozenset({"review"}), By(f"user:{name}", "api-key", name), "api")


@pytest.fixture
async def world() -> World:
    return await World().start()


async def test_an_ask_that_needs_people_waits_and_says_for_whom(world: World):
    view = await world.ask()
    assert (view.request.state, view.version, view.settled) == ("PENDING", 1, False)
    assert await world.types(view.request.id) == ["request.submitted"]
    assert [one.request.id for one in await world.reader.waiting()] == [view.request.id]
    assert await world.reader.by_handle(view.request.handle.lower()) == view.request.id


async def test_its_record_holds_all_that_a_replay_needs_and_the_name_that_people_know_it_by(world: World):
    request = (await world.ask()).request
    (record,) = await records_of(world.store, request.id)
    case = read_case(json.dumps(record).encode())
    assert (case.id, case.handle, case.facts) == (request.id, request.handle, request.facts)


async def test_before_the_first_apply_nothing_is_taken():
    with pytest.raises(NotConfigured, match="countersign apply"):
        await World().ask()


async def test_a_rules_denial_is_a_stored_decision(world: World):
    view = await world.ask(action="s3:DeleteObject", access=None)
    assert (view.request.state, view.request.because) == ("DENIED", "rule")
    assert await world.types(view.request.id) == ["request.submitted", "request.denied"]
    assert await world.reader.waiting() == []


async def test_approved_by_people_a_grant_opens_in_the_same_commit_and_is_due_at_once(world: World):
    view = await world.click(await world.ask(), "robin")
    assert (view.request.state, view.grant.state, view.grant.approved_by) == ("APPROVED", "PENDING", ("user:robin",))
    handout = await world.store.due.claim("worker", most=9, lease=timedelta(seconds=9))
    assert [item.member for item in handout.items] == [layout.grant_key(grant_of(view.request.id))]
    assert (await world.types(view.request.id))[1:] == ["review.recorded", "request.approved", "grant.opened"]
    assert await world.reader.waiting() == []
    assert [one.grant.id for one in await world.reader.live()] == [view.grant.id]


async def test_the_same_key_finds_the_first_and_another_body_is_refused(world: World):
    first = await world.ask()
    again = await world.ask()
    assert again.request.id == first.request.id
    with pytest.raises(KeyReused):
        await world.ask(reason="other words")
    assert await world.types(first.request.id) == ["request.submitted"]


async def test_an_identical_waiting_ask_folds_and_its_key_finds_it_too(world: World):
    first = await world.ask()
    second = await world.ask("k2", reason="the same, in other words")
    assert second.request.id == first.request.id
    assert (await world.ask("k2", reason="the same, in other words")).request.id == first.request.id
    with pytest.raises(KeyReused):
        await world.ask("k2", reason="something else")
    assert await world.types(first.request.id) == ["request.submitted", "request.folded"]


async def test_a_fold_of_two_public_keys_is_sealed_to_neither(world: World):
    """Both askers are the same principal; sealed to the first key, the second could never open it."""
    keys = [base64.b64encode(bytes([number]) * 32).decode() for number in (9, 7)]
    first = await world.ask(public_key=keys[0])
    same = await world.ask("k2", public_key=keys[0], reason="again")
    assert same.request.action.public_key == keys[0]
    other = await world.ask("k3", public_key=keys[1])
    assert (other.request.id, other.request.action.public_key) == (first.request.id, None)
    assert other.request.action_digest == first.request.action_digest


async def test_a_denied_ask_cools_down_and_then_may_be_made_again(world: World):
    first = await world.click(await world.ask(), "robin", "deny", reason="ask for one file")
    assert (await world.ask("k2")).request.id == first.request.id
    world.time += timedelta(minutes=1, seconds=1)
    assert (await world.ask("k3")).request.id != first.request.id


async def test_keys_are_kept_a_day_after_the_end(world: World):
    view = await world.ask()
    await world.desk.cancel(caller(), view.request.id)
    world.time += timedelta(hours=23)
    assert (await world.ask()).request.id == view.request.id
    world.time += timedelta(hours=2)
    assert (await world.ask()).request.id != view.request.id


async def test_a_hundred_may_wait_and_no_more(world: World):
    for number in range(MAX_WAITING):
        await world.ask(f"k{number}", parameters={"n": number})
    with pytest.raises(TooManyWaiting, match="already waits for 100"):
        await world.ask("one more", parameters={"n": "more"})
    assert len(await world.reader.waiting(samples.CALLER)) == MAX_WAITING


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"actor": {"id": "agent:other", "on_behalf_of": "user:dana"}}, "not_your_actor", "actor.id"),
        ({"actor": {"id": "agent:report-bot"}}, "inadmissible", "actor.on_behalf_of"),
        ({"actor": {"id": "agent:report-bot", "on_behalf_of": "user:nobody"}}, "inadmissible", "actor.on_behalf_of"),
        ({"ttl_seconds": 7200}, "inadmissible", "ttl_seconds"),
    ],
)
async def test_what_may_not_be_asked_is_refused_with_its_field_and_not_stored(world: World, changes, code, field):
    with pytest.raises((Forbidden, Inadmissible)) as caught:
        await world.ask(**changes)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert await world.store.log.size() == 2  # the two applied files
    assert await world.reader.waiting() == []


async def test_every_refused_click_is_a_record(world: World):
    view = await world.ask()
    for name, code in (("dana", "four_eyes"), ("stranger", "no_seat")):
        with pytest.raises(Forbidden):
            await world.click(view, name)
        last = (await records_of(world.store, view.request.id))[-1]
        assert (last["type"], last["data"]["code"], last["by"]["person"]) == ("review.refused", code, f"user:{name}")
    with pytest.raises(Outdated):
        await world.click(view, "robin", shown="0" * 32)
    assert (await world.reader.look(view.request.id)).request.state == "PENDING"


async def test_a_click_after_the_end_of_time_is_refused_though_no_clock_ran(world: World):
    view = await world.ask()
    world.time = view.request.expires_at
    with pytest.raises(Expired):
        await world.click(view, "robin")


async def test_a_new_policy_between_reading_and_commit_makes_the_desk_decide_again(world: World):
    stale = world.policies.current
    stricter = samples.POLICY_TEXT.replace('default        = "review"', 'default        = "deny"')
    await apply(world.store.records, policy=stricter, roster=None, by="user:dana", why="stricter")
    assert world.policies.current is stale
    view = await world.ask(action="deploy:web", resource="web", access=None, data_classes=[])
    assert view.request.ruling.policy_sha256 != stale.policy_sha256


async def test_a_policy_that_cannot_be_computed_is_neither_a_yes_nor_a_no(world: World):
    """A policy object without its quorums stands in for a fault inside the rules."""
    book = world.policies.current
    world.policies._book = replace(book, policy=book.policy.model_copy(update={"quorums": {}}))
    view = await world.ask()
    assert (view.request.state, view.request.because) == ("DENIED", "not_evaluated")
    assert "our fault" in agent_message(view.request, None)


async def test_a_revoked_key_decides_nothing_even_where_it_is_cached(world: World):
    view = await world.ask()
    await world.store.records.commit(Commit(at=NOW, expects={"key:ab": 0}, puts={"key:ab": "{}"}))
    who = Identity("user:robin", frozenset({"review"}), By("user:robin", "api-key", "r"), "api", {"key:ab": 7})
    with pytest.raises(Exception, match="key:ab has changed"):
        await world.desk.review(Click(who, view.request.id, "approve"))
    assert (await world.reader.look(view.request.id)).request.state == "PENDING"


async def test_many_clicks_at_once_give_one_decision_one_grant_and_the_losers_hear_who_was_first(world: World):
    view = await world.ask()
    names = ["robin", "alex", "kim"] * 20
    results = await asyncio.gather(*(world.click(view, name) for name in names), return_exceptions=True)
    losers = [one for one in results if isinstance(one, CountersignError)]
    assert len(results) - len(losers) == 1
    assert all(isinstance(one, AlreadyDecided) for one in losers)
    kinds = await world.types(view.request.id)
    assert [kinds.count(kind) for kind in ("review.recorded", "request.approved", "grant.opened")] == [1, 1, 1]
    assert kinds.count("review.refused") == len(losers)


async def test_withdrawn_by_its_asker(world: World):
    view = await world.ask()
    with pytest.raises(Forbidden):
        await world.desk.cancel(caller("other"), view.request.id)
    after = await world.desk.cancel(caller(), view.request.id)
    assert (after.request.state, await world.reader.waiting()) == ("CANCELLED", [])


async def test_an_action_approval_is_consumed_once(world: World):
    view = await world.click(await world.ask(access=None), "robin")
    used = await world.desk.consume(caller(), view.request.id, view.request.action_digest)
    assert used.request.consumed_at == world.time
    with pytest.raises(AlreadyDecided):
        await world.desk.consume(caller(), view.request.id, view.request.action_digest)
    assert (await world.types(view.request.id)).count("request.consumed") == 1


async def test_revoked_before_anything_was_minted(world: World):
    view = await world.click(await world.ask(), "robin")
    after = await world.custody.revoke(person("kim"), view.grant.id, "wrong one")
    assert (after.grant.state, after.grant.proof.kind) == ("REVOKED", "never_issued")
    assert await world.reader.live() == []
    assert (await world.custody.revoke(person("kim"), view.grant.id, "again")).grant.state == "REVOKED"


async def test_nothing_is_collected_before_it_is_there_or_by_somebody_else(world: World):
    view = await world.click(await world.ask(), "robin")
    with pytest.raises(NotReady):
        await world.custody.collect(caller(), view.grant.id)
    with pytest.raises(Forbidden):
        await world.custody.collect(caller("other"), view.grant.id)
    with pytest.raises(NotFound):
        await world.custody.collect(caller(), "grt_none")


async def test_a_wait_returns_at_the_change_and_at_once_when_the_process_stops(world: World):
    view = await world.ask()
    waiting = asyncio.create_task(world.reader.wait(view.request.id, after=1, timeout=timedelta(seconds=30)))
    await asyncio.sleep(0)
    await world.click(view, "robin")
    assert (await asyncio.wait_for(waiting, 1)).request.state == "APPROVED"
    still = asyncio.create_task(world.reader.wait(view.request.id, after=None, timeout=timedelta(seconds=30)))
    await asyncio.sleep(0)
    world.reader.closing.set()
    assert (await asyncio.wait_for(still, 1)).grant.state == "PENDING"
