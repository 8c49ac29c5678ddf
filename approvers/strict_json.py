"""Read JSON so that one text has one meaning: what a lax reader would silently choose is refused.

Refused: bytes that are not UTF-8, duplicate keys, NaN and infinities (`1e400` too), integers of 2^53 and more, lone
surrogates, nesting over 32 levels. Each raises `Malformed` with words that say what to change.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from approvers.audit import MAX_INT
from approvers.errors import Malformed

MAX_DEPTH = 32
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(r"[\[{\]}]")


def load(body: bytes) -> Any:
    """Return the value that the bytes spell. Raises Malformed."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8 (byte {error.start})") from error
    _check_depth(text)
    try:
        value = _DECODER.decode(text)
        if "\\u" in text:  # only an escape can smuggle in a lone surrogate; decoded UTF-8 holds none
            _check_surrogates(value)
    except json.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error.msg} at character {error.pos}") from error
    return value


def _check_depth(text: str) -> None:
    """Count brackets outside strings before any recursive parser sees them."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKETS.finditer(_STRINGS.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_DEPTH:
            raise Malformed(f"the body is nested deeper than {MAX_DEPTH} levels")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Malformed(f"the key {key!r} stands twice in one object", field=key)
            seen.add(key)
    return found


def _constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) >= MAX_INT:
        raise Malformed(f"the integer {digits[:20]} is too large to be exact; send it as text")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise Malformed(f"the number {digits[:20]} is too large")
    return number


def _check_surrogates(value: Any) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Malformed("a text holds a lone surrogate (\\ud800 to \\udfff without its pair)") from error
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_surrogates(key)
            _check_surrogates(item)
    elif isinstance(value, list):
        for item in value:
            _check_surrogates(item)


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_integer, parse_float=_number)
