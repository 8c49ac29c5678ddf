"""Make an access report from the log: read the period, complete its chains, name the checkpoint."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

from approvers.action import MAX_TTL_SECONDS
from approvers.audit import SYSTEM
from approvers.cases import tag_of
from approvers.checkpoint import read_checkpoint
from approvers.errors import Malformed
from approvers.ids import request_id, request_of
from approvers.reporting import Report
from approvers.reporting_row import Row, as_csv
from approvers.taken_out import TakenOut
from approvers.texts import restore
from approvers.times import stamp
from workers.stores import layout
from workers.stores.port import Store
from workers.stores.signed import signed_so_far
from workers.stores.window import PAGE, forwards, position_at, taken_out

BEFORE = timedelta(seconds=MAX_TTL_SECONDS) + timedelta(hours=1)
"""How much earlier than its period a report reads on: what lived on into the period was minted since then, or had
records since then, as each try to prove its end writes one, or has not ended yet: that is looked up."""
AFTER = timedelta(hours=1)
"""By how much the store's time may have gone back, so that no record of the period is missed."""
MOST_RECORDS = 3_000_000
"""About 300,000 requests: more would take minutes, and a gigabyte."""
MOST_LIVE = 100_000


class TooMuch(Malformed):
    """The period holds more than one report can."""


class Until(NamedTuple):
    """Up to which size of the log a report was made, and the root (hex) that a checkpoint has for it; empty: none.

    `left_out`: how many newer records there are, which no checkpoint covers yet.
    """

    size: int
    root: str
    left_out: int = 0


@dataclass(frozen=True)
class Access:
    """An access report: the period, when and from how much of the log it was made, and the report itself.

    `taken_out`: what is no longer in the log, where that leaves out any of the period; `missing` says so.
    """

    since: datetime
    until: datetime
    made_at: datetime
    log: Until
    report: Report
    taken_out: TakenOut | None = None

    @property
    def missing(self) -> str:
        """Say what was taken out of the log and is not in the report; empty: nothing."""
        return self.taken_out.from_report(self.report.torn) if self.taken_out else ""


class Reports:
    """Make reports, one at a time."""

    def __init__(self, store: Store, *, most_records: int = MOST_RECORDS, page: int = PAGE) -> None:
        self._store, self._log, self._most, self._page = store, store.log, most_records, page
        self._turn = asyncio.Lock()

    async def access(self, since: datetime, until: datetime) -> Access:
        """Return who had what in the period. Raises TooMuch."""
        async with self._turn:
            log = await newest(self._store)
            start = await position_at(self._log, since - BEFORE, log.size)
            end = await position_at(self._log, until + AFTER, log.size)
            if end - start > self._most:
                raise TooMuch(
                    f"this period holds {end - start:,} records, more than {self._most:,}; choose a shorter one",
                    field="from",
                )
            report = await self._read(Report(since, until), start, end)
            await self._complete(report, until, log.size)
            gone = await taken_out(self._log)
            missing = gone if gone and (gone.hides(since) or report.torn) else None
            return Access(since, until, await self._store.records.now(), log, report, missing)

    async def _read(self, report: Report, start: int, end: int) -> Report:
        """Feed a stretch of the log to a report, or to a new one from where it is torn off while it is read."""
        texts = await self._log.texts([SYSTEM])
        async for page in forwards(self._log, start, end, self._page):
            if page.first > start + 1:
                report = report.anew()
            await self._feed(report, page.bodies, texts)
            start = page.first - 1 + len(page.bodies)
        return report

    async def _feed(self, report: Report, bodies: Iterable[bytes], texts: Mapping[str, str]) -> None:
        """Feed records; of what people typed a report has only the reasons of changes, under `sys`."""
        for body in bodies:
            subject, _ = tag_of(body)
            if subject != SYSTEM and not subject.startswith("req_"):
                continue
            record = json.loads(body)
            if subject == SYSTEM:
                record = restore(record, texts)
            if report.lacks(subject, record["n"]):
                await self._chain(report, subject, record["n"])
            report.feed(record)

    async def _complete(self, report: Report, until: datetime, size: int) -> None:
        """Feed what came of the requests that were open at the end of the stretch, as far as the log's size goes."""
        beyond = await self._beyond(size)
        hanging = await self._hanging(report, until)
        for subject in [*report.unfinished(), *sorted(hanging)]:
            await self._chain(report, subject, beyond.get(subject), lives=subject in hanging)

    async def _hanging(self, report: Report, until: datetime) -> frozenset[str]:
        """Return requests of before `until` whose grant has not ended yet, and of which the stretch held no record."""
        live = map(request_of, await self._store.records.members(layout.LIVE_INDEX, limit=MOST_LIVE))
        later = request_id(until, bytes(10))
        return frozenset(one for one in live if one < later and not report.fed(one))

    async def _beyond(self, size: int) -> Mapping[str, int]:
        """Return the first number of each chain that stands behind the log's size: too late for this report."""
        found: dict[str, int] = {}
        async for page in forwards(self._log, size, await self._log.size()):
            for body in page.bodies:
                record = json.loads(body)
                found.setdefault(record["subject"], record["n"])
        return found

    async def _chain(self, report: Report, subject: str, before: int | None, *, lives: bool = False) -> None:
        """Feed the records of a chain with numbers below `before` (None: all); `lives`: its grant has not ended."""
        records = [json.loads(body) for body in await self._log.chain(subject)]
        if not records or records[0]["n"] > report.fed(subject) + 1:
            report.tear(subject, [one["at"] for one in records], lives=lives or not records)
        for record in records:
            if before is not None and record["n"] >= before:
                return
            report.feed(record)


async def newest(store: Store) -> Until:
    """Return the size and root of the newest signed checkpoint; where there is none, how long the log is."""
    seen = (await store.records.read([layout.NOTARY])).records[layout.NOTARY]
    signed = signed_so_far(seen)
    if signed is None or not signed.note:
        return Until(await store.log.size(), "")
    checkpoint = read_checkpoint(signed.note)
    return Until(checkpoint.size, checkpoint.root.hex(), max(0, await store.log.size() - checkpoint.size))


def as_json(access: Access) -> dict[str, Any]:
    """Return a report as JSON: what it is about, its summary, its rows, and what changed."""
    report = access.report
    return {
        "v": 1,
        "from": stamp(access.since),
        "to": stamp(access.until),
        "time_zone": "UTC",
        "made_at": stamp(access.made_at),
        "log": {"size": access.log.size, "root": access.log.root or None, "left_out": access.log.left_out},
        "taken_out": {**access.taken_out.as_json(), "requests": report.torn} if access.taken_out else None,
        "summary": _summary(report),
        "changes": [one._asdict() for one in report.changes],
        "stops": [one._asdict() for one in report.stops],
        "owed": [one.request for one in report.owed()],
        "not_read": report.strange,
        "grants": [one._asdict() for one in report.rows()],
    }


def _summary(report: Report) -> dict[str, Any]:
    found = report.summary()
    tables = {name: [one._asdict() for one in getattr(found, name)] for name in found._fields if name != "total"}
    return {"total": found.total._asdict(), **tables}


def rows_as_csv(access: Access) -> Iterator[str]:
    """Yield the grants of a report as CSV; what the file is about stands in its name (`file_name`).

    What was taken out of the log is said in a row of its own, the first, so that nobody takes the file for whole.
    """
    said = [[access.missing, *[""] * (len(Row._fields) - 1)]] if access.missing else []
    return as_csv(chain(said, access.report.rows()), Row._fields)


def file_name(access: Access) -> str:
    """Return a name that says what the file is: period and size of the log."""
    return f"access-{access.since:%Y%m%d}-{access.until:%Y%m%d}-log-{access.log.size}.csv"
