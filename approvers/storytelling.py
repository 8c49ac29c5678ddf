"""Tell the records of one request as one story in plain words: the same for console, command line and chat.

A story is made from parsed records with their texts put back (`approvers.texts.restore`). It says what each record
says, what is missing between them, how it all stands, and what can be checked. Every text in it is one visible line:
nothing that somebody typed can hide, break out, or look like a line of ours. Renderers still escape it for their own
markup.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from approvers.card_text import one_line
from approvers.storytelling_gaps import gaps
from approvers.storytelling_more import MORE
from approvers.storytelling_standing import heading, standing
from approvers.storytelling_sys import SYSTEM_WORDS
from approvers.storytelling_words import BAD, REQUEST_WORDS, Data, plain_name

MAX_WORDS = 600
MAX_MORE = 500
MAX_NAME = 120
GAP = "gap"
"""The kind of a line that stands for no record."""
STRANGE = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What a record of another shape than today's leads to; it is then told by its name."""
WORDS: Mapping[str, Callable[[Data], str]] = {**REQUEST_WORDS, **SYSTEM_WORDS}
PROVEN = frozenset(
    {
        "request.submitted", "review.recorded", "review.refused", "break_glass.used", "break_glass.reviewed",
        "grant.release_requested", "grant.revoke_requested", "request.cancelled", "request.consumed", "freeze.set",
        "freeze.lifted", "policy.applied", "roster.applied", "revocation.requested",
    }
)  # fmt: skip
"""Kinds of record that say who did something: a story says by what they proved that."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z")


@dataclass(frozen=True)
class Line:
    """One record, told: its number in the chain (0: it stands between records), when, who, what, what else."""

    n: int
    at: str
    who: str
    words: str
    more: tuple[str, ...]
    bad: bool
    kind: str

    @property
    def clock(self) -> str:
        """Return the time of day, `22:15:07.123`."""
        return self.at[11:23]

    @property
    def text(self) -> str:
        """Return the line as one sentence: `22:15:07 robin approves`."""
        return f"{self.at[11:19]} {self.who} {self.words}" if self.n else f"… {self.words}"


class Witnessed(NamedTuple):
    """What a receipt says of the log: its size with the decision in it, the root (hex), and when that was signed."""

    size: int
    root: str
    at: str


@dataclass(frozen=True)
class Story:
    """One request, told: who wanted what, how it stands, what happened in order, and what shows that it is so."""

    heading: str
    standing: str
    lines: tuple[Line, ...]
    evidence: tuple[str, ...]


def story(
    records: Sequence[Data], receipt: Witnessed | None = None, chain: str = "", taken_out: int | None = None
) -> Story:  # fmt: skip
    """Return the story of a chain of records, oldest first.

    `chain` says in a sentence whether they are whole, by whoever holds the stored bytes; `taken_out` is how many the
    log says were taken out of it before the first of them (None: not known).
    """
    return Story(
        heading=one_line(_tried(heading, records) or "A chain of records", MAX_WORDS),
        standing=one_line(_tried(standing, records), MAX_WORDS),
        lines=tuple(_with_gaps(records, taken_out)),
        evidence=tuple(one_line(text, MAX_WORDS) for text in _evidence(records, receipt, chain)),
    )


def line_of(record: Data) -> Line:
    """Return the line of one record. A kind that has no words here is told by its name."""
    kind, data = str(record.get("type", "record")), record.get("data")
    words = _tried(WORDS[kind], data) if kind in WORDS else ""
    more = _tried(lambda: tuple(MORE[kind](data))) if kind in MORE else ()  # type: ignore[arg-type]  # it may be none: tried
    if kind in PROVEN:
        more = (*_proof_of_identity(record), *(more or ()))
    moment, number = str(record.get("at", "")), record.get("n")
    return Line(
        n=number if type(number) is int and number > 0 else 1,
        at=moment if _MOMENT.fullmatch(moment) else "0000-00-00T00:00:00.000Z",
        who=who(record),
        words=one_line(words or kind.replace(".", " ").replace("_", " "), MAX_WORDS),
        more=tuple(one_line(text, MAX_MORE) for text in more or ()),
        bad=kind in BAD,
        kind=one_line(kind, MAX_NAME),
    )


def who(record: Data) -> str:
    """Return who did it, as people call them; Countersign itself with the part of it that did."""
    by = record.get("by")
    person = by.get("person") if isinstance(by, Mapping) else None
    if isinstance(person, str) and person:
        return one_line(plain_name(person), MAX_NAME)
    return f"Countersign ({one_line(str(record.get('via', '')), 40)})"


def _proof_of_identity(record: Data) -> Iterator[str]:
    """Yield by what the person was known to be who they are; nothing for Countersign itself."""
    by = record.get("by")
    if isinstance(by, Mapping) and by.get("person"):
        yield f"Known by {by.get('iss')}, as {by.get('sub')}; came through {record.get('via')}."


def as_text(told: Story) -> Iterator[str]:
    """Yield a story as lines of plain text, for a terminal or a mail. Moments are UTC."""
    yield told.heading
    yield told.standing
    day = ""
    for line in told.lines:
        if line.n and line.at[:10] != day:
            day = line.at[:10]
            yield ""
            yield f"{day}, times are UTC"
        if not line.n:
            yield f"{'':<14}… {line.words}"
            continue
        yield f"{line.clock:<14}{line.who} {line.words}"
        yield from (f"{'':<16}{text}" for text in line.more)
    yield ""
    yield from told.evidence


def in_short(told: Story, most: int) -> Iterator[str]:
    """Yield a story for chat: how it stands, the newest `most` lines with one sentence each, and the evidence."""
    yield told.standing
    earlier = len(told.lines) - most
    if earlier > 0:
        yield f"… {earlier} earlier ones are in the console"
    yield from (line.text for line in told.lines[-most:])
    yield from told.evidence


def _with_gaps(records: Sequence[Data], taken_out: int | None) -> Iterator[Line]:
    missing = _tried(gaps, records, taken_out) or {}
    for place, record in enumerate(records):
        line = line_of(record)
        for words in missing.get(place, ()):
            yield Line(0, line.at, "", one_line(words, MAX_WORDS), (), bad=True, kind=GAP)
        yield line


def _evidence(records: Sequence[Data], receipt: Witnessed | None, chain: str) -> Iterable[str]:
    if chain:
        yield chain
    if receipt:
        yield f"Receipt: signed {receipt.at} over log size {receipt.size:,}, root {receipt.root}"
    elif any(one.get("type") in DECISIONS for one in records):
        yield "Receipt: none here yet; it comes when the notary has signed a log that holds the decision."


def _tried(function: Callable[..., Any], *arguments: object) -> Any:
    """Return what the function says of a record, or nothing where the record has another shape than it expects."""
    try:
        return function(*arguments)
    except STRANGE:
        return ""


DECISIONS = frozenset({"request.approved", "request.denied", "request.expired", "request.cancelled"})
"""Records that decide a request, each with one receipt."""
