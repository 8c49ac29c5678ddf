"""Sign the receipts of decisions: each decided request gets one, moments after its decision.

The commit that decides makes `receipt:req_…` due. What is due is signed in batches over one checkpoint of the log,
which by then holds the decisions. A receipt and its due item go in one commit: whatever dies in between, another clock
finds the item again, and signs the same claims over a later log. What a checkpoint waits for holds up no other work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Protocol

from approvers.checkpoint import Checkpoint
from approvers.errors import CountersignError
from approvers.receipts import TYPE, claims
from approvers.request import Receipt, Request, RequestState
from approvers.times import spell
from approvers.upgrades import read
from workers import jws, logs
from workers.alerts import Alert, Alerts
from workers.signing import Signer
from workers.stores import layout
from workers.stores.port import Attempt, Commit, Fenced, Snapshot, Store, StoreError, transact

AT_ONCE = 64
"""How many are signed over one checkpoint, at most."""
PAUSE_SECONDS = 0.5
"""The wait after a batch that could not be signed."""
LATE_AFTER = timedelta(minutes=1)
LATE = "receipt.late"
"""The alert that decisions have waited for their receipts for `LATE_AFTER`."""
_log = logs.get_logger(__name__)


class Covers(Protocol):
    """Give signed checkpoints of the log, and the key that signs."""

    @property
    def signer(self) -> Signer:
        """Return what signs now."""
        ...

    async def cover(self, size: int) -> Checkpoint:
        """Return a signed checkpoint of at least that size. Raises StoreError or CountersignError where none can be."""
        ...


class Receipting:
    """Carry out the due items `receipt:req_…`, beside everything else that the clock does."""

    def __init__(
        self,
        store: Store,
        notary: Covers,
        alerts: Alerts,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """Start with nothing to sign. `clock` counts seconds, and is only asked how long something has failed."""
        self._records, self._log, self._notary, self._alerts = store.records, store.log, notary, alerts
        self._clock, self._pause_seconds = clock, pause_seconds
        self._waiting: dict[str, Attempt] = {}
        self._arrived = asyncio.Event()
        self._stuck_since: float | None = None
        self._alert: Alert | None = None

    def begin(self, attempts: Iterable[Attempt]) -> None:
        """Take what is due; of one that was handed out again the newest attempt counts."""
        self._waiting.update({attempt.member: attempt for attempt in attempts})
        if self._waiting:
            self._arrived.set()

    async def turn(self) -> None:
        """Wait for something to sign, and sign one batch. What could not be signed stays, and is tried again."""
        await self._arrived.wait()
        batch = [*self._waiting.values()][:AT_ONCE]
        trouble: StoreError | CountersignError | None
        try:
            trouble = await self._sign(batch)
        except (StoreError, CountersignError) as error:
            trouble = error
        if not self._waiting:
            self._arrived.clear()
        if trouble is None:
            await self._told_over()
            return
        await self._told_late(trouble)
        await asyncio.sleep(self._pause_seconds)

    async def _sign(self, batch: list[Attempt]) -> StoreError | None:
        """Sign a batch; what is done waits no more, the rest goes to the end. Returns what stood in the way of one."""
        checkpoint = await self._notary.cover(await self._log.size())
        seen = await self._records.read([_key_of(attempt) for attempt in batch])
        troubles = await asyncio.gather(*(self._tried(attempt, checkpoint, seen) for attempt in batch))
        for attempt, trouble in zip(batch, troubles, strict=True):
            if self._waiting.get(attempt.member) == attempt:
                del self._waiting[attempt.member]
                if trouble:
                    self._waiting[attempt.member] = attempt
        return next(filter(None, troubles), None)

    async def _tried(self, attempt: Attempt, checkpoint: Checkpoint, first: Snapshot) -> StoreError | None:
        try:
            await self._one(attempt, checkpoint, first)
        except StoreError as error:
            return error
        return None

    async def _one(self, attempt: Attempt, checkpoint: Checkpoint, first: Snapshot) -> str:
        """Store one request's receipt, over whatever else happened to the request. Returns a word for it."""
        key = _key_of(attempt)

        def step(seen: Snapshot) -> tuple[Commit | None, str]:
            record = seen.records[key]
            request = read(Request, record.json) if record.version else None
            if request is None or request.receipt is not None or request.state is RequestState.PENDING:
                return Commit(at=seen.now, attempt=attempt), "nothing"
            receipt = signed(request, checkpoint, self._notary.signer, seen)
            after = request.model_copy(update={"receipt": receipt})
            return layout.commit(
                seen.now, layout.receipted(record, after, at=seen.now), attempt=attempt
            ), "signed"  # fmt: skip

        try:
            return await transact(self._records, [key], step, first=first)
        except Fenced:
            return "fenced"
        except (CountersignError, ValueError) as error:  # one record that cannot be read holds up no other
            why = error.detail if isinstance(error, CountersignError) else type(error).__name__
            _log.error("clock.not_read", request=key.partition(":")[2], why=why)
            return "unread"

    async def _told_late(self, error: Exception) -> None:
        """Log the first failure in a row, and tell on-call once they have gone on for long."""
        now = self._clock()
        if self._stuck_since is None:
            self._stuck_since = now
            _log.error("receipts.not_signed", why=str(error), waiting=len(self._waiting))
        since = timedelta(seconds=now - self._stuck_since)
        if since < LATE_AFTER:
            return
        try:
            at = await self._records.now()
        except StoreError:  # without a store nothing is decided either, and that has an alert of its own
            return
        summary = (
            f"{len(self._waiting)} decisions have waited for their receipts for {spell(since)}: {error}. Approvals "
            "without a credential cannot be checked until they are signed."
        )
        self._alert = Alert(LATE, "warning", summary, at)
        await self._alerts.send(self._alert)

    async def _told_over(self) -> None:
        self._stuck_since = None
        if self._alert is not None:
            await self._alerts.send(self._alert.clear(await self._records.now()))
            self._alert = None


def signed(request: Request, checkpoint: Checkpoint, signer: Signer, seen: Snapshot) -> Receipt:
    """Return a decided request's receipt over this checkpoint of the log."""
    size, root = checkpoint.size, checkpoint.root.hex()
    said = claims(request, origin=checkpoint.origin, size=size, root=root, now=seen.now)
    return Receipt(at=seen.now, jws=jws.compact(said, TYPE, signer), key=jws.kid(signer), root=root, size=size)


def _key_of(attempt: Attempt) -> str:
    return layout.request_key(attempt.member.partition(":")[2])
