"""Hold the rules as applied: policy, roster and freeze, parsed once per version, followed by every process.

The store has the only copy that counts. Every decision names the versions it was made under in its commit, so that a
cached copy can be old, but never decide.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from approvers import away
from approvers.applying import NeedsApproval, bound, changes, check_approval
from approvers.audit import SYSTEM, By, Draft
from approvers.away import Lent
from approvers.errors import CountersignError
from approvers.faults import ConfigError, load
from approvers.policy import Policy, check_together, parse_policy
from approvers.request import Request
from approvers.roster import Roster, parse_roster
from approvers.times import stamp
from approvers.upgrades import read
from workers.data.levels import load_levels
from workers.stores import layout
from workers.stores.port import Commit, Records, Signals, Snapshot, Unavailable, Versioned, transact

__all__ = ["KEYS", "Applied", "Lent", "NeedsApproval", "NotConfigured", "Policies", "Rulebook", "apply"]

KEYS = (layout.POLICY, layout.ROSTER, layout.FREEZE, layout.AWAY)
_FILES = {layout.ROSTER: "countersign.toml", layout.POLICY: "policy.toml"}
LOOK_AGAIN = timedelta(seconds=5)


class NotConfigured(CountersignError):
    """No policy or roster has been applied yet."""

    code = "not_configured"


@dataclass(frozen=True)
class Rulebook:
    """Hold what decisions are made under, and the record versions that a commit must name.

    Attributes:
        texts: the files as applied, by record key.
        frozen: why approvals and mints are stopped; None while they are not.
        delegations: who has lent their seats to whom, by the roster and by themselves; those that are over, too.
    """

    policy: Policy
    policy_sha256: str
    roster: Roster
    roster_sha256: str
    versions: Mapping[str, int]
    texts: Mapping[str, str]
    frozen: str | None
    delegations: tuple[Lent, ...] = ()

    def lenders(self, person: str, now: datetime) -> tuple[str, ...]:
        """Return whose seats `person` may fill now, besides their own: bare names in order."""
        return away.lenders(self.delegations, person.removeprefix("user:"), now)

    def stand_ins(
        self, seats: Mapping[str, int], now: datetime, outside: Mapping[str, frozenset[str]] | None = None
    ) -> tuple[str, ...]:
        """Return who answers for whom in these seats, one line each: `bob answers for ana until 23 Nov`.

        `outside` adds people of groups that are kept elsewhere, where the caller has looked; the roster's are known.
        """
        zone = self.policy.zone
        return tuple(
            f"{taker} answers for {giver} until {until.astimezone(zone):%-d %b}"
            for (taker, giver), until in sorted(self._lent(seats, now, outside or {}).items())
        )

    def called_in(self, seats: Mapping[str, int], now: datetime) -> tuple[str, ...]:
        """Return who may answer in these seats only because somebody lent them theirs: bare names, in order."""
        takers = {taker for taker, _ in self._lent(seats, now, {})}
        return tuple(sorted(one for one in takers if not self.roster.groups_of(one) & seats.keys()))

    def _lent(
        self, seats: Mapping[str, int], now: datetime, outside: Mapping[str, frozenset[str]]
    ) -> dict[tuple[str, str], datetime]:
        """Return until when whom (first) stands in for whom in these seats."""
        more = {name for group in seats for name in outside.get(group, ())}
        last: dict[tuple[str, str], datetime] = {}
        for one in self.delegations:
            if now <= one.until and (one.giver in more or self.roster.groups_of(one.giver) & seats.keys()):
                pair = (one.taker, one.giver)
                last[pair] = max(one.until, last.get(pair, one.until))
        return last


class Policies:
    """Read the rules from the store, and keep them fresh."""

    def __init__(self, records: Records, signals: Signals) -> None:
        self._records, self._signals = records, signals
        self._book: Rulebook | None = None

    @property
    def current(self) -> Rulebook:
        """Return the rules as last read. Raises NotConfigured before the first `countersign apply`."""
        if self._book is None:
            raise NotConfigured("no policy is applied yet: run `countersign apply countersign.toml policy.toml`")
        return self._book

    @property
    def roster(self) -> Roster | None:
        """Return the roster as last read; None before the first apply."""
        return self._book.roster if self._book else None

    async def refresh(self) -> None:
        """Read the records; parse only what has another version than before."""
        snapshot = await self._records.read(KEYS)
        versions = {key: snapshot.records[key].version for key in KEYS}
        if self._book is None or self._book.versions != versions:
            self._book = _book(snapshot, versions)

    async def follow(self) -> None:
        """Refresh at every change and every few seconds, until cancelled; a lost hint only costs time."""
        await asyncio.gather(*(self._follow(key) for key in KEYS))

    async def _follow(self, key: str) -> None:
        while True:
            await self._signals.changed(key, LOOK_AGAIN)
            with contextlib.suppress(Unavailable):  # commits name the versions: an old copy cannot decide
                await self.refresh()


@dataclass(frozen=True)
class Applied:
    """Say what an `apply` did: the file's kind, its hash, and whether anything changed."""

    key: str
    sha256: str
    changed: bool


async def apply(
    records: Records, *, policy: str | None, roster: str | None, by: str, why: str, approval: str | None = None
) -> list[Applied]:  # fmt: skip
    """Check new files together with what stands, and commit them, or raise ConfigError with every mistake.

    Args:
        records: the store.
        policy: text of policy.toml; None keeps the one that stands.
        roster: text of countersign.toml; None keeps the one that stands.
        by: who applies, as recorded.
        why: their reason, as recorded.
        approval: the id of the request whose approval this change uses up, where `[apply]` in force asks for one.

    Raises:
        NeedsApproval: the policy in force wants other people's yes to this, and `approval` is none.
        AlreadyDecided: the approval was used already.
    """
    given = {layout.POLICY: policy, layout.ROSTER: roster}
    keys = [*KEYS, *([layout.request_key(approval)] if approval else [])]

    def step(seen: Snapshot) -> tuple[Commit | None, list[Applied]]:
        texts = {key: text if text is not None else _text(seen.records[key]) for key, text in given.items()}
        if not all(texts.values()):
            raise NotConfigured("the first apply needs both files: countersign.toml and policy.toml")
        new = parse_policy(texts[layout.POLICY]), parse_roster(texts[layout.ROSTER])
        check_together(*new, actions=load_levels())
        done = [_applied(key, text, seen.records[key]) for key, text in given.items() if text is not None]
        changed = [one for one in done if one.changed]
        if not changed:
            return None, done
        used = _approved(seen, {one.key: texts[one.key] for one in changed}, new, _Wish(by, why, approval))
        wish = _Wish(by, why, approval if used else None)
        parts = [_put(one, texts[one.key], seen, wish) for one in changed]
        return layout.commit(seen.now, *parts, used, heads=seen.heads), done

    return await transact(records, keys, step, chains=(SYSTEM, *([approval] if approval else [])))


@dataclass(frozen=True)
class _Wish:
    by: str
    why: str
    approval: str | None


def _approved(seen: Snapshot, texts: Mapping[str, str], new: tuple[Policy, Roster], wish: _Wish) -> layout.Part:
    """Return the part that uses up the approval of this change; nothing where none is needed.

    Raises:
        NeedsApproval: it is needed, and `approval` is none.
    """
    old = _standing(seen)
    if old is None or old[0].apply is None:
        return {}
    if wish.approval is None or not seen.records[layout.request_key(wish.approval)].version:
        raise NeedsApproval(f"[apply] in policy.toml wants the yes of {old[0].apply.quorum} to a change of the files.")
    record = seen.records[layout.request_key(wish.approval)]
    request = read(Request, record.json)
    was = {_FILES[key]: _text(seen.records[key]) for key in _FILES}
    what = bound({_FILES[key]: text for key, text in texts.items()}, was, wish.why, changes(old, new))
    check_approval(request, old[0], wish.by, what)
    after = request.model_copy(update={"consumed_at": seen.now})
    told = {"state": after.state, "action_digest": after.action_digest}
    return {
        **layout.request_changed(record, after, at=seen.now, closed=False),
        "drafts": [Draft(request.id, "request.consumed", By(wish.by, "operator", wish.by), "command", told)],
        "events": [layout.event("request.consumed", seen.now, request=request.id)],
    }


def _standing(seen: Snapshot) -> tuple[Policy, Roster] | None:
    """Return what is in force; None before the first apply, and where nothing can be decided under it any more.

    A policy that this version cannot read stops every process; only one that wants approvals keeps its lock.
    """
    texts = {key: _text(seen.records[key]) for key in _FILES}
    if not all(texts.values()):
        return None
    try:
        return parse_policy(texts[layout.POLICY]), parse_roster(texts[layout.ROSTER])
    except ConfigError:
        if "apply" in load(texts[layout.POLICY]):
            raise
        return None


def _applied(key: str, text: str, seen: Versioned) -> Applied:
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return Applied(key, sha256, not seen.version or json.loads(seen.json)["sha256"] != sha256)


def _put(one: Applied, text: str, seen: Snapshot, wish: _Wish) -> layout.Part:
    told: dict[str, str | None] = {"sha256": one.sha256, "text": text, "why": wish.why}
    record = {"v": 1, "by": wish.by, "at": stamp(seen.now), **told}
    kind = one.key.partition(":")[2]
    old = seen.records[one.key]
    told["was"] = json.loads(old.json)["sha256"] if old.version else None
    if wish.approval:
        told["approval"] = wish.approval
    # the record has the text, too, so that any decision can be replayed
    draft = Draft(SYSTEM, f"{kind}.applied", By(wish.by, "operator", wish.by), "command", told)
    return {**layout.put(one.key, old.version, json.dumps(record)), "drafts": [draft]}


def _text(seen: Versioned) -> str:
    return str(json.loads(seen.json)["text"]) if seen.version else ""


def _book(snapshot: Snapshot, versions: Mapping[str, int]) -> Rulebook | None:
    policy, roster, freeze, _ = (snapshot.records[key] for key in KEYS)
    if not policy.version or not roster.version:
        return None
    policy_record, roster_record = json.loads(policy.json), json.loads(roster.json)
    rules, people = parse_policy(policy_record["text"]), parse_roster(roster_record["text"])
    return Rulebook(
        policy=rules,
        policy_sha256=policy_record["sha256"],
        roster=people,
        roster_sha256=roster_record["sha256"],
        versions=versions,
        texts={layout.POLICY: policy_record["text"], layout.ROSTER: roster_record["text"]},
        frozen=json.loads(freeze.json)["why"] if freeze.version and json.loads(freeze.json)["on"] else None,
        delegations=_delegations(rules, people, snapshot.records[layout.AWAY]),
    )


def _delegations(rules: Policy, people: Roster, record: Versioned) -> tuple[Lent, ...]:
    """Return what the file lends and what people lend by themselves, among those whom the roster still knows."""
    lent = [Lent(one.giver, one.taker, away.end_of_day(one.until, rules.zone)) for one in people.delegations]
    for one in json.loads(record.json)["away"] if record.version else ():
        lent.append(Lent(one["from"], one["to"], datetime.fromisoformat(one["until"]).astimezone(rules.zone)))
    return tuple(one for one in lent if {one.giver, one.taker} <= people.persons.keys())
