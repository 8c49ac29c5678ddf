"""Turn what happened into records: canonical bytes, one hash chain per subject.

A subject is a request (`req_…`; its grant's records are in the same chain) or `sys` (policy, configuration, keys,
sign-ins, refusals). `n` counts up from 1 and `prev` is the SHA-256 of the subject's last body, so that one story can be
handed over and checked alone. Bodies are stored and verified as bytes, never serialised again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, PlainSerializer

from approvers.times import stamp

SYSTEM = "sys"
MAX_INT = 2**53
_quoted = json.encoder.encode_basestring  # what the encoder below does with text
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


class NotCanonical(ValueError):
    """The value is outside the closed domain in which our bytes equal RFC 8785's."""


@dataclass(frozen=True)
class By:
    """Say who did it: the person or caller (None: Countersign itself), and the identity that proved it."""

    person: str | None
    iss: str
    sub: str


def _in_order(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return dict(sorted(mapping.items()))


Sorted = PlainSerializer(_in_order)
"""Annotates a mapping with ASCII keys in a `Recorded` model."""


class Recorded(BaseModel):
    """Be held whole by audit records. Fields stand in alphabetical order: so pydantic itself writes canonical bytes.

    Fields hold what `canonical` takes (text, whole numbers below 2^53, bool, None, tuples), models of this kind, or
    mappings annotated with `Sorted`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Stop the import of a model whose bytes would not be canonical."""
        super().__pydantic_init_subclass__(**kwargs)
        if list(cls.model_fields) != sorted(cls.model_fields):
            raise TypeError(f"declare the fields of {cls.__name__} in alphabetical order")


@dataclass(frozen=True)
class Draft:
    """Hold what a record will say, before its place in the chain is known. Values of `data` may be `Recorded`."""

    subject: str
    type: str
    by: By
    via: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Head:
    """Name the end of a chain: the number of its last record and the SHA-256 (hex) of that record's bytes."""

    n: int = 0
    prev: str = ""


@dataclass(frozen=True)
class Entry:
    """Hold one finished record: where it belongs, and the exact bytes to store."""

    subject: str
    n: int
    body: bytes


def canonical(value: object) -> bytes:
    """Return the RFC 8785 bytes of a value of str, int, bool, None, list and dict with ASCII keys.

    Raises:
        NotCanonical: a float, a long integer, a lone surrogate, a non-ASCII key or another type.
    """
    return _bytes(_text(value))


def canonical_fields(fields: Mapping[str, object]) -> bytes:
    """Return the canonical bytes of an object of ASCII keys, whose values may be `Recorded`. Raises NotCanonical."""
    return _bytes(_object(fields))


def head_of(body: bytes, n: int) -> Head:
    """Return the head of a chain whose last record, number `n`, has these bytes."""
    return Head(n, hashlib.sha256(body).hexdigest())


def link(drafts: Iterable[Draft], at: datetime, heads: Mapping[str, Head]) -> list[Entry]:
    """Give each draft its place: number, link to the record before it, time. A subject without head begins one."""
    ends: dict[str, Entry] = {}
    entries = []
    for draft in drafts:
        last = ends.get(draft.subject)
        head = head_of(last.body, last.n) if last else heads.get(draft.subject, Head())
        ends[draft.subject] = entry = Entry(draft.subject, head.n + 1, _body(draft, at, head))
        entries.append(entry)
    return entries


def check_chain(subject: str, bodies: Sequence[bytes]) -> None:
    """Raise ValueError, naming the first bad record, unless these stored bodies are one whole chain."""
    head = Head()
    for n, body in enumerate(bodies, 1):
        record = json.loads(body)
        if (record["subject"], record["n"], record["prev"]) != (subject, n, head.prev):
            raise ValueError(f"record {n} of {subject} does not continue the chain")
        if canonical(record) != body:
            raise ValueError(f"record {n} of {subject} is not in canonical form")
        head = head_of(body, n)


def _body(draft: Draft, at: datetime, head: Head) -> bytes:
    """Write one record: the keys are spelled out in their order, so that models can write themselves."""
    by = f'{{"iss":{_text(draft.by.iss)},"person":{_text(draft.by.person)},"sub":{_text(draft.by.sub)}}}'
    record = (
        f'{{"at":"{stamp(at)}","by":{by},"data":{_object(draft.data)},"n":{head.n + 1},"prev":"{head.prev}",'
        f'"subject":{_text(draft.subject)},"type":{_text(draft.type)},"v":1,"via":{_text(draft.via)}}}'
    )
    return _bytes(record)


def _object(fields: Mapping[str, object]) -> str:
    pairs = [f"{_text(name)}:{_text(value)}" for name, value in sorted(fields.items())]
    return f"{{{','.join(pairs)}}}"


def _text(value: object) -> str:
    if type(value) is str:
        return _quoted(value)
    if value is None:
        return "null"
    if isinstance(value, Recorded):
        return value.model_dump_json()
    _check(value)
    return str(value) if type(value) is int else _encode(value)


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise NotCanonical("text holds a lone surrogate") from error


def _check(value: object) -> None:
    """Walk the value, by exact type: every record of every commit is walked. Surrogates show when it is encoded."""
    kind = type(value)
    if kind is dict:
        _check_object(value)  # type: ignore[arg-type]
    elif kind is list or kind is tuple:
        for item in value:  # type: ignore[attr-defined]
            _check(item)
    elif kind is int:
        if abs(value) >= MAX_INT:  # type: ignore[arg-type]
            raise NotCanonical(f"the integer {value} is not below 2^53; write it as text")
    elif value is not None and kind is not bool and not isinstance(value, str):
        raise NotCanonical(f"{kind.__name__} has no canonical form here")


def _check_object(value: dict[object, object]) -> None:
    for key, item in value.items():
        if type(key) is not str or not key.isascii():
            raise NotCanonical(f"the key {key!r} is not ASCII text")
        if type(item) is not str:
            _check(item)
