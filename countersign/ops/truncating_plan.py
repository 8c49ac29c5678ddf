"""Find how far the log can be shortened: a signed size; all before it old, exported, and of what has ended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from approvers.audit import SYSTEM
from approvers.cases import decoded
from approvers.errors import CountersignError
from approvers.grant import Grant
from approvers.ids import grant_of, request_of
from approvers.request import Request
from approvers.times import stamp
from approvers.tree import Frontier
from approvers.upgrades import read
from countersign.ops import signed_log
from countersign.ops.closed import settles
from countersign.ops.exporting_records import Moved
from workers.clock import cursors, streaming
from workers.stores import layout
from workers.stores.port import Snapshot, Store
from workers.stores.window import forwards

PAGE = 200
MEANWHILE = "another truncation has begun meanwhile: see what it says, and run this again"
APPLIED = ("policy.applied", "roster.applied")


class NotTruncated(CountersignError):
    """The log was not shortened, or not to its end; the text says why and what to do."""

    code = "not_truncated"


class Held(NamedTuple):
    """A whole export of this log: up to which signed size and root, and the hash of its manifest."""

    size: int
    root: str
    manifest_sha256: str


class Limit(NamedTuple):
    """How many records could go, and why not more."""

    size: int
    why: str


@dataclass(frozen=True)
class Plan:
    """What can be taken out.

    Attributes:
        size: how many of the log's first records, with those taken out before; `root` is the log's there.
        records: how many go now.
        requests: how many requests go whole; `shortened`: of how many the end stays.
        rules: type of record → the text in force at that size; left out where none of these records applied one.
        limit: what keeps more from going.
    """

    size: int
    root: str
    records: int
    requests: int
    shortened: int
    rules: Mapping[str, str]
    limit: Limit


@dataclass
class _Chain:
    """What the log holds of one subject: positions of its records, and the number of the last one."""

    first: int
    last: int
    n: int


@dataclass
class _Seen:
    """What one pass over the log leaves."""

    frontier: Frontier
    old: int
    chains: dict[str, _Chain] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)
    applied: list[tuple[int, str]] = field(default_factory=list)
    young: bool = False

    def take(self, position: int, record: Mapping[str, Any], before: str) -> None:
        """Take in the next record; those from the first one on that is not older than `before` have to stay."""
        self.young = self.young or record["at"] >= before
        if not self.young:
            self.old = position
        subject = record["subject"]
        chain = self.chains.get(subject)
        if chain is not None:
            chain.last, chain.n = position, record["n"]
        elif not self.young:
            self.chains[subject] = _Chain(position, position, record["n"])
        if record["type"] in APPLIED:
            self.applied.append((position, record["type"]))


async def plan(store: Store, held: Held, before: datetime, moved: Moved) -> Plan:
    """Return the most that can be taken out. Raises NotTruncated: nothing can, or the export is not of this log."""
    base = await store.log.base()
    signed = {size async for some in signed_log.sizes(store.records) for size in some if base.size < size <= held.size}
    seen = await _seen(store, held, before, signed, moved)
    limit = await _limit(store, seen, before)
    size = max((one for one in seen.roots if one <= limit.size), default=0)
    if size <= base.size:
        raise NotTruncated(f"nothing can be taken out: {limit.why}", field="--before")
    there = [one for subject, one in seen.chains.items() if one.first <= size and subject != SYSTEM]
    gone = sum(one.last <= size for one in there)
    return Plan(
        size, seen.roots[size].hex(), size - base.size, gone, len(there) - gone,
        await _rules(store, [one for one in seen.applied if one[0] <= size]), limit,
    )  # fmt: skip


async def _seen(store: Store, held: Held, before: datetime, signed: set[int], moved: Moved) -> _Seen:
    """Read the log up to where the export ends. Raises NotTruncated: it is not what the export holds."""
    base, wanted = await store.log.base(), stamp(before)
    seen = _Seen(Frontier(base.size, list(base.peaks)), base.size)
    async for page in forwards(store.log, base.size, held.size):
        if page.first != seen.frontier.size + 1:
            raise NotTruncated(MEANWHILE)
        for position, body in enumerate(page.bodies, page.first):
            seen.take(position, decoded(body), wanted)
            seen.frontier.extend([body])
            if position in signed and not seen.young:
                seen.roots[position] = seen.frontier.root()
        moved(seen.frontier.size)
    if (seen.frontier.size, seen.frontier.root().hex()) != (held.size, held.root):
        raise NotTruncated(
            f"the export is not of this log: at size {held.size:,} they have different roots. Freeze, keep both as "
            "they are, and compare them: `countersign audit export` into a new folder, then `audit verify --against`",
            field="--export",
        )
    return seen


async def _limit(store: Store, seen: _Seen, before: datetime) -> Limit:
    """Return how many records could go, and what keeps the next one."""
    limit = Limit(seen.old, f"record {seen.old + 1:,} is not older than {stamp(before)}")
    if not seen.young:
        limit = Limit(seen.old, f"the export ends at record {seen.old:,}: export again for more")
    sent = (await cursors.look(store.records, streaming.NAME)).cursor
    if (sent.position or sent.until) and sent.position < limit.size:
        limit = Limit(sent.position, f"the SIEM has taken the first {sent.position:,} records, not the next one")
    living = await _extended(store)
    asked = [(subject, one) for subject, one in seen.chains.items() if subject != SYSTEM]
    for start in range(0, len(asked), PAGE):
        some = [one for one in asked[start : start + PAGE] if one[1].first <= limit.size]
        limit = await _first_held(store, some, living, limit) if some else limit
    return limit


async def _first_held(
    store: Store, chains: Sequence[tuple[str, _Chain]], living: set[str], limit: Limit
) -> Limit:  # fmt: skip
    """Return the limit that these requests set: none of those that have not ended may lose a record."""
    keys = [key for subject, _ in chains for key in (layout.request_key(subject), layout.grant_key(grant_of(subject)))]
    snapshot = await store.records.read(keys, [subject for subject, _ in chains])
    for subject, chain in chains:
        if chain.first <= limit.size and (why := _why_held(snapshot, subject, chain, living)) is not None:
            limit = Limit(chain.first - 1, f"record {chain.first:,} is of {subject}, which {why}")
    return limit


def _why_held(snapshot: Snapshot, subject: str, chain: _Chain, living: set[str]) -> str | None:
    request, grant = (
        snapshot.records[key] for key in (layout.request_key(subject), layout.grant_key(grant_of(subject)))
    )
    if not request.version:
        return "has no record of its own: what became of it is not known"
    if snapshot.heads[subject].n != chain.n:
        return "goes on after the end of the export: export again"
    if subject in living:
        return "has a grant that another one extends"
    return settles(read(Request, request.json), read(Grant, grant.json) if grant.version else None, snapshot.now)


async def _extended(store: Store) -> set[str]:
    """Return the requests of grants that something which has not ended extends: it may still look them up."""
    found = set[str]()
    for index, key in ((layout.WAITING, layout.request_key), (layout.LIVE_INDEX, layout.grant_key)):
        after: str | None = None
        while members := await store.records.members(index, limit=PAGE, after=after):
            after = members[-1]
            seen = await store.records.read([key(one) for one in members])
            for record in seen.records.values():
                if record.version and (extends := _extends(record.json)):
                    found.add(request_of(extends))
    return found


def _extends(json_text: str) -> str | None:
    """Return the grant that a request asks to extend, or that a grant extends."""
    known = json.loads(json_text)
    return known.get("extends") or (known.get("action") or {}).get("extends")


async def _rules(store: Store, applied: Sequence[tuple[int, str]]) -> dict[str, str]:
    """Return the texts that the last of these records applied, by type."""
    found = {}
    for kind, position in {kind: position for position, kind in applied}.items():
        (body,) = await store.log.tail(position - 1, 1)
        found[kind] = str(decoded(body)["data"]["text"])
    return found
