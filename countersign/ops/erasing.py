"""Forget what somebody typed: its text and salt are deleted beside the log, and rewritten in the live records.

The log's records stay, with the mark of each text, so that chains, roots and receipts verify as before. Only what has
ended is touched. One commit does it and records `text.erased`; it can be run again at any time.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from approvers.audit import SYSTEM, By, Draft
from countersign.ops.erasing_live import GONE, NotErased, keys_of, rewritten
from countersign.ops.erasing_whose import NOTHING, Quotes, marks_of, subjects_of
from workers.stores.port import Commit, Conflict, Snapshot, Store, transact

__all__ = ["GONE", "NotErased", "Wish", "erase", "subjects_of"]
TRIES = 100
"""How often a commit may lose against others that write under `sys`; a try takes about a millisecond."""


@dataclass(frozen=True)
class Wish:
    """What to erase, and for whom the log says so. `person`: only theirs; None: everybody's."""

    why: str
    by: str
    person: str | None = None
    dry_run: bool = False


async def erase(store: Store, subject: str, wish: Wish, quotes: Quotes = NOTHING) -> int:
    """Erase the texts of one subject and return how many there were; none: nothing is recorded.

    What others add meanwhile is erased as well: it goes on until there is nothing left.

    Args:
        store: the store.
        subject: a request, or `sys`, of which only one person's texts can be erased.
        wish: what, and why.
        quotes: which records of the subject repeat the person's words from elsewhere (`subjects_of`).

    Raises:
        NotErased: it cannot be erased yet, or is not there.
    """
    if subject == SYSTEM and wish.person is None:
        raise NotErased("of `sys` only one person's texts can be erased: add --person", field="--request")
    total = 0
    while count := await _pass(store, subject, wish, quotes):
        total += count
        if wish.dry_run:
            break
    return total


async def _pass(store: Store, subject: str, wish: Wish, quotes: Quotes) -> int:
    """Erase in one commit what is there now, and return how many texts that were."""
    records = [json.loads(body) for body in await store.log.chain(subject)]
    if not records:
        raise NotErased(f"there is no record of {subject}: give the id, req_…", field="--request")
    marks = list(dict.fromkeys(marks_of(records, wish.person, wish.by, quotes)))
    keys, chains = keys_of(subject), [SYSTEM]
    for _ in range(TRIES):
        seen = await store.records.read(keys, chains)
        held = await store.log.texts([subject])  # read after the head: what another erasure takes now is a Conflict
        there = [mark for mark in marks if mark in held]

        def step(seen: Snapshot, there: Sequence[str] = there) -> tuple[Commit | None, int]:
            return _commit(seen, subject, wish, there, quotes), len(there)

        with contextlib.suppress(Conflict):
            return await transact(store.records, keys, step, chains=chains, first=seen, tries=1)
    raise NotErased("others write to the log all the time: run it again", field="--request")


def _commit(seen: Snapshot, subject: str, wish: Wish, marks: Sequence[str], quotes: Quotes) -> Commit | None:
    """Return the commit that forgets these texts; None: nothing is there to forget, or it is only counted."""
    puts, expects = rewritten(seen, subject, wish.person, quoted=bool(quotes))
    if wish.dry_run or not (marks or puts):
        return None
    told = {"count": len(marks), "subject": subject, "why": wish.why}
    told |= {"person": wish.person} if wish.person else {}
    draft = Draft(SYSTEM, "text.erased", By(wish.by, "operator", wish.by), "command", told)
    erased = {subject: marks} if marks else {}
    return Commit(at=seen.now, expects=expects, puts=puts, drafts=[draft], heads=seen.heads, erase=erased)
