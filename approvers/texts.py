"""Keep what people and agents typed out of the log: a record holds a salted hash of it, and can be put together again.

The salt and the text lie beside the log, by subject, and can be erased there; the record, and so the chain, stays as it
is. A bare hash of a short text could be guessed; with a random salt of 32 bytes nobody can. Pure: the salts are drawn
from a seed that comes with the commit, so that a commit that is sent again has the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

MARK = "text_sha256"
ERASED = "\u25a0"
"""Stands for each character of an erased text, so that a rule on length answers as it did."""
SALT_BYTES = 32
_ENDING = ("ending.reason",)
_REASON = ("reason",)
_WHY = ("why",)
_DETAIL = ("detail",)
_GRANT = (
    "claimed collected ended ending_soon extended heartbeat_lost kill_requested lost minted never_collected not_sent "
    "refused release_requested revoke_failed revoke_requested revoked"
)
TYPED: Mapping[str, tuple[str, ...]] = {
    "request.submitted": ("action.parameters", "action.reason", "action.undo", "facts.reason"),
    "request.reruled": ("facts.reason",),
    "review.recorded": ("card.text", *_REASON),
    "review.refused": _DETAIL,
    "break_glass.used": _REASON,
    "break_glass.reviewed": _REASON,
    "break_glass.review_refused": _DETAIL,
    **{f"grant.{name}": _ENDING for name in _GRANT.split()},
    "grant.overtaken": (*_ENDING, "failure"),
    "policy.applied": _WHY,
    "roster.applied": _WHY,
    "freeze.set": _WHY,
    "freeze.lifted": ("was", *_WHY),
    "revocation.requested": ("name", *_REASON),
    "key.lost": _WHY,
    "log.rollback_accepted": _WHY,
    "text.erased": _WHY,
    "log.truncated": _WHY,
}
"""By type of record: which of its texts people or agents typed, as dotted names (at most two deep)."""


def _by_field(places: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for place in places:
        name, _, inner = place.partition(".")
        found[name] = (*found.get(name, ()), *([inner] if inner else ()))
    return found


_FIELDS = {kind: _by_field(places) for kind, places in TYPED.items()}
_NONE: Mapping[str, tuple[str, ...]] = {}


def typed_fields(kind: str) -> Mapping[str, tuple[str, ...]]:
    """Return which fields of a record's `data` hold typed texts: by field which of its own; none: it is one itself."""
    return _FIELDS.get(kind, _NONE)


def commitment(salt: bytes, text: str) -> str:
    """Return the hash (hex) that stands for a text in the log."""
    return hashlib.sha256(salt + text.encode()).hexdigest()


class Cut:
    """Take the texts of one commit out of its records: a mark for each, with its own salt.

    The same text of the same subject has one mark in a commit; in another commit it has another one.
    """

    def __init__(self, seed: bytes) -> None:
        """Take the commit's seed: random bytes."""
        self._seed = seed
        self._marks: dict[tuple[str, str], tuple[str, str]] = {}

    def mark(self, subject: str, text: str) -> tuple[str, str]:
        """Return a text's commitment, and what is kept of it outside the log. Raises ValueError without a seed."""
        found = self._marks.get((subject, text))
        if found is None:
            if len(self._seed) < SALT_BYTES:
                raise ValueError("a typed text needs a seed of 32 random bytes for its salt")
            salt = hashlib.sha256(self._seed + len(self._marks).to_bytes(4, "big")).digest()
            found = self._marks[(subject, text)] = commitment(salt, text), salt.hex() + text
        return found


def text_of(held: str) -> str:
    """Return the text of what is kept outside the log."""
    return held[2 * SALT_BYTES :]


def restore(value: Any, texts: Mapping[str, str]) -> Any:
    """Return a parsed record, or part of one, with its texts put back; an erased one becomes a block per character.

    Records of version 1 hold no marks, and come back as they are.
    """
    if isinstance(value, dict):
        if MARK in value:
            held = texts.get(value[MARK])
            return ERASED * value["chars"] if held is None else text_of(held)
        return {name: restore(item, texts) for name, item in value.items()}
    return [restore(item, texts) for item in value] if isinstance(value, list) else value


def marks_in(value: Any) -> list[str]:
    """Return the commitments that a parsed record, or part of one, holds."""
    if isinstance(value, dict):
        if MARK in value:
            return [value[MARK]]
        return [mark for item in value.values() for mark in marks_in(item)]
    return [mark for item in value for mark in marks_in(item)] if isinstance(value, list) else []
