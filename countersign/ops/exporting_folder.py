"""Keep the files of an export: which there are, how each is written, and when the folder is whole.

A file is written under `NAME.part`, flushed to the disk and renamed; `manifest.json` comes last, so that a folder
without it is half an export, and says so. Nothing in a folder that is not an export's is ever touched.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from approvers.audit import canonical
from approvers.errors import CountersignError
from approvers.tree import Frontier

RECORDS, CHECKPOINTS, RECEIPTS = "records.jsonl", "checkpoints.txt", "receipts.txt"
TEXTS, KEYS, README, BASE, MANIFEST = "texts.jsonl", "keys.txt", "README.txt", "base.json", "manifest.json"
POLICIES, ROSTERS = "policies", "rosters"
PART = ".part"
FILES = (RECORDS, CHECKPOINTS, RECEIPTS, TEXTS, KEYS, README, BASE)
_OURS = re.compile(
    rf"({'|'.join(re.escape(one) for one in (*FILES, MANIFEST))}|({POLICIES}|{ROSTERS})(/[0-9a-f]{{64}}\.toml)?)"
    rf"({re.escape(PART)})?"
)
ABOUT = """\
The audit log of Countersign, as it was signed at one size.

  records.jsonl    the records, one a line, exactly as they were stored and hashed, in the order of the log
  checkpoints.txt  signed notes: at this size the whole log had this root (RFC 6962, C2SP signed note)
  receipts.txt     what was handed out for each decision: signed tokens (JWS), one a line
  texts.jsonl      what people and agents typed; records hold salted hashes of it, and a text may have been erased
  keys.txt         the public keys that signed, the oldest first: a hint, take the key from somewhere else
  policies/        the rules that decisions were made under, by their SHA-256; rosters/ the people and roles
  base.json        only where older records were dropped: what the log was up to there
  manifest.json    length and SHA-256 of every file

Check it, without a network and without trusting who wrote it:

  countersign audit verify DIR --key KEY --witness FILE

KEY is the log's public key, as you were given it when it was made; FILE holds receipts, chat lines or
checkpoints that somebody else kept.
"""


class NotExported(CountersignError):
    """The log could not be exported; the text says why and what to do."""

    code = "not_exported"


class Sum(NamedTuple):
    """A file's length and hash, as the manifest names them."""

    bytes: int
    sha256: str


class Written:
    """Write one file in one go, and know its hash."""

    def __init__(self, file: BinaryIO) -> None:
        """Begin at the end of an open file, of which nothing was hashed yet."""
        self._file, self._sha256, self._bytes = file, hashlib.sha256(), 0

    def add(self, block: bytes) -> None:
        """Append these bytes."""
        self._file.write(block)
        self.seen(block)

    def seen(self, block: bytes) -> None:
        """Count bytes that are in the file already."""
        self._sha256.update(block)
        self._bytes += len(block)

    @property
    def sum(self) -> Sum:
        """Return length and hash of what was written."""
        return Sum(self._bytes, self._sha256.hexdigest())


class Folder:
    """One export's folder. Errors of the disk come out as NotExported, with the path and the remedy."""

    def __init__(self, path: Path) -> None:
        """Make the folder where it is missing. Raises NotExported: there is something else in it."""
        self.path = path
        with on_disk(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._refuse_foreign()
        self.sums: dict[str, Sum] = {}

    def _refuse_foreign(self) -> None:
        for found in self.path.rglob("*"):  # unsorted: the first one will do, where this is somebody's whole disk
            name = found.relative_to(self.path).as_posix()
            if found.is_symlink() or _OURS.fullmatch(name) is None:
                raise NotExported(f"{found} is not part of an export: name a folder of the export's own")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other exports out of the folder meanwhile. Raises NotExported: there is one at work."""
        with on_disk(self.path):
            handle = os.open(self.path, os.O_RDONLY)
        try:
            _lock(handle, self.path)
            yield
        finally:
            os.close(handle)

    def manifest(self) -> Mapping[str, Any] | None:
        """Return the manifest of a whole export; None where there is none. Raises NotExported: it cannot be read."""
        path = self.path / MANIFEST
        if not path.exists():
            return None
        try:
            return self._read(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise NotExported(f"{path} cannot be read ({type(error).__name__}): export into a new folder") from error

    def before(self) -> Mapping[str, Any] | None:
        """Return what the last whole export here held, while a new one is being made; None where that is not known."""
        try:
            return self._read(self.part(MANIFEST))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def is_as_written(self, name: str, sums: Mapping[str, Sum]) -> bool:
        """Tell whether a file is as a manifest says."""
        with on_disk(self.path / name), (self.path / name).open("rb") as file:
            return name in sums and hashlib.file_digest(file, "sha256").hexdigest() == sums[name].sha256

    def _read(self, path: Path) -> Mapping[str, Any]:
        found = json.loads(path.read_bytes())
        log, sums = found["log"], {name: Sum(one["bytes"], one["sha256"]) for name, one in found["files"].items()}
        size, root = int(log["checkpoint"]), bytes.fromhex(log["root"]).hex()
        return {"origin": str(found["origin"]), **log, "checkpoint": size, "root": root, "files": sums}

    def base(self) -> Mapping[str, Any] | None:
        """Return what lies below the first record here; None where the folder begins with the log."""
        path = self.path / BASE
        if not path.exists():
            return None
        try:
            found = json.loads(path.read_bytes())
            Frontier.of(found["size"], found["peaks"]).root()
            return {"heads": found["heads"], "peaks": found["peaks"], "size": found["size"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotExported(f"{path} cannot be read ({type(error).__name__}): export into a new folder") from error

    def begun(self) -> bool:
        """Tell whether there are records."""
        return (self.path / RECORDS).exists() or self.part(RECORDS).exists()

    def reopen(self) -> None:
        """Make what is there half an export again: from here on it is whole only once the new manifest is written."""
        with on_disk(self.path):
            if (self.path / MANIFEST).exists():
                (self.path / MANIFEST).replace(self.part(MANIFEST))
            if (self.path / RECORDS).exists():
                (self.path / RECORDS).replace(self.part(RECORDS))
            _sync(self.path)

    def part(self, name: str) -> Path:
        """Return under which name a file is written."""
        return self.path / f"{name}{PART}"

    @contextmanager
    def writing(self, name: str) -> Iterator[Written]:
        """Write a file anew, whole or not at all."""
        path = self.part(name)
        with on_disk(path):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with path.open("wb") as file:
                written = Written(file)
                yield written
                _flush(file)
            self.done(name, written.sum)

    @contextmanager
    def appending(self, name: str) -> Iterator[tuple[BinaryIO, Written]]:
        """Open the part of a file for reading and appending; what is written stays, whatever comes."""
        path = self.part(name)
        with on_disk(path), path.open("a+b") as file:
            file.seek(0)
            try:
                yield file, Written(file)
            finally:
                _flush(file)

    def done(self, name: str, total: Sum) -> None:
        """Give a finished part its name."""
        with on_disk(self.path / name):
            self.part(name).replace(self.path / name)
            _sync((self.path / name).parent)
        self.sums[name] = total

    def write(self, name: str, content: bytes) -> None:
        """Write a small file whole."""
        with self.writing(name) as file:
            file.add(content)

    def close(self, log: Mapping[str, Any], *, made_at: str, origin: str) -> None:
        """Drop what is no longer part of the export, and write the manifest: from now on the folder is whole."""
        with on_disk(self.path):
            for found in sorted(self.path.rglob("*")):
                name = found.relative_to(self.path).as_posix()
                if found.is_file() and name not in self.sums and _OURS.fullmatch(name):
                    found.unlink()
        files = {name: {"bytes": one.bytes, "sha256": one.sha256} for name, one in self.sums.items()}
        manifest = {"files": files, "log": dict(log), "made_at": made_at, "origin": origin, "v": 1}
        own = hashlib.sha256(canonical(manifest)).hexdigest()  # so that no byte of it can change unseen
        self.write(MANIFEST, canonical({**manifest, "sha256": own}) + b"\n")


@contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """Turn the disk's errors into ours."""
    try:
        yield
    except OSError as error:
        if error.errno is None or isinstance(error, ConnectionError | TimeoutError):
            raise
        where = error.filename or path
        raise NotExported(
            f"{where}: {error.strerror}. Nothing half-written passes for whole; put it right (space, rights) and run "
            "the same command again: it goes on where it stopped"
        ) from error


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise NotExported(f"another export writes into {path}: wait for it, or name another folder") from None
    except OSError as error:
        raise NotExported(
            f"{path} cannot be locked ({error.strerror}): name a folder on a disk of this machine"
        ) from error


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
