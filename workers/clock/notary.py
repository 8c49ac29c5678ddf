"""Sign the log: a checkpoint says that at this size the whole log had this root.

Any number of clocks may do so. What they know is one record, `notary:log`, which a commit changes only if nobody else
has: two notaries cannot sign two histories. The record has the frontier of the tree, so that each record of the log is
read and hashed once; without it everything is computed anew.

Nothing is signed any more, and on-call is told, where the log is not the one that was signed before (`log.rolled_back`)
or the key is another (`notary.stuck`), until somebody says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Literal

from approvers.audit import SYSTEM, By, Draft
from approvers.checkpoint import Checkpoint, read_checkpoint
from approvers.errors import CountersignError
from approvers.tree import Frontier
from workers import logs
from workers.alerts import Alert, Alerts
from workers.clock.witness import Witness
from workers.signing import Signer, Signers, public_of, signed
from workers.stores import layout
from workers.stores.port import Commit, Conflict, Snapshot, Store, StoreError, Truncated
from workers.stores.signed import KeySince, Rollback, Rollbacks, Signed, rollbacks_seen, signed_so_far

AFTER_RECORDS = 256
AFTER = timedelta(seconds=5)
"""A checkpoint is signed after so many records, or so long after the first that none covers."""
LOOK_EVERY_SECONDS = 1.0
PAGE = 500
TRIES = 20
STUCK_AFTER = timedelta(minutes=1)
WRITE_SECONDS = 1.0
MOST_ROLLBACKS = 32
STUCK, ROLLED_BACK, UNWRITTEN = "notary.stuck", "log.rolled_back", "witness.unwritable"
NOTARY = By(None, "countersign", "notary")
_log = logs.get_logger(__name__)


class NotSigned(CountersignError):
    """Nothing may be signed; the text says why, and what to do."""

    code = "not_signed"


class Notary:
    """Sign checkpoints of one store's log."""

    def __init__(
        self, store: Store, signers: Signers, alerts: Alerts, witness: Witness | None = None,
        *, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Take the log, the keys, and who is told. `clock` counts seconds between looks."""
        self._records, self._log, self._size = store.records, store.log, store.log.size
        self._signers, self._alerts, self._clock = signers, alerts, clock
        self._witness = witness or Witness(None)
        self._turns = asyncio.Lock()
        self._frontier = Frontier()
        self._pending_since: float | None = None
        self._failing_since: float | None = None
        self._writing: asyncio.Future[None] | None = None
        self._raised: dict[str, Alert] = {}

    @property
    def signer(self) -> Signer:
        """Return what signs now."""
        return self._signers.current

    async def ready(self) -> None:
        """Refuse to start beside the witness of another log. Raises NotSigned, StoreError."""
        seen = await self._records.read([layout.NOTARY])
        self._same_log(_read(seen, self.signer.name))

    async def cover(self, size: int) -> Checkpoint:
        """Return a signed checkpoint of at least that size. Raises NotSigned, StoreError."""
        async with self._turns:
            return await self._cover(size)

    async def turn(self) -> None:
        """Look once whether the log has grown, sign if it is time for that, and wait a moment."""
        try:
            await self._look()
        except NotSigned as error:
            await self._failed(error)
        await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _look(self) -> None:
        size, now = await self._size(), self._clock()
        if size == self._frontier.size:
            self._pending_since = None
        elif self._pending_since is None:
            self._pending_since = now
        due = self._pending_since is not None and now - self._pending_since >= AFTER.total_seconds()
        witness = self._witness.newest
        cut = witness is not None and size < witness.size
        if cut or (size and (due or size - self._frontier.size >= AFTER_RECORDS)):
            await self.cover(size)
            self._pending_since, due = None, False
        await self._write_down()
        if not due:
            self._failing_since = None
            await self._tell(STUCK, "critical", None)

    async def _write_down(self) -> None:
        """Keep the newest checkpoint in the witness's file; a disk that hangs holds up nothing for long."""
        if self._witness.due and (self._writing is None or self._writing.done()):
            self._writing = asyncio.ensure_future(asyncio.to_thread(self._witness.write))
        if self._writing is None:
            return
        await asyncio.wait([self._writing], timeout=WRITE_SECONDS)
        hangs = None if self._writing.done() else "it takes too long to be written"
        await self._tell(UNWRITTEN, "warning", hangs or self._witness.trouble)

    async def _cover(self, size: int) -> Checkpoint:
        for _ in range(TRIES):
            seen = await self._records.read([layout.NOTARY], [SYSTEM])
            state = _read(seen, self.signer.name)
            try:
                state = await self._checked(state)
                if state.size >= size and state.size and state.key == public_of(self.signer).text:
                    return read_checkpoint(state.note)
                if (announced := self._announced(seen, state)) is not None:
                    await self._records.commit(announced)
                elif (covered := await self._sign(seen, state)) is not None:
                    return covered
            except (Conflict, Truncated):  # another clock has signed meanwhile, or the chain of `sys` grew
                continue
        raise NotSigned("The log's state changed too often to be signed; it is tried again.")

    async def _sign(self, seen: Snapshot, state: Signed) -> Checkpoint | None:
        """Sign the log as it is now; None: another clock was first. Raises NotSigned, Conflict."""
        frontier = Frontier.of(state.size, state.peaks) if state.size else await self._from_nothing()
        await self._extend(frontier, await self._size())
        checkpoint = Checkpoint(state.origin, frontier.size, frontier.root())
        kept = layout.checkpoint_key(checkpoint.size)
        again = await self._records.read([layout.NOTARY, kept])  # a long log takes longer than a commit may be old
        if again.records[layout.NOTARY].version != seen.records[layout.NOTARY].version:
            return None
        commit, after = self._commit(again, state, checkpoint, frontier)
        await self._records.commit(commit)
        self._follow(after)
        return checkpoint

    def _follow(self, state: Signed) -> None:
        self._frontier = Frontier.of(state.size, state.peaks)
        if state.size:
            self._witness.saw(read_checkpoint(state.note), state.note)

    async def _checked(self, state: Signed) -> Signed:
        """Return what is signed, once it agrees with the log and with what this clock has witnessed.

        Raises NotSigned: it does not. Where on-call has accepted that, it is what to go on from.
        """
        self._same_log(state)
        size, witness = await self._size(), self._witness.newest
        theirs = Frontier.of(state.size, state.peaks)
        if state.size > size and (witness is None or witness.size <= size):
            await self._rolled_back(Checkpoint(state.origin, state.size, theirs.root()), size)
            return state.model_copy(update={"size": 0, "peaks": (), "note": ""})
        if witness is not None and (witness.size > size or not await self._agrees(witness, theirs)):
            await self._rolled_back(witness, size)
            self._witness.forget()
            self._frontier = Frontier()
            return await self._checked(state)
        if self._frontier.size < state.size:
            self._follow(state)
        await self._tell(ROLLED_BACK, "critical", None)
        return state

    def _same_log(self, state: Signed) -> None:
        witness = self._witness.newest
        if witness is not None and witness.origin != state.origin:
            raise NotSigned(
                f"The witness is one of another log: it says {witness.origin!r}, and this log is {state.origin!r}. "
                "Name another COUNTERSIGN_WITNESS_FILE, or move that file away"
            )

    async def _agrees(self, witness: Checkpoint, theirs: Frontier) -> bool:
        """Tell whether the log grew from what was witnessed to what is signed, or the other way round."""
        if witness.size >= theirs.size:
            theirs = theirs if theirs.size else await self._from_nothing()
            await self._extend(theirs, witness.size)
            return theirs.size > witness.size or theirs.root() == witness.root
        mine = self._frontier.copy()
        if (mine.size, mine.root()) != (witness.size, witness.root):
            mine = await self._from_nothing()
            if mine.size <= witness.size:  # else it was truncated behind an export, and the witness is in that
                await self._extend(mine, witness.size)
                if mine.root() != witness.root:
                    return False
        await self._extend(mine, theirs.size)
        return mine.root() == theirs.root()

    async def _from_nothing(self) -> Frontier:
        """Return the frontier at which the log begins: nothing, or what was truncated behind an export."""
        base = await self._log.base()
        return Frontier(base.size, list(base.peaks))

    async def _extend(self, frontier: Frontier, size: int) -> None:
        while frontier.size < size:
            bodies = await self._log.tail(frontier.size, min(PAGE, size - frontier.size))
            if not bodies:
                raise NotSigned(f"The log ends at {frontier.size}, and {size} records were counted")
            frontier.extend(bodies)
            await asyncio.sleep(0)  # a first run over a long log holds up nothing else

    async def _rolled_back(self, witness: Checkpoint, size: int) -> None:
        """Tell and record that the log is another; returns only where on-call has accepted that."""
        seen = await self._records.read([layout.ROLLBACK], [SYSTEM])
        record, root = seen.records[layout.ROLLBACK], witness.root.hex()
        known = rollbacks_seen(record)
        before = known.of(witness.size, root)
        if before is not None and before.accepted:
            await self._tell(ROLLED_BACK, "critical", None)
            return
        if before is None:
            found = (*known.found[1 - MOST_ROLLBACKS :], Rollback(size=witness.size, root=root, found=size))
            draft = Draft(SYSTEM, ROLLED_BACK, NOTARY, "clock", {"found": size, "root": root, "size": witness.size})
            part = layout.put(layout.ROLLBACK, record.version, Rollbacks(found=found).model_dump_json())
            await self._records.commit(layout.commit(seen.now, part, drafts=[draft], heads=seen.heads))
        summary = (
            f"The log is not the one that was signed: at size {witness.size} it had the root {root[:16]}…, and "
            f"now it has {size} records or another root there. Was the store restored from a backup? Nothing is signed "
            "until `countersign keys signing accept-rollback --why …`"
        )
        await self._tell(ROLLED_BACK, "critical", summary)
        raise NotSigned(summary)

    def _announced(self, seen: Snapshot, state: Signed) -> Commit | None:
        """Return the commit that records a new key, so that the first checkpoint with it holds that record.

        None: no other key signs, or it was said already. Raises NotSigned: this key may not sign.
        """
        current = public_of(self.signer).text
        if state.next not in (None, current):
            raise NotSigned(f"The next to sign is {state.next}, as the log says: start every clock with that key")
        if state.key in (None, current) or state.next == current:
            return None
        self._before(state)
        told = {"new": current, "old": state.key, "size": state.size}
        draft = Draft(SYSTEM, "key.rotated", NOTARY, "clock", told)
        after = state.model_copy(update={"next": current})
        part = layout.put(layout.NOTARY, seen.records[layout.NOTARY].version, after.model_dump_json())
        return layout.commit(seen.now, part, drafts=[draft], heads=seen.heads)

    def _commit(
        self, seen: Snapshot, state: Signed, checkpoint: Checkpoint, frontier: Frontier
    ) -> tuple[Commit, Signed]:
        """Return the commit of one checkpoint, and what is signed then. Raises NotSigned: this key may not sign."""
        current = public_of(self.signer).text
        new = state.key != current
        before = self._before(state) if new and state.key else None
        note = signed(checkpoint.text(), *([before] if before else []), self.signer)
        keys = (*state.keys, KeySince(key=current, since=state.size)) if new else state.keys
        after = Signed(
            origin=state.origin, size=checkpoint.size, peaks=tuple(frontier.hexes()), note=note, at=seen.now, keys=keys
        )
        put = layout.put(layout.NOTARY, seen.records[layout.NOTARY].version, after.model_dump_json())
        key = layout.checkpoint_key(checkpoint.size)
        kept = layout.put(key, seen.records[key].version, note)
        enter = {layout.CHECKPOINTS: {str(checkpoint.size): seen.now}}
        return layout.commit(seen.now, put, kept, enter=enter), after

    def _before(self, state: Signed) -> Signer | None:
        """Return the key that signs beside the new one; None: it is lost, and on-call said so. Raises NotSigned."""
        before = self._signers.before
        if before is not None and public_of(before).text == state.key:
            return before
        if state.lost:
            return None
        raise NotSigned(
            f"The log was signed by {state.key} until now, and this clock has another key. To change it, set "
            "COUNTERSIGN_SIGNING_KEY_BEFORE_FILE to the old one; if it is lost: `countersign keys signing lost --why …`"
        )

    async def _failed(self, error: NotSigned) -> None:
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
            _log.error("notary.not_signed", why=str(error))
        if now - self._failing_since >= STUCK_AFTER.total_seconds():
            await self._tell(STUCK, "critical", f"No checkpoint has been signed for a minute: {error}")

    async def _tell(self, key: str, severity: Literal["critical", "warning"], summary: str | None) -> None:
        """Tell on-call, or (None) that it is over if it was told."""
        if summary is None and key not in self._raised:
            return
        try:
            at = await self._records.now()
        except StoreError:
            return
        if summary is None:
            await self._alerts.send(self._raised.pop(key).clear(at))
            return
        self._raised[key] = Alert(key, severity, summary, at)
        await self._alerts.send(self._raised[key])


def _read(seen: Snapshot, origin: str) -> Signed:
    """Return what is signed so far; nothing, for a log of this name. Raises NotSigned: it cannot be read."""
    try:
        state = signed_so_far(seen.records[layout.NOTARY]) or Signed(origin=origin)
        root = Frontier.of(state.size, state.peaks).root()
        if state.note and read_checkpoint(state.note) != (state.origin, state.size, root):
            raise ValueError("note and peaks contradict each other")
    except ValueError as error:  # ValidationError and BadNote are, too
        raise NotSigned(
            f"The record {layout.NOTARY} cannot be read. If a newer version wrote it, update this clock; else remove "
            "it, and everything is computed anew"
        ) from error
    return state
