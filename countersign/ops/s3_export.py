"""Put exports and checkpoints into a locked bucket, and look whether what was put there still stands.

Every export is a folder of its own, `PREFIX/size-000000004711/`, whose manifest comes last. So nothing is ever
overwritten, and `aws s3 cp --recursive` of one folder gives what `countersign audit verify` reads.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from countersign.commands.common import WrongOption
from countersign.ops.exporting_folder import MANIFEST
from countersign.ops.signed_log import Signed

if TYPE_CHECKING:  # it loads the SDK, which is slow, and which an export to a folder does not need
    from countersign.ops.s3 import Bucket, Place, Version

S3 = "s3://"
Retain = Annotated[
    str, typer.Option("--retain", metavar="7y|90d", help="For how long the bucket keeps it against everybody.")
]
_RETAIN = re.compile(r"([1-9][0-9]{0,4})([yd])")
_FOLDER = re.compile(r"(?:.*/)?size-\d{12}/")
_ANCHOR = re.compile(r"checkpoint-\d{12}\.txt")
LEAST_LEFT = timedelta(days=30)
"""A lock that ends sooner is worth a word."""


def retain_until(text: str, now: datetime) -> datetime:
    """Read `7y` or `90d` from now on. Raises WrongOption."""
    found = _RETAIN.fullmatch(text)
    try:
        if found:
            return now + timedelta(days=int(found[1]) * (365 if found[2] == "y" else 1))
    except OverflowError:
        pass
    raise WrongOption(f"{text!r} is no time to keep something: write 7y, or 90d", field="--retain")


def refuse_wrong(to: str, retain: str) -> None:
    """Refuse a place or a time that is none, before anybody waits for anything. Raises WrongOption, NotExported."""
    from countersign.ops.s3 import Place  # noqa: PLC0415 the SDK is slow to load, and a folder needs none

    Place.parse(to)
    retain_until(retain, datetime.now(UTC))


def folder_of(place: Place, size: int) -> str:
    """Return what the names of one export begin with."""
    return f"{place.prefix}size-{size:012}/"


def upload(
    bucket: Bucket, prefix: str, path: Path, until: datetime, moved: Callable[[int], None],
    *, step: Callable[[], None] = lambda: None,
) -> int:  # fmt: skip
    """Put a whole export there, the manifest last; returns how many files were not there yet.

    `step` is called before each file and each part of one; what it raises ends this.
    """
    names = sorted(one.relative_to(path).as_posix() for one in path.rglob("*") if one.is_file())
    names.sort(key=MANIFEST.__eq__)
    new = 0
    for done, name in enumerate(names):
        step()
        new += bucket.put(f"{prefix}{name}", path / name, until, step)
        moved(done + 1)
    return new


def anchor(bucket: Bucket, place: Place, found: Signed, until: datetime) -> str:
    """Put one signed checkpoint there; returns its name."""
    key = _anchored(place, found.checkpoint.size)
    bucket.put_bytes(key, found.note.encode(), until)
    return key


def at_least(bucket: Bucket, place: Place, size: int) -> str | None:
    """Return the name of a checkpoint of that size, or of a larger one, that is there."""
    key = bucket.first_from(f"{place.prefix}checkpoint-", _anchored(place, size))
    return key if key and _ANCHOR.fullmatch(key.removeprefix(place.prefix)) else None


def _anchored(place: Place, size: int) -> str:
    return f"{place.prefix}checkpoint-{size:012}.txt"


def look(bucket: Bucket, place: Place, now: datetime) -> tuple[int, list[str]]:
    """Return how many objects there are below a place, and what is wrong with them, one line each.

    Where nothing is, that is wrong: a place that was mistyped must not pass for one that was looked at.
    """
    found: dict[str, list[Version]] = defaultdict(list)
    for version in bucket.versions(place.prefix):
        found[version.key].append(version)
    faults = []
    for key, versions in sorted(found.items()):
        faults += _faults(bucket, key, versions, now)
    folders = {one[0] for key in found if (one := _FOLDER.match(key))}
    for folder in sorted(folders):
        if folder.startswith(place.prefix) and f"{folder}{MANIFEST}" not in found:
            size = int(folder[-13:-1])
            faults.append(f"{folder} has no {MANIFEST}: the export stopped half-way, go on with `--upto {size}`")
    if not found:
        faults.append(f"nothing is there: is {place} where exports or anchors go?")
    return len(found), faults


def _faults(bucket: Bucket, key: str, versions: list[Version], now: datetime) -> list[str]:
    faults = []
    real = [one for one in versions if not one.marker]
    if any(one.marker for one in versions):
        faults.append(f"{key} is hidden by a delete marker: somebody tried to delete it (its versions are still there)")
    if len(real) > 1:
        faults.append(f"{key} has {len(real)} versions: somebody wrote over it; the oldest one is ours")
    for one in real:
        until = bucket.retention(one)
        if until is None or until <= now:
            faults.append(f"{key} is not locked: it can be deleted (or s3:GetObjectRetention is missing here)")
        elif until - now < LEAST_LEFT:
            faults.append(f"{key} is locked only until {until:%Y-%m-%d}")
    return faults
