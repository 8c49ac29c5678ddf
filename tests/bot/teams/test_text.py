"""What a card says is read by Teams as Markdown, HTML and dates; of what was typed nothing is left for it to find."""

import pytest
from hypothesis import example, given

from approvers.card_text import visible
from bot.surfaces.teams_text import clock, escape, label, marked, paragraphs, plain, words
from tests.bot.slack.typed import hostile
from tests.bot.teams.gallery import NASTY
from tests.bot.teams.schema import LIVE, UNDONE
from tests.worlds.samples import NOW


def read(text: str) -> str:
    """Return what a Markdown reader shows of an escaped text."""
    return UNDONE.sub(r"\1", text).replace("\u00a0", " ")


@given(hostile)
@example(NASTY)
@example("\\*a\\* \\\\[b](c)")
@example("a    b\\")
def test_nothing_in_a_line_is_markup_and_it_reads_as_it_was_typed(text: str):
    shown = escape(text)
    assert not LIVE.search(UNDONE.sub("", shown).replace("\n", ""))
    assert read(shown) == visible(text, len(text)).replace("\n", " ⏎ ")


@given(hostile)
def test_a_plain_line_is_one_line_visible_and_short(text: str):
    shown = plain(text, 40)
    assert len(read(shown)) <= 40
    assert all(char == "\u00a0" or char.isprintable() for char in shown)


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("report-bot reads 2026/*", r"report\-bot reads 2026/\*"),
        ("10:00 UTC, 15 min", "10:00 UTC, 15 min"),
        ("https://evil.example", r"https\://evil\.example"),
        ("{{DATE(2026-11-20T10:00:00Z)}}", r"\{\{DATE\(2026\-11\-20T10:00:00Z\)\}\}"),
        ("a  b   c", "a\u00a0 b\u00a0\u00a0 c"),
        ("    code", "\u00a0\u00a0\u00a0 code"),
        ("a\nb", "a ⏎ b"),
        ("a\u202eb", r"a⟨U\+202E⟩b"),
        ("", ""),
    ],
)
def test_marks_are_behind_a_backslash(typed: str, shown: str):
    assert plain(typed) == shown


def test_what_is_cut_ends_in_an_ellipsis_and_never_in_half_an_escape():
    assert plain("*" * 400, 3) == r"\*\*…"


def test_lines_are_elements_and_an_empty_one_is_a_gap():
    made = paragraphs("one\n\n  two\nthree", fontType="Monospace")
    assert [(one["text"], one["spacing"]) for one in made] == [
        ("one", "Small"),
        ("\u00a0 two", "Small"),
        ("three", "None"),
    ]
    assert {one["fontType"] for one in made} == {"Monospace"}
    assert paragraphs("") == [words("")] == [marked(" ")]


def test_labels_hold_no_date():
    assert label("{{DATE(x)}} *a*", 75) == "｛｛DATE(x)}} *a*"
    assert label("", 75) == " "


def test_a_time_is_the_readers_own_with_utc_beside_it():
    assert clock(NOW) == r"{{TIME(2026-11-20T10:00:00Z)}} \(10:00 UTC\)"
