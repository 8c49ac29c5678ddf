"""Decide everything once more: each ruling under its recorded policy, each answer by the same pure rules, in order.

The rules of `approvers` are run over what the records say was asked and answered; what comes out has to be what was
recorded. What one commit writes stands together in the log, so that what follows from an answer has to follow it.
What cannot be decided again is counted and named in `skipped`; nothing is guessed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from approvers.errors import CountersignError
from approvers.request import Request, RequestState
from countersign.verifying import replaying_answers as answers
from countersign.verifying import replaying_asks as asks
from countersign.verifying import replaying_moves as moves
from countersign.verifying.core import RECORDS, Seen
from countersign.verifying.findings import Finding
from countersign.verifying.replaying_rules import Rules, Texts, Unknown
from countersign.verifying.replaying_told import DoesNotFollow, Follows, differs

FOLLOW = frozenset({"break_glass.used", "grant.opened", "request.approved", "request.denied", "request.narrowed"})
"""Records that only follow from the one before them."""
WATCHED = {
    "break_glass.reviewed": moves.after_reviewed,
    "grant.claimed": moves.claimed,
    "request.cancelled": moves.cancelled,
    "request.escalated": moves.escalated,
    "request.expired": moves.expired,
    "request.folded": moves.folded,
    "request.reruled": answers.reruled,
    "review.recorded": answers.reviewed,
}
DONE = frozenset(
    {"grant.failed", "grant.lost", "grant.minted", "grant.overtaken", "grant.refused", "grant.revoked",
     "request.consumed"}
)  # fmt: skip
"""Records after which nothing of a request is decided any more."""
MISSING = "its beginning was not replayed"


class Due(NamedTuple):
    """What has to come next: the record, and the line of the one that it follows from."""

    subject: str
    follows: Follows
    line: int


class Replay:
    """Replay a log. `replayed` counts what was decided again by kind of record; `skipped` what was not, and why."""

    def __init__(self, texts: Texts = lambda _sha256: None) -> None:
        """Begin with nothing; `texts` finds policies and rosters that were applied before the log begins."""
        self.rules = Rules(texts)
        self.replayed: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self._requests: dict[str, Request | None] = {}
        self._due: deque[Due] = deque()
        self._changes = moves.Changes()
        self._owed: dict[str, set[str]] = {}
        self._version = self._newest = 0

    def feed(self, seen: Seen) -> Iterator[Finding]:
        """Take the next record; yield what does not follow from the rules and from what came before it."""
        record, line = seen.record, seen.line
        kind = record["type"]
        try:
            self._version, self._newest = record["v"], max(self._newest, record["v"])
            self.rules.partial = self.rules.partial or seen.position > seen.line
            at = datetime.fromisoformat(record["at"])
            if self._due or kind in FOLLOW:
                yield from self._expected(record, kind, line)
            if record["subject"] == "sys":
                yield from self._system(record, at, line)
            elif kind == "request.submitted":
                yield from self._step(kind, line, lambda: self._asked(record, at, line))
            elif (step := WATCHED.get(kind)) is not None:
                yield from self._step(kind, line, lambda: self._moved(step, record, at, line))
            self._over(kind, record)
        except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            what = f"{kind} does not hold what a replay needs ({type(error).__name__}: {str(error)[:200]})"
            yield Finding(RECORDS, line, "bad_record", what)

    def end(self) -> Iterator[Finding]:
        """Yield what should have followed where the log ends."""
        if self._due:
            due = self._due[0]
            yield Finding(RECORDS, due.line, "does_not_follow", f"{_wants(due)}, and the log ends")

    # ---- inside

    @property
    def _older(self) -> bool:
        """Tell whether the record is of an older form than one before it: it must not be passed over then."""
        return self._version < self._newest

    def _step(self, kind: str, line: int, step: Callable[[], None]) -> Iterator[Finding]:
        try:
            step()
            self.replayed[kind] += 1
        except Unknown as unknown:
            self.skipped[f"{kind}: {unknown}"] += 1
            if self._older and kind == "request.submitted" and not self.rules.partial:
                what = f"{kind} has an older form than records before it: {unknown}"
                yield Finding(RECORDS, line, "bad_record", what)
        except DoesNotFollow as wrong:
            yield Finding(RECORDS, line, "does_not_follow", f"{kind}: {wrong}")
        except CountersignError as error:
            what = f"{kind}: by the rules it does not count: {error.detail} [{error.code}]"
            yield Finding(RECORDS, line, "does_not_follow", what)
        except ValidationError as error:
            self.skipped[f"{kind}: of a form that this version does not know"] += 1
            code = "flag" if self._version == 1 and not self._older else "bad_record"
            yield Finding(RECORDS, line, code, f"{kind} is of a form that this version does not know: {_first(error)}")

    def _expected(self, record: Mapping[str, Any], kind: str, line: int) -> Iterator[Finding]:
        """Hold the record against what has to come next."""
        if not self._due:
            before = self._requests.get(record["subject"])
            if before is not None:
                what = f"{kind} does not follow from its policy: {asks.stands(before)}"
                yield Finding(RECORDS, line, "does_not_follow", what)
                self._requests[record["subject"]] = None
            else:
                self.skipped[f"{kind}: {MISSING}"] += 1
            return
        due = self._due.popleft()
        if (record["subject"], kind) != (due.subject, due.follows.type):
            self._due.clear()
            self._requests.pop(record["subject"], None)  # what else of it would be found rests on the same
            what = f"{_wants(due)}, and {kind} stands there"
            yield Finding(RECORDS, due.line, "does_not_follow", what)
        elif parts := differs(due.follows, record):
            self._due.clear()
            what = f"{kind} does not follow from its policy ({due.follows.why}): {parts}"
            yield Finding(RECORDS, line, "does_not_follow", what)

    def _asked(self, record: Mapping[str, Any], at: datetime, line: int) -> None:
        subject, who = record["subject"], record["by"]["person"]
        self._requests[subject] = None
        request = asks.asked(self.rules, record, at)
        if request.facts.break_glass and len(self._owed.get(who, ())) != request.facts.owed:
            owed = len(self._owed.get(who, ()))
            if self.rules.partial:
                raise Unknown("which after-reviews were owed before this log begins is not known")
            raise DoesNotFollow(f"the ruling was told of {request.facts.owed} open after-reviews of {who}, not {owed}")
        self._keep(subject, request, asks.follows(self.rules, request), line)
        if request.after_review is not None:
            self._owed.setdefault(who, set()).add(subject)

    def _moved(self, step: Callable[..., Any], record: Mapping[str, Any], at: datetime, line: int) -> None:
        subject = record["subject"]
        request = self._requests.get(subject)
        if request is None:
            raise Unknown(MISSING)
        self._requests[subject] = None  # what follows from a step that was wrong is not judged as well
        after, follows = step(self.rules, request, record, at)
        self._keep(subject, after, follows, line)
        if record["type"] == "break_glass.reviewed":
            self._owed.get(request.principal, set()).discard(subject)
            self._requests.pop(subject, None)

    def _keep(self, subject: str, request: Request, follows: list[Follows], line: int) -> None:
        self._due.extend(Due(subject, one, line) for one in follows)
        if moves.goes_on(request):
            self._requests[subject] = request
        else:
            self._requests.pop(subject, None)
        if request.state is RequestState.APPROVED:
            self._changes.approved(request)

    def _system(self, record: Mapping[str, Any], at: datetime, line: int) -> Iterator[Finding]:
        kind, data = record["type"], record["data"]
        if kind in ("policy.applied", "roster.applied"):
            yield from self._step(kind, line, lambda: self._changes.check(self.rules, record, at))
        if (what := self.rules.told(kind, data, at)) is not None:
            yield Finding(RECORDS, line, "bad_rules", what)

    def _over(self, kind: str, record: Mapping[str, Any]) -> None:
        if kind in DONE and (request := self._requests.get(record["subject"])) and request.after_review is None:
            self._requests.pop(record["subject"], None)
        if kind == "request.consumed":
            self._changes.used(record["subject"])


def _wants(due: Due) -> str:
    """Say that what was recorded next does not follow from an answer by its policy."""
    return f"what comes next does not follow from its policy: {due.follows.type} follows ({due.follows.why})"


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{error.title}.{'.'.join(map(str, found['loc']))}: {found['msg']}"
