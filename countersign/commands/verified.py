"""Verify an export as it was asked for, and tell what came out. Loaded only for that."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, NoReturn

from rich.console import Console
from rich.progress import Progress

from countersign.commands.common import Ended, put, put_json, say
from countersign.commands.verifying import NOT_CHECKED
from countersign.verifying import report as reports
from countersign.verifying.checks import Checks
from countersign.verifying.core import Key
from countersign.verifying.findings import Unreadable
from countersign.verifying.parting import part
from countersign.verifying.verify import Moved, Verified, verify

NOT_WHOLE, NO_EXPORT, INTERRUPTED = 1, 3, 130


class Asked(NamedTuple):
    """What the command was asked; the options of `countersign audit verify`."""

    folder: Path
    keys: Sequence[str]
    witnesses: Sequence[Path]
    trust_exported: bool
    everything: bool
    against: Path | None
    report: Path | None
    as_json: bool


def run(asked: Asked) -> None:
    """Verify, tell, and write the report. Raises Ended unless the export is whole."""
    _refuse_inside(asked)
    keys = keys_of(asked.keys, as_json=asked.as_json)
    try:
        found = _verified(asked, keys)
    except (Unreadable, OSError) as error:
        put_json({"whole": None, "why": str(error)}) if asked.as_json else say(str(error))
        raise Ended(NO_EXPORT) from error
    except KeyboardInterrupt:
        say("interrupted: nothing was found out, and nothing was written")
        raise Ended(INTERRUPTED) from None
    _tell(found, json_=asked.as_json)
    written = asked.report is None or _written(asked.report, found)
    if not found.whole:
        raise Ended(NOT_WHOLE)
    if not written:
        raise Ended(NOT_CHECKED)


def _refuse_inside(asked: Asked) -> None:
    """Refuse a report that would make the export another one, and a witness that is part of it."""
    here = asked.folder.resolve()
    given = [("--report", asked.report), *(("--witness", one) for one in asked.witnesses)]
    for option, path in given:
        if path is not None and path.resolve().is_relative_to(here):
            why = (
                "a witness is what somebody else kept" if option == "--witness" else "it would no longer be as written"
            )
            _not_checked(f"{option}: {path} lies in the export itself, and {why}", as_json=asked.as_json)


def _not_checked(why: str, *, as_json: bool) -> NoReturn:
    put_json({"whole": None, "why": why}) if as_json else say(why)
    raise Ended(NOT_CHECKED)


def keys_of(given: Sequence[str], *, as_json: bool = False) -> list[Key]:
    """Return the keys that the options name, themselves or by @FILE. Raises Ended: one is none."""
    try:
        return [Key.parse(text) for one in given for text in _given(one)]
    except UnicodeDecodeError:
        _not_checked("--key: the file is no text; it holds keys, NAME+ID+BASE64, one a line", as_json=as_json)
    except (ValueError, OSError) as error:
        _not_checked(f"--key: {error}", as_json=as_json)


def _verified(asked: Asked, keys: Sequence[Key]) -> Verified:
    checks = Checks(asked.folder)
    with _progress() as moved:
        found = verify(
            asked.folder, keys, witnesses_in=asked.witnesses, trust_exported=asked.trust_exported,
            everything=asked.everything, checks=checks.all, moved=moved,
        )  # fmt: skip
    found.told = checks.told()
    found.counts["replayed"] = checks.replayed
    if asked.against is not None and (found.whole or asked.everything):
        found.findings += part(asked.folder, asked.against)
    return found


@contextmanager
def _progress() -> Iterator[Moved]:
    """Show on stderr how far it is, where a person looks."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("records", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _given(text: str) -> list[str]:
    """Return the keys that an option names: itself, or the lines of a file."""
    if not text.startswith("@"):
        return [text.strip()]
    found = [line.strip() for line in Path(text[1:]).read_text(encoding="utf-8").splitlines() if line.strip()]
    if not found:
        raise ValueError(f"{text[1:]} holds no key")
    return found


def _tell(found: Verified, *, json_: bool) -> None:
    if json_:
        put_json(reports.as_json(found))
        return
    for line in reports.lines(found):
        put(line)


def _written(path: Path, found: Verified) -> bool:
    """Write the report; False, and said why, where that cannot be done: the verdict counts all the same."""
    try:
        path.write_text(reports.markdown(found), encoding="utf-8")
    except OSError as error:
        say(f"--report: {path} cannot be written: {error.strerror}")
        return False
    say(f"the report is in {path}")
    return True
