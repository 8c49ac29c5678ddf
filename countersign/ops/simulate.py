"""`countersign policy simulate`: rule on every recorded ask again under another policy, and say what differs.

The asks are taken as they were recorded, so that the same policy gives the same answers however the present has
changed. For a pull request: the exit code says whether anything moves toward allow.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from approvers.errors import CountersignError
from approvers.judging import Judge
from approvers.roster import Roster
from approvers.simulating import EVER, Changed, Report, Simulation
from countersign.commands.common import Ended, put_json, say
from countersign.errors import OTHER
from countersign.ops.connect import State, with_store
from countersign.ops.policy_files import Source, check
from countersign.ops.recorded import Unreadable, moment, read, recorded, unseen, unseen_in
from countersign.ops.simreport import WIDE, Told, as_json, markdown, print_report
from workers.policies import NotConfigured, Policies, Rulebook
from workers.stores import layout
from workers.stores.port import Store

RECORDED, IN_FORCE = "recorded", "in-force"
SINCE = "90d"
AT_ONCE = 200
"""How many requests are read in one round trip, for their handles."""
NO_ROSTER = Source(layout.ROSTER, "no roster", "[")
"""Stands in where there is none: it cannot be read, so that the policy is checked by itself."""


class FailOn(StrEnum):
    """Which changes make the exit code 1."""

    ALLOW = "allow"
    ANY = "any"
    NEVER = "never"


class BadFile(CountersignError):
    """A file cannot be used; the text lists every mistake with its line."""

    code = "bad_config"


@dataclass(frozen=True)
class Wanted:
    """What was asked of the command."""

    new: Path
    roster: Path | None
    since: str | None
    until: str | None
    against: str
    over: Path | None


Over = Annotated[
    Path | None,
    typer.Option("--over", metavar="FILE|DIR", help="Exported records (*.jsonl), instead of a store."),
]
Since = Annotated[
    str | None, typer.Option("--since", help="From when on: 90d, or a day. Default: 90d; with --over, everything.")
]
Until = Annotated[str | None, typer.Option("--until", help="Up to when: 7d, or a day. Default: all.")]


def command(
    new: Annotated[Path, typer.Argument(metavar="NEW.toml", help="The policy to try.")],
    *,
    roster: Annotated[Path | None, typer.Option("--roster", help="The roster that it must fit.")] = None,
    since: Since = None,
    until: Until = None,
    against: Annotated[
        str, typer.Option("--against", help="Compare with what was recorded, in-force, or another policy file.")
    ] = RECORDED,
    over: Over = None,
    markdown_: Annotated[Path | None, typer.Option("--markdown", metavar="FILE", help="Write a report there.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, errors too.")] = False,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="Exit with 1 if an ask moves toward allow, if any changes, or never.")
    ] = FailOn.ALLOW,
    state: State = None,
) -> None:
    """Rule on every recorded ask again under NEW.toml, and say what would have been different."""
    wanted = Wanted(new, roster, since, until, against, over)
    told = asyncio.run(_over_files(wanted)) if over else with_store(state, lambda store: over_store(wanted, store))
    if markdown_ is not None:
        _write(markdown_, markdown(told))
    if json_:
        put_json(as_json(told))
    else:
        print_report(told, Console(width=None if sys.stdout.isatty() else WIDE, highlight=False))
    _gate(told.report, fail_on)


async def _over_files(wanted: Wanted) -> Told:
    return await _run(wanted, None, None, datetime.now(UTC))


async def over_store(wanted: Wanted, store: Store) -> Told:
    """Replay the log of a store."""
    return await _run(wanted, store, await in_force(store), await store.records.now())


async def in_force(store: Store) -> Rulebook | None:
    """Return the rules in force; None before the first `countersign apply`."""
    policies = Policies(store.records, store.signals)
    await policies.refresh()
    try:
        return policies.current
    except NotConfigured:
        return None


async def _run(wanted: Wanted, store: Store | None, book: Rulebook | None, now: datetime) -> Told:
    judge, roster = _judge(wanted.new, _roster(wanted, book), now)
    against, words = _against(wanted.against, book, now)
    since_text = wanted.since or (None if wanted.over else SINCE)
    since = moment("--since", since_text, now) if since_text else None
    until = moment("--until", wanted.until, now) if wanted.until else None
    simulation = Simulation(judge, against=against, since=since or EVER[0], until=until or EVER[1])
    if missing := unseen_in(wanted.over) if wanted.over else await unseen(store, since):
        say(missing if wanted.over else f"{missing} Read it with --over")
    await read(recorded(wanted.over, store, since), simulation.feed, "replaying")
    report = simulation.report()
    if store is not None:
        await name_handles(store, [row for group in report.groups for row in group.listed if row.handle is None])
    people = {group.name: len(group.people) for group in roster.groups.values()} if roster else {}
    return Told(report, str(wanted.new), judge.sha256, words, people)


def _roster(wanted: Wanted, book: Rulebook | None) -> Source | None:
    """Return the roster to check with: the one that is named, or the one in force."""
    if wanted.roster is not None:
        return Source(layout.ROSTER, str(wanted.roster), _text(wanted.roster))
    return Source(layout.ROSTER, "countersign.toml in force", book.texts[layout.ROSTER]) if book else None


def _against(text: str, book: Rulebook | None, now: datetime) -> tuple[Judge | None, str]:
    if text == RECORDED:
        return None, "what was recorded"
    if text != IN_FORCE:
        judge, _ = _judge(Path(text), None, now)
        return judge, f"{text} ({judge.sha256[:12]}…)"
    if book is None:
        raise BadFile("no policy is in force here: name a file", field="--against")
    return Judge(book.policy, book.policy_sha256), f"the policy in force ({book.policy_sha256[:12]}…)"


async def name_handles(store: Store, rows: list[Changed]) -> None:
    """Put in the handles, which people know, from the requests' own records."""
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        seen = await store.records.read([layout.request_key(row.id) for row in some])
        for row in some:
            if text := seen.records[layout.request_key(row.id)].json:
                row.handle = json.loads(text)["handle"]


def _judge(path: Path, roster: Source | None, now: datetime) -> tuple[Judge, Roster | None]:
    """Return the policy of a file, checked with the roster where there is one, and that roster."""
    source = Source(layout.POLICY, str(path), _text(path))
    found = check({layout.POLICY: source, layout.ROSTER: roster or NO_ROSTER}, now)
    errors = [str(one) for one in found.errors if roster or one.file == source.name]
    if errors or found.policy is None:
        raise BadFile("\n".join(errors))
    return Judge(found.policy, hashlib.sha256(source.text.encode()).hexdigest()), found.roster if roster else None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"{path} cannot be read as text: {getattr(error, 'strerror', None) or 'not UTF-8'}") from error


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise Unreadable(f"{path} cannot be written: {error.strerror}", field="--markdown") from error


def _gate(report: Report, fail_on: FailOn) -> None:
    """End with 1, and say why, where the change must not pass."""
    asks, denied = report.unasked
    if report.not_replayable and not report.replayed and fail_on is not FailOn.NEVER:
        say("no recorded ask can be replayed, so this shows nothing")
        raise Ended(OTHER)
    if fail_on is FailOn.ALLOW and report.looser:
        say(f"stopped: {report.looser} asks move toward allow; {asks} would be allowed without asking, of which people "
            f"denied {denied}")  # fmt: skip
        raise Ended(OTHER)
    if fail_on is FailOn.ANY and report.changed:
        say(f"stopped: {report.changed} asks would be answered differently")
        raise Ended(OTHER)
