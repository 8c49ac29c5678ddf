"""Tell what a simulation found: as a table for a terminal, as Markdown for a pull request, as JSON for scripts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from approvers.loads import Load
from approvers.simulating import Changed, Group, Report
from approvers.times import stamp
from countersign.address import harmless

SHOWN, WRITTEN = 10, 50
"""How many asks are listed per change on a terminal, and in Markdown."""
WIDE, WIDE_ENOUGH = 160, 120
"""How wide the table is where no terminal says, and from which width on it has whole ids."""
_MARKS = re.compile(r"([\\`*_\[\]<>|#~&!])")


@dataclass(frozen=True)
class Told:
    """A report with what it was made of: the file, its SHA-256, what it was compared with, and the groups' sizes."""

    report: Report
    name: str
    sha256: str
    against: str
    people: Mapping[str, int]

    @property
    def headline(self) -> str:
        """Say the one thing that matters first."""
        asks, denied = self.report.unasked
        return f"would have been allowed without asking: {asks}, of which people denied {denied}"

    @property
    def counts(self) -> str:
        """Say how many asks there were, and how many of them change."""
        found = self.report
        words = f"{found.replayed} asks replayed, {found.same} answered the same, {found.changed} differently"
        return f"{words}; a person denied {found.denied} of them all"

    @property
    def missing(self) -> list[str]:
        """Say what could not be replayed."""
        return [f"cannot be replayed: {count} ({why})" for why, count in self.report.not_replayable.items()]

    @property
    def days(self) -> float:
        """Return from the first ask to the last, in days; at least one."""
        found = self.report
        seen = found.last - found.first if found.first and found.last else timedelta(0)
        return max(1.0, seen / timedelta(days=1))


def print_report(told: Told, console: Console) -> None:
    """Print the report as tables."""
    console.print(Text(f"{told.name} ({told.sha256[:12]}…) compared with {told.against}"))
    console.print(Text(told.counts))
    for line in told.missing:
        console.print(Text(line, style="yellow"))
    console.print(Text(told.headline, style="bold"))
    if told.report.groups:
        console.print(_changes(told.report))
    for group in told.report.groups:
        console.print(_asks(group, console.width))
        if (more := group.total - min(SHOWN, len(group.listed))) > 0:
            console.print(Text(f"… and {more} more"))
    if told.report.loads:
        console.print(_loads(told))


def _changes(report: Report) -> Table:
    table = Table("change", title="What changes", title_justify="left", box=box.SIMPLE)
    for name in ("asks", "people denied"):
        table.add_column(name, justify="right")
    table.add_column("")
    for group in report.groups:
        words = "toward allow" if group.change.looser else ""
        table.add_row(group.change.name, str(group.total), str(group.denied), words)
    return table


def _asks(group: Group, width: int) -> Table:
    """Return a table of asks; where it must be narrow, the handle stands for the id."""
    narrow = width < WIDE_ENOUGH
    table = Table(title=group.change.name, title_justify="left", box=box.SIMPLE, expand=True)
    table.add_column("asked", width=11 if narrow else 16)
    table.add_column("id", width=6 if narrow else 30, overflow="fold")
    for name, ratio in (("who, what", 4), ("people", 2), ("why now", 4)):
        table.add_column(name, overflow="fold", ratio=ratio)
    for row in group.listed[:SHOWN]:
        name = row.handle or row.id[-6:] if narrow else f"{row.id} {row.handle or ''}".rstrip()
        cells = (f"{row.at:%m-%d %H:%M}" if narrow else f"{row.at:%Y-%m-%d %H:%M}", name,
                 f"{row.who}: {_what(row)}", _said(row), _why(row))  # fmt: skip
        table.add_row(*(Text(harmless(cell)) for cell in cells))
    return table


def _loads(told: Told) -> Table:
    table = Table("group", title="What is asked of reviewers, before → after", title_justify="left", box=box.SIMPLE)
    for name in ("asks", "asks a day", "in the worst hour", "each, in that hour"):
        table.add_column(name, justify="right")
    for load in told.report.loads:
        table.add_row(*_load_cells(told, load))
    return table


def _load_cells(told: Told, load: Load) -> tuple[str, ...]:
    people, days = told.people.get(load.group), told.days
    each = f"{load.peak_before / people:.1f} → {load.peak_after / people:.1f}" if people else "–"
    return (
        load.group,
        f"{load.before} → {load.after}",
        f"{load.before / days:.1f} → {load.after / days:.1f}",
        f"{load.peak_before} → {load.peak_after}",
        each,
    )


def _what(row: Changed) -> str:
    return f"{row.action} on {row.resource}"


def _said(row: Changed) -> str:
    if row.denied_by is None:
        return row.ended
    return f"DENIED by {row.denied_by}" + (f": {row.denied_reason}" if row.denied_reason else "")


def _why(row: Changed) -> str:
    """Say why, and on which terms people are asked, where they still are."""
    return f"{row.why}; {row.was} → {row.now}" if " of " in row.now else row.why


def markdown(told: Told) -> str:
    """Return the report for a pull request; the same report gives the same text."""
    return "\n".join(_markdown(told)) + "\n"


def _markdown(told: Told) -> Iterator[str]:
    yield "## Policy, tried on history"
    yield ""
    yield f"{_safe(told.name)} (`{told.sha256[:12]}`) compared with {_safe(told.against)}. {told.counts}."
    yield ""
    yield f"**{told.headline[0].upper()}{told.headline[1:]}.**"
    for line in told.missing:
        yield f"\n{line[0].upper()}{line[1:]}."
    found = told.report
    if found.groups:
        rows = ((one.change.name, one.total, one.denied, "yes" if one.change.looser else "") for one in found.groups)
        yield from _rows(("change", "asks", "people denied", "toward allow"), rows)
    for group in found.groups:
        yield f"\n### {group.change.name}: {group.total}"
        yield from _rows(
            ("asked (UTC)", "id", "who", "what", "people", "why now"), map(_ask_cells, group.listed[:WRITTEN])
        )
        if (more := group.total - min(WRITTEN, len(group.listed))) > 0:
            yield f"\n… and {more} more"
    if found.loads:
        yield "\n### What is asked of reviewers, before → after"
        head = ("group", "asks", "asks a day", "in the worst hour", "each, in that hour")
        yield from _rows(head, (_load_cells(told, load) for load in found.loads))


def _ask_cells(row: Changed) -> tuple[str, ...]:
    name = f"{row.handle} {row.id}" if row.handle else row.id
    return f"{row.at:%Y-%m-%d %H:%M}", name, row.who, _what(row), _said(row), _why(row)


def _rows(head: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    names = tuple(head)
    yield ""
    yield f"| {' | '.join(names)} |"
    yield f"|{' --- |' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(_safe(str(cell)) for cell in row)} |"


def _safe(text: str) -> str:
    """Return text that is only text in Markdown: what callers write must not draw, link or mention."""
    return _MARKS.sub(r"\\\1", harmless(text)).replace("@", "@\u200b").replace("://", ":\u200b//")


def as_json(told: Told) -> dict[str, Any]:
    """Return the report for scripts."""
    found = told.report
    asks, denied = found.unasked
    return {
        "policy": {"file": told.name, "sha256": told.sha256, "against": told.against},
        "asks": {
            "replayed": found.replayed,
            "same": found.same,
            "changed": found.changed,
            "toward_allow": found.looser,
        },
        "denied_by_people": found.denied,
        "allowed_without_asking": {"asks": asks, "denied_by_people": denied},
        "not_replayable": dict(found.not_replayable),
        "ruled_under": dict(found.policies),
        "first": stamp(found.first) if found.first else None,
        "last": stamp(found.last) if found.last else None,
        "changes": [_group_json(group) for group in found.groups],
        "reviewers": [{**load._asdict(), "people": told.people.get(load.group)} for load in found.loads],
        "days": round(told.days, 2),
    }


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "change": group.change.name,
        "toward_allow": group.change.looser,
        "asks": group.total,
        "denied_by_people": group.denied,
        "listed": [_row_json(row) for row in group.listed],
        "not_listed": group.total - len(group.listed),
    }


def _row_json(row: Changed) -> dict[str, Any]:
    return {
        "id": row.id,
        "handle": row.handle,
        "asked_at": stamp(row.at),
        "who": row.who,
        "action": row.action,
        "resource": row.resource,
        "was": row.was,
        "now": row.now,
        "why": row.why,
        "denied_by": row.denied_by,
        "denied_reason": row.denied_reason,
        "ended": row.ended,
    }
