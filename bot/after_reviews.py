"""Take after-reviews of break-glass, wherever they are given. Each is one commit, or an error that says why not."""

from __future__ import annotations

from approvers import after_review
from approvers.after_review import Finding, Verdict
from approvers.audit import Draft
from approvers.errors import CountersignError
from approvers.request import Request
from bot.breaking import owed_in
from bot.commits import refusal
from bot.directory import Directory, Membership
from bot.identity import Identity
from bot.reading import Reader, View
from bot.standing import groups_of
from workers.policies import Policies, Rulebook
from workers.stores import layout
from workers.stores.port import Commit, Snapshot, Store, transact


class AfterReviews:
    """Take what people find of a use of break-glass."""

    def __init__(self, store: Store, policies: Policies, reader: Reader, directory: Directory) -> None:
        self._records, self._policies, self._reader, self._directory = store.records, policies, reader, directory

    async def take(self, who: Identity, request: str, verdict: Verdict, reason: str = "") -> View:
        """Take one after-review; the same one again is answered as it stands. Every refusal is a record, too.

        Raises:
            CountersignError: what `approvers.after_review.reviewed` raises, and NotFound.
        """
        opened = (await self._reader.look(request)).request
        keys = [layout.request_key(request), layout.owed_key(opened.principal)]
        asked = after_review.decisive(opened, _told(self._policies.current))
        found = await self._directory.membership(who.principal, asked)

        def step(seen: Snapshot) -> tuple[Commit | None, CountersignError | None]:
            book = self._policies.current
            before = self._reader.parse(seen, request)
            groups = frozenset(groups_of(book, who.principal, found))
            said = Finding(who.principal, verdict, reason.strip(), seen.now, groups, _silent(book, before, found))
            try:
                after = after_review.reviewed(before, said, _told(book))
            except CountersignError as error:
                tried = {"verdict": verdict, "seen_in": dict(found.seen)}
                draft = Draft(request, "break_glass.review_refused", who.by, who.via, tried)
                return refusal(seen, error, draft), error
            if after == before:
                return None, None
            return _taken(book, who, seen, after, found), None

        refresh = self._policies.refresh
        if error := await transact(self._records, keys, step, chains=[request], refresh=refresh):
            raise error
        return await self._reader.look(request)


def _taken(book: Rulebook, who: Identity, seen: Snapshot, after: Request, found: Membership) -> Commit:
    """Return the commit of an after-review: nothing is owed any more, and the clock clears what on-call was told."""
    key, owed_key = layout.request_key(after.id), layout.owed_key(after.principal)
    record, owed = seen.records[key], seen.records[owed_key]
    review = after.after_review
    assert review is not None
    told = {
        "verdict": review.verdict,
        "reason": review.reason,
        "used_by": after.principal,
        "late": review.overdue_at is not None or seen.now >= review.due_at,
        "groups": groups_of(book, who.principal, found),
        "seen_in": dict(found.seen),
        "policy_sha256": book.policy_sha256,
        "roster_sha256": book.roster_sha256,
    }
    return layout.commit(
        seen.now,
        layout.put(key, record.version, after.model_dump_json()),
        layout.put(owed_key, owed.version, owed_in(owed).without(after.id).model_dump_json()),
        drafts=[Draft(after.id, "break_glass.reviewed", who.by, who.via, told)],
        events=[layout.event("break_glass.reviewed", seen.now, request=after.id)],
        due={layout.owing_key(after.id): seen.now},
        counts={f"break_glass:{review.verdict}": 1},
        heads=seen.heads,
        expects={**book.versions, **who.proof},
    )


def _told(book: Rulebook) -> tuple[str, ...]:
    return book.policy.break_glass.tell if book.policy.break_glass else ()


def _silent(book: Rulebook, request: Request, found: Membership) -> dict[str, str]:
    """Return the groups that matter and could not be asked: also those that came to matter since."""
    asked = after_review.decisive(request, _told(book)) & book.roster.outside_groups
    return {
        group: found.unknown.get(group, "it was not asked for its members") for group in asked - found.outside.keys()
    }
