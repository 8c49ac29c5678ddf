"""What people type on phones: ids with something around them, flags made pretty, a day and a name in any order."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands_words import (
    Misread,
    Revoke,
    first_word,
    identifier,
    nearest_word,
    parse_away,
    parse_revoke,
    sentence,
)

ULID = "01JD0000000000000000000000"


@pytest.mark.parametrize(
    ("text", "word", "rest"),
    [
        ("list", "list", ""),
        ("  LIST  ", "list", ""),
        ("", "", ""),
        ("/revoke K7QF now", "revoke", "K7QF now"),
        ("“show” K7QF", "show", "K7QF"),
        ("freeze\u00a0odd reads", "freeze", "odd reads"),
        ("freeze\nodd\nreads", "freeze", "odd\nreads"),
    ],
    ids=["plain", "spaces", "empty", "slash", "quoted", "hard-space", "lines"],
)
def test_the_first_word_is_the_command(text: str, word: str, rest: str) -> None:
    assert first_word(text) == (word, rest)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("K7QF", "K7QF"),
        ("`K7QF`, please", "K7QF"),
        ("#k7qf.", "k7qf"),
        (f"REQ_{ULID.lower()}", f"req_{ULID}"),
        (f"grt_{ULID}", f"grt_{ULID}"),
        ("", ""),
    ],
    ids=["handle", "pasted", "lower", "shouted", "grant", "none"],
)
def test_an_id_is_found_in_what_was_pasted(text: str, found: str) -> None:
    assert identifier(text) == found


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", Revoke("", False, "")),
        ("K7QF", Revoke("K7QF", False, "")),
        ("K7QF leaked key", Revoke("K7QF", False, "leaked key")),
        ("K7QF “leaked — badly”", Revoke("K7QF", False, "leaked — badly")),
        ("K7QF —leaked", Revoke("K7QF", False, "leaked")),
        ("all --dry-run", Revoke("all", True, "")),
        ("ALL –dry-run", Revoke("all", True, "")),
        ("all —dry‑run leaked", Revoke("all", True, "leaked")),
        ("--dry-run all", Revoke("all", True, "")),
        ("all dry-run", Revoke("all", True, "")),
        ("all --dryrun", Revoke("all", True, "")),
        ("role analytics leaked", Revoke("role:analytics", False, "leaked")),
        ("actor: agent:report-bot", Revoke("actor:agent:report-bot", False, "")),
        ("K7QF - leaked", Revoke("K7QF", False, "leaked")),
    ],
    ids=[
        "alone", "handle", "reason", "quoted", "dash-reason", "flag", "en-dash", "em-dash", "first", "bare", "joined",
        "two-words", "colon", "lone-dash",
    ],
)  # fmt: skip
def test_revoke_is_read(text: str, read: Revoke) -> None:
    assert parse_revoke(text) == read


@pytest.mark.parametrize("flag", ["--dry", "—dry", "--dry-rum", "--simulate", "–dryrn"])
def test_a_flag_that_there_is_not_stops_everything(flag: str) -> None:
    with pytest.raises(Misread, match="nothing was revoked"):
        parse_revoke(f"all {flag}")


@given(st.text(max_size=200))
def test_no_text_breaks_the_reading(text: str) -> None:
    for parse in (first_word, identifier, sentence, parse_revoke, parse_away):
        with contextlib.suppress(Misread):
            parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "until Mon → bob", "until Mon -> bob", "until Mon —> @bob", "until Mon to user:bob", "Mon bob", "bob until Mon",
        "@bob Mon", "to bob until Mon", "until Mon ->@Bob", "till Mon => bob", "until Mon, bob",
    ],
)  # fmt: skip
def test_away_takes_day_and_name_in_any_order(text: str) -> None:
    assert parse_away(text) == ("Mon", "bob")


@pytest.mark.parametrize("text", ["until Mon", "bob", "until Mon bob carol", "→"])
def test_away_asks_back_where_one_is_missing(text: str) -> None:
    with pytest.raises(Misread, match="until when"):
        parse_away(text)


def test_a_typo_has_a_nearest_command() -> None:
    known = ("revoke", "freeze", "unfreeze", "list", "help")
    assert [nearest_word(word, known) for word in ("revok", "rev", "unfreze", "lst", "zzz", "")] == [
        "revoke", "revoke", "unfreeze", "list", None, None,
    ]  # fmt: skip
