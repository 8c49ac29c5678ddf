import json

import pytest

from approvers.audit import By, Draft, Head, link
from approvers.times import from_ms
from bot.telling import BAD, MAX_RAW, WORDS, name, tell


def body(kind: str, data: dict, *, person: str | None = None, via: str = "worker") -> bytes:
    [entry] = link(
        [Draft("req_1", kind, By(person, "console", "ses_1"), via, data)], from_ms(1_795_168_800_123), {}, None
    )
    return entry.body


def test_a_line_says_when_who_and_what() -> None:
    line = tell(body("review.recorded", {"verdict": "deny", "reason": "Not now."}, person="user:robin", via="console"))
    assert (line.n, line.clock, line.who, line.words) == (1, "10:00:00.123", "robin", "denies: Not now.")
    assert not line.bad
    assert json.loads(line.raw)["data"]["reason"] == "Not now."


@pytest.mark.parametrize(
    ("proof", "words"),
    [
        (
            {"kind": "probe_denied", "refused": 3, "asked": 3, "seconds": "1.234"},
            "3 of 3 probes, 1.234 s after",
        ),
        ({"kind": "ttl_denied", "refused": 1, "asked": 1, "seconds": "0.100"}, "refused 1 of 1 probes"),
        ({"kind": "expired"}, "expired by the provider's own clock"),
        ({"kind": "never_issued"}, "nothing was ever issued"),
    ],
)
def test_every_kind_of_proof_has_its_sentence(proof: dict, words: str) -> None:
    assert words in tell(body("grant.revoked", {"proof": proof})).words


def test_a_refusal_stands_out_and_gives_its_reason() -> None:
    line = tell(body("review.refused", {"verdict": "approve", "code": "four_eyes", "detail": "You asked yourself."}))
    assert line.bad
    assert "You asked yourself." in line.words


@pytest.mark.parametrize("kind", [*WORDS, "planet.moved", "request.thing_of_the_future"])
def test_a_record_of_another_shape_or_kind_is_told_by_its_name(kind: str) -> None:
    line = tell(body(kind, {}))
    assert line.words
    assert line.kind == kind
    assert tell(body("planet.moved", {})).words == "planet moved"


def test_bad_news_are_known_kinds() -> None:
    assert set(WORDS) >= BAD


def test_nothing_hides_in_words_or_raw() -> None:
    trick = "<script>alert(1)</script>\u202egnp.exe\u200b\x07"
    line = tell(body("review.recorded", {"verdict": "deny", "reason": trick}, person="user:robin\u202e"))
    for text in (line.words, line.raw, line.who):
        assert not {"\u202e", "\u200b", "\x07"} & set(text)
        assert "U+202E" in text or "\\u202e" in text


def test_a_huge_record_is_cut_and_says_where_all_of_it_is() -> None:
    line = tell(body("review.recorded", {"verdict": "deny", "reason": "x" * 60_000}))
    assert len(line.words) < 700
    assert len(line.raw) < MAX_RAW + 200
    assert "countersign audit show" in line.raw


def test_names_lose_the_kind_of_people_only() -> None:
    assert [name("user:dana"), name("caller:report-bot")] == ["dana", "caller:report-bot"]


def test_records_of_a_chain_keep_their_numbers() -> None:
    drafts = [Draft("req_1", "grant.claimed", By(None, "countersign", "worker"), "worker")] * 3
    entries = link(drafts, from_ms(0), {"req_1": Head()}, None)
    assert [tell(entry.body).n for entry in entries] == [1, 2, 3]
