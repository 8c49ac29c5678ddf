"""Hold what the records tell against what can have happened, request by request, without any policy.

No grant without an approved decision; seats filled by different people, never by those who ask; answers in time; a mint
after its decision; an end with its proof; nothing used twice; and every request reaches an end.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from datetime import datetime, timedelta

from countersign.verifying.core import RECORDS, Seen
from countersign.verifying.findings import Finding
from countersign.verifying.story_grants import END_SLACK
from countersign.verifying.story_requests import OVER, UNSEEN, Life, after_end
from countersign.verifying.story_system import System

SUBMITTED = "request.submitted"
YOUNG = timedelta(hours=1)
"""How much later than it should have ended something may still be open where the log ends: a clock can be late."""
Said = tuple[str, str]


class Story:
    """Follow every request of a log. `open`: ids of what had not ended where the log ends; `ended`: how the others did.

    Of a request that is over a word is kept, which says what may still come.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.system = System()
        self.open: list[str] = []
        self.ended: Counter[str] = Counter()
        self.unseen = 0
        """Requests whose beginning is not in this log: it was truncated."""
        self._lives: dict[str, Life | str] = {}
        self._unused: deque[tuple[datetime, str]] = deque()
        self._last: datetime | None = None

    def feed(self, seen: Seen) -> Iterator[Finding]:
        """Take the next record; yield what cannot have happened."""
        try:
            at = datetime.fromisoformat(seen.record["at"])
            self._forget_unused(at)
            for code, what in self._told(seen, at):
                yield Finding(RECORDS, seen.line, code, what)
            self._last = at if self._last is None else max(at, self._last)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            what = f"{seen.record.get('type')} does not hold what such a record holds ({type(error).__name__}: {error})"
            yield Finding(RECORDS, seen.line, "bad_record", what)

    def end(self) -> Iterator[Finding]:
        """Yield what should have ended by the time of the last record, and has not."""
        for subject, life in self._lives.items():
            if isinstance(life, str):
                continue
            self.open += [subject] if life.waits else []
            self.ended["open" if life.waits else life.word] += 1
            due = life.due()
            if due is not None and self._last is not None and self._last > due + max(YOUNG, END_SLACK):
                yield Finding(RECORDS, life.line, "flag", f"{subject} {life.lacks()}, and the log goes on long after")

    def _told(self, seen: Seen, at: datetime) -> Iterator[Said]:
        record = seen.record
        kind, subject = record["type"], record["subject"]
        yield from self.system.told(record, at)
        if subject == "sys":
            return
        life = self._lives.get(subject)
        if kind == SUBMITTED:
            if life is not None or record["n"] != 1:
                yield "bad_story", f"{subject} is submitted again"
                return
            begun = self._lives[subject] = Life(record, at, seen.line)
            extends = record["data"]["action"].get("extends")
            yield from begun.begins(self._lives.get(f"req_{extends.removeprefix('grt_')}") if extends else None)
        elif life is None:
            if record["n"] == 1:
                yield "bad_story", f"{subject} begins with {kind}, and not with {SUBMITTED}"
            self.unseen += 1
            self._lives[subject] = UNSEEN
        elif isinstance(life, str):
            yield from after_end(life, kind, subject)
        else:
            yield from life.told(record, at, frozen=self.system.frozen)
            if (word := life.over()) is not None:
                self.ended[life.word] += 1
                self._lives[subject] = word
            elif kind == "request.approved" and (until := life.usable_until()) is not None:
                self._unused.append((until + YOUNG, subject))

    def _forget_unused(self, at: datetime) -> None:
        """Keep a word of approvals that nobody used in time: memory does not grow with them."""
        while self._unused and self._unused[0][0] < at:
            _, subject = self._unused.popleft()
            life = self._lives[subject]
            if isinstance(life, Life):
                self.ended[life.word] += 1
                self._lives[subject] = OVER
