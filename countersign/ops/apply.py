"""`countersign apply`: check both files together, say what changes, store them with who and why.

Nothing is stored while there is one mistake in either file; all mistakes are listed, each with its file and line.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from approvers.errors import CountersignError
from approvers.faults import ConfigError, Fault
from approvers.policy import check_together, parse_policy
from approvers.roster import parse_roster
from countersign.commands.common import Ended, put, say
from countersign.errors import OTHER
from countersign.ops.connect import By, State, who, with_store
from countersign.ops.places import line_of
from workers.policies import Applied, apply
from workers.stores import layout
from workers.stores.port import Store

ROSTER_SECTIONS = frozenset({"person", "group", "caller", "account", "role", "place", "delegation", "slack"})
POLICY_SECTIONS = frozenset({"version", "default", "default_quorum", "quorum", "ladder", "limits", "risk", "rule"})
NAMES = {layout.ROSTER: "countersign.toml", layout.POLICY: "policy.toml"}
MOST_LINES = 60
"""How much of a change is shown; the rest is counted."""


class NotApplied(CountersignError):
    """The files are not in force; `lines` has every mistake, each with its file and line."""

    code = "bad_config"

    def __init__(self, *lines: str) -> None:
        """Keep the lines."""
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True)
class Source:
    """One of the two files: which record it is for, its name as typed (or where its text stands), its text."""

    key: str
    name: str
    text: str


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="countersign.toml, policy.toml, or both.")],
    why: Annotated[str, typer.Option("--why", help="Why, for the log.")] = "",
    by: By = None,
    state: State = None,
) -> None:
    """Check the files together with what is in force, and put them into force."""
    try:
        _apply(read_files(files), who(by), why, state)
    except NotApplied as error:
        for line in error.lines:
            say(line)
        raise Ended(OTHER) from error


def _apply(given: Mapping[str, Source], by: str, why: str, state: Path | None) -> None:
    async def work(store: Store) -> tuple[Mapping[str, Source], list[Applied]]:
        stood = await standing(store)
        check({**stood, **given})
        texts = {key: source.text for key, source in given.items()}
        policy, roster = texts.get(layout.POLICY), texts.get(layout.ROSTER)
        return stood, await apply(store.records, policy=policy, roster=roster, by=by, why=why)

    stood, done = with_store(state, work)
    for one in done:
        _tell(given[one.key], stood.get(one.key), one, by=by, why=why)


def read_files(files: Sequence[Path]) -> dict[str, Source]:
    """Return the files by the record they are for. Raises NotApplied: unreadable, neither of the two, or one twice."""
    found: dict[str, Source] = {}
    for path in files:
        try:
            text = path.read_bytes().decode()
        except OSError as error:
            raise NotApplied(f"{path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise NotApplied(f"{path}:{line}: not UTF-8; save the file as UTF-8") from error
        source = Source(_key_of(path, text), str(path), text)
        if source.key in found:
            raise NotApplied(f"{found[source.key].name} and {path} are both a {NAMES[source.key]}: give one of them")
        found[source.key] = source
    return found


async def standing(store: Store) -> dict[str, Source]:
    """Return what is in force, by record; nothing before the first apply."""
    seen = await store.records.read(list(NAMES))
    return {
        key: Source(key, f"{NAMES[key]} in force", json.loads(record.json)["text"])
        for key, record in seen.records.items()
        if record.version
    }


def check(sources: Mapping[str, Source]) -> None:
    """Raise NotApplied with every mistake in the files, each alone and both together."""
    missing = [NAMES[key] for key in NAMES if key not in sources]
    if missing:
        raise NotApplied(f"the first apply needs both files: add {' and '.join(missing)}")
    lines, parsed = [], []
    for key, parse in ((layout.ROSTER, parse_roster), (layout.POLICY, parse_policy)):
        try:
            parsed.append(parse(sources[key].text))
        except ConfigError as error:
            lines += [_spell(sources[key], fault) for fault in error.faults]
    if not lines:
        lines = _together(sources)
    if lines:
        count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
        raise NotApplied(f"{count}; nothing was applied", *lines)


def _together(sources: Mapping[str, Source]) -> list[str]:
    try:
        check_together(parse_policy(sources[layout.POLICY].text), parse_roster(sources[layout.ROSTER].text))
    except ConfigError as error:
        return [_spell(sources[_section_of(fault)], fault) for fault in error.faults]
    return []


def _section_of(fault: Fault) -> str:
    head = fault.place.partition(".")[0].partition("[")[0]
    return layout.ROSTER if head in ROSTER_SECTIONS else layout.POLICY


def _spell(source: Source, fault: Fault) -> str:
    line = line_of(source.text, fault.place)
    return f"{source.name}{f':{line}' if line else ''}: {fault}"


def _key_of(path: Path, text: str) -> str:
    """Tell which file this is by what is in it; a file that is no TOML, by its name."""
    try:
        sections = set(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError):
        return layout.POLICY if "policy" in path.name else layout.ROSTER
    roster, policy = len(sections & ROSTER_SECTIONS), len(sections & POLICY_SECTIONS)
    if roster == policy:
        raise NotApplied(f"{path} is neither a countersign.toml nor a policy.toml: it has {_few(sections)}")
    return layout.ROSTER if roster > policy else layout.POLICY


def _few(sections: set[str]) -> str:
    return f"the sections {', '.join(sorted(sections)[:5])}" if sections else "no section at all"


def _tell(new: Source, old: Source | None, applied: Applied, *, by: str, why: str) -> None:
    if not applied.changed:
        say(f"{new.name}: in force already, nothing changed")
        return
    for line in difference(old, new) if old else ():
        put(line)
    say(f"{new.name}: in force, sha256 {applied.sha256[:12]}…, by {by}" + (f", because: {why}" if why else ""))


def difference(old: Source, new: Source) -> list[str]:
    """Return what changes as the lines of a diff, cut where it gets long."""
    before, after = old.text.splitlines(), new.text.splitlines()
    lines = list(difflib.unified_diff(before, after, "in force", new.name, lineterm="", n=1))
    if len(lines) <= MOST_LINES:
        return lines
    return [*lines[:MOST_LINES], f"… and {len(lines) - MOST_LINES} lines more"]
