"""A store that was restored from an older backup is noticed against the newest witness, loudly, and not signed."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from approvers.audit import Base, By, Draft
from approvers.checkpoint import Checkpoint, read_checkpoint
from approvers.tree import EMPTY, Frontier
from countersign.ops.signing import _accepted
from tests.bot.postings_town import Sink
from tests.worlds.notaries import NOW, Seconds, notary, root_of, write
from tests.worlds.signing import LOG
from workers.clock.notary import AFTER_RECORDS, NotSigned
from workers.clock.witness import BadWitness, Witness
from workers.stores import layout
from workers.stores.memory import MemoryStore, memory_store
from workers.stores.port import Commit, Log, Store, Truncated


@pytest.fixture
def store() -> Store:
    return memory_store(lambda: NOW)


class Cut:
    """A log whose first records were taken out."""

    def __init__(self, log: Log, base: Base) -> None:
        self._log, self._base, self.size = log, base, log.size

    async def base(self) -> Base:
        return self._base

    async def tail(self, after: int, limit: int = 500) -> list[bytes]:
        if after < self._base.size:
            raise Truncated(self._base.size)
        return await self._log.tail(after, limit)


class TestRollback:
    async def test_a_log_that_was_cut_is_told_and_not_signed(self, tmp_path: Path, store: Store) -> None:
        file = tmp_path / "witness"
        await write(store, 9)
        witness = Witness(file)
        await notary(store, witness=witness).cover(9)
        witness.write()
        older, alerts = memory_store(lambda: NOW), Sink()
        await write(older, 5)
        await notary(older).cover(5)
        await write(older, 1)
        one = notary(older, witness=Witness(file), alerts=alerts)
        for _ in range(2):
            with pytest.raises(NotSigned, match="at size 9"):
                await one.cover(6)
        assert alerts.keys[:1] == ["log.rolled_back"]
        assert [b"log.rolled_back" in body for body in await older.log.chain("sys")] == [True], "once"

    async def test_a_log_that_grew_again_after_a_restore_has_another_root_there(self, store: Store) -> None:
        await write(store, 4)
        witness = Witness(None)
        await notary(store, witness=witness).cover(4)
        older = memory_store(lambda: NOW)
        await older.records.commit(Commit(at=NOW, drafts=[Draft("of:else", "test.done", By(None, "t", "t"), "api")]))
        await write(older, 9)
        with pytest.raises(NotSigned, match="another root"):
            await notary(older, witness=witness).cover(9)

    async def test_once_accepted_signing_goes_on(self, store: Store) -> None:
        await write(store, 4)
        witness = Witness(None)
        await notary(store, witness=witness).cover(4)
        older = memory_store(lambda: NOW)
        await write(older, 2)
        one = notary(older, witness=witness)
        with pytest.raises(NotSigned):
            await one.cover(2)
        seen = await older.records.read([layout.ROLLBACK])
        record = seen.records[layout.ROLLBACK]
        accepted = record.json.replace('"accepted":false', '"accepted":true')
        await older.records.commit(layout.commit(NOW, layout.put(layout.ROLLBACK, record.version, accepted)))
        assert (await one.cover(2)).size == 3
        assert witness.newest is not None
        assert witness.newest.size == 3

    async def test_a_restore_that_ends_where_a_checkpoint_was_signed_is_noticed(self, store: Store) -> None:
        witness = Witness(None)
        await write(store, 9)
        await notary(store, witness=witness).cover(9)
        older = memory_store(lambda: NOW)
        await write(older, 5)
        await notary(older).cover(5)
        with pytest.raises(NotSigned, match="at size 9"):
            await notary(older, witness=witness).cover(5)

    async def test_an_empty_store_is_noticed_at_the_first_look(self, store: Store) -> None:
        witness, alerts = Witness(None), Sink()
        await write(store, 2)
        await notary(store, witness=witness).cover(2)
        with pytest.raises(NotSigned, match="at size 2"):
            await notary(memory_store(lambda: NOW), witness=witness, alerts=alerts)._look()
        assert alerts.keys == ["log.rolled_back"]

    @pytest.mark.parametrize("grown", [7, 9, 12])
    async def test_another_clock_that_knew_nothing_and_signed_the_restored_log_is_found_out(
        self, store: Store, grown: int
    ) -> None:
        witness = Witness(None)
        await write(store, 9)
        one = notary(store, witness=witness)
        await one.cover(9)
        older = memory_store(lambda: NOW)
        await write(older, 5)
        await older.records.commit(Commit(at=NOW, drafts=[Draft("of:else", "test.done", By(None, "t", "t"), "api")]))
        await write(older, grown - 6)
        await notary(older).cover(grown)
        assert await older.log.size() == grown
        with pytest.raises(NotSigned, match="at size 9"):
            await notary(older, witness=witness).cover(grown)
        alive = notary(older, witness=witness)
        alive._frontier = one._frontier  # as the clock that went on through the restore
        with pytest.raises(NotSigned, match="at size 9"):
            await alive.cover(grown)

    async def test_each_clock_tells_its_own_witness_once_and_one_word_accepts_all(self, store: Store) -> None:
        short, long = Witness(None), Witness(None)
        await write(store, 4)
        await notary(store, witness=short).cover(4)
        await write(store, 3)
        await notary(store, witness=long).cover(7)
        older = memory_store(lambda: NOW)
        await write(older, 1)
        clocks = [notary(older, witness=short), notary(older, witness=long)]
        for one in (*clocks, *clocks):
            with pytest.raises(NotSigned, match="not the one that was signed"):
                await one.cover(1)
        assert len(await older.log.chain("sys")) == 2
        await _accepted(older.records, "restored", "user:kim")
        for one in clocks:
            assert (await one.cover(1)).size == await older.log.size() == 5
        assert (short.newest, len(await older.log.chain("sys"))) == (long.newest, 4)

    async def test_a_log_shorter_than_its_own_record_is_signed_anew_once_accepted(self, store: Store) -> None:
        await write(store, 6)
        await notary(store).cover(6)
        assert isinstance(store.records, MemoryStore)
        del store.records._state.log[3:]
        with pytest.raises(NotSigned, match="at size 6"):
            await notary(store).cover(3)
        await _accepted(store.records, "cut by hand", "user:kim")
        covered = await notary(store).cover(5)
        assert covered == Checkpoint(LOG, 5, await root_of(store))

    async def test_a_log_shorter_than_its_own_record_is_told_beside_a_still_shorter_witness(self, store: Store) -> None:
        witness = Witness(None)
        await write(store, 2)
        await notary(store, witness=witness).cover(2)
        await write(store, 4)
        await notary(store).cover(6)
        assert isinstance(store.records, MemoryStore)
        del store.records._state.log[3:]
        with pytest.raises(NotSigned, match="at size 6"):
            await notary(store, witness=witness).cover(3)

    @pytest.mark.parametrize("witnessed", [2, 5, 6])
    @pytest.mark.parametrize("lost", [False, True], ids=["", "record-lost"])
    async def test_a_truncated_log_is_checked_from_where_it_begins(
        self, store: Store, witnessed: int, lost: bool
    ) -> None:
        witness = Witness(None)
        await write(store, witnessed)
        await notary(store, witness=witness).cover(witnessed)
        await write(store, 8 - witnessed)
        await notary(store).cover(8)
        root = await root_of(store)
        assert isinstance(store.records, MemoryStore)
        cut = Frontier()
        cut.extend(await store.log.tail(0, 5))
        truncated = replace(store, log=Cut(store.log, Base(5, tuple(cut.peaks))))  # type: ignore[arg-type]
        if lost:
            del store.records._state.records[layout.NOTARY]
        for known in (None, witness):
            assert (await notary(truncated, witness=known).cover(8)).root == root

    async def test_when_the_newer_data_is_back_it_is_over(self, store: Store) -> None:
        witness, alerts = Witness(None), Sink()
        await write(store, 4)
        await notary(store, witness=witness).cover(4)
        older = memory_store(lambda: NOW)
        await write(older, 1)
        one = notary(older, witness=witness, alerts=alerts)
        with pytest.raises(NotSigned):
            await one.cover(1)
        one._records, one._log, one._size = store.records, store.log, store.log.size
        await write(store, 1)
        assert (await one.cover(5)).size == 5
        assert alerts.keys == ["log.rolled_back", "-log.rolled_back"]

    async def test_a_clock_refuses_to_start_beside_the_witness_of_another_log(self, store: Store) -> None:
        witness = Witness(None)
        await notary(store, witness=witness).ready()
        witness.saw(Checkpoint("else.invalid/log", 1, EMPTY), "")
        with pytest.raises(NotSigned, match="COUNTERSIGN_WITNESS_FILE"):
            await notary(store, witness=witness).ready()

    async def test_a_witness_of_another_log_stops_signing(self, store: Store) -> None:
        await write(store, 1)
        witness = Witness(None)
        witness.saw(Checkpoint("else.invalid/log", 1, EMPTY), "")
        with pytest.raises(NotSigned, match="another log"):
            await notary(store, witness=witness).cover(1)


class TestWitness:
    def test_it_is_kept_in_a_file_at_most_once_a_second(self, tmp_path: Path) -> None:
        clock = Seconds()
        file = tmp_path / "witness"
        kept = Witness(file, clock=clock)
        for size in (1, 2):
            kept.saw(Checkpoint(LOG, size, EMPTY), f"{Checkpoint(LOG, size, EMPTY).text()}\n\u2014 x y\n")
            assert kept.due == (size == 1)
            if kept.due:
                kept.write()
        assert Witness(file).newest == Checkpoint(LOG, 1, EMPTY)
        clock.now += 1
        assert kept.due
        kept.write()
        assert not kept.due
        assert Witness(file).newest == Checkpoint(LOG, 2, EMPTY)
        assert [one.name for one in tmp_path.iterdir()] == ["witness"]

    def test_something_else_in_its_place_is_refused_with_a_remedy(self, tmp_path: Path) -> None:
        file = tmp_path / "witness"
        for wrong in (b"", b"hello\n", b"\xff\xfe", b"a\n-1\nAAAA\n\n\xe2\x80\x94 x y\n"):
            file.write_bytes(wrong)
            with pytest.raises(BadWitness, match="COUNTERSIGN_WITNESS_FILE"):
                Witness(file)

    async def test_a_full_disk_is_told_and_stops_nothing(self, tmp_path: Path, store: Store) -> None:
        folder = tmp_path / "gone"
        folder.mkdir()
        witness, alerts = Witness(folder / "witness"), Sink()
        folder.rmdir()
        one = notary(store, witness=witness, alerts=alerts)
        await write(store, AFTER_RECORDS)
        await one._look()
        assert alerts.keys == ["witness.unwritable"]
        folder.mkdir()
        await write(store, AFTER_RECORDS)
        await one._look()
        assert alerts.keys == ["witness.unwritable", "-witness.unwritable"]
        assert read_checkpoint((folder / "witness").read_text()).size == 2 * AFTER_RECORDS

    async def test_a_disk_that_hangs_holds_up_no_signature(
        self, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("workers.clock.notary.WRITE_SECONDS", 0.01)
        answers = threading.Event()

        class Hanging(Witness):
            def write(self) -> None:
                answers.wait(30)
                super().write()

        alerts, file = Sink(), tmp_path / "witness"
        one = notary(store, witness=Hanging(file), alerts=alerts)
        for count in (1, 2):
            await write(store, AFTER_RECORDS)
            await one._look()
            assert len(await store.records.members(layout.CHECKPOINTS)) == count
        assert set(alerts.keys) == {"witness.unwritable"}
        answers.set()
        assert one._writing is not None
        await one._writing
        await one._look()
        assert alerts.keys[-1] == "-witness.unwritable"
        assert read_checkpoint(file.read_text()).size == AFTER_RECORDS * 2
