"""Keep the demo's state folder: one user at a time, a version marker, files that nobody else may read.

In it: `store/` and `aws/` (what Valkey and the local AWS keep), `logs/` (what the processes say, this time),
`demo.json` (addresses and tokens, for scripts), `secrets.json` (keys of the processes), `agent.env` (what the agent's
terminal needs), `signing.key` (signs the log), `witness.txt` (the newest checkpoint), `version` (the layout of all
this); after `--once` also `export/` (the log, for a stranger to verify) and `kept.txt` (what others kept of it).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from approvers.errors import CountersignError

DEFAULT = Path("demo-state")
DEMO_JSON, SECRETS_JSON, AGENT_ENV, VERSION = "demo.json", "secrets.json", "agent.env", "version"
LAYOUT = 1
"""Raise it when this folder's layout changes, and lift older ones in `_check_layout`."""


class FolderTrouble(CountersignError):
    """The state folder cannot be used; the text says what to do."""

    code = "state_folder"


@dataclass(frozen=True)
class Folder:
    """Name a state folder that is ours alone for now; `was` is the layout that it was found in (None: it is new)."""

    path: Path
    was: int | None

    def read(self, name: str) -> dict[str, Any]:
        """Return what one of our JSON files holds; nothing if it is missing or broken."""
        return read_private(self.path / name) or {}

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Replace one of our JSON files; readable by its owner alone."""
        write_private(self.path / name, json.dumps(content, indent=2) + "\n")


@contextmanager
def state_folder(path: Path) -> Iterator[Folder]:
    """Take the folder for this process, making it or lifting it to our layout.

    Raises:
        FolderTrouble: it is in use, is no state folder, or was written by a newer version.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (path / ".in-use").open("w") as lock:
            _take(lock.fileno(), path)
            yield Folder(path.resolve(), _check_layout(path))
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise FolderTrouble(f"{path} cannot be used ({error.strerror}): choose another with --state DIR") from error


def read_private(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file; None if there is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_private(path: Path, text: str) -> None:
    """Replace a file whole, so that no reader sees half of it; only its owner may read it, from its first byte on."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def _take(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FolderTrouble(f"a demo runs on {path} already: stop it, or give this one another --state DIR") from None


def _check_layout(path: Path) -> int | None:
    """Return the layout that was found, and leave ours."""
    marker = path / VERSION
    was = _marked(marker) if marker.exists() else _unmarked(path)
    if was is not None and was > LAYOUT:
        raise FolderTrouble(
            f"{path} was written by a newer version (layout {was}, this one knows {LAYOUT}): "
            "use that version, or another --state DIR"
        )
    marker.write_text(f"{LAYOUT}\n")  # layouts 0 and 1 differ in this marker alone; what needs lifting is lifted here
    return was


def _marked(marker: Path) -> int:
    text = marker.read_text().strip()
    if not text.isdecimal():
        raise FolderTrouble(f"{marker} says {text!r}, which is no version of ours: choose another --state DIR")
    return int(text)


def _unmarked(path: Path) -> int | None:
    """Tell a new folder from one of the layout before there were markers; refuse what is somebody else's."""
    strangers = sorted(one.name for one in path.iterdir() if not one.name.startswith("."))
    if strangers and not (path / DEMO_JSON).exists():
        raise FolderTrouble(f"{path} holds other things ({strangers[0]} …): choose an empty or new --state DIR")
    return 0 if strangers else None
