"""Keep the newest checkpoint outside the store, so that a store restored from an older backup is noticed.

The file is a witness, not the log: without it signing goes on. It belongs on another disk than the store's, best on
another host's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from approvers.checkpoint import Checkpoint, read_checkpoint
from approvers.errors import CountersignError
from approvers.notes import BadNote
from workers import logs

EVERY_SECONDS = 1.0
"""How often the file is written at most."""
LONGEST = 16_384
_log = logs.get_logger(__name__)


class BadWitness(CountersignError):
    """The file holds something else than a checkpoint; the text says what to do."""

    code = "bad_witness"


class Witness:
    """Remember the newest checkpoint, in this process and in a file (None: in this process alone)."""

    def __init__(self, path: Path | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read what the file holds. Raises BadWitness: something else stands there."""
        self._path, self._clock = path, clock
        self._written_at = float("-inf")
        self._unwritten: str | None = None
        self.newest: Checkpoint | None = _read(path) if path is not None else None
        self.trouble: str | None = None
        """Why the file could not be written last time."""

    def saw(self, checkpoint: Checkpoint, note: str) -> None:
        """Take in a checkpoint that was signed; `write` writes it down."""
        if self.newest is None or checkpoint.size >= self.newest.size:
            self.newest, self._unwritten = checkpoint, note

    @property
    def due(self) -> bool:
        """Tell whether something is to be written, and the last time is long enough ago."""
        waits = self._path is not None and self._unwritten is not None
        return waits and self._clock() - self._written_at >= EVERY_SECONDS

    def forget(self) -> None:
        """Drop what it knows: on-call has accepted that the log is another one now."""
        self.newest = None

    def write(self) -> None:
        """Write down what has not been written yet; what stands in the way is told in `trouble`. For a thread, too."""
        note = self._unwritten
        if self._path is None or note is None:
            return
        beside = self._path.with_name(f".{self._path.name}.new")
        try:
            with beside.open("w", encoding="utf-8") as file:
                file.write(note)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            self.trouble = f"{self._path} cannot be written: {error.strerror}"
            _log.error("witness.not_written", why=self.trouble)
            return
        self.trouble, self._written_at = None, self._clock()
        if self._unwritten == note:  # else a newer one came in meanwhile
            self._unwritten = None


def _read(path: Path) -> Checkpoint | None:
    remedy = (
        "COUNTERSIGN_WITNESS_FILE names where the newest checkpoint is kept: name another file, or move this one away"
    )
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LONGEST)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BadWitness(f"{path} cannot be read: {error}. {remedy}.") from error
    try:
        return read_checkpoint(text)
    except BadNote as error:
        raise BadWitness(f"{path}: {error}. {remedy}.") from error
