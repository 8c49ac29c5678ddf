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


@dataclass(frozen=True)
class Told:
    """One request, told; its records with their texts in place, by number; what is wrong with the chain, if any."""

    story: Story
    records: Mapping[int, Mapping[str, Any]]
    fault: str

    @property
    def chain(self) -> str:
        """Say in a sentence whether the records are one whole chain."""
        return chain_words(len(self.records), self.fault)


def chain_words(count: int, fault: str) -> str:
    """Say whether so many records are one whole chain."""
    if fault:
        return f"The chain is broken: {fault}."
    return f"{count} record{'' if count == 1 else 's'}, each holding the hash of the one before: whole."


async def story_of(log: Log, request: Request) -> Told:
    """Return the story of a request, as its chain and its receipt have it."""
    bodies, texts = await log.chain(request.id), await log.texts([request.id])
    records = [restore(json.loads(body), texts) for body in bodies]
    head = (await log.base()).heads.get(request.id, Head())
    fault, receipt = _fault(request.id, bodies, head), request.receipt
    witnessed = Witnessed(receipt.size, receipt.root, stamp(receipt.at)) if receipt else None
    told = story(records, witnessed, chain_words(len(records), fault))
    return Told(story=told, records={record["n"]: record for record in records}, fault=fault)


def _fault(subject: str, bodies: Sequence[bytes], head: Head) -> str:
    """Say what is wrong with a chain, of which the records up to `head` were taken out of the log."""
    try:
        check_chain(subject, bodies, head)
    except ValueError as error:
        return str(error)
    return ""
