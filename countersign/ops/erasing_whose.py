"""Find whose words a record holds: what somebody typed, and where others' records repeat it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from approvers.audit import SYSTEM
from approvers.texts import marks_in
from workers.stores.port import Store
from workers.stores.window import forwards

Quotes = Collection[int]
"""Numbers of records, in their chain, that repeat why somebody stopped approvals."""
NOTHING: Quotes = ()


async def subjects_of(store: Store, person: str) -> dict[str, set[int]]:
    """Return every subject in whose records a person's words stand, `sys` last; reads the whole log.

    Beside each stand the records, by their number, that repeat why this person stopped approvals: answers that were
    refused and mints that did not come about, whosever they are.
    """
    found: dict[str, set[int]] = {}
    last, on = "", False
    base, end = await store.log.base(), await store.log.size()
    async for page in forwards(store.log, base.size, end):
        for body in page.bodies:
            record = json.loads(body)
            if record["type"] in ("freeze.set", "freeze.lifted"):
                on = record["type"] == "freeze.set"
                last = record["by"]["person"] if on else last
            quotes = last == person and _tells_of_freeze(record, on)
            if (quotes or is_of(record, person)) and marks_in(record["data"]):
                found.setdefault(record["subject"], set()).update({record["n"]} if quotes else ())
    return dict(sorted(found.items(), key=lambda one: one[0] == SYSTEM))


def is_of(record: Mapping[str, Any], person: str) -> bool:
    """Tell whether a person has written this record, or ended the grant that it is about."""
    ending = record["data"].get("ending")
    return record["by"]["person"] == person or bool(ending and ending["by"] == person)


def marks_of(
    records: Sequence[Mapping[str, Any]], person: str | None, eraser: str, quotes: Quotes = NOTHING
) -> Iterator[str]:  # fmt: skip
    """Yield the marks to erase: with a person, of what they typed and of what repeats it.

    A request that they asked for is theirs whole. A card may quote anybody who came before; the text of a freeze is
    named again where it is lifted and to whom it stopped. Why the eraser erased stays: else there would be no end.
    """
    theirs = person is None or any(is_of(one, person) for one in records if one["type"] == "request.submitted")
    quoted = False
    for record in records:
        data = record["data"]
        if record["type"] == "text.erased" and record["by"]["person"] == eraser:
            continue
        if theirs or (person is not None and is_of(record, person)):
            yield from marks_in(data)
            quoted = True
        elif quoted or record["n"] in quotes:
            yield from marks_in([data.get("card"), data.get("was"), data.get("failure")])
            yield from marks_in(data.get("detail") if record["n"] in quotes else None)


def _tells_of_freeze(record: Mapping[str, Any], on: bool) -> bool:
    """Tell whether a record names why approvals are stopped. A mint that is overtaken while they are: by that."""
    match record["type"]:
        case "review.refused" | "break_glass.review_refused":
            return bool(record["data"].get("code") == "frozen")
        case "grant.overtaken":
            return on
    return False
