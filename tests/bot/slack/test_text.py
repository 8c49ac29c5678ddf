"""What notifications say reads as it was typed, and nothing in it is markup, mention, link or emoji."""

import unicodedata

import pytest
from hypothesis import example, given

from bot.surfaces.slack_limits import check_sendable
from bot.surfaces.slack_text import MAX_NOTIFICATION, clamp, line, message, notification, rich, words
from tests.bot.slack.typed import MARKUP, PIECES, hostile, live_markup


def unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


@given(hostile)
@example("*a* _b_ ~c~ `d` :e: <!here> https://x @y #z")
@example("a*b *c")
@example("> quoted")
@example("**" * 40)
@example("_*_~*_`~")
def test_a_notification_has_no_markup(text: str):
    shown = notification(text)
    assert {name: found[0] for name, rule in MARKUP.items() if (found := rule.search(shown))} == {}
    assert "\n" not in shown


@given(hostile)
def test_a_notification_reads_as_the_text_does(text: str):
    one_line = " ⏎ ".join(part.strip() for part in text.split("\n"))
    shown = unescaped(notification(text)).removesuffix("…")
    assert unicodedata.normalize("NFKC", one_line).startswith(unicodedata.normalize("NFKC", shown)) or (
        len(one_line) > MAX_NOTIFICATION
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("report-bot → READ 2026/* in prod, 15 min · until 14:20 UTC",) * 2,
        ("my_bucket/my_table/a*b",) * 2,
        ("dana@example.com",) * 2,
        ("*bold* & <b>", "＊bold＊ &amp; &lt;b&gt;"),
        (":tada: :) :100: at 10:20:30", "：tada: :) ：100: at 10:20:30"),
        ("see https://x.example", "see https：//x.example"),
        ("@here in #general", "＠here in ＃general"),
        ("a\n> b", "a ⏎ &gt; b"),
        ("> b", "＞ b"),
        ("", " "),
    ],
    ids=["push line", "names", "mail", "bold", "emoji", "link", "highlight", "second line", "quote", "empty"],
)
def test_signs_change_only_where_they_would_work(text: str, shown: str):
    assert notification(text) == shown


def test_a_notification_is_short():
    assert len(notification("&" * 5_000)) == 5 * MAX_NOTIFICATION + 1


@pytest.mark.parametrize("piece", PIECES, ids=[f"piece {number}" for number in range(len(PIECES))])
def test_a_message_of_words_shows_exactly_these(piece: str):
    made = message(f"a {piece} b")
    assert made["blocks"][0]["elements"][0]["elements"][0]["text"] == f"a {piece} b"
    assert live_markup(made) == []
    check_sendable(made)


def test_a_long_message_of_words_is_whole():
    made = message("x" * 10_000)
    pieces = made["blocks"][0]["elements"][0]["elements"]
    assert "".join(piece["text"] for piece in pieces) == "x" * 10_000
    check_sendable(made)


def test_lines_become_one_section():
    block = rich([line(words("a")), line(words("b"))], "x")
    assert [element["text"] for element in block["elements"][0]["elements"]] == ["a", "\n", "b"]


def test_a_clamp_keeps_its_limit():
    assert (clamp("abc", 3), clamp("abcd", 3)) == ("abc", "ab…")
