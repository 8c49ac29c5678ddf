"""The notary: it signs the log as it is, once for all clocks, and nothing where the log or the key is another one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from approvers.audit import By, Draft
from approvers.checkpoint import Checkpoint, read_checkpoint
from approvers.tree import leaf_hash, tree_root
from tests.bot.postings_town import Sink
from tests.worlds.fixtures import empty_valkey, redis_store, valkey
from tests.worlds.notaries import NEW, NOW, Seconds, notary, opened, root_of, state, write
from tests.worlds.signing import KEY, LOG
from workers.clock.notary import AFTER, AFTER_RECORDS, Notary, NotSigned
from workers.signing import public_of
from workers.stores import layout
from workers.stores.memory import MemoryStore, memory_store
from workers.stores.port import Commit, Records, Store, Unavailable

__all__ = ["empty_valkey", "redis_store", "valkey"]


@pytest.fixture
def store() -> Store:
    return memory_store(lambda: NOW)


class TestSigning:
    async def test_what_is_asked_for_is_signed_and_kept(self, store: Store) -> None:
        await write(store, 5)
        covered = await notary(store).cover(3)
        assert covered == Checkpoint(LOG, 5, await root_of(store))
        signed = await state(store)
        assert opened(signed.note) == covered.text()
        assert (signed.size, [one.key for one in signed.keys]) == (5, [public_of(KEY).text])
        seen = await store.records.read([layout.checkpoint_key(5)])
        assert seen.records[layout.checkpoint_key(5)].json == signed.note
        assert await store.records.members(layout.CHECKPOINTS) == ["5"]

    async def test_one_that_covers_is_not_signed_again(self, store: Store) -> None:
        await write(store, 2)
        one = notary(store)
        first = await one.cover(1)
        assert await one.cover(2) == first == await notary(store).cover(2)
        assert await store.records.members(layout.CHECKPOINTS) == ["2"]

    async def test_two_clocks_sign_one_history(self, store: Store) -> None:
        one, other = notary(store), notary(store)
        for _ in range(5):
            await write(store, 3)
            size = await store.log.size()
            both = await asyncio.gather(one.cover(size), other.cover(size))
            assert both[0] == both[1] == Checkpoint(LOG, size, await root_of(store))

    async def test_a_lost_record_is_computed_anew(self, store: Store) -> None:
        await write(store, 700)
        await notary(store).cover(1)
        assert isinstance(store.records, MemoryStore)
        for key in (layout.NOTARY, layout.checkpoint_key(700)):
            del store.records._state.records[key]
        assert (await notary(store).cover(700)).root == await root_of(store)

    async def test_it_signs_after_so_many_records_or_so_long(self, store: Store) -> None:
        clock = Seconds()
        one = notary(store, clock=clock)
        await write(store, 1)
        await one._look()
        clock.now += AFTER.total_seconds() - 0.1
        await one._look()
        assert await store.records.members(layout.CHECKPOINTS) == []
        clock.now += 0.1
        await one._look()
        assert await store.records.members(layout.CHECKPOINTS) == ["1"]
        await write(store, AFTER_RECORDS)
        await one._look()
        assert await store.records.members(layout.CHECKPOINTS) == ["1", str(AFTER_RECORDS + 1)]
        clock.now += 100
        await one._look()
        assert len(await store.records.members(layout.CHECKPOINTS)) == 2, "nothing new, nothing signed"


class Breaking:
    """Records whose next commit fails before it is done, or after."""

    def __init__(self, records: Records, when: str) -> None:
        self._records, self._when = records, when

    def __getattr__(self, name: str) -> object:
        return getattr(self._records, name)

    async def commit(self, commit: Commit) -> None:
        when, self._when = self._when, "never"
        if when != "before":
            await self._records.commit(commit)
        if when != "never":
            raise Unavailable("the line is cut")


class TestFaults:
    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_a_clock_that_dies_between_signature_and_commit_leaves_one_history(
        self, store: Store, when: str
    ) -> None:
        await write(store, 4)
        broken = replace(store, records=Breaking(store.records, when))
        dying = notary(broken)
        with pytest.raises(Unavailable):
            await dying.cover(4)
        await write(store, 1)
        whole = Checkpoint(LOG, 5, await root_of(store))
        assert await notary(store).cover(5) == whole == await dying.cover(5)
        sizes = await store.records.members(layout.CHECKPOINTS)
        assert sizes == (["5"] if when == "before" else ["4", "5"])

    async def test_a_commit_that_is_never_too_old_however_long_the_log_took_to_read(self, store: Store) -> None:
        clock = [NOW]
        slow = memory_store(lambda: clock[0])
        draft = Draft("of:1", "test.done", By(None, "t", "t"), "api")
        await slow.records.commit(Commit(at=NOW, drafts=[draft]))
        log, tail = slow.log, slow.log.tail

        class Slow:
            size, base = log.size, log.base

            async def tail(self, after: int, limit: int = 500) -> list[bytes]:
                clock[0] += timedelta(minutes=1)
                return await tail(after, limit)

        assert (await notary(replace(slow, log=Slow())).cover(1)).size == 1  # type: ignore[arg-type]

    async def test_a_slow_clock_does_not_take_back_what_a_quick_one_signed_meanwhile(self, store: Store) -> None:
        await write(store, 5)
        log, quick = store.log, notary(store)

        class Slow:
            size, base = log.size, log.base

            async def tail(self, after: int, limit: int = 500) -> list[bytes]:
                found = await log.tail(after, limit)
                if not await store.records.members(layout.CHECKPOINTS):
                    await write(store, 3)
                    await quick.cover(8)
                return found

        covered = await notary(replace(store, log=Slow())).cover(5)  # type: ignore[arg-type]
        assert (covered.size, (await state(store)).size) == (8, 8)
        assert await store.records.members(layout.CHECKPOINTS) == ["8"]

    async def test_a_record_of_the_notary_that_contradicts_itself_signs_nothing(self, store: Store) -> None:
        await write(store, 3)
        await notary(store).cover(3)
        wrong = (await state(store)).model_copy(update={"peaks": ("00" * 32, "11" * 32)})
        seen = await store.records.read([layout.NOTARY])
        part = layout.put(layout.NOTARY, seen.records[layout.NOTARY].version, wrong.model_dump_json())
        await store.records.commit(layout.commit(NOW, part))
        with pytest.raises(NotSigned, match="cannot be read"):
            await notary(store).cover(3)

    async def test_on_a_real_store_three_clocks_and_a_writer_make_one_history(self, redis_store: Store) -> None:
        clocks = [notary(redis_store) for _ in range(3)]

        async def sign(one: Notary) -> list[Checkpoint]:
            return [await one.cover(await redis_store.log.size()) for _ in range(8)]

        async def fill() -> None:
            for number in range(60):
                now = await redis_store.records.now()
                draft = Draft(f"of:{number}", "test.done", By(None, "t", "t"), "api")
                await redis_store.records.commit(Commit(at=now, drafts=[draft]))

        *signed, _ = await asyncio.gather(*map(sign, clocks), fill())
        leaves = [leaf_hash(body) for body in await redis_store.log.tail(0, 500)]
        for checkpoint in {one for some in signed for one in some if one.size}:  # type: ignore[union-attr]
            assert checkpoint.root == tree_root(leaves[: checkpoint.size])
            kept = await redis_store.records.read([layout.checkpoint_key(checkpoint.size)])
            assert read_checkpoint(next(iter(kept.records.values())).json) == checkpoint


class TestKeys:
    async def test_a_new_key_signs_beside_the_old_one_and_the_log_says_so(self, store: Store) -> None:
        await write(store, 3)
        await notary(store).cover(3)
        covered = await notary(store, NEW, KEY).cover(3)
        assert covered.origin == LOG, "the log keeps its name"
        signed = await state(store)
        assert opened(signed.note, KEY) == opened(signed.note, NEW) == covered.text()
        assert covered.size == 4, "the record of the change is under both signatures"
        assert [(one.key, one.since) for one in signed.keys] == [(public_of(KEY).text, 0), (public_of(NEW).text, 3)]
        assert b'"type":"key.rotated"' in (await store.log.chain("sys"))[-1]
        await write(store, 1)
        await notary(store, NEW).cover(5)
        assert opened((await state(store)).note, NEW)
        with pytest.raises(AssertionError):
            opened((await state(store)).note, KEY)

    async def test_another_key_alone_signs_nothing_until_the_old_one_is_said_to_be_lost(self, store: Store) -> None:
        await write(store, 3)
        await notary(store).cover(3)
        with pytest.raises(NotSigned, match="SIGNING_KEY_BEFORE_FILE"):
            await notary(store, NEW).cover(3)
        lost = (await state(store)).model_copy(update={"lost": True})
        seen = await store.records.read([layout.NOTARY])
        part = layout.put(layout.NOTARY, seen.records[layout.NOTARY].version, lost.model_dump_json())
        await store.records.commit(layout.commit(NOW, part))
        assert (await notary(store, NEW).cover(3)).size == 4
        assert not (await state(store)).lost

    async def test_once_a_new_key_is_announced_a_clock_with_the_old_one_waits_for_it(self, store: Store) -> None:
        await write(store, 3)
        await notary(store).cover(3)
        new = notary(replace(store, records=Breaking(store.records, "after")), NEW, KEY)
        with pytest.raises(Unavailable):
            await new.cover(3)  # dies when the change is recorded, and nothing signed yet
        with pytest.raises(NotSigned, match="start every clock with that key"):
            await notary(store).cover(4)
        assert (await new.cover(3)).size == 4
        assert sum(b"key.rotated" in body for body in await store.log.chain("sys")) == 1
        with pytest.raises(NotSigned, match="another key"):
            await notary(store).cover(5)

    async def test_on_call_hears_that_nothing_is_signed_and_that_it_is_over(self, store: Store) -> None:
        await write(store, 3)
        await notary(store).cover(3)
        await write(store, 1)
        clock, alerts = Seconds(), Sink()
        stuck = notary(store, NEW, clock=clock, alerts=alerts)
        for _ in range(3):
            clock.now += 31
            with pytest.raises(NotSigned) as why:
                await stuck.cover(4)
            await stuck._failed(why.value)
        assert alerts.keys == ["notary.stuck"]
