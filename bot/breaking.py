"""Break-glass: what a ruling has to know of who wants to use it, and what each use leaves behind.

A use owes an after-review. Which ones a person owes stands in one record, `owed:user:NAME`; the commit of a use expects
its version, so that two uses at once cannot both slip under the policy's limit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from approvers.action import Action
from approvers.audit import Draft
from approvers.policy import Policy
from approvers.request import AfterReview, Because, Request
from approvers.seating import not_known
from approvers.times import stamp
from approvers.upgrades import read
from bot.directory import Directory, Membership
from bot.identity import Identity
from workers.policies import Rulebook
from workers.stores import layout
from workers.stores.layout import Part
from workers.stores.port import Records, Versioned


class Owed(BaseModel):
    """The after-reviews that one person owes: ids of requests, oldest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    requests: tuple[str, ...] = ()

    def without(self, request: str) -> Owed:
        """Return the record after this one was reviewed."""
        return self.model_copy(update={"requests": tuple(one for one in self.requests if one != request)})


NONE = Owed()


def owed_in(record: Versioned) -> Owed:
    """Return what a record says; a person who never used break-glass has none."""
    return read(Owed, record.json, {Owed: ()}) if record.version else NONE


@dataclass(frozen=True)
class Broken:
    """What was looked up for one ask; for one without break-glass: nothing. `seen`: outside groups, for the record."""

    groups: tuple[str, ...] = ()
    owed: int = 0
    who: Identity | None = None
    record: Owed = NONE
    version: int = 0
    seen: Mapping[str, Any] = field(default_factory=dict)

    def marked(self, book: Rulebook, request: Request) -> Request:
        """Return the request with the after-review that it owes, where break-glass granted it."""
        terms = book.policy.break_glass
        if request.because is not Because.BREAK_GLASS:
            return request
        assert terms is not None  # only its terms can have granted it
        due = AfterReview(due_at=request.submitted_at + terms.review_within)
        return request.model_copy(update={"after_review": due})

    def part(self, request: Request) -> Part:
        """Return what a use adds to the commit of its ask: it is owed, on record, told, and looked after by the clock.

        The clock's first look is at once: it alerts on-call. The record's version is expected, so a second use at the
        same moment is ruled on anew.
        """
        if request.because is not Because.BREAK_GLASS:
            return {}
        assert self.who is not None
        assert request.after_review is not None
        owed = self.record.model_copy(update={"requests": (*self.record.requests, request.id)})
        at = request.submitted_at
        told = {
            "action_digest": request.action_digest,
            "due_at": stamp(request.after_review.due_at),
            "plan_sha256": _digest(request),
            "reason": request.action.reason,
            "ticket": request.action.ticket or "",
        }
        return {
            **layout.put(layout.owed_key(request.principal), self.version, owed.model_dump_json()),
            "drafts": [Draft(request.id, "break_glass.used", self.who.by, self.who.via, told)],
            "due": {layout.owing_key(request.id): at},
            "events": [layout.event("break_glass.used", at, request=request.id)],
            "counts": {"break_glass:used": 1},
        }


class Breaking:
    """Look up what a ruling on a use of break-glass has to know."""

    def __init__(self, records: Records, directory: Directory) -> None:
        self._records, self._directory = records, directory

    async def look(self, book: Rulebook, who: Identity, action: Action) -> Broken:
        """Return what a ruling on this ask has to know of its principal; a program has no groups, and owes nothing.

        Raises:
            NotKnown: whether this person may use break-glass hangs on a group that could not be asked.
        """
        if not action.break_glass or not who.is_person:
            return Broken()
        key = layout.owed_key(who.principal)
        record = (await self._records.read([key])).records[key]
        owed = owed_in(record)
        found = await self._directory.membership(who.principal, book.roster.groups)
        groups = _groups(book, who.principal, found)
        return Broken(groups, len(owed.requests), who, owed, record.version, found.seen)


def _groups(book: Rulebook, person: str, found: Membership) -> tuple[str, ...]:
    """Return every group of the person, those kept elsewhere included; one that is silent is left out if it may."""
    groups = book.roster.groups_of(person) | found.groups
    open_to = _open_to(book.policy)
    entitled = person in open_to or any(f"group:{group}" in open_to for group in groups)
    silent = {group: why for group, why in found.unknown.items() if f"group:{group}" in open_to}
    if silent and not entitled:
        raise not_known(silent)
    return tuple(sorted(groups))


def _open_to(policy: Policy) -> frozenset[str]:
    return frozenset(policy.break_glass.who) if policy.break_glass else frozenset()


def _digest(request: Request) -> str:
    """Return the SHA-256 of what will be minted; empty where nothing is."""
    body: Any = request.plan.model_dump_json() if request.plan else ""
    return hashlib.sha256(body.encode()).hexdigest() if body else ""
