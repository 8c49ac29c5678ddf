"""Say what is missing between the records of a chain: time without an answer, and records that are not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from approvers.storytelling_words import Data
from approvers.taken_out import from_story
from approvers.times import spell

UNANSWERED = timedelta(minutes=5)
"""So long without an answer is worth a line."""
UNMINTED = UNPROVEN = timedelta(seconds=30)
"""So long from the approval to the credential, or from the end to its proof, is worth a line."""
ANSWERS = frozenset({"review.recorded", "request.expired", "request.cancelled", "request.denied", "request.approved"})
ENDINGS = frozenset(
    {
        "grant.ended", "grant.release_requested", "grant.revoke_requested", "grant.kill_requested",
        "grant.never_collected", "grant.heartbeat_lost", "grant.lost",
    }
)  # fmt: skip
"""Records after which a grant's end has to be proven."""


def gaps(records: Sequence[Data], taken_out: int | None = None) -> Mapping[int, Sequence[str]]:
    """Return what is to be said before the records at these places (0 is the first).

    `taken_out` is how many the log says were taken out of this chain; None: nobody has asked it.
    """
    found: dict[int, list[str]] = {}
    for place, words in (*_holes(records, taken_out), *_silences(records)):
        found.setdefault(place, []).append(words)
    return found


def _holes(records: Sequence[Data], taken_out: int | None) -> Iterator[tuple[int, str]]:
    """Yield where numbers of the chain are missing: before the first record here, in a whole chain nowhere else."""
    last = 0
    for place, record in enumerate(records):
        number = record["n"]
        if number > last + 1:
            known = not place and taken_out in (None, number - 1)
            yield place, from_story(number - 1) if known else _missing(last + 1, number - 1)
        last = number


def _missing(first: int, last: int) -> str:
    which = f"Record {first} is" if first == last else f"Records {first} to {last} are"
    return f"{which} not here, and the log does not say why."


def _silences(records: Sequence[Data]) -> Iterator[tuple[int, str]]:
    """Yield for how long nobody answered, nothing was minted, or an end was not proven."""
    asked = approved = ended = None
    unseen = False
    for place, record in enumerate(records):
        kind, at = record["type"], _moment(record)
        unseen |= kind == "request.unreached"
        if kind in ANSWERS and asked:
            if unseen and kind == "review.recorded":
                yield place, "Nobody is known to have been shown it until the answer that follows."
            if at - asked > UNANSWERED:
                yield place, f"Nobody answered for {spell(at - asked)}."
            asked = None
        if kind == "grant.minted" and approved and at - approved > UNMINTED:
            yield place, f"It took {spell(at - approved)} from the approval to the credential."
        if kind == "grant.revoked" and ended and at - ended > UNPROVEN:
            yield place, f"For {spell(at - ended)} its end was asked for and not proven."
        asked = at if kind == "request.submitted" else asked
        approved = at if kind == "grant.opened" else approved
        ended = (ended or at) if kind in ENDINGS else ended


def _moment(record: Data) -> datetime:
    return datetime.fromisoformat(record["at"])
