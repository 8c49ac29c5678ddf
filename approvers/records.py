"""Say what audit records hold: the schema of every type, in every version that was ever written. Pure.

A record is checked as it was parsed from its stored body. Types and fields are only ever added; what an older version
wrote stays readable for ever. `docs/records.md` and `docs/records.schema.json` are made from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from approvers import records_grant, records_log, records_request, records_sys
from approvers.records_parts import VERSIONS, Mark, Part, RecordType, Sha256, When, told
from approvers.texts import MARK, TYPED

__all__ = ["TYPES", "Envelope", "NotASchema", "RecordType", "check", "marks"]

_ALL = {**records_request.TYPES, **records_grant.TYPES, **records_sys.TYPES, **records_log.TYPES}
TYPES: Mapping[str, RecordType] = {name: replace(kind, texts=TYPED.get(name, ())) for name, kind in _ALL.items()}
"""Every type of record, in the order in which people read of them."""


class NotASchema(ValueError):
    """The record is of no known type, or does not hold what records of its type hold; the text names what and where."""


class By(Part):
    """Say who did it, and what proved them."""

    iss: str = told(
        "what proved it: `api-key`, an issuer's URL, `slack`, `teams`, `console`, `link`, `operator`, `countersign`"
    )
    person: str | None = told("the person or caller; null where it was Countersign itself, or nobody known")
    sub: str = told("the key, account, session, link or part of Countersign")


class Envelope(Part):
    """Hold one record."""

    at: When = told("the store's time of the commit")
    by: By = told("who did it, by what proof of identity")
    data: dict[str, Any] = told("what happened, by the type")
    n: int = Field(ge=1, description="the record's number in the chain of its subject, from 1")
    prev: Sha256 | Literal[""] = told("SHA-256 of the body before it in that chain; empty in the first")
    subject: str = Field(pattern=r"^(sys|req_[0-9A-HJKMNP-TV-Z]{26})$", description="the request, or `sys`")
    type: str = told("what kind of thing happened")
    v: int = Field(ge=1, le=2, description="the form: in 1 typed texts stand in the record, in 2 marks stand for them")
    via: str = told("where: `api`, `slack`, `teams`, `console`, `command`, or the part of Countersign")


def check(record: Mapping[str, Any]) -> None:
    """Hold a parsed record against the schema of its type. Raises NotASchema."""
    name = record.get("type")
    kind = TYPES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise NotASchema(f"there is no record type {name!r} (approvers/records.py has all)")
    try:
        _check_envelope(record, kind)
        data = _without_marks(record["data"], record["v"], kind)
        kind.data.model_validate_json(_json(data), strict=True)
    except ValidationError as error:
        raise NotASchema(f"{name}: {_what(error, record, kind)}") from None
    except NotASchema as error:
        raise NotASchema(f"{name}: {error}") from None


def marks(data: Any, at: str = "") -> Iterator[str]:
    """Yield where in `data` a mark stands for a typed text, as dotted names."""
    if isinstance(data, dict):
        if MARK in data:
            yield at
            return
        for name, value in data.items():
            yield from marks(value, f"{at}.{name}" if at else name)
    elif isinstance(data, list):
        for value in data:
            yield from marks(value, f"{at}[]")


def _check_envelope(record: Mapping[str, Any], kind: RecordType) -> None:
    Envelope.model_validate_json(_json({**record, "data": {}}), strict=True)
    data, version = record.get("data"), record["v"]
    if not isinstance(data, dict):
        raise NotASchema("data: is no object")
    if version < kind.since:
        raise NotASchema(f"v: this type is there since version {kind.since}")
    if (record["subject"] == "sys") != (kind.subject == "sys"):
        raise NotASchema(f"subject: belongs to {'`sys`' if kind.subject == 'sys' else 'a request'}")
    for needed in (*kind.needs, *(kind.lately if version >= VERSIONS[-1] else ())):
        if needed not in data:
            raise NotASchema(f"{needed}: is missing")


def _without_marks(data: Mapping[str, Any], version: int, kind: RecordType) -> dict[str, Any]:
    """Return the data with an empty text for each mark that stands where typed texts are; it is checked itself."""
    plain = dict(data)
    for place in kind.texts:
        name, _, inner = place.partition(".")
        holder = plain
        if inner:
            if not isinstance(plain.get(name), dict):
                continue
            holder = plain[name] = dict(plain[name])
        value = holder.get(inner or name)
        if isinstance(value, dict) and MARK in value:
            if version < VERSIONS[-1]:
                raise NotASchema(f"{place}: version {version} holds texts as they were typed")
            Mark.model_validate_json(_json(value), strict=True)
            holder[inner or name] = ""
        elif version >= VERSIONS[-1] and isinstance(value, str) and value:
            raise NotASchema(f"{place}: a typed text stands in the record; version {version} holds its mark")
    return plain


def _json(value: Mapping[str, Any]) -> bytes:
    try:
        return to_json(value)
    except PydanticSerializationError as error:
        raise NotASchema("holds what no text in UTF-8 holds") from error


def _what(error: ValidationError, record: Mapping[str, Any], kind: RecordType) -> str:
    for place in marks(record.get("data")):
        if place not in kind.texts:
            return f"{place}: is no typed text, so no mark can stand for it"
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
