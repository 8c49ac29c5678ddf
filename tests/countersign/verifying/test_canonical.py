"""The reader of canonical bytes takes what rfc8785 writes, and nothing else; it must not be laxer for being quicker."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from countersign.verifying import canonical

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.text(
    'ab"\\/\n\x7f\x1f é\uffff\U0001f600', max_size=6
)
PLAIN = st.none() | st.booleans() | st.integers(-canonical.LARGEST, canonical.LARGEST) | TEXT
VALUES = st.recursive(PLAIN, lambda of: st.lists(of, max_size=4) | st.dictionaries(TEXT, of, max_size=4), max_leaves=12)
ANY = st.recursive(
    PLAIN | st.floats() | st.integers(-(2**70), 2**70),
    lambda of: st.lists(of, max_size=4) | st.dictionaries(st.text(max_size=6), of, max_size=4),
    max_leaves=12,
)


def strict(raw: bytes) -> Any:
    """Read as `read` says it does, by rfc8785 alone: the value, or None for bytes that are not its own."""
    try:
        value = json.loads(raw.decode(), parse_float=refuse, parse_constant=refuse)
        return [value] if rfc8785.dumps(value) == raw else None
    except (ValueError, RecursionError):
        return None


def refuse(text: str) -> None:
    raise ValueError(text)


def taken(raw: bytes) -> Any:
    try:
        return [canonical.read(raw)]
    except (ValueError, RecursionError):
        return None


@given(VALUES)
def test_what_rfc8785_writes_is_read_and_written(value: Any) -> None:
    raw = rfc8785.dumps(value)
    assert canonical.read(raw) == value
    assert canonical.write(value) == raw


@given(ANY, st.booleans(), st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_any_json_is_taken_as_rfc8785_alone_takes_it(value: Any, ascii_: bool, sort: bool, marks: Any) -> None:
    text = json.dumps(value, ensure_ascii=ascii_, sort_keys=sort, separators=marks)
    raw = text.encode("utf-8", "surrogatepass")
    assert taken(raw) == strict(raw)


@given(VALUES, st.data())
def test_a_changed_byte_is_taken_as_rfc8785_alone_takes_it(value: Any, data: st.DataObject) -> None:
    raw = bytearray(rfc8785.dumps(value))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    assert taken(bytes(raw)) == strict(bytes(raw))


@pytest.mark.parametrize(
    "raw",
    [
        b"1.0", b"1e3", b"-0", b"01", b"NaN", b"-Infinity", b"9007199254740992", b"-9007199254740992", b"9" * 5_000,
        b'"\\u0061"', b'"\\/"', b'"\x7f\\u007f"', b'"\\ud800"', b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a": 1}', b" 1",
        b"1\n", b"[1,]", b"\xef\xbb\xbf1", '"\u00e9"'.encode("latin-1"), "1".encode("utf-16"), b'"\t"', b"\xff",
        '{"\uffff":1,"\U0001f600":2}'.encode(), b"[" * 100_000, b"",
    ],
    ids=range(27),
)  # fmt: skip
def test_what_is_refused(raw: bytes) -> None:
    assert strict(raw) is None
    with pytest.raises((ValueError, RecursionError)):
        canonical.read(raw)


def test_what_lies_too_deep_is_refused_before_anything_walks_it() -> None:
    most, many = b"[" * canonical.DEEPEST + b"]" * canonical.DEEPEST, b"[" + b",".join([b"[]"] * 200) + b"]"
    assert canonical.write(canonical.read(most)) == most
    assert len(canonical.read(many)) == 200
    for deeper in (b"[" + most + b"]", b'{"a":' + most + b"}"):
        with pytest.raises(ValueError, match="deeper than 64"):
            canonical.read(deeper)


def test_names_beyond_the_first_plane_stand_in_the_order_of_utf_16() -> None:
    raw = '{"\U0001f600":1,"\uffff":2}'.encode()
    assert canonical.read(raw) == {"\U0001f600": 1, "\uffff": 2}
    assert canonical.write({"\uffff": 2, "\U0001f600": 1}) == raw
