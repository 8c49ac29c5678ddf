"""Read bytes that RFC 8785 writes, and refuse all others: one value has one text, so no byte can change unseen.

Only whole numbers, texts, true, false, null, lists and objects are read. These the standard library's writer, which is
C, writes in the bytes of RFC 8785, as long as names sort alike by code point and by UTF-16: up to U+FFFF they do. So it
may say yes to what holds nothing beyond; all else is up to rfc8785, which takes several times as long.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import rfc8785

LARGEST = 2**53 - 1
"""Whole numbers beyond this are read differently by different programs."""
DEEPEST = 64
"""How deep lists and objects may lie in each other; no record comes near that. What walks them has no limit itself."""
_FAR = re.compile(rb"[\xf0-\xf4]")
_write = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


class OtherForm(ValueError):
    """The value is one, but these are not the bytes in which RFC 8785 writes it."""


def read(raw: bytes) -> Any:
    """Return the value. Raises ValueError (OtherForm: only its bytes are wrong) or RecursionError."""
    value = _decode(raw.decode())
    if not (_near(raw) and _write(value).encode() == raw) and rfc8785.dumps(value) != raw:
        raise OtherForm("its bytes are not those in which RFC 8785 writes it")
    if raw.count(b"[") + raw.count(b"{") > DEEPEST:
        _check_depth(value)
    return value


def write(value: Any) -> bytes:
    """Return the bytes of what `read` returned, or of a part of it."""
    raw = _write(value).encode()
    return raw if _near(raw) else rfc8785.dumps(value)


def _near(raw: bytes) -> bool:
    """Tell whether text in UTF-8 holds nothing beyond U+FFFF."""
    return raw.isascii() or _FAR.search(raw) is None


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"lists and objects lie in each other deeper than {DEEPEST}")
        level = [part for one in level for part in (one.values() if isinstance(one, dict) else one)]


def _whole(text: str) -> int:
    number = int(text)
    if not -LARGEST <= number <= LARGEST:
        raise ValueError(f"{text[:20]} is too long a number")
    return number


def _no_fraction(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is no whole number")


_decode = json.JSONDecoder(parse_int=_whole, parse_float=_no_fraction, parse_constant=_no_fraction).decode
