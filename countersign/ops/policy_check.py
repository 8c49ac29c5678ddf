"""`countersign policy check`: every mistake and warning of the files, with file, line, field and what to write."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from countersign.commands.common import Ended, Json, put, put_json, say
from countersign.errors import OTHER
from countersign.ops.connect import State, with_store
from countersign.ops.policy_files import NAMES, Checked, Finding, NotApplied, Source, check, read_files, standing

Files = Annotated[list[Path], typer.Argument(metavar="FILE…", help="policy.toml, countersign.toml, or both.")]


def command(files: Files, state: State = None, json_: Json = False) -> None:
    """Check the files together; one alone is checked with the other as it is in force."""
    try:
        found = checked(files, state)
    except NotApplied as error:
        _tell_unreadable(error, json_=json_)
        raise Ended(OTHER) from error
    if json_:
        put_json([one.json() for one in found.found])
    else:
        _tell(found)
    if found.errors:
        raise Ended(OTHER)


def checked(files: list[Path], state: Path | None) -> Checked:
    """Return what is found in these files, with what is in force in place of one that is not given."""
    sources: Mapping[str, Source] = read_files(files)
    if NAMES.keys() - sources.keys():
        sources = {**with_store(state, standing), **sources}
    if missing := [NAMES[key] for key in NAMES if key not in sources]:
        raise NotApplied(f"nothing is in force yet: give {' and '.join(missing)}, too")
    return check(sources, datetime.now(UTC))


def _tell(found: Checked) -> None:
    for one in found.found:
        put(str(one))
    warnings = len(found.found) - len(found.errors)
    more = f", {_count(warnings, 'warning')}" if warnings else ""
    say(f"{_count(len(found.errors), 'mistake')}{more}" if found.found else "no mistake, no warning")


def _tell_unreadable(error: NotApplied, *, json_: bool) -> None:
    """Say what cannot even be read as one of the two files."""
    if json_:
        put_json([Finding("", 1, "the file", line, "give other files", "error").json() for line in error.lines])
        return
    for line in error.lines:
        say(line)


def _count(number: int, word: str) -> str:
    return f"1 {word}" if number == 1 else f"{number or 'no'} {word}s"
