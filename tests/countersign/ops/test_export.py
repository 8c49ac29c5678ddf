"""An export is the log as it was signed, byte for byte; whatever stops one, the next goes on; nothing half is whole."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import resource
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from approvers.audit import Draft, Head
from countersign.ops import exporting, signed_log
from countersign.ops.exporting_folder import Folder, NotExported
from countersign.ops.exporting_records import PAGE
from tests.countersign.ops.export_world import BY, POLICY, POLICY_SHA256, Cut, Watched, World, check, held, no_bar
from workers.stores.memory import memory_store
from workers.stores.port import Store, Unavailable


@pytest.fixture
async def small() -> World:
    """A log of about three pages, two checkpoints, some receipts."""
    world = World(memory_store())
    await world.rules()
    first = await world.ask(200)
    await world.sign()
    await world.receipt(*first[:3])
    await world.ask(200)
    await world.sign()
    return world


async def test_an_export_is_the_log_as_it_was_signed(store: Store, tmp_path: Path) -> None:
    world = World(store)
    await world.rules()
    a, b, c = await world.ask(3)
    await world.sign()
    await world.receipt(b, a)
    await world.ask(1)
    signed = await world.sign()
    await world.receipt(c)
    await world.ask(1)  # signed by nobody yet, so not in it

    exported = await world.export(tmp_path / "e")

    manifest = check(tmp_path / "e")
    assert manifest["origin"] == world.name
    assert manifest["log"] == {"checkpoint": 13, "records": 13, "root": signed.root.hex()}
    assert exported.counts() == {"records": 13, "checkpoints": 2, "receipts": 3, "texts": 1}
    files = held(tmp_path / "e")
    assert files["records.jsonl"] == b"".join(body + b"\n" for body in (await world.bodies())[:13])
    assert files[f"policies/{POLICY_SHA256}.toml"] == POLICY.encode()
    notes = files["checkpoints.txt"].decode()
    assert [note.split("\n")[1] for note in notes.split("\n\n\u2014")[0:1]] == ["10"]
    assert notes.count("\u2014 ") == 2
    assert notes.endswith("\n\n")
    assert [json.loads(_payload(line))["sub"] for line in files["receipts.txt"].splitlines()] == [a, b, c]
    assert files["keys.txt"].decode().startswith(f"{world.name}+")
    assert oct((tmp_path / "e").stat().st_mode)[-3:] == "700"


def _payload(jws: bytes) -> bytes:
    part = jws.split(b".")[1]
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


@pytest.mark.parametrize("error", [Unavailable("gone"), KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
@pytest.mark.parametrize("pages", [0, 1, 2])
async def test_one_that_was_stopped_goes_on_and_is_the_same(
    small: World, tmp_path: Path, pages: int, error: BaseException
) -> None:
    await small.export(tmp_path / "straight")
    broken = replace(small.store, log=Watched(small.store.log, breaks_at=pages, error=error))
    with pytest.raises((type(error), NotExported)):
        await small.export(tmp_path / "e", broken)
    assert not (tmp_path / "e" / "manifest.json").exists()
    assert not (tmp_path / "e" / "records.jsonl").exists()

    log = Watched(small.store.log)
    await small.export(tmp_path / "e", replace(small.store, log=log))

    assert held(tmp_path / "e") == held(tmp_path / "straight")
    check(tmp_path / "e")
    fetched = sum(limit for after, limit in log.asked if limit > 1)
    assert fetched <= 1201 - pages * PAGE, "what is there is not fetched again"


@pytest.mark.parametrize("left", [0, 1, 100, 5_000, 77_777, -1])
async def test_one_that_was_killed_in_the_middle_of_a_line_goes_on_and_is_the_same(
    small: World, tmp_path: Path, left: int
) -> None:
    await small.export(tmp_path / "straight")
    shutil.copytree(tmp_path / "straight", tmp_path / "e")
    for name in ("manifest.json", "receipts.txt", "README.txt"):
        (tmp_path / "e" / name).unlink()
    records = (tmp_path / "e" / "records.jsonl").rename(tmp_path / "e" / "records.jsonl.part")
    os.truncate(records, left if left >= 0 else records.stat().st_size - 1)
    (tmp_path / "e" / "receipts.txt.part").write_bytes(b"half a")
    await small.export(tmp_path / "e")
    assert held(tmp_path / "e") == held(tmp_path / "straight")
    check(tmp_path / "e")


async def test_a_later_one_into_the_same_folder_adds_what_is_new(small: World, tmp_path: Path) -> None:
    await small.export(tmp_path / "e")
    before = held(tmp_path / "e")
    [late] = await small.ask(1)
    await small.rules("[rule.y]\n")
    await small.sign()
    await small.receipt(late)
    log = Watched(small.store.log)
    await small.export(tmp_path / "e", replace(small.store, log=log))
    await small.export(tmp_path / "straight")
    after = held(tmp_path / "e")
    assert after == held(tmp_path / "straight")
    assert after["records.jsonl"].startswith(before["records.jsonl"])
    assert after["receipts.txt"].startswith(before["receipts.txt"])
    assert len(after["receipts.txt"].splitlines()) == 4
    assert sum(limit for _, limit in log.asked if limit > 1) == 4
    check(tmp_path / "e")


async def test_a_later_one_that_was_stopped_does_not_pass_for_whole(small: World, tmp_path: Path) -> None:
    await small.export(tmp_path / "e")
    await small.ask(1)
    await small.sign()
    broken = replace(small.store, log=Watched(small.store.log, breaks_at=1, error=Unavailable("gone")))
    with pytest.raises(Unavailable):
        await small.export(tmp_path / "e", broken)
    assert "manifest.json" not in held(tmp_path / "e")
    await small.export(tmp_path / "e")
    await small.export(tmp_path / "straight")
    assert held(tmp_path / "e") == held(tmp_path / "straight")


async def test_a_receipt_over_a_larger_log_is_left_for_a_later_export(small: World, tmp_path: Path) -> None:
    await small.receipt("ask-000150")
    first = await signed_log.signed_at(small.store.records, 601)
    assert first is not None
    assert (await exporting.export(small.store, Folder(tmp_path / "e"), first.checkpoint, no_bar)).receipts == 3
    check(tmp_path / "e")
    assert (await small.export(tmp_path / "e")).receipts == 4


async def test_the_same_one_again_changes_nothing(small: World, tmp_path: Path) -> None:
    await small.export(tmp_path / "e")
    before = held(tmp_path / "e")
    await small.export(tmp_path / "e")
    assert held(tmp_path / "e") == before


async def test_a_receipt_that_the_store_has_forgotten_stays(small: World, tmp_path: Path) -> None:
    await small.export(tmp_path / "e")
    before = held(tmp_path / "e")["receipts.txt"]
    await small.add(puts={"request:ask-000001": json.dumps({"id": "ask-000001"})})
    await small.export(tmp_path / "e")
    assert held(tmp_path / "e")["receipts.txt"] == before


async def test_texts_stand_beside_the_records_in_their_order_and_leave_when_erased(
    store: Store, tmp_path: Path
) -> None:
    world = World(store)
    a, b = await world.ask(2)
    for request, reason in ((b, "second \u2028 asked"), (a, "why: not\n"), (b, "again"), ("sys", "ours")):
        await world.type(request, reason)
    await world.add(*[Draft(a, "review.recorded", BY, "test", {"reason": "same"})] * 2)  # one mark in one commit
    await world.sign()
    await world.type(a, "later")
    assert (await world.export(tmp_path / "e")).texts == 5
    rows = [json.loads(line) for line in held(tmp_path / "e")["texts.jsonl"].split(b"\n")[:-1]]
    assert [(row["subject"], row["text"]) for row in rows] == [
        (b, "second \u2028 asked"), (a, "why: not\n"), (b, "again"), ("sys", "ours"), (a, "same"),
    ]  # fmt: skip
    for row in rows:
        assert hashlib.sha256(bytes.fromhex(row["salt"]) + row["text"].encode()).hexdigest() == row["sha256"]
        assert row["sha256"].encode() in held(tmp_path / "e")["records.jsonl"]
        assert row["text"].encode() not in held(tmp_path / "e")["records.jsonl"]
    before = held(tmp_path / "e")["records.jsonl"]
    await world.erase(b)
    assert (await world.export(tmp_path / "e")).texts == 3
    assert b"again" not in b"".join(held(tmp_path / "e").values())
    assert held(tmp_path / "e")["records.jsonl"] == before
    check(tmp_path / "e")


async def test_a_folder_with_anything_else_in_it_is_left_alone(small: World, tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(NotExported, match=r"letters.txt is not part of an export"):
        await small.export(tmp_path)
    assert [*held(tmp_path)] == ["letters.txt"]
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "records.jsonl").symlink_to(tmp_path / "letters.txt")
    with pytest.raises(NotExported, match="is not part"):
        await small.export(tmp_path / "e")
    assert (tmp_path / "letters.txt").read_text() == "mine"


async def other(name: str = "export.countersign.invalid/log", **data: str) -> World:
    world = World(memory_store(), name)
    await world.rules("[rule.z]\n")
    await world.ask(400, **data)
    await world.sign()
    return world


async def test_two_at_once_into_one_folder_do_not_mix(small: World, tmp_path: Path) -> None:
    with Folder(tmp_path / "e").alone(), pytest.raises(NotExported, match="another export writes into"):
        await small.export(tmp_path / "e")
    await small.export(tmp_path / "e")
    check(tmp_path / "e")


async def test_an_export_of_another_log_is_refused_by_its_name(small: World, tmp_path: Path) -> None:
    await (await other("else.invalid/log")).export(tmp_path / "e")
    before = held(tmp_path / "e")
    with pytest.raises(NotExported, match=r"is an export of the log else.invalid/log"):
        await small.export(tmp_path / "e")
    assert held(tmp_path / "e") == before


async def test_two_exports_that_disagree_are_told_with_the_line(small: World, tmp_path: Path) -> None:
    await small.export(tmp_path / "e")
    records = tmp_path / "e" / "records.jsonl"
    before = held(tmp_path / "e")
    stranger = await other()
    with pytest.raises(NotExported, match=r"two exports that disagree.*line 1 is not record 1 of this log"):
        await stranger.export(tmp_path / "e")
    assert held(tmp_path / "e") == before, "it stays whole"
    lines = records.read_bytes().splitlines(keepends=True)
    lines[776] = lines[776].replace(b'"sre"', b'"dba"')
    records.write_bytes(b"".join(lines))
    before = held(tmp_path / "e")
    with pytest.raises(NotExported, match=r"two exports that disagree.*line 777 is not record 777"):
        await small.export(tmp_path / "e")
    records.write_bytes(b"".join(lines[:700]))
    with pytest.raises(NotExported, match=r"records.jsonl is not as it was written"):
        await small.export(tmp_path / "e")
    assert held(tmp_path / "e").keys() == before.keys(), "it is left as it is"


async def test_half_an_export_of_another_log_is_told_as_well(small: World, tmp_path: Path) -> None:
    await (await other()).export(tmp_path / "e")
    (tmp_path / "e" / "manifest.json").unlink()
    with pytest.raises(NotExported, match=r"disagree.*line 1 is not record 1"):
        await small.export(tmp_path / "e")


async def test_a_store_that_lies_behind_its_export_is_told(small: World, tmp_path: Path) -> None:
    early = (await small.notary.cover(0)).size
    await small.export(tmp_path / "e")
    first = await signed_log.signed_at(small.store.records, 601)
    assert first is not None
    assert early == 1201
    with pytest.raises(NotExported, match=r"holds 1,201 signed records, and this log has 601.*older backup"):
        await exporting.export(small.store, Folder(tmp_path / "e"), first.checkpoint, no_bar)
    assert (tmp_path / "e" / "manifest.json").exists()
    (tmp_path / "e" / "manifest.json").unlink()
    with pytest.raises(NotExported, match=r"holds 1,201 records, and the export is to end at 601"):
        await exporting.export(small.store, Folder(tmp_path / "e"), first.checkpoint, no_bar)


async def test_a_full_disk_is_told_with_the_path_and_leaves_nothing_that_passes_for_whole(
    small: World, tmp_path: Path
) -> None:
    await small.export(tmp_path / "straight")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(NotExported, match=r"e/records.jsonl.part: File too large.*run the same command again"):
            await small.export(tmp_path / "e")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [name for name in held(tmp_path / "e") if ".json" in name] == ["records.jsonl.part"]
    await small.export(tmp_path / "e")
    assert held(tmp_path / "e") == held(tmp_path / "straight")


async def test_a_log_that_is_not_what_was_signed_is_not_exported(small: World, tmp_path: Path) -> None:
    bodies = await small.bodies()

    class Changed(Watched):
        async def tail(self, after: int, limit: int = 500) -> list[bytes]:
            return [body.replace(b'"sre"', b'"dba"') if body == bodies[900] else body
                    for body in await super().tail(after, limit)]  # fmt: skip

    with pytest.raises(NotExported, match="is not what was signed: a record was changed or removed"):
        await small.export(tmp_path / "e", replace(small.store, log=Changed(small.store.log)))
    assert not (tmp_path / "e" / "manifest.json").exists()
    with pytest.raises(NotExported, match=r"line 901 is not record 901"):
        await small.export(tmp_path / "e")


async def cut(world: World, size: int) -> Store:
    """Return the world's store as if its first records had been taken out; one chain goes on."""
    bodies = (await world.bodies())[:size]
    return replace(world.store, log=Cut(world.store.log, bodies, {"ask-000200": Head(3, "ab" * 32)}))


async def test_an_export_of_a_truncated_log_says_what_lies_below(small: World, tmp_path: Path) -> None:
    rules = {"sha256": POLICY_SHA256, "text": POLICY}
    await small.add(puts={"config:policy": json.dumps(rules)})
    exported = await small.export(tmp_path / "e", await cut(small, 601))
    assert held(tmp_path / "e")[f"policies/{POLICY_SHA256}.toml"] == POLICY.encode()
    manifest = check(tmp_path / "e")
    assert manifest["log"] == {"checkpoint": 1201, "records": 600, "root": exported.checkpoint.root.hex()}
    base = json.loads(held(tmp_path / "e")["base.json"])
    assert (base["size"], base["heads"]) == (601, {"ask-000200": {"n": 3, "prev": "ab" * 32}})
    assert exported.checkpoints == 2, "the one at the base, which proves it, and the last"
    assert held(tmp_path / "e")["records.jsonl"].splitlines() == (await small.bodies())[601:]
    before = held(tmp_path / "e")
    await small.ask(1)
    await small.sign()
    await small.export(tmp_path / "e", await cut(small, 601))
    assert check(tmp_path / "e")["log"]["records"] == 603
    assert held(tmp_path / "e")["base.json"] == before["base.json"]


async def test_an_older_export_goes_on_over_what_the_log_no_longer_has(small: World, tmp_path: Path) -> None:
    await small.export(tmp_path / "e")
    await small.ask(1)
    await small.sign()
    await small.export(tmp_path / "e", await cut(small, 1_000))
    await small.export(tmp_path / "straight")
    assert held(tmp_path / "e") == held(tmp_path / "straight")


async def test_an_export_that_ends_before_what_the_log_still_has_is_kept(small: World, tmp_path: Path) -> None:
    await small.export(tmp_path / "e")
    await small.ask(2)
    await small.sign()
    with pytest.raises(NotExported, match=r"ends at record 1,201, and the log was truncated up to 1,204 since"):
        await small.export(tmp_path / "e", await cut(small, 1_204))
    check(tmp_path / "e")
    (tmp_path / "e" / "manifest.json").unlink()
    with pytest.raises(NotExported, match=r"holds half an export, and the log was truncated up to 1,204 since"):
        await small.export(tmp_path / "e", await cut(small, 1_204))
