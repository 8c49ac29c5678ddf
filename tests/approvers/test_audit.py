"""Canonical bytes equal RFC 8785's on the whole domain; a chain shows every change to it."""

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from approvers.audit import By, Draft, Head, NotCanonical, canonical, check_chain, head_of, link
from tests.worlds.samples import NOW

text = st.text(st.characters(codec="utf-8"))
ascii_keys = st.text(st.characters(codec="ascii"))
domain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | text,
    lambda inner: st.lists(inner) | st.dictionaries(ascii_keys, inner),
    max_leaves=20,
)


@given(domain)
def test_canonical_bytes_equal_rfc_8785(value: Any):
    assert canonical(value) == rfc8785.dumps(value)


def test_every_code_point_is_spelled_as_rfc_8785_spells_it():
    everything = "".join(chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000)
    assert canonical(everything) == rfc8785.dumps(everything)


@pytest.mark.parametrize(
    "bad", [1.0, 2**53, -(2**53), "\ud800", {"ü": 1}, {1: 2}, b"", {"a": [float("nan")]}, object()]
)
def test_what_lies_outside_the_domain_is_refused(bad: Any):
    with pytest.raises(NotCanonical):
        canonical(bad)


def drafts(count: int, subject: str = "req_1") -> list[Draft]:
    return [Draft(subject, "review.recorded", By("user:dana", "api", "1"), "api", {"n": n}) for n in range(count)]


def test_records_link_and_a_later_batch_continues():
    first = link(drafts(2), NOW, {}, None)
    again = link(drafts(1), NOW, {"req_1": head_of(first[-1].body, 2)}, None)
    check_chain("req_1", [entry.body for entry in (*first, *again)])
    assert [entry.n for entry in (*first, *again)] == [1, 2, 3]


def test_subjects_do_not_mix():
    entries = link([*drafts(1), *drafts(1, "sys"), *drafts(1)], NOW, {"sys": Head(7, "ab")}, None)
    assert [(entry.subject, entry.n) for entry in entries] == [("req_1", 1), ("sys", 8), ("req_1", 2)]


@given(st.integers(2, 6), st.data())
def test_an_edited_removed_swapped_or_foreign_record_breaks_the_chain(count: int, data: st.DataObject):
    bodies = [entry.body for entry in link(drafts(count), NOW, {}, None)]
    at = data.draw(st.integers(0, count - 2))
    edited = [*bodies]
    edited[at] = edited[at].replace(b'"user:dana"', b'"user:kim!"')
    swapped = [*bodies]
    swapped[at], swapped[at + 1] = swapped[at + 1], swapped[at]
    respelled = [*bodies]
    respelled[at] = json.dumps(json.loads(bodies[at])).encode()
    for broken in (edited, swapped, respelled, bodies[:at] + bodies[at + 1 :]):
        with pytest.raises(ValueError, match="record"):
            check_chain("req_1", broken)
    with pytest.raises(ValueError, match="record 1"):
        check_chain("req_2", bodies)
    check_chain("req_1", bodies)
