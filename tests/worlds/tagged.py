"""Tagged resources of accounts behind the port that reads them, with troubles as attributes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from workers.providers.port import TagReading

REGION = "eu-west-1"


@dataclass
class TaggedCloud:
    """The world: tags by ARN, per account id; it finds what has one of the keys, as the real one does."""

    found: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    buckets: dict[str, str] = field(default_factory=dict)
    broken: dict[str, Exception] = field(default_factory=dict)
    held: threading.Event | None = None
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def tags(self, role_arn: str, keys: Sequence[str], most: int) -> TagReading:
        account = role_arn.split(":")[4]
        self.asked.append((role_arn, tuple(keys)))
        if self.held:
            self.held.wait(10)
        if account in self.broken:
            raise self.broken[account]
        all_tags = self.found.get(account, {})
        some = {arn: dict(tags) for arn, tags in all_tags.items() if not keys or tags.keys() & set(keys)}
        if len(some) > most:
            return TagReading([REGION], {}, {}, complete=False)
        return TagReading([REGION], dict(self.buckets), some, complete=True)
