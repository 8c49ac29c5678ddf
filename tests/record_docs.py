"""Write `docs/records.schema.json` and `docs/records.md` from the schema of records: `python -m tests.record_docs`.

A test says when they are old. What the fields of the large models mean, which records hold whole, stands in
`tests/record_words.py`.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from approvers.records import TYPES, Envelope
from approvers.records_parts import VERSIONS, Mark, RecordType
from tests.record_words import INTRO, MEANINGS, OUTRO

DOCS = Path(__file__).parents[1] / "docs"
SCHEMA, TABLES = DOCS / "records.schema.json", DOCS / "records.md"
TEMPLATE = "#/$defs/{model}"
MOMENT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$"
Schema = dict[str, Any]


def schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of one record, as parsed from its body."""
    models = [Envelope, Mark, *dict.fromkeys(kind.data for kind in TYPES.values())]
    _, made = models_json_schema([(model, "validation") for model in models], ref_template=TEMPLATE)
    defs: Schema = {name: _plain(one) for name, one in made["$defs"].items()}
    for kind in TYPES.values():
        for text in kind.texts:
            _may_be_marked(defs, kind.data.__name__, text.split("."))
    envelope = defs.pop("Envelope")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A record of Countersign's audit log",
        **{key: value for key, value in envelope.items() if key not in ("title", "description")},
        "allOf": [_of_type(name, kind) for name, kind in TYPES.items()],
        "$defs": dict(sorted(defs.items())),
    } | {"properties": envelope["properties"] | {"type": {"enum": list(TYPES)}}}


def _of_type(name: str, kind: RecordType) -> Schema:
    data: Schema = {"$ref": TEMPLATE.format(model=kind.data.__name__)}
    if kind.needs:
        data = {"allOf": [data], "required": list(kind.needs)}
    then: Schema = {"data": data, "subject": {"const": "sys"} if kind.subject == "sys" else {"pattern": "^req_"}}
    if kind.since > 1:
        then["v"] = {"minimum": kind.since}
    found: Schema = {"if": {"properties": {"type": {"const": name}}}, "then": {"properties": then}}
    late: list[Schema] = [{"required": list(kind.lately)}] if kind.lately else []
    marked: Schema = {"anyOf": [{"$ref": TEMPLATE.format(model="Mark")}, {"enum": ["", None]}]}
    late += [_at(path.split("."), marked) for path in kind.texts]
    early = [_at(path.split("."), {"not": {"type": "object"}}) for path in kind.texts]
    if late or early:
        newest = {"properties": {"v": {"minimum": VERSIONS[-1]}}}
        sides = {"then": late, "else": early}
        found["then"]["allOf"] = [
            {"if": newest} | {side: {"properties": {"data": {"allOf": some}}} for side, some in sides.items() if some}
        ]
    return found


def _at(path: list[str], inner: Schema) -> Schema:
    """Return what an object has to fulfil so that what stands at the path fulfils `inner`, if it is there."""
    for name in reversed(path):
        inner = {"properties": {name: inner}}
    return inner


def _plain(one: Any) -> Any:
    """Drop what says nothing: titles made from names, and the default of what may be left out."""
    if isinstance(one, dict):
        one = one | {"pattern": MOMENT} if one.get("format") == "date-time" else one
        return {key: _plain(value) for key, value in one.items() if not (key in ("title", "default") and _noise(value))}
    return [_plain(value) for value in one] if isinstance(one, list) else one


def _noise(value: Any) -> bool:
    return value is None or isinstance(value, str | bool | int) or value == []


def _may_be_marked(defs: Schema, model: str, path: list[str]) -> None:
    """Let a mark stand where a typed text stands."""
    name, *rest = path
    field: Schema = defs[model]["properties"][name]
    if rest:
        for inner in _references(field):
            _may_be_marked(defs, inner, rest) if rest[0] in defs[inner]["properties"] else None
        return
    mark = {"$ref": TEMPLATE.format(model="Mark")}
    options = field.get("anyOf", [{key: value for key, value in field.items() if key != "description"}])
    if mark not in options:
        words = {"description": field["description"]} if "description" in field else {}
        defs[model]["properties"][name] = {"anyOf": [*options, mark], **words}


def _references(field: Schema) -> Iterator[str]:
    for option in (field, *field.get("anyOf", ()), *field.get("oneOf", ())):
        if "$ref" in option:
            yield option["$ref"].rpartition("/")[2]


def pages() -> str:
    """Return the page of tables."""
    return "\n".join(
        [INTRO, *_table_of_all(), *_fields("The frame of each record", Envelope), *_types(), *_models(), OUTRO]
    )


def _table_of_all() -> Iterator[str]:
    yield from ("## All types", "", "| type | chain | written | by |", "|---|---|---|---|")
    for name, kind in TYPES.items():
        yield f"| [`{name}`](#{name.replace('.', '')}) | {kind.subject} | {kind.says} | {kind.by} |"
    yield ""


def _types() -> Iterator[str]:
    yield from ("## The data of each type", "")
    for name, kind in TYPES.items():
        yield from (f"### {name}", "")
        if _users(kind.data) > 1:
            yield f"Its data is a {_spelled(kind.data)}{_always(kind.needs)}{_later(kind.lately)}."
        else:
            base = kind.data.__mro__[1]
            inherited: Mapping[str, Any] = base.model_fields if _users(base) > 1 else {}
            yield from ((kind.data.__doc__ or "").strip(), "")
            if inherited:
                yield from (f"Beside the fields of a {_spelled(base)}{_always(kind.needs)}:", "")
            yield from ("| field | is | means |", "|---|---|---|")
            own = {field: one for field, one in kind.data.model_fields.items() if field not in inherited}
            yield from (_row(kind, field, one) for field, one in own.items())
        if kind.texts:
            yield from ("", f"Typed texts: {', '.join(f'`{path}`' for path in kind.texts)}.")
        yield ""


def _row(kind: RecordType, field: str, one: Any) -> str:
    when = " From version 2 on always." if field in kind.lately else " Not always there."
    if one.is_required() or field in kind.needs:
        when = ""
    return f"| `{one.alias or field}` | {_spelled(one.annotation)} | {_sentence(one.description)}{when} |"


def _always(fields: Sequence[str]) -> str:
    return f", always with {', '.join(f'`{field}`' for field in fields)}" if fields else ""


def _later(fields: Sequence[str]) -> str:
    return f"; from version 2 on with {', '.join(f'`{field}`' for field in fields)}" if fields else ""


def _users(model: type) -> int:
    return sum(kind.data is model for kind in TYPES.values())


def _models() -> Iterator[str]:
    yield from ("## What types share", "")
    for model in _shared():
        yield from _fields(model.__name__, model)


def _shared() -> list[type[BaseModel]]:
    """Return every model that a type's data holds, in the order in which one comes upon them."""
    found: dict[type[BaseModel], None] = {kind.data: None for kind in TYPES.values() if _users(kind.data) > 1}
    waiting: list[Any] = [one.annotation for kind in TYPES.values() for one in kind.data.model_fields.values()]
    waiting += [one.annotation for one in Envelope.model_fields.values()] + [Mark]
    while waiting:
        for model in _models_in(waiting.pop(0)):
            if model not in found:
                found[model] = None
                waiting += [one.annotation for one in model.model_fields.values()]
    return list(found)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        if not isinstance(inner, str):
            yield from _models_in(inner)


def _fields(title: str, model: type[BaseModel]) -> Iterator[str]:
    yield from (f"### {title}", "", (model.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " "), "")
    yield from ("| field | is | means |", "|---|---|---|")
    for name, one in model.model_fields.items():
        words = one.description or meaning(model, name)
        yield f"| `{one.alias or name}` | {_spelled(one.annotation)} | {_sentence(words)} |"
    yield ""


def meaning(model: type[BaseModel], field: str) -> str | None:
    """Return what a field of one of the large models means."""
    for one in model.__mro__:
        if (found := MEANINGS.get(one.__name__, {}).get(field)) is not None:
            return found
    return None


def _sentence(text: str | None) -> str:
    text = (text or "").replace("|", "\\|")
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _spelled(annotation: Any) -> str:
    """Say what a value is, in words."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _spelled(args[0])
    if origin is typing.Literal:
        return " or ".join("empty" if one == "" else f"`{one}`" for one in args)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_spelled(one) for one in args))
    if origin is tuple:
        inner = args[:1] if args[-1] is Ellipsis else args
        return f"list of {_spelled(inner[0])}" if len(inner) == 1 else f"[{', '.join(_spelled(one) for one in inner)}]"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"by {_spelled(args[0])}: {_spelled(args[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{one.value}`" for one in annotation)
    return _NAMES.get(annotation, "value")


_NAMES = {datetime: "text", str: "text", int: "number", bool: "yes or no", type(None): "null"}


def main() -> None:
    """Write both."""
    SCHEMA.write_text(json.dumps(schema(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    TABLES.write_text(pages(), encoding="utf-8")
    print(SCHEMA, TABLES)


if __name__ == "__main__":
    main()
