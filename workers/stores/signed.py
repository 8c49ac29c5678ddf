"""Hold what is signed so far: the record `notary:log`, which the clock's notary writes and others read."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from approvers.times import Moment
from workers.stores.port import Versioned


class KeySince(BaseModel):
    """A key that has signed the log, and from which size on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    since: int


class Signed(BaseModel):
    """What is signed so far: the record `notary:log`.

    `next` is the key that is recorded as the one to sign from now on; `lost`: on-call says that the old one is lost.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    origin: str
    size: int = 0
    peaks: tuple[str, ...] = ()
    note: str = ""
    at: Moment | None = None
    keys: tuple[KeySince, ...] = ()
    next: str | None = None
    lost: bool = False

    @property
    def key(self) -> str | None:
        """Return the verifier key that signs."""
        return self.keys[-1].key if self.keys else None


class Rollback(BaseModel):
    """A log that is not the one which was signed, as one clock found it.

    `size` and `root` are what was signed; `found` is how many records there were instead.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int
    root: str
    found: int
    accepted: bool = False


class Rollbacks(BaseModel):
    """What clocks have found, the newest last: the record `notary:rollback`. Each clock may know another witness."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    found: tuple[Rollback, ...] = ()

    @property
    def open(self) -> tuple[Rollback, ...]:
        """Return those that nobody has accepted."""
        return tuple(one for one in self.found if not one.accepted)

    def of(self, size: int, root: str) -> Rollback | None:
        """Return what was found against this witness."""
        return next((one for one in self.found if (one.size, one.root) == (size, root)), None)


def signed_so_far(record: Versioned) -> Signed | None:
    """Return what is signed so far; None: nothing. Raises ValidationError: a newer version wrote it."""
    return Signed.model_validate_json(record.json) if record.version else None


def rollbacks_seen(record: Versioned) -> Rollbacks:
    """Return the logs that were found to be other ones."""
    return Rollbacks.model_validate_json(record.json) if record.version else Rollbacks()
