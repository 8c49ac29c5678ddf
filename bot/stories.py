"""Read the story of one request from the log, whole and in order: what console and chat show is told here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from approvers.audit import Head, check_chain
from approvers.request import Request
from approvers.storytelling import Story, Witnessed, story
from approvers.texts import restore
from approvers.times import stamp
from workers.stores.port import Log

TRIES = 2
"""How often a chain is read before it counts as torn: records may be taken out of the log between two readings."""


@dataclass(frozen=True)
class Told:
    """One request, told; its records with their texts in place, by number; what is wrong with the chain, if any."""

    story: Story
    records: Mapping[int, Mapping[str, Any]]
    fault: str

    @property
    def chain(self) -> str:
        """Say in a sentence whether the records are one whole chain."""
        return chain_words(len(self.records), self.fault, min(self.records, default=1))


def chain_words(count: int, fault: str, first: int = 1) -> str:
    """Say whether so many records, numbered from `first` on, are one whole chain."""
    if fault:
        return f"The chain is broken: {fault}."
    part = f" from record {first} on" if first > 1 else ""
    return f"{count} record{'' if count == 1 else 's'}, each holding the hash of the one before: whole{part}."


async def story_of(log: Log, request: Request) -> Told:
    """Return the story of a request, as its chain and its receipt have it."""
    bodies, head = await chain_and_head(log, request.id)
    texts = await log.texts([request.id])
    fault, receipt = _fault(request.id, bodies, head), request.receipt
    records = [restore(json.loads(body), texts) for body in bodies]
    witnessed = Witnessed(receipt.size, receipt.root, stamp(receipt.at)) if receipt else None
    told = story(records, witnessed, chain_words(len(records), fault, head.n + 1), head.n)
    return Told(story=told, records={record["n"]: record for record in records}, fault=fault)


async def chain_and_head(log: Log, subject: str) -> tuple[list[bytes], Head]:
    """Return the records of a chain that the log still has, and the last of those that were taken out before them."""
    bodies, head = list[bytes](), Head()
    for _ in range(TRIES):
        bodies = await log.chain(subject)
        head = (await log.base()).heads.get(subject, Head())
        if not bodies or json.loads(bodies[0])["n"] == head.n + 1:
            break
    return bodies, head


def _fault(subject: str, bodies: Sequence[bytes], head: Head) -> str:
    """Say what is wrong with a chain, of which the records up to `head` were taken out of the log."""
    try:
        check_chain(subject, bodies, head)
    except ValueError as error:
        return str(error)
    return ""
