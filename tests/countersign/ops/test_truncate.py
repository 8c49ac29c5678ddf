"""Taking old records out: only what is old, exported, signed and over; what stays and what was exported verify."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from approvers.audit import SYSTEM, By, Draft
from approvers.ids import grant_of
from countersign.commands.common import WrongOption
from countersign.ops.exporting import export
from countersign.ops.exporting_folder import Folder, NotExported
from countersign.ops.signed_log import newest, signed_at
from countersign.ops.truncate import Done, Wish, held_by, truncate
from countersign.ops.truncating import Reason
from countersign.ops.truncating_plan import Held, NotTruncated
from countersign.verifying.checks import Checks
from countersign.verifying.core import Key
from countersign.verifying.parting import part
from countersign.verifying.verify import Verified, verify
from tests.countersign.ops.export_world import no_bar
from tests.countersign.verifying.exported import SignedHistory
from tests.worlds.history import ASKS, Silent, caller, person
from tests.worlds.signing import KEY, LOG, VERIFY_KEY
from workers.clock import cursors
from workers.clock.notary import Notary
from workers.clock.receipting import Receipting
from workers.signing import Signers, SigningKey, public_of
from workers.stores import layout
from workers.stores.port import Commit, Conflict, Store, Truncated
from workers.stores.truncated import TRUNCATED

T = TypeVar("T")
OURS = Key.parse(VERIFY_KEY)
NOW = timedelta()


async def save(history: SignedHistory, path: Path) -> Path:
    """Sign the log as it is, and export it."""
    await history.notary.cover(await history.store.log.size())
    await export(history.store, Folder(path), (await newest(history.store, patience=None)).checkpoint, no_bar)
    return path


async def played(history: SignedHistory, requests: int) -> None:
    goal = history.asked + requests
    while history.asked < goal:
        await history.turn()
    await history.close()


async def over(history: SignedHistory) -> None:
    """Review every use of break-glass: an after-review that is owed holds its request open."""
    seen = await history.store.records.read([layout.request_key(one) for one in history.ids])
    for one in [one for one in history.ids if seen.records[layout.request_key(one)].version]:
        if (owed := (await history.reader.look(one)).request.after_review) and owed.verdict is None:
            await history.after.take(person("robin"), one, "justified", "looked at it")
    history.time += timedelta(minutes=5)
    await history.work()


async def waits(history: SignedHistory) -> str:
    """Ask for something that a person has to answer."""
    return await history.submit(caller(), {**ASKS[6], "reason": "A knock", "ttl_seconds": 900})


@asynccontextmanager
async def signing(history: SignedHistory) -> AsyncIterator[None]:
    """Sign whatever is written meanwhile, as a clock does."""

    async def clock() -> None:
        while True:
            await history.notary.cover(await history.store.log.size())
            await asyncio.sleep(0)

    task = asyncio.create_task(clock())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def signed(history: SignedHistory, work: Awaitable[T]) -> T:
    async with signing(history):
        return await work


def wish(history: SignedHistory, held: Held, **more: Any) -> Wish:
    before = more.pop("before", history.time)
    return Wish(Reason("a year is over", "ops", before), held, more.pop("dry_run", False))


def looked(path: Path, *keys: Key) -> Verified:
    checks = Checks(path)
    found = verify(path, keys or [OURS], checks=checks.all, everything=True)
    found.told = checks.told()
    found.counts["replayed"] = checks.replayed
    return found


def grave(found: Verified) -> list[str]:
    return [str(one) for one in found.findings if one.grave or one.code == "no_receipt"]


@pytest.fixture
async def history() -> SignedHistory:
    """Return a log of two busy days, months apart; no after-review is owed."""
    history = await SignedHistory(8).begin()
    await played(history, 14)
    await over(history)
    await history.notary.cover(await history.store.log.size())
    history.time += timedelta(days=90)
    return history


async def year(history: SignedHistory, tmp_path: Path) -> tuple[Done, Path]:
    """Play on, export all, and take out the first part."""
    before = history.time - timedelta(days=60)
    await played(history, 10)
    await over(history)
    whole = await save(history, tmp_path / "whole")
    return await signed(history, truncate(history.store, wish(history, held_by(whole, [OURS]), before=before))), whole


async def test_what_stays_and_what_was_exported_verify_and_agree(history: SignedHistory, tmp_path: Path) -> None:
    before = await history.store.log.tail(0, 100_000)
    done, whole = await year(history, tmp_path)
    store = history.store
    assert done.plan is not None
    assert done.plan.requests > 5
    assert (await store.log.base()).size == done.size == done.records > 20
    rest = await store.log.tail(done.size, 100_000)
    assert rest[: len(before) - done.size] == before[done.size :]
    after = await save(history, tmp_path / "after")
    found, full = looked(after), looked(whole)
    assert (grave(found), grave(full)) == ([], [])
    assert (found.base, found.size) == (done.size, await store.log.size())
    assert found.counts["replayed"] > 5
    assert found.told["Not decided once more"] == {}
    assert list(part(after, whole)) == []
    told = json.loads(rest[-1])
    assert (told["type"], told["subject"], told["by"]["person"]) == ("log.truncated", SYSTEM, "ops")
    root = (await signed_at(store.records, done.size)).checkpoint.root.hex()  # type: ignore[union-attr]
    assert told["data"]["root"] == root == done.root
    manifest = json.loads((whole / "manifest.json").read_bytes())
    assert told["data"]["manifest_sha256"] == manifest["sha256"]


async def test_what_was_taken_out_is_gone_from_the_store(history: SignedHistory, tmp_path: Path) -> None:
    first = json.loads((await history.store.log.tail(0, 10))[-1])["subject"]
    done, _ = await year(history, tmp_path)
    store = history.store
    assert await store.log.chain(first) == []
    keys = [layout.request_key(first), layout.grant_key(grant_of(first)), layout.cards_key(first)]
    assert not any(one.version for one in (await store.records.read(keys)).records.values())
    assert await store.log.texts([first]) == {}
    sizes = [int(one) for one in await store.records.members(layout.CHECKPOINTS, limit=10_000)]
    assert min(sizes) == done.size
    system = await store.log.texts([SYSTEM])
    assert not any("the first" in held for held in system.values()), "why the first policy was applied"


async def test_a_folder_of_before_goes_on_as_if_nothing_had_happened(history: SignedHistory, tmp_path: Path) -> None:
    _, whole = await year(history, tmp_path)
    before = looked(whole)
    shutil.copytree(whole, tmp_path / "copy")
    await played(history, 4)
    await save(history, whole)
    found = looked(whole)
    assert grave(found) == []
    assert (found.base, found.counts["erased"]) == (0, 0)
    assert found.counts["receipts"] > before.counts["receipts"]
    assert found.counts["checkpoints"] > before.counts["checkpoints"]
    for name in ("texts.jsonl", "receipts.txt", "checkpoints.txt"):
        assert (whole / name).read_bytes().startswith((tmp_path / "copy" / name).read_bytes()), name


async def test_the_log_goes_on_and_is_shortened_again(history: SignedHistory, tmp_path: Path) -> None:
    first, _ = await year(history, tmp_path)
    history.time += timedelta(days=90)
    await played(history, 8)
    await over(history)
    after = await save(history, tmp_path / "after")
    second = await signed(history, truncate(history.store, wish(history, held_by(after, [OURS])), youngest=NOW))
    assert second.size > first.size
    assert second.records == second.size - first.size
    await played(history, 3)
    found = looked(await save(history, tmp_path / "last"))
    assert grave(found) == []
    assert found.base == second.size
    assert list(part(tmp_path / "last", after)) == []


async def test_rules_that_were_applied_before_still_decide(history: SignedHistory, tmp_path: Path) -> None:
    """The policy in force where the log begins may be neither in its records nor in force now."""
    history.strict = False
    await history.change()
    before = history.time + timedelta(hours=1)
    await played(history, 3)
    history.time += timedelta(days=40)
    await waits(history)
    await history.close()
    await history.change()
    await played(history, 2)
    await over(history)
    whole = await save(history, tmp_path / "whole")
    await signed(history, truncate(history.store, wish(history, held_by(whole, [OURS]), before=before)))
    found = looked(await save(history, tmp_path / "after"))
    assert (grave(found), found.told["Not decided once more"]) == ([], {})


async def test_a_request_that_has_not_ended_holds_what_comes_after_it(
    history: SignedHistory, tmp_path: Path
) -> None:  # fmt: skip
    size = await history.store.log.size()
    asked = await waits(history)
    history.time += timedelta(minutes=1)
    whole = await save(history, tmp_path / "whole")
    held = held_by(whole, [OURS])
    done = await signed(history, truncate(history.store, wish(history, held, dry_run=True), youngest=NOW))
    assert done.size <= size
    assert done.plan is not None
    why = f"record {size + 1:,} is of {asked}, which still waits for an answer: cancel it first"
    assert done.plan.limit == (size, why)
    assert (await history.store.log.base()).size == 0, "a dry run takes nothing out"
    assert (await history.store.records.read([TRUNCATED])).records[TRUNCATED].version == 0


async def test_an_after_review_that_is_owed_holds_its_request(history: SignedHistory, tmp_path: Path) -> None:
    before = await history.store.log.size()
    await history.break_glass()
    await history.close()
    history.time += timedelta(days=30)
    held = held_by(await save(history, tmp_path / "whole"), [OURS])
    done = await signed(history, truncate(history.store, wish(history, held), youngest=NOW))
    assert done.plan is not None
    assert done.plan.limit.why.endswith("which still owes its after-review")
    assert done.size <= before < await history.store.log.size()
    assert grave(looked(await save(history, tmp_path / "after"))) == []


class Breaks:
    """A log on which a step fails, before it is done or after; everything else is the log's own."""

    def __init__(self, store: Store, *, at: int, done: bool) -> None:
        self._log, self._left, self._done = store.log, at, done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def cut(self, cut: Any) -> None:
        self._left -= 1
        if self._left == 0:
            if self._done:
                await self._log.cut(cut)
            raise ConnectionError("gone")
        await self._log.cut(cut)


@pytest.mark.parametrize("done", [False, True], ids=["not_done", "done_and_not_answered"])
@pytest.mark.parametrize("at", [1, 2])
async def test_what_was_interrupted_goes_on(
    history: SignedHistory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, done: bool
) -> None:  # fmt: skip
    monkeypatch.setattr("countersign.ops.truncating.STEP", 30)
    await played(history, 6)
    await over(history)
    whole = await save(history, tmp_path / "whole")
    asked = wish(history, held_by(whole, [OURS]))
    store = replace(history.store, log=Breaks(history.store, at=at, done=done))  # type: ignore[arg-type]
    with pytest.raises(ConnectionError):
        await signed(history, truncate(store, asked, youngest=NOW))
    gone = (await history.store.log.base()).size
    assert gone == 30 * (at - (not done))
    if gone:
        with pytest.raises(NotExported, match=f"the log is being truncated: {gone} of"):
            await save(history, tmp_path / "half")
    finished = await signed(history, truncate(history.store, asked, youngest=NOW))
    assert finished.plan is None
    assert finished.size == (await history.store.log.base()).size == gone + finished.records
    kinds = [json.loads(body)["type"] for body in await history.store.log.chain(SYSTEM)]
    assert kinds.count("log.truncated") == 1, "it is recorded once"
    shutil.rmtree(tmp_path / "half", ignore_errors=True)
    assert grave(looked(await save(history, tmp_path / "after"))) == []


async def test_an_interrupted_one_wants_an_export_that_holds_it(
    history: SignedHistory, tmp_path: Path
) -> None:  # fmt: skip
    small = held_by(await save(history, tmp_path / "small"), [OURS])
    await played(history, 3)
    await over(history)
    whole = await save(history, tmp_path / "whole")
    store = replace(history.store, log=Breaks(history.store, at=1, done=False))  # type: ignore[arg-type]
    with pytest.raises(ConnectionError):
        await signed(history, truncate(store, wish(history, held_by(whole, [OURS])), youngest=NOW))
    with pytest.raises(NotTruncated, match="was begun and is not finished"):
        await truncate(history.store, wish(history, small), youngest=NOW)


async def test_nothing_goes_that_is_still_due(history: SignedHistory, tmp_path: Path) -> None:
    store = history.store
    subject = await ended(history)
    member = layout.activity_key(grant_of(subject))
    await store.records.commit(Commit(at=history.time, due={member: history.time + timedelta(days=900)}))
    held = held_by(await save(history, tmp_path / "whole"), [OURS])
    with pytest.raises(NotTruncated, match=f"{member} has changed .* or something is still to be done there"):
        await signed(history, truncate(store, wish(history, held), youngest=NOW))
    await store.records.commit(Commit(at=history.time, undue=[member]))
    done = await signed(history, truncate(store, wish(history, held), youngest=NOW))
    assert (await store.log.base()).size == done.size


async def ended(history: SignedHistory) -> str:
    """Return a request whose grant has ended."""
    views = [await history.reader.look(one) for one in history.ids]
    return next(view.request.id for view in views if view.grant is not None)


async def test_records_that_the_siem_has_not_taken_stay(history: SignedHistory, tmp_path: Path) -> None:
    held_at = await cursors.look(history.store.records, "siem")
    await cursors.move(history.store.records, "siem", held_at, cursors.Cursor(position=20))
    held = held_by(await save(history, tmp_path / "whole"), [OURS])
    done = await signed(history, truncate(history.store, wish(history, held), youngest=NOW))
    assert done.size <= 20
    assert done.plan is not None
    assert done.plan.limit == (20, "the SIEM has taken the first 20 records, not the next one")


async def test_what_a_living_grant_extends_stays(history: SignedHistory, tmp_path: Path) -> None:
    subject = await ended(history)
    child = await waits(history)
    key = layout.request_key(child)
    record = (await history.store.records.read([key])).records[key]
    told = json.loads(record.json)
    told["action"]["extends"] = grant_of(subject)
    put = layout.put(key, record.version, json.dumps(told))
    await history.store.records.commit(Commit(at=history.time, **put))
    held = held_by(await save(history, tmp_path / "whole"), [OURS])
    with suppress(NotTruncated):
        await signed(history, truncate(history.store, wish(history, held), youngest=NOW))
    assert (
        (await history.store.records.read([layout.request_key(subject)])).records[layout.request_key(subject)].version
    )


async def test_refusals_name_the_field_and_change_nothing(history: SignedHistory, tmp_path: Path) -> None:
    store = history.store
    whole = await save(history, tmp_path / "whole")
    held = held_by(whole, [OURS])
    with pytest.raises(NotTruncated, match="records of the last 7 days stay: name a time before") as young:
        await truncate(store, wish(history, held))
    assert young.value.field == "--before"
    long_ago = wish(history, held, before=history.time - timedelta(days=900))
    with pytest.raises(NotTruncated, match="nothing can be taken out: record 1 is not older than") as old:
        await truncate(store, long_ago)
    assert old.value.field == "--before"
    with pytest.raises(NotTruncated, match="is it an export of this log") as other:
        await truncate(store, wish(history, held._replace(root="0" * 64)), youngest=NOW)
    assert other.value.field == "--export"
    assert (await store.log.base()).size == 0
    assert (await store.records.read([TRUNCATED])).records[TRUNCATED].version == 0


async def test_an_export_that_is_not_whole_is_refused(history: SignedHistory, tmp_path: Path) -> None:
    whole = await save(history, tmp_path / "whole")
    (tmp_path / "half").mkdir()
    with pytest.raises(WrongOption, match=r"no manifest\.json") as missing:
        held_by(tmp_path / "half", [OURS])
    assert missing.value.field == "--export"
    stranger = Key("other.invalid/log", bytes(32))
    with pytest.raises(WrongOption, match="audit verify"):
        held_by(whole, [stranger])
    texts = (whole / "texts.jsonl").read_bytes()
    (whole / "texts.jsonl").write_bytes(texts.replace(b"Weekly report", b"Weekly Report", 1))
    with pytest.raises(WrongOption, match="audit verify"):
        held_by(whole, [OURS])


async def test_a_store_that_was_changed_is_not_shortened(history: SignedHistory, tmp_path: Path) -> None:
    held = held_by(await save(history, tmp_path / "whole"), [OURS])
    log = history.store.records._state.log  # type: ignore[attr-defined]  # the memory store's own list
    at = next(number for number, body in enumerate(log) if b'"verdict":"approve"' in body)
    log[at] = log[at].replace(b'"verdict":"approve"', b'"verdict":"deny"')
    with pytest.raises(NotTruncated, match="the export is not of this log"):
        await truncate(history.store, wish(history, held), youngest=NOW)
    assert (await history.store.log.base()).size == 0


async def test_two_at_once_take_out_what_one_would(history: SignedHistory, tmp_path: Path) -> None:
    held = held_by(await save(history, tmp_path / "whole"), [OURS])
    asked = wish(history, held)
    async with signing(history):
        both = await asyncio.gather(
            *(truncate(history.store, asked, youngest=NOW) for _ in range(2)), return_exceptions=True
        )
    done = [one for one in both if isinstance(one, Done)]
    assert done
    assert all(isinstance(one, Done | NotTruncated | Conflict) for one in both)
    assert (await history.store.log.base()).size == done[0].size
    kinds = [json.loads(body)["type"] for body in await history.store.log.chain(SYSTEM)]
    assert kinds.count("log.truncated") == 1
    assert grave(looked(await save(history, tmp_path / "after"))) == []


class Meanwhile:
    """A log of which records are taken out while it is read."""

    def __init__(self, store: Store) -> None:
        self._log, self._begun = store.log, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def tail(self, after: int, limit: int = 500) -> list[bytes]:
        if after == 0 and not self._begun:
            self._begun = True
            raise Truncated(4)
        return await self._log.tail(after, limit)


async def test_one_that_comes_while_it_is_planned_is_no_other_log(history: SignedHistory, tmp_path: Path) -> None:
    held = held_by(await save(history, tmp_path / "whole"), [OURS])
    store = replace(history.store, log=Meanwhile(history.store))  # type: ignore[arg-type]
    with pytest.raises(NotTruncated, match="another truncation has begun meanwhile"):
        await truncate(store, wish(history, held), youngest=NOW)


async def test_an_export_says_that_records_were_taken_out_or_is_not_made(
    history: SignedHistory, tmp_path: Path
) -> None:  # fmt: skip
    done, _ = await year(history, tmp_path)
    early = await signed_at(history.store.records, done.size)
    assert early is not None
    with pytest.raises(NotExported, match="take a checkpoint of at least"):
        await export(history.store, Folder(tmp_path / "early"), early.checkpoint, no_bar)


async def test_records_that_were_taken_out_behind_the_log_are_found(history: SignedHistory, tmp_path: Path) -> None:
    """Whoever holds the key can shorten a log, and sign on; that no record says so cannot be hidden."""
    done, _ = await year(history, tmp_path)
    state = history.store.records._state  # type: ignore[attr-defined]
    log = state.log
    at = next(number for number, body in enumerate(log) if b'"type":"log.truncated"' in body)
    told = json.loads(log[at])["data"]
    assert told["size"] == done.size
    other = Draft(SYSTEM, "export.made", By("ops", "operator", "ops"), "command",
                  {"root": told["root"], "size": 3, "to": "folder"})  # fmt: skip
    body = rewritten(log[at], other)
    state.chains[SYSTEM][state.chains[SYSTEM].index(log[at])] = body
    log[at] = body
    del state.records[layout.NOTARY]
    for size in await history.store.records.members(layout.CHECKPOINTS, limit=10_000):
        if int(size) > done.size:
            state.records.pop(layout.checkpoint_key(int(size)), None)
    forged = await SignedHistory(1).begin()
    forged.notary.__init__(history.store, forged.notary._signers, forged.notary._alerts)  # type: ignore[misc]
    await forged.notary.cover(await history.store.log.size())
    await export(history.store, Folder(tmp_path / "e"), (await newest(history.store, patience=None)).checkpoint, no_bar)
    codes = [one.code for one in looked(tmp_path / "e").findings if one.grave]
    assert "bad_story" in codes


def rewritten(body: bytes, draft: Draft) -> bytes:
    record = json.loads(body) | {"type": draft.type, "data": dict(draft.data)}
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


async def test_exports_that_do_not_meet_or_disagree_below_are_told(history: SignedHistory, tmp_path: Path) -> None:
    """What lies below the first record of one is in the other, or nobody can say."""
    early = tmp_path / "early"
    first = await signed_at(history.store.records, (await sizes(history))[3])
    assert first is not None
    await export(history.store, Folder(early), first.checkpoint, no_bar)
    _, whole = await year(history, tmp_path)
    after = await save(history, tmp_path / "after")
    for one, other in ((after, early), (early, after)):
        [gap] = part(one, other)
        assert (gap.code, "a gap" in gap.what) == ("cut", True)
    records = whole / "records.jsonl"
    lines = records.read_bytes().splitlines(keepends=True)
    records.write_bytes(b"".join([lines[1], *lines[1:]]))
    for one, other in ((after, whole), (whole, after)):
        [found] = part(one, other)
        assert (found.code, "another root at size" in found.what) == ("witness_differs", True)


async def sizes(history: SignedHistory) -> list[int]:
    return [int(one) for one in await history.store.records.members(layout.CHECKPOINTS, limit=10_000)]


async def test_no_byte_of_what_is_told_about_the_beginning_can_change(
    history: SignedHistory, tmp_path: Path
) -> None:  # fmt: skip
    await year(history, tmp_path)
    after = await save(history, tmp_path / "after")
    raw = (after / "base.json").read_bytes()
    step = 1 if os.environ.get("FLIPS") == "all" else 7
    for at in range(0, len(raw), step):
        (after / "base.json").write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        assert not verify(after, [OURS]).whole, at
    (after / "base.json").unlink()
    assert not verify(after, [OURS]).whole


async def test_a_key_from_before_the_beginning_is_led_on_by_the_older_export(
    history: SignedHistory, tmp_path: Path
) -> None:  # fmt: skip
    new = SigningKey.generate(LOG)
    history.notary = Notary(history.store, Signers(new, KEY), Silent())
    history.receipting = Receipting(history.store, history.notary, Silent())
    await history.notary.cover(await history.store.log.size())
    await played(history, 4)
    await over(history)
    await history.notary.cover(await history.store.log.size())
    history.time += timedelta(days=90)
    _, whole = await year(history, tmp_path)
    after = await save(history, tmp_path / "after")
    theirs = Key.parse(public_of(new).text)
    assert theirs.text in looked(whole).keys
    assert grave(looked(after, theirs)) == []
    assert {one.code for one in looked(after, OURS).findings if one.grave} >= {"unknown_key"}
