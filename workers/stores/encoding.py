"""Write a commit as the arguments of `commit.lua`, and name what both siblings must read alike in a commit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from approvers.audit import Head
from approvers.times import to_ms
from workers.stores.cutting import Cut
from workers.stores.layout import BEAT, HISTORY, KNOWN
from workers.stores.port import CLOCK_TOLERANCE, Commit, lane_of

Argument = str | bytes | int
TOLERANCE_MS = CLOCK_TOLERANCE // CLOCK_TOLERANCE.resolution // 1000
OUTBOX = "outbox"
"""The key under which `Signals.changed` tells of an event in an outbox that was empty."""


def check(commit: Commit) -> None:
    """Raise ValueError if the commit contradicts itself: that is a mistake in the program, not a lost race."""
    if blind := commit.puts.keys() - commit.expects.keys():
        raise ValueError(f"puts without an expected version: {sorted(blind)}")


def lengths(commit: Commit) -> dict[str, int]:
    """Return how long each chain must be that this commit extends."""
    return {draft.subject: commit.heads.get(draft.subject, Head()).n for draft in commit.drafts}


def wakes(commit: Commit) -> list[str]:
    """Return the records whose readers are woken: all that are put, unless all are new, for nobody knows those yet.

    Nobody waits for counters and heartbeats.
    """
    heard = [key for key in commit.puts if not key.startswith((HISTORY, KNOWN, BEAT))]
    return heard if any(commit.expects[key] for key in heard) else []


def arguments(commit: Commit) -> list[Argument]:
    """Return the ARGV of `commit.lua`; its head names the order."""
    out: list[Argument] = [commit.id, to_ms(commit.at), TOLERANCE_MS, _moment(commit.before), *_attempt(commit)]
    _pairs(out, commit.expects.items())
    _pairs(out, lengths(commit).items())
    _pairs(out, commit.unique.items())
    _pairs(out, commit.limits.items())
    _pairs(out, commit.puts.items())
    entries = commit.entries()
    _pairs(out, [(entry.subject, entry.body) for entry in entries])
    out += [len(commit.events), *commit.events]
    _pairs(out, [(lane_of(member), member) for member in commit.undue])
    _rows(out, [(lane_of(member), member, to_ms(moment)) for member, moment in commit.due.items()])
    _pairs(out, [(name, _moment(moment)) for name, moment in commit.forget.items()])
    _pairs(out, [(index, member) for index, members in commit.leave.items() for member in members])
    _rows(
        out,
        [(index, member, to_ms(moment)) for index, of in commit.enter.items() for member, moment in of.items()],
    )
    _rows(
        out,
        [(grant, it.ciphertext, to_ms(it.until)) if it else (grant, "", "") for grant, it in commit.sealed.items()],
    )
    _pairs(out, commit.counts.items())
    woken = wakes(commit)
    out += [len(woken), *woken]
    _rows(out, [(entry.subject, mark, held) for entry in entries for mark, held in entry.texts.items()])
    _pairs(out, [(subject, mark) for subject, marks in commit.erase.items() for mark in marks])
    return out


def cut_arguments(cut: Cut) -> list[Argument]:
    """Return the ARGV of `cut.lua`; its head names the order."""
    out: list[Argument] = [cut.since, cut.base.size, " ".join(peak.hex() for peak in cut.base.peaks)]
    _rows(out, [(subject, head.n, head.prev) for subject, head in cut.base.heads.items()])
    out += [len(cut.ended), *cut.ended]
    _pairs(out, [(lane_of(member), member) for member in cut.idle])
    out += [len(cut.records), *cut.records]
    _pairs(out, [(index, member) for index, members in cut.leave.items() for member in members])
    _pairs(out, [(subject, mark) for subject, marks in cut.erase.items() for mark in marks])
    return out


def _moment(moment: datetime | None) -> Argument:
    return "" if moment is None else to_ms(moment)


def _attempt(commit: Commit) -> tuple[Argument, ...]:
    if commit.attempt is None:
        return "", "", "", ""
    member = commit.attempt.member
    return lane_of(member), member, commit.attempt.fence, _moment(commit.lease_until)


def _pairs(out: list[Argument], rows: Iterable[tuple[Argument, Argument]]) -> None:
    at, count = len(out), 0
    out.append(0)
    for row in rows:
        out += row
        count += 1
    out[at] = count


def _rows(out: list[Argument], rows: list[tuple[Argument, ...]]) -> None:
    out.append(len(rows))
    for row in rows:
        out += row
