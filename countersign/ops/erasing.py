"""Forget what somebody typed: its text and salt are deleted beside the log, and rewritten in the live records.

The log's records stay, with the mark of each text, so that chains, roots and receipts verify as before. Only what has
ended is touched. One commit per subject does it and records `text.erased`; it can be run again at any time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from approvers.audit import SYSTEM, By, Draft
from approvers.errors import CountersignError
from approvers.grant import LIVE, Grant
from approvers.ids import grant_of
from approvers.request import Request, RequestState
from approvers.texts import marks_in
from approvers.upgrades import read
from workers.stores import layout
from workers.stores.port import Commit, Snapshot, Store, transact
from workers.stores.window import forwards

GONE = "(erased)"


class NotErased(CountersignError):
    """It cannot be erased yet; the text says what holds it."""

    code = "not_erased"


@dataclass(frozen=True)
class Wish:
    """What to erase, and for whom the log says so. `person`: only theirs; None: everybody's."""

    why: str
    by: str
    person: str | None = None
    dry_run: bool = False


async def erase(store: Store, subject: str, wish: Wish) -> int:
    """Erase the texts of one subject and return how many there were; none: nothing is recorded. Raises NotErased."""
    bodies = await store.log.chain(subject)
    if not bodies:
        raise NotErased(f"there is no record of {subject}: give the id, req_…", field="--request")
    held = await store.log.texts([subject])
    marks = [mark for mark in _marks([json.loads(body) for body in bodies], wish.person) if mark in held]
    if subject == SYSTEM and wish.person is None:
        raise NotErased("of `sys` only one person's texts can be erased: add --person", field="--request")
    keys = [] if subject == SYSTEM else [layout.request_key(subject), layout.grant_key(grant_of(subject))]

    def step(seen: Snapshot) -> tuple[Commit | None, int]:
        if subject != SYSTEM and len(bodies) != seen.heads[subject].n - _cut(bodies, seen, subject):
            raise NotErased(f"{subject} goes on as this is read: run it again", field="--request")
        puts, expects = _rewritten(seen, subject, wish.person)
        if wish.dry_run or not (marks or puts):
            return None, len(marks)
        told = {"count": len(marks), "subject": subject, "why": wish.why}
        told |= {"person": wish.person} if wish.person else {}
        draft = Draft(SYSTEM, "text.erased", By(wish.by, "operator", wish.by), "command", told)
        heads = {SYSTEM: seen.heads[SYSTEM]}
        erased = {subject: marks} if marks else {}
        return Commit(at=seen.now, expects=expects, puts=puts, drafts=[draft], heads=heads, erase=erased), len(marks)

    return await transact(store.records, keys, step, chains=[SYSTEM] if subject == SYSTEM else [SYSTEM, subject])


async def subjects_of(store: Store, person: str) -> list[str]:
    """Return every subject in whose records this person typed something; reads the whole log."""
    found: dict[str, None] = {}
    base, end = await store.log.base(), await store.log.size()
    async for page in forwards(store.log, base.size, end):
        for body in page.bodies:
            record = json.loads(body)
            if _is_of(record, person) and marks_in(record["data"]):
                found[record["subject"]] = None
    return list(found)


def _cut(bodies: Sequence[bytes], seen: Snapshot, subject: str) -> int:
    """Return how many of a chain's first records are no longer in the log."""
    return int(json.loads(bodies[0])["n"]) - 1 if bodies else seen.heads[subject].n


def _is_of(record: Mapping[str, Any], person: str) -> bool:
    ending = record["data"].get("ending")
    return record["by"]["person"] == person or bool(ending and ending["by"] == person)


def _marks(records: Sequence[Mapping[str, Any]], person: str | None) -> Iterator[str]:
    """Yield the marks to erase: with a person, of what they typed and of what repeats it.

    A request that they asked for is theirs whole. A card may quote anybody who came before; the text of a freeze is
    named again where it is lifted or where it stopped a mint.
    """
    theirs = person is None or any(_is_of(one, person) for one in records if one["type"] == "request.submitted")
    quoted = False
    for record in records:
        data = record["data"]
        if theirs or (person is not None and _is_of(record, person)):
            yield from marks_in(data)
            quoted = True
        elif quoted:
            yield from marks_in([data.get("card"), data.get("was"), data.get("failure")])


def _rewritten(seen: Snapshot, subject: str, person: str | None) -> tuple[dict[str, str], dict[str, int]]:
    """Return the live records without the texts, and the versions that were seen. Raises NotErased: not closed."""
    if subject == SYSTEM:
        return {}, {}
    puts, expects = {}, {}
    request_key, grant_key = layout.request_key(subject), layout.grant_key(grant_of(subject))
    request, grant = seen.records[request_key], seen.records[grant_key]
    was = read(Grant, grant.json) if grant.version else None
    if request.version:
        found = read(Request, request.json)
        _refuse_open(found, was)
        if (after := _request(found, person)) != found:
            puts[request_key] = after.model_dump_json()
        expects[request_key] = request.version
    if was is not None:
        if (ended := _grant(was, person)) != was:
            puts[grant_key] = ended.model_dump_json()
        expects[grant_key] = grant.version
    return puts, expects


def _refuse_open(request: Request, grant: Grant | None) -> None:
    name = f"{request.handle} ({request.id})"
    if request.state is RequestState.PENDING:
        raise NotErased(f"{name} still waits for an answer: cancel it first", field="--request")
    if layout.opens_grant(request) and grant is None:
        raise NotErased(f"{name} has an approval whose grant is not there", field="--request")
    if grant and (grant.state in LIVE or (grant.deny_written and grant.collected_at is None)):
        raise NotErased(f"the grant of {name} has not ended, or its Deny is not collected yet", field="--request")
    if request.after_review and request.after_review.verdict is None:
        raise NotErased(f"{name} still owes its after-review", field="--request")


def _request(request: Request, person: str | None) -> Request:
    mine = person in (None, request.principal)
    changes: dict[str, Any] = {}
    if mine:
        named = {name: GONE for name in ("parameters", "reason", "undo") if getattr(request.action, name)}
        changes["action"] = request.action.model_copy(update=named)
        if request.facts.reason:
            changes["facts"] = request.facts.model_copy(update={"reason": GONE})
    changes["reviews"] = tuple(
        one.model_copy(update={"reason": GONE}) if one.reason and (mine or one.reviewer == person) else one
        for one in request.reviews
    )
    after = request.after_review
    if after and after.reason and (mine or after.by == person):
        changes["after_review"] = after.model_copy(update={"reason": GONE})
    return request.model_copy(update=changes)


def _grant(grant: Grant, person: str | None) -> Grant:
    ending, changes = grant.ending, dict[str, Any]()
    if ending and ending.reason and person in (None, ending.by):
        changes["ending"] = ending.model_copy(update={"reason": GONE})
    if grant.failure and person is None:  # it may quote why a freeze was set
        changes["failure"] = GONE
    return grant.model_copy(update=changes)
