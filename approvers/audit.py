"""Turn what happened into records: canonical bytes, one hash chain per subject.

A subject is a request (`req_…`; its grant's records are in the same chain) or `sys` (policy, configuration, keys,
sign-ins, refusals). `n` counts up from 1 and `prev` is the SHA-256 of the subject's last body, so that one story can be
handed over and checked alone. Bodies are stored and verified as bytes, never serialised again. What people typed is
not in them: a salted hash stands for it (`approvers.texts`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, PlainSerializer

from approvers.texts import MARK, Cut, typed_fields
from approvers.times import stamp

SYSTEM = "sys"
MAX_INT = 2**53
_PLAIN = frozenset({bool, dict, int, list, str, tuple, type(None)})
_quoted = json.encoder.encode_basestring  # with the few escapes of RFC 8785


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
class Base:
    """Say where the log begins, after its first `size` records were taken out.

    `peaks` are the tree's hashes up to there, the largest first; `heads` the ends there of chains that may go on.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()
    heads: Mapping[str, Head] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """Hold one finished record: where it belongs, the exact bytes to store, and the texts to keep outside the log.

    `texts` holds by commitment the salt (hex) and the text.
    """

    subject: str
    n: int
    body: bytes
    texts: Mapping[str, str] = field(default_factory=dict)


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


def link(drafts: Iterable[Draft], at: datetime, heads: Mapping[str, Head], seed: bytes | None) -> list[Entry]:
    """Give each draft its place: number, link to the record before it, time. A subject without head begins one.

    The salts of typed texts are drawn from `seed`, 32 random bytes, which every commit has. None writes the records in
    their first form, in which the texts stand as they were typed: nobody comes to that by leaving something out.
    """
    ends: dict[str, Entry] = {}
    cut = None if seed is None else Cut(seed)
    entries = []
    for draft in drafts:
        last = ends.get(draft.subject)
        head = head_of(last.body, last.n) if last else heads.get(draft.subject, Head())
        texts: dict[str, str] = {}
        body = _body(draft, at, head, _Writer(draft, cut, texts))
        ends[draft.subject] = entry = Entry(draft.subject, head.n + 1, body, texts)
        entries.append(entry)
    return entries


def check_chain(subject: str, bodies: Sequence[bytes], head: Head = Head()) -> None:
    """Raise ValueError, naming the first bad record, unless these stored bodies are one whole chain.

    `head` is where the chain was cut off: its older records are no longer in the log.
    """
    for n, body in enumerate(bodies, head.n + 1):
        record = json.loads(body)
        if (record["subject"], record["n"], record["prev"]) != (subject, n, head.prev):
            raise ValueError(f"record {n} of {subject} does not continue the chain")
        if canonical(record) != body:
            raise ValueError(f"record {n} of {subject} is not in canonical form")
        head = head_of(body, n)


class _Writer:
    """Write the `data` of one record, with marks for its typed texts; the texts themselves go into `kept`."""

    def __init__(self, draft: Draft, cut: Cut | None, kept: dict[str, str]) -> None:
        self._draft, self._cut, self._kept = draft, cut, kept
        self.version = 1 if cut is None else 2

    def data(self) -> str:
        """Return it as canonical text."""
        typed = typed_fields(self._draft.type)
        if not typed or self._cut is None:
            return _object(self._draft.data)
        pairs = [
            f"{_text(name)}:{self._field(value, typed[name]) if name in typed else _text(value)}"
            for name, value in sorted(self._draft.data.items())
        ]
        return f"{{{','.join(pairs)}}}"

    def _field(self, value: object, inner: tuple[str, ...]) -> str:
        if inner and isinstance(value, Recorded):
            return self._model(value, inner)
        if inner and isinstance(value, dict):
            _check_names(value)
            pairs = [
                f"{_text(name)}:{self._marked(item) if name in inner else _text(item)}"
                for name, item in sorted(value.items())
            ]
            return f"{{{','.join(pairs)}}}"
        return self._marked(value)

    def _marked(self, value: object) -> str:
        """Write the mark of a text; what is empty or no text stays."""
        if self._cut is None or not isinstance(value, str) or not value:
            return _text(value)
        mark, held = self._cut.mark(self._draft.subject, value)
        self._kept[mark] = held
        return f'{{"chars":{len(value)},"{MARK}":"{mark}"}}'

    def _model(self, model: Recorded, inner: tuple[str, ...]) -> str:
        """Write a model, then put marks in place of its texts: quotes inside texts are escaped, so a name is a name."""
        written = model.model_dump_json()
        for name in inner:
            value = getattr(model, name)
            if not value:
                continue
            plain, key = f'"{name}":{_quoted(value)}', f'"{name}":'
            if written.count(key) != 1 or plain not in written:
                raise NotCanonical(f"{type(model).__name__}.{name} is not written once, so no mark can stand for it")
            written = written.replace(plain, key + self._marked(value))
        return written


def _body(draft: Draft, at: datetime, head: Head, writer: _Writer) -> bytes:
    """Write one record: the keys are spelled out in their order, so that models can write themselves."""
    by = f'{{"iss":{_text(draft.by.iss)},"person":{_text(draft.by.person)},"sub":{_text(draft.by.sub)}}}'
    record = (
        f'{{"at":"{stamp(at)}","by":{by},"data":{writer.data()},"n":{head.n + 1},"prev":"{head.prev}",'
        f'"subject":{_text(draft.subject)},"type":{_text(draft.type)},"v":{writer.version},"via":{_text(draft.via)}}}'
    )
    return _bytes(record)


def _object(fields: Mapping[str, object]) -> str:
    pairs = [f"{_text(name)}:{_text(value)}" for name, value in sorted(fields.items())]
    return f"{{{','.join(pairs)}}}"


def _text(value: object) -> str:
    if type(value) not in _PLAIN and isinstance(value, Recorded):  # asked last, for pydantic is slow to tell
        return value.model_dump_json()
    return _written(value)


def _written(value: object) -> str:
    """Write a value, by exact type: every record of every commit is. Surrogates show when it is encoded.

    Types are compared through `kind`, taken once; a type checker cannot follow that.
    """
    kind = type(value)
    if isinstance(value, str):
        return _quoted(value)
    if value is None:
        return "null"
    if kind is dict:
        return _written_object(value)  # type: ignore[arg-type]
    if kind is list or kind is tuple:
        return f"[{','.join([_written(item) for item in value])}]"  # type: ignore[attr-defined]
    if kind is bool:
        return "true" if value else "false"
    if kind is not int:
        raise NotCanonical(f"{kind.__name__} has no canonical form here")
    if abs(value) >= MAX_INT:  # type: ignore[arg-type]
        raise NotCanonical(f"the integer {value} is not below 2^53; write it as text")
    return str(value)


def _check_names(value: Mapping[Any, object]) -> None:
    for key in value:
        if type(key) is not str or not key.isascii():
            raise NotCanonical(f"the key {key!r} is not ASCII text")


def _written_object(value: dict[object, object]) -> str:
    _check_names(value)
    pairs = [f"{_quoted(name)}:{_written(value[name])}" for name in sorted(value)]  # type: ignore[type-var, arg-type]
    return f"{{{','.join(pairs)}}}"


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise NotCanonical("text holds a lone surrogate") from error
