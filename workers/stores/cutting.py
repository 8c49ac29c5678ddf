"""Say what is taken out at the beginning of the log and what goes with it; all of it at once, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from approvers.audit import Base


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Say where the log begins from now on, and what nobody needs any more.

    The store compares it with what is there, and refuses it as a Conflict: every record that is taken out has to belong
    to a chain of `base.heads`, which goes on from there, or to one of `ended`, of which nothing may be left.

    Attributes:
        since: how many records were taken out before.
        base: where the log begins from now on; its heads are those of the chains that this shortens.
        ended: subjects whose last record is taken out; their texts go with them.
        idle: due members none of which may be due any more.
        records: record keys that are dropped.
        leave: index → members.
        erase: subject → commitments of texts that are dropped from chains that go on.
    """

    since: int
    base: Base
    ended: Sequence[str] = ()
    idle: Sequence[str] = ()
    records: Sequence[str] = ()
    leave: Mapping[str, Sequence[str]] = field(default_factory=dict)
    erase: Mapping[str, Sequence[str]] = field(default_factory=dict)
