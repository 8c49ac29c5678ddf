"""Erasing what was typed: all of one request, or one person's; what has not ended is left; the chain stands."""

from __future__ import annotations

import json

import pytest

from approvers.audit import SYSTEM, check_chain
from approvers.cases import read_case
from approvers.errors import Forbidden
from approvers.texts import ERASED
from bot.commits import Click
from countersign.ops.erasing import GONE, NotErased, Wish, erase, subjects_of
from tests.bot.test_desk import World
from tests.worlds import history as h
from tests.worlds.texts import records_of

WISH = Wish("asked for", "ops")
SECRET = "marker-word of dana"
ANSWER = "marker-word of robin"


@pytest.fixture
async def world() -> World:
    return await World().start()


async def denied(world: World, key: str = "k1") -> str:
    view = await world.ask(key, reason=SECRET, undo=SECRET, parameters={"note": SECRET})
    await world.click(view, "robin", "deny", reason=ANSWER)
    return view.request.id


def state_of(world: World) -> str:
    """Everything that a reader of the store could find, but the texts' own table."""
    held = world.store.records._state  # type: ignore[attr-defined]  # the memory store's tables
    return repr([held.records, held.chains, held.log, held.outbox, held.names, held.indexes])


async def test_what_was_typed_is_in_no_record_and_in_no_event(world: World) -> None:
    request = await denied(world)
    held = world.store.records._state  # type: ignore[attr-defined]
    assert "marker-word" not in repr([held.chains, held.log, held.outbox])
    assert SECRET in str(await world.store.log.texts([request]))


async def test_a_request_is_erased_whole_and_its_chain_stands(world: World) -> None:
    request = await denied(world)
    ruled = read_case(json.dumps((await records_of(world.store, request))[0]).encode())
    before = await world.store.log.chain(request)
    count = await erase(world.store, request, WISH)
    assert count >= 4
    assert "marker-word" not in state_of(world)
    assert await world.store.log.texts([request]) == {}
    assert await world.store.log.chain(request) == before
    check_chain(request, before)
    view = await world.reader.look(request)
    assert (view.request.action.reason, view.request.facts.reason, view.request.reviews[0].reason) == (GONE,) * 3
    again = read_case(json.dumps((await records_of(world.store, request))[0]).encode())
    assert again.facts.reason == ERASED * len(ruled.facts.reason)
    assert again._replace(facts=ruled.facts) == ruled
    last = (await records_of(world.store, SYSTEM))[-1]
    assert (last["type"], last["data"]) == (
        "text.erased",
        {"count": count, "subject": request, "why": "asked for"},
    )


async def test_it_can_be_run_again_and_a_dry_run_changes_nothing(world: World) -> None:
    request = await denied(world)
    before = state_of(world)
    would = await erase(world.store, request, Wish("w", "ops", dry_run=True))
    assert state_of(world) == before
    assert await erase(world.store, request, WISH) == would
    size = await world.store.log.size()
    assert await erase(world.store, request, WISH) == 0
    assert await world.store.log.size() == size, "nothing new is recorded"


async def test_what_waits_is_not_touched(world: World) -> None:
    view = await world.ask(reason=SECRET)
    with pytest.raises(NotErased, match="still waits"):
        await erase(world.store, view.request.id, WISH)
    assert SECRET in str(await world.store.log.texts([view.request.id]))


async def test_what_a_grant_lives_on_is_not_touched(world: World) -> None:
    view = await world.ask(reason=SECRET)
    for name in ("robin", "alex", "kim"):
        view = await world.reader.look(view.request.id)
        if view.request.state == "PENDING":
            await world.click(view, name)
    view = await world.reader.look(view.request.id)
    assert view.grant is not None
    with pytest.raises(NotErased, match="has not ended"):
        await erase(world.store, view.request.id, WISH)


async def test_one_person_is_erased_and_the_others_stay(world: World) -> None:
    request = await denied(world)
    assert await subjects_of(world.store, "user:robin") == {request: set()}
    assert await erase(world.store, request, Wish("w", "ops", "user:robin")) >= 1
    review = next(one for one in await records_of(world.store, request) if one["type"] == "review.recorded")
    assert review["data"]["reason"] == ERASED * len(ANSWER)
    view = await world.reader.look(request)
    assert (view.request.action.reason, view.request.reviews[0].reason) == (SECRET, GONE)
    assert (await records_of(world.store, SYSTEM))[-1]["data"]["person"] == "user:robin"


async def test_nothing_is_said_to_be_erased_of_what_is_not_there(world: World) -> None:
    with pytest.raises(NotErased, match="no record of req_none"):
        await erase(world.store, "req_none", WISH)
    with pytest.raises(NotErased, match="add --person"):
        await erase(world.store, SYSTEM, WISH)
    assert await erase(world.store, SYSTEM, Wish("w", "ops", "user:nobody")) == 0


async def erase_person(history: h.History, name: str) -> dict[str, int]:
    """Do what `--person` does."""
    wish = Wish("they left", "ops", f"user:{name}")
    found = await subjects_of(history.store, f"user:{name}")
    return {subject: await erase(history.store, subject, wish, quotes) for subject, quotes in found.items()}


async def test_why_somebody_stopped_approvals_is_erased_wherever_it_is_repeated() -> None:
    history = await h.History(1).begin()
    minting, waiting = [
        await history.submit(h.caller(), {"data_classes": None, "ttl_seconds": ttl}) for ttl in (900, 600)
    ]
    await history.desk.review(Click(h.person("alex"), minting, "approve"))
    await history.stops.freeze(h.person("robin"), SECRET)
    await history.work()
    held = history.store.records._state  # type: ignore[attr-defined]  # the memory store's tables
    assert "frozen: " in repr(held.records[f"grant:{minting.replace('req', 'grt')}"]), "its mint was stopped"
    with pytest.raises(Forbidden, match=SECRET):
        await history.desk.review(Click(h.person("alex"), waiting, "approve"))
    with pytest.raises(NotErased, match="lift the freeze first"):
        await erase(history.store, SYSTEM, Wish("w", "ops", "user:robin"))
    await history.stops.unfreeze(h.person("kim"), "a drill it was")
    with pytest.raises(NotErased, match="still waits"):
        await erase_person(history, "robin")
    await history.desk.review(Click(h.person("alex"), waiting, "deny", "not now"))
    assert await erase_person(history, "robin") == {minting: 0, waiting: 1, SYSTEM: 2}, "the first was erased before"
    assert SECRET not in repr([held.records, held.texts, held.chains, held.log, held.outbox, held.names])
    assert "not now" in repr(held.texts) and "a drill it was" in repr(held.texts), "what others said stays"
    assert not any((await erase_person(history, "robin")).values())


async def test_why_somebody_applied_what_is_in_force_is_not_told_any_more() -> None:
    history = await h.History(1).begin()
    await history.stops.freeze(h.person("kim"), SECRET)
    await history.stops.unfreeze(h.person("kim"), f"{SECRET} again")
    assert (await erase_person(history, "kim"))[SYSTEM] == 4, "one for both files, one that is named again, one more"
    held = history.store.records._state  # type: ignore[attr-defined]
    assert "the first" not in repr([held.records, held.texts]) and SECRET not in repr([held.records, held.texts])
    await history.policies.refresh()
    assert history.policies.current.texts["config:policy"] == h.POLICY
    assert (await history.stops.look()).why == GONE
    assert await history.submit(h.caller(), {"action": "demo:Knock", "resource": "door:front", "access": None})
