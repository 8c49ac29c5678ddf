"""Erasing while others erase, write, lose answers or die: over both siblings; what is erased is gone, and told once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from approvers.audit import SYSTEM, By, Draft, check_chain
from approvers.errors import Forbidden
from approvers.texts import commitment, marks_in, text_of
from bot.commits import Click
from countersign.ops.erasing import TRIES, NotErased, Wish, erase, subjects_of
from tests.bot.test_desk import person
from tests.countersign.ops.conftest import Command
from tests.workers.test_receipting import Town
from tests.worlds.redis_gate import READONLY, RedisGate, lua_scripts
from tests.worlds.valkey import Valkey
from workers.stores.memory import memory_store
from workers.stores.port import Commit, Snapshot, Store, Unavailable, transact
from workers.stores.redis import connect

WISH = Wish("asked for", "ops")
ROBINS = Wish("robin left", "ops", "user:robin")
ROBIN, ALEX = By("user:robin", "api-key", "robin"), By("user:alex", "api-key", "alex")
WORD = "marker-word"


@pytest.fixture
async def town(store: Store) -> Town:
    return await Town(store).start()


async def denied(town: Town) -> str:
    view = await town.ask(reason=f"{WORD} why", undo=f"{WORD} undo", parameters={"note": WORD})
    await town.desk.review(Click(person("robin"), view.request.id, "deny", f"{WORD} of robin"))
    return str(view.request.id)


async def turn_away(town: Town, request: str, number: int = 0) -> None:
    """Extend the chain of a request that has ended, as a late click does: its own record, no live one."""
    error = Forbidden(f"{WORD} {number}: it is decided already")
    await town.desk.turned_away(ALEX, "slack", request, error, "approve")


async def revoked(store: Store, by: By, reason: str) -> None:
    """Say under `sys` why something is taken away."""
    data = {"kind": "actor", "name": f"{WORD} name", "grants": [], "reason": reason}

    def step(seen: Snapshot) -> tuple[Commit, None]:
        draft = Draft(SYSTEM, "revocation.requested", by, "api", data)
        return Commit(at=seen.now, drafts=[draft], heads=seen.heads), None

    await transact(store.records, [], step, chains=[SYSTEM])


async def marks(store: Store, subject: str) -> set[str]:
    """Return every mark of a chain, which is checked; each text that is still there is wholly there."""
    bodies = await store.log.chain(subject)
    check_chain(subject, bodies)
    found = {mark for body in bodies for mark in marks_in(json.loads(body)["data"])}
    for mark, held in (await store.log.texts([subject])).items():
        assert mark in found
        assert commitment(bytes.fromhex(held[:64]), text_of(held)) == mark
    return found


async def told(store: Store, subject: str) -> list[int]:
    """Return how many texts each record says that were erased under a subject."""
    records = [json.loads(body) for body in await store.log.chain(SYSTEM)]
    return [one["data"]["count"] for one in records
            if one["type"] == "text.erased" and one["data"]["subject"] == subject]  # fmt: skip


async def live(town: Town, request: str) -> str:
    return (await town.reader.look(request)).request.model_dump_json()


async def gone(town: Town, request: str) -> None:
    """Check that nothing of a request is left, and that each text was told of once."""
    assert await town.store.log.texts([request]) == {}
    assert sum(await told(town.store, request)) == len(await marks(town.store, request))
    assert WORD not in await live(town, request)


class Between:
    """A store's records; something else happens just before the first commits."""

    def __init__(self, store: Store, *what: Awaitable[object]) -> None:
        self._records, self._what = store.records, list(what)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    async def commit(self, commit: Commit) -> None:
        if self._what:
            await self._what.pop(0)
        await self._records.commit(commit)


async def test_of_many_erasures_at_once_one_erases_and_is_told(town: Town) -> None:
    request = await denied(town)
    count = len(await marks(town.store, request))
    counts = await asyncio.gather(*(erase(town.store, request, WISH) for _ in range(5)))
    assert sorted(counts) == [0, 0, 0, 0, count]
    assert await told(town.store, request) == [count]
    await gone(town, request)


async def test_two_that_erase_different_persons_erase_each_text_once(town: Town) -> None:
    request = await denied(town)
    await turn_away(town, request)
    await asyncio.gather(
        erase(town.store, request, ROBINS),
        erase(town.store, request, replace(ROBINS, person="user:alex")),
        erase(town.store, request, WISH),
    )
    await gone(town, request)


async def test_another_erasure_between_reading_and_commit(town: Town) -> None:
    request = await denied(town)
    count = len(await marks(town.store, request))
    slow = replace(town.store, records=Between(town.store, erase(town.store, request, WISH)))
    assert await erase(slow, request, WISH) == 0
    assert await told(town.store, request) == [count]


async def test_what_others_add_to_the_chain_between_reading_and_commit_is_erased_as_well(town: Town) -> None:
    request = await denied(town)
    before = len(await marks(town.store, request))
    slow = replace(town.store, records=Between(town.store, turn_away(town, request)))
    assert await erase(slow, request, WISH) == before + 1
    assert await told(town.store, request) == [before, 1]
    await gone(town, request)


async def test_a_receipt_that_is_signed_between_reading_and_commit_stays(town: Town) -> None:
    request = await denied(town)
    slow = replace(town.store, records=Between(town.store, town.sign()))
    assert await erase(slow, request, WISH) == len(await marks(town.store, request))
    assert (await town.reader.look(request)).request.receipt is not None
    await gone(town, request)


async def test_against_many_who_extend_the_same_chain(town: Town) -> None:
    request = await denied(town)
    clicks = (turn_away(town, request, number) for number in range(12))
    first, *_ = await asyncio.gather(erase(town.store, request, WISH), *clicks)
    left = await town.store.log.texts([request])
    assert sum(await told(town.store, request)) == first == len(await marks(town.store, request)) - len(left)
    assert await erase(town.store, request, WISH) == len(left)
    await gone(town, request)


async def test_a_persons_words_under_sys_while_records_are_added(town: Town) -> None:
    for number in range(3):
        await revoked(town.store, ROBIN, f"{WORD} {number}")
        await revoked(town.store, ALEX, f"stays {number}")
    theirs = len(await marks(town.store, SYSTEM))
    adding = (revoked(town.store, by, f"{number}") for number in range(6) for by in (ROBIN, ALEX))
    count, again, *_ = await asyncio.gather(*(erase(town.store, SYSTEM, ROBINS) for _ in range(2)), *adding)
    count += again + await erase(town.store, SYSTEM, ROBINS)
    assert sum(await told(town.store, SYSTEM)) == count == 2 * 9
    assert theirs < len(await marks(town.store, SYSTEM))
    held = " ".join(map(text_of, (await town.store.log.texts([SYSTEM])).values()))
    assert all(f"stays {number}" in held for number in range(3)), "others' words stay"
    robins = [body for body in await town.store.log.chain(SYSTEM) if json.loads(body)["by"]["person"] == "user:robin"]
    left = (await town.store.log.texts([SYSTEM])).keys()
    assert not [body for body in robins if left & set(marks_in(json.loads(body)["data"]))]


async def test_whoever_erases_their_own_words_comes_to_an_end(town: Town) -> None:
    await revoked(town.store, ROBIN, WORD)
    own = Wish("I leave", "user:robin", "user:robin")
    assert await erase(town.store, SYSTEM, own) == 2
    assert await erase(town.store, SYSTEM, own) == 0
    assert await told(town.store, SYSTEM) == [2]


async def test_where_others_always_come_first_it_gives_up_in_words() -> None:
    town = await Town(memory_store()).start()
    request = await denied(town)
    before = await town.store.log.texts([request])
    busy = replace(town.store, records=Between(town.store, *(revoked(town.store, ALEX, "x") for _ in range(TRIES))))
    with pytest.raises(NotErased, match="run it again"):
        await erase(busy, request, WISH)
    assert await town.store.log.texts([request]) == before
    assert await erase(busy, request, WISH) == len(before)


# ---- what a real server does


@pytest.fixture
async def gate(empty_valkey: Valkey) -> AsyncIterator[RedisGate]:
    with RedisGate(empty_valkey.url, scripts=lua_scripts()) as opened:
        yield opened


@pytest.fixture
async def through(gate: RedisGate) -> AsyncIterator[Store]:
    """The same store, behind the gate."""
    store = await connect(gate.url)
    yield store
    await store.aclose()


@pytest.fixture
async def real(redis_store: Store) -> Town:
    return await Town(redis_store).start()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("where", ["request", "sys"])
async def test_a_lost_answer_erases_once(real: Town, gate: RedisGate, through: Store, when: Any, where: str) -> None:
    await revoked(real.store, ROBIN, WORD)
    subject, wish = (await denied(real), WISH) if where == "request" else (SYSTEM, ROBINS)
    gate.cut(1, when, only="EVALSHA:commit")
    count = await erase(through, subject, wish)
    assert count > 1
    assert await told(real.store, subject) == [count]
    assert await erase(through, subject, wish) == 0
    await marks(real.store, subject)


async def test_two_processes_erase_the_same_at_once(real: Town, through: Store) -> None:
    request = await denied(real)
    counts = await asyncio.gather(*(erase(one, request, WISH) for one in (real.store, through) * 4))
    assert sorted(counts)[:-1] == [0] * 7
    assert await told(real.store, request) == [max(counts)]
    await gone(real, request)


async def test_what_could_not_be_written_is_wholly_there(real: Town, gate: RedisGate, through: Store) -> None:
    request = await denied(real)
    before, found = await real.store.log.texts([request]), await live(real, request)
    gate.answer(None, READONLY, only="EVALSHA:commit")
    with pytest.raises(Unavailable):
        await erase(through, request, WISH)
    gate.reset()
    assert (await real.store.log.texts([request]), await live(real, request)) == (before, found)
    assert await told(real.store, request) == []
    assert await erase(through, request, WISH) == len(before)


def test_a_person_is_erased_to_the_end_by_running_the_command_again(empty_valkey: Valkey, command: Command) -> None:
    async def dies_between() -> dict[str, int]:
        """Do what the command does, up to its death between two subjects; return what there is to erase of each."""
        store = await connect(empty_valkey.url)
        town = await Town(store).start()
        await revoked(store, ROBIN, WORD)
        for _ in range(3):
            await denied(town)
        subjects = await subjects_of(store, "user:robin")
        count = {one: await erase(store, one, replace(ROBINS, dry_run=True)) for one in subjects}
        for one in list(subjects)[:2]:
            await erase(store, one, ROBINS)
        await store.aclose()
        return count

    async def ended(subjects: Sequence[str]) -> dict[str, list[int]]:
        store = await connect(empty_valkey.url)
        for subject in subjects:
            await marks(store, subject)
        held = " ".join(map(text_of, (await store.log.texts(subjects)).values()))
        assert f"{WORD} of robin" not in held
        found = {subject: await told(store, subject) for subject in subjects}
        await store.aclose()
        return found

    count = asyncio.run(dies_between())
    *_, third, last = count
    assert len(count) == 4 and last == SYSTEM
    words = ("audit", "erase", "--person", "user:robin", "--why", "robin left", "--by", "ops", "--json")
    first = json.loads(command(*words).out)
    assert first["erased"] == {**dict.fromkeys(count, 0), third: count[third], last: count[last]}
    assert json.loads(command(*words).out)["erased"] == dict.fromkeys(count, 0)
    assert asyncio.run(ended(list(count))) == {one: [number] for one, number in count.items()}
