"""Read our TOML files strictly, and report every mistake with its place and its remedy.

Three answers are kept apart: "there is no such key" (with the nearest one that exists), "this key has a wrong value",
and "this is known, but not built yet".
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, ClassVar, Literal, NoReturn, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from approvers.errors import CountersignError

M = TypeVar("M", bound=BaseModel)
ROOT = "the file"
REMEDIES = {
    "string_type": 'write text in quotes, such as "sre"',
    "int_type": "write a whole number without quotes",
    "bool_type": "write true or false without quotes",
    "tuple_type": 'write a list, such as ["sre"]',
    "list_type": 'write a list, such as ["sre"]',
    "dict_type": "write a table: [section.NAME], or NAME = { … }",
    "model_type": "write a table: [section.NAME], or NAME = { … }",
    "model_attributes_type": "write a table: [section.NAME], or NAME = { … }",
    "date_type": "write a date without quotes, such as 2027-05-31",
    "too_short": "name at least one",
    "greater_than_equal": "write a larger number",
    "less_than_equal": "write a smaller number",
}


Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Fault:
    """Hold one mistake: the dotted place in the file, what is wrong there, and what to write instead.

    A warning stands in nobody's way: the file can be used, but probably does not say what was meant.
    """

    place: str
    detail: str
    remedy: str
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.place}: {self.detail}; {self.remedy}"


class ConfigError(CountersignError):
    """The file cannot be used; `faults` lists every mistake that was found, in the order of the file's sections."""

    code = "bad_config"

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Keep the mistakes, and join them into one readable text."""
        self.faults: list[Fault] = list(faults)
        count = "1 mistake" if len(self.faults) == 1 else f"{len(self.faults)} mistakes"
        super().__init__("\n".join([count, *(f"- {fault}" for fault in self.faults)]))


class Strict(BaseModel):
    """Take exactly the declared keys and types. `LATER` names keys whose feature is not built yet, and the feature."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=False)
    LATER: ClassVar[Mapping[str, str]] = {}


def read(text: str, model: type[M], *, named: Iterable[str] = ()) -> M:
    """Parse TOML into the model. Raises ConfigError with every mistake, or with the line that is no TOML.

    `named` lists the sections whose entries carry their key as `name`; it is put in here, and nobody writes it inside.
    """
    raw = load(text)
    faults = _give_names(raw, named)
    try:
        result = model.model_validate(raw)
    except ValidationError as error:
        raise ConfigError([*faults, *_faults(error, model)]) from error
    if faults:
        raise ConfigError(faults)
    return result


def load(text: str) -> dict[str, Any]:
    """Parse TOML. Raises ConfigError naming line and column."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        words, _, where = str(error).partition(" (at ")
        place = where.removesuffix(")")
        if not place.startswith("line"):  # the end of the document
            place = f"line {text.count(chr(10)) + 1}, column {len(text) - text.rfind(chr(10))}"
        raise ConfigError(
            [Fault(place, f"not TOML: {words}", "correct it; lists and tables close, text is quoted")]
        ) from error
    except RecursionError as error:
        raise ConfigError([Fault(ROOT, "not TOML: nested too deeply", "flatten it")]) from error


def reject(detail: str, remedy: str) -> NoReturn:
    """Refuse a value from within a pydantic validator, keeping remedy and detail apart."""
    raise PydanticCustomError("fault", "{detail}", {"detail": detail, "remedy": remedy})


def nearest(word: str, known: Iterable[str], *, otherwise: str = "remove it") -> str:
    """Return the remedy for an unknown word: the nearest known one, else all of them if they are few."""
    names = list(dict.fromkeys(known))
    if longer := [name for name in names if len(name) >= 3 and word.startswith(name)]:
        return f"did you mean {longer[0]!r}?"  # production → prod
    if close := difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6):
        return f"did you mean {close[0]!r}?"
    if names and len(names) <= 12:
        return f"use one of: {', '.join(names)}"
    return otherwise


def _give_names(raw: dict[str, Any], sections: Iterable[str]) -> list[Fault]:
    faults = []
    for section in sections:
        entries = raw.get(section)
        for key, entry in entries.items() if isinstance(entries, dict) else ():
            if isinstance(entry, dict):
                if "name" in entry:
                    faults.append(
                        Fault(f"{section}.{key}.name", "there is no such key", f"remove it: the name is {key!r}")
                    )
                entry["name"] = key
    return faults


def _faults(error: ValidationError, model: type[BaseModel]) -> Iterator[Fault]:
    all_found = error.errors(include_url=False)
    for found in all_found:
        inner = any(len(one["loc"]) > len(found["loc"]) == _shared(one["loc"], found["loc"]) for one in all_found)
        if not (inner and found["type"] == "too_short"):  # it is only short of the elements that are wrong themselves
            yield _fault(found, model)


def _shared(location: tuple[int | str, ...], other: tuple[int | str, ...]) -> int:
    """Return how many steps two locations share."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(location, other, strict=False))))


def _fault(found: ErrorDetails, model: type[BaseModel]) -> Fault:
    """Turn one pydantic complaint into a fault in the words of the file."""
    location, context = found["loc"], found.get("ctx", {})
    place = spell_place(location)
    match found["type"]:
        case "fault":
            return Fault(place, context["detail"], context["remedy"])
        case "extra_forbidden":
            return _unknown_key(place, str(location[-1]), _model_at(model, location[:-1]))
        case "missing":
            return Fault(place, "is missing", "add it")
        case "too_short":
            return Fault(place, "is empty", REMEDIES["too_short"])
        case "literal_error":
            allowed = re.findall(r"'([^']*)'|(\d+|True)", context["expected"])
            known = [quoted or bare.lower() for quoted, bare in allowed]
            given = str(found["input"]).lower() if isinstance(found["input"], bool) else repr(found["input"])
            return Fault(place, f"{given} is not a value here", nearest(given.strip("'"), known))
    words = found["msg"].replace("Input", "this", 1).replace("tuple", "list").replace("dictionary", "table")
    return Fault(place, words[:1].lower() + words[1:], REMEDIES.get(found["type"], "correct the value"))


def _unknown_key(place: str, key: str, parent: type[Strict] | None) -> Fault:
    if parent is None:
        return Fault(place, "there is no such key", "remove it")
    if key in parent.LATER:
        return Fault(place, f"{key} is not built yet ({parent.LATER[key]})", "remove it until it is")
    known = [field.alias or name for name, field in parent.model_fields.items() if name != "name"]
    return Fault(place, "there is no such key", nearest(key, known))


def spell_place(location: tuple[int | str, ...]) -> str:
    """Spell a location as people read it: `rule.deny-deletes.when.action[0]`."""
    place = ""
    for part in location:
        if isinstance(part, int):
            place += f"[{part}]"
        elif part != "[key]":
            place += f".{part}" if place else part
    return place or ROOT


def _model_at(model: object, location: tuple[int | str, ...]) -> type[Strict] | None:
    """Follow a location through annotations to the model that refused a key."""
    here: object = model
    for part in location:
        here = _step(here, part)
    return next((one for one in _members(here) if isinstance(one, type) and issubclass(one, Strict)), None)


def _step(annotation: object, part: int | str) -> object:
    for here in _members(annotation):
        if isinstance(here, type) and issubclass(here, BaseModel):
            for name, field in here.model_fields.items():
                if part == (field.alias or name):
                    return field.annotation
        elif get_origin(here) is dict:
            return get_args(here)[1]
        elif get_origin(here) is tuple:
            return get_args(here)[0]
    return None


def _members(annotation: object) -> Iterator[object]:
    """Yield the annotation itself, or what it unites or annotates."""
    if hasattr(annotation, "__metadata__") or type(None) in get_args(annotation):
        for member in get_args(annotation)[:2]:
            yield from _members(member)
    else:
        yield annotation
