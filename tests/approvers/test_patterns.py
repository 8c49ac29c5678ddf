"""Patterns: what they hold, and what an ask with wildcards of its own has in common with them."""

from __future__ import annotations

import re
import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers.patterns import MANY_WILDCARDS, Patterns, matches, overlap

WORDS = ["".join(word) for length in range(5) for word in product("ab", repeat=length)]


def _held(pattern: str, wild: str = "*") -> set[str]:
    """Every word up to four letters that a pattern holds, by the obvious regular expression."""
    source = "".join({"*": ".*", "?": "."}.get(char, char) if char in wild else re.escape(char) for char in pattern)
    return {word for word in WORDS if re.fullmatch(source, word)}


@given(st.text("ab*", max_size=4), st.sampled_from(WORDS))
def test_a_pattern_holds_what_the_obvious_expression_holds(pattern, word):
    assert matches(pattern, word) is (word in _held(pattern))
    assert Patterns([pattern]).covers(word) is (word in _held(pattern))


@given(st.text("ab*", max_size=4), st.text("ab*?", max_size=4))
def test_overlap_is_a_common_word(pattern, asked):
    # Only words of up to four letters are listed; where more could be needed, a missing one says nothing.
    common = _held(pattern) & _held(asked, "*?")
    if common:
        assert overlap(pattern, asked)
    elif len(pattern.replace("*", "")) + len(asked.replace("*", "")) <= 4:
        assert not overlap(pattern, asked)


@given(st.text("ab*", max_size=4), st.text("ab*", max_size=4))
def test_what_is_covered_is_wholly_inside(pattern, asked):
    if Patterns([pattern]).covers(asked):
        assert _held(asked) <= _held(pattern)


@pytest.mark.parametrize(
    ("pattern", "asked", "covers", "touches"),
    [
        ("arn:aws:s3:::exports/*", "arn:aws:s3:::exports/2026/a.csv", True, True),
        ("arn:aws:s3:::exports/*", "arn:aws:s3:::exports/2026/*", True, True),
        ("arn:aws:s3:::exports/2026/*", "arn:aws:s3:::exports/*", False, True),
        ("arn:aws:s3:::exports/2026/*", "arn:aws:s3:::*/2026/secret", False, True),
        ("arn:aws:s3:::exports/2026/*", "arn:aws:s3:::exp?rts/2026/a", False, True),
        ("arn:aws:s3:::exports/2026/*", "arn:aws:s3:::other/*", False, False),
        ("arn:aws:s3:::exports/2026/a", "*", False, True),
        ("s3:*", "s3:GetObject", True, True),
        ("s3:*", "s3", False, False),
        ("*:Delete*", "s3:DeleteObject", True, True),
        ("a*a", "a", False, False),
    ],
)
def test_covering_and_touching(pattern, asked, covers, touches):
    assert Patterns([pattern]).covers(asked) is covers
    assert Patterns([pattern]).touches(asked) is touches


def test_an_ask_of_nothing_but_wildcards_touches_everything_and_costs_no_time():
    asked = "?*" * 1000
    before = time.process_time()
    assert Patterns(["arn:aws:s3:::exports/2026/" + "*:x" * 20]).touches(asked)
    assert time.process_time() - before < 0.5
    assert asked.count("?") > MANY_WILDCARDS


def test_hostile_text_costs_no_time():
    before = time.process_time()
    assert not Patterns(["*:*:*:*:*:*:*:*:x"]).covers(":" * 2048)
    assert not overlap("*:*:*:*:*:*:*:*:x", ":" * 2000 + "*y")
    assert time.process_time() - before < 0.5
