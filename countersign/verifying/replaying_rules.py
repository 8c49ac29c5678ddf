"""Hold the rules in force at a place of the log: policy and roster by their records, freeze, who lends whose seat."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from approvers import away
from approvers.away import Lent
from approvers.faults import ConfigError
from approvers.policy import Policy, parse_policy
from approvers.roster import Roster, parse_roster

STALE = timedelta(seconds=60)
"""How long the clock may go on by rules that were replaced: a ladder is no decision, and it follows every 5 s."""
Texts = Callable[[str], str | None]
"""Gives the text of a policy or roster by its SHA-256, for a log whose beginning was dropped."""


def beside(path: Path) -> Texts:
    """Return what finds the rules that lie beside the records of an export; only what has its own hash counts."""

    def find(sha256: str) -> str | None:
        for folder in ("policies", "rosters"):
            found = path / folder / f"{sha256}.toml"
            if found.is_file() and hashlib.sha256(raw := found.read_bytes()).hexdigest() == sha256:
                return raw.decode()
        return None

    return find


class Unknown(Exception):
    """Something cannot be replayed; the text says why, in few words, and is counted."""


class Book(NamedTuple):
    """What decides at one place of the log."""

    policy: Policy
    policy_sha256: str
    roster: Roster
    roster_sha256: str


class Kept(NamedTuple):
    """One file as applied: its hash, what it says (None: this version cannot read it), and when it came."""

    sha256: str
    says: Any
    at: datetime


class Rules:
    """Follow what is applied."""

    def __init__(self, texts: Texts = lambda _sha256: None) -> None:
        """Begin with nothing applied; `texts` finds files that were applied before the log begins."""
        self._texts, self.frozen = texts, False
        self.partial = False
        """Whether the log began before its first record here: something may be in force that these do not tell of."""
        self._files: dict[str, list[Kept]] = {"policy": [], "roster": []}
        self._away: dict[str, tuple[str, datetime]] = {}
        self._book: Book | None = None

    def told(self, kind: str, data: Mapping[str, Any], at: datetime) -> str | None:
        """Take a record of `sys`. Returns what is wrong with it; None where nothing is."""
        match kind:
            case "policy.applied" | "roster.applied":
                return self._applied(kind.partition(".")[0], data, at)
            case "freeze.set" | "freeze.lifted":
                self.frozen = kind == "freeze.set"
            case "away.set":
                self._away[_bare(data["from"])] = _bare(data["to"]), datetime.fromisoformat(data["until"])
            case "away.ended":
                self._away.pop(_bare(data["from"]), None)
        return None

    def book(self) -> Book:
        """Return the rules in force. Raises Unknown: they are not in this log, or this version cannot read them."""
        if self._book is None:
            policy, roster = self._now("policy"), self._now("roster")
            self._book = Book(policy.says, policy.sha256, roster.says, roster.sha256)
        return self._book

    def recent(self, at: datetime) -> list[Book]:
        """Return the rules in force, and those of the minute before: the clock may have gone on by them."""
        now = self.book()
        books = [now]
        for kind, files in self._files.items():
            if len(files) > 1 and at - files[-1].at <= STALE and files[-2].says is not None:
                old = files[-2]
                books += [
                    one._replace(policy=old.says, policy_sha256=old.sha256)
                    if kind == "policy"
                    else one._replace(roster=old.says, roster_sha256=old.sha256)
                    for one in list(books)
                ]
        return books

    def seen(self, policy: str, roster: str, at: datetime) -> None:
        """Take from a decision which rules were in force before the log begins, where they lie beside it."""
        for kind, sha256 in (("policy", policy), ("roster", roster)):
            if not self._files[kind] and (text := self._texts(sha256)) is not None:
                self._applied(kind, {"sha256": sha256, "text": text, "was": None}, at)
                self.partial = True

    def lenders(self, person: str, at: datetime) -> tuple[str, ...]:
        """Return whose seats a person may fill at that moment: bare names, in order."""
        policy, _, roster, _ = self.book()
        lent = [Lent(one.giver, one.taker, away.end_of_day(one.until, policy.zone)) for one in roster.delegations]
        lent += [Lent(giver, taker, until) for giver, (taker, until) in self._away.items()]
        there = [one for one in lent if {one.giver, one.taker} <= roster.persons.keys()]
        return away.lenders(there, _bare(person), at)

    def _applied(self, kind: str, data: Mapping[str, Any], at: datetime) -> str | None:
        self._book = None
        text, files = data["text"], self._files[kind]
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        before = files[-1].sha256 if files else None
        try:
            says: Any = parse_policy(text) if kind == "policy" else parse_roster(text)
        except ConfigError:  # of an older form: what was decided under it is counted as not replayed
            says = None
        files.append(Kept(sha256, says, at))
        del files[:-2]
        if sha256 != data["sha256"]:
            return f"the {kind} has the hash {sha256[:12]}…, and the record names {data['sha256'][:12]}…"
        if before is not None and data["was"] != before:
            return f"it says that it replaces another {kind} than the one in force, {before[:12]}…"
        return None

    def _now(self, kind: str) -> Kept:
        if not (files := self._files[kind]):
            raise Unknown(f"the {kind} in force was applied before this log begins")
        if files[-1].says is None:
            raise Unknown(f"the {kind} in force is of a form that this version cannot read")
        return files[-1]


def _bare(name: str) -> str:
    return name.removeprefix("user:")
