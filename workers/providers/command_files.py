"""Find the executables of a provider, and refuse those that somebody else than the operator could have written.

The worker's own environment names the folder (`COUNTERSIGN_COMMANDS_DIR`), never the store: whoever writes the roster
chooses what is asked for, and not what a worker runs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from approvers.grant import BUILT_IN
from approvers.roster_words import NAME


def _check_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("not an absolute path")
    return path


CommandsDir = Annotated[Path, AfterValidator(_check_absolute)]
NEEDED = ("mint", "revoke", "verify")
OPTIONAL = ("collect", "leftovers")


class Unusable(ValueError):
    """An executable, or its folder, must not be run; the text says why and what to do."""


def folders(home: Path) -> dict[str, Path]:
    """Return the providers' folders by name. Raises Unusable for the home itself only."""
    _check_ours(home, "folder")
    if not home.is_dir():
        raise Unusable(f"{home} is not a folder")
    return {one.name: one for one in sorted(home.iterdir()) if one.is_dir() and not one.name.startswith(".")}


def faults(home: Path) -> Iterator[str]:
    """Yield everything that a worker must not start with."""
    try:
        found = folders(home)
    except Unusable as error:
        yield str(error)
        return
    for name, folder in found.items():
        if name in BUILT_IN or not NAME.fullmatch(name):
            yield f"{folder} is no name of a provider: rename it, to lower-case letters, digits, '-' and '_'"
            continue
        for call in (*NEEDED, *OPTIONAL):
            try:
                executable(folder, call)
            except Unusable as error:
                yield str(error)


def executable(folder: Path, call: str) -> Path | None:
    """Return the file to run, symbolic links followed; None for an optional one that is not there. Raises Unusable."""
    path = folder / call
    if not path.exists():
        if call in OPTIONAL:
            return None
        raise Unusable(f"{path} is missing: a provider has {', '.join(NEEDED)}")
    real = path.resolve()
    for one in (folder.parent, folder, real.parent):
        _check_ours(one, "folder")
    _check_ours(real, "file")
    if not real.is_file() or not os.access(real, os.X_OK):
        raise Unusable(f"{path} cannot be run: make it an executable file (chmod 755)")
    return real


def _check_ours(path: Path, kind: str) -> None:
    """Refuse what others can write, or replace: they would choose what the worker runs."""
    try:
        found = path.stat()
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}") from None
    if found.st_uid not in (0, os.geteuid()):
        raise Unusable(f"{path} belongs to another user (uid {found.st_uid}): let root or the worker's user own it")
    if stat.S_IMODE(found.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise Unusable(f"the {kind} {path} can be written by others: chmod go-w")
