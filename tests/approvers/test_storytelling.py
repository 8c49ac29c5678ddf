"""Stories are held word for word by small files; `python -m tests.approvers.test_storytelling` writes them anew."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers.audit import By
from approvers.narrowing import Narrow
from approvers.records import TYPES, check
from approvers.storytelling import GAP, WORDS, Story, Witnessed, as_text, in_short, line_of, story
from approvers.storytelling_more import MORE
from tests.approvers.story_world import Play

HERE = Path(__file__).parent / "stories"
RECEIPT = Witnessed(4_711, "9f" * 32, "2026-11-20T10:00:42.000Z")
PUT: dict[str, Any] = {
    "action": "s3:PutObject",
    "data_classes": None,
    "access": {
        "role": "analytics",
        "actions": ["s3:GetObject", "s3:PutObject"],
        "resources": ["arn:aws:s3:::customer-exports/2026/*"],
    },
}


def plain() -> Play:
    play = Play().later(seconds=40).review("robin", reason="Fine for the report.").mint().later(seconds=2).collect()
    play.later(minutes=3).end("release", "caller:report-bot")
    return play.report("Used 1 of 1 granted action: s3:GetObject 12 times. no writes were seen.", ("s3:GetObject",))


def two_people() -> Play:
    play = Play(seats={"sre": 2}, **PUT).later(minutes=7).review("robin")
    return play.later(minutes=1).review("kim", lent_by="alex", via="console").later(seconds=45).mint()


def denied() -> Play:
    return Play().later(seconds=12).review("robin", "deny", "Too broad, ask narrower. Only 2026/07.")


def expired() -> Play:
    play = Play().later(minutes=2)
    play.write(
        "request.unreached",
        By(None, "countersign", "clock"),
        "clock",
        {"since": play.records[0]["at"], "level": 1},
    )
    return play.later(minutes=28).expire(reached=False)


def broken_glass() -> Play:
    play = Play()
    play.bodies, play._head = play.bodies[:1], play._head
    play.take("Payments are down and nobody answers.").mint().collect().later(minutes=15)
    return play.end("ttl_elapsed", "system:clock").later(hours=2).found("kim", "justified", "INC-42 was real.")


def narrower() -> Play:
    smaller = Narrow(ttl_seconds=300, actions=("s3:GetObject",))
    play = Play(seats={"sre": 1}, **PUT)
    play.request = play.request.model_copy(
        update={"ruling": play.request.ruling.model_copy(update={"narrow": ("ttl", "actions")})}
    )
    return play.later(seconds=30).review("robin", narrow=smaller).mint()


def killed() -> Play:
    play = Play().later(seconds=20).review("robin").mint().collect().later(minutes=4)
    return play.kill("it got itself more rights (60)").end("kill", "system:monitoring")


def erased() -> Play:
    play = Play(undo="none needed").later(seconds=12).review("robin", "deny", "Not while Dana is away.")
    play.texts.clear()
    return play


PLAYS: dict[str, Callable[[], Play]] = {
    "plain": plain,
    "two_people": two_people,
    "denied": denied,
    "expired": expired,
    "break_glass": broken_glass,
    "narrowed": narrower,
    "killed": killed,
    "erased": erased,
}


def tell(name: str) -> Story:
    play = PLAYS[name]()
    return story(play.records, RECEIPT if name == "plain" else None, f"{len(play.bodies)} records, the chain is whole.")


def written(name: str) -> str:
    return "\n".join(as_text(tell(name))) + "\n"


@pytest.mark.parametrize("name", PLAYS)
def test_a_story_is_told_word_for_word(name: str) -> None:
    assert written(name) == (HERE / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", PLAYS)
def test_its_records_are_such_as_the_product_writes(name: str) -> None:
    for body in PLAYS[name]().bodies:
        check(json.loads(body))


def fixtures() -> list[dict[str, Any]]:
    bodies = (Path(__file__).parent / "fixtures" / "records_v1.jsonl").read_text().splitlines()
    return [json.loads(body) for body in bodies]


def test_every_kind_of_record_that_was_ever_written_has_words() -> None:
    for record in fixtures():
        line = line_of(record)
        assert line.words != line.kind.replace(".", " ").replace("_", " "), line.kind


def test_every_kind_of_record_has_words() -> None:
    assert set(TYPES) - set(WORDS) == set()


def test_every_story_has_its_file_and_no_other() -> None:
    assert {file.stem for file in HERE.glob("*.txt")} == set(PLAYS)


def test_chat_says_the_same_in_short() -> None:
    told = tell("plain")
    short = list(in_short(told, 3))
    assert short[0] == told.standing
    assert short[1] == f"… {len(told.lines) - 3} earlier ones are in the console"
    assert short[2:5] == [line.text for line in told.lines[-3:]]
    assert short[5:] == list(told.evidence)


def test_records_that_are_not_there_are_named() -> None:
    records = plain().records
    lines = story([records[0], *records[3:5], *records[6:]]).lines
    gaps = [line.words for line in lines if line.kind == GAP]
    assert gaps[0].startswith("Records 2 to 3 are not here")
    assert gaps[-1].startswith("Record 6 is not here")
    assert story(records[2:]).heading == f"Records of {records[0]['subject']}"
    assert story(records[2:]).lines[0].words.startswith("The first 2 records of this story were taken out of the log")
    assert story(records[1:], taken_out=1).lines[0].text == (
        "… The first record of this story was taken out of the log; an export holds it."
    )
    assert story(records[2:], taken_out=0).lines[0].words.startswith("Records 1 to 2 are not here")
    assert story(records[2:]).standing == f"{len(records) - 2} records. How it began was taken out of the log."


def test_what_was_never_restored_is_told_by_its_length() -> None:
    record = denied().records[1]
    record["data"]["reason"] = {"chars": 38, "text_sha256": "0" * 64}
    assert line_of(record).words == "denies: (a text of 38 characters, not at hand)"


def test_a_decision_without_a_receipt_says_so_and_a_waiting_ask_does_not() -> None:
    assert any("Receipt: none here yet" in text for text in tell("denied").evidence)
    assert tell("plain").evidence[-1].endswith(f"log size 4,711, root {'9f' * 32}")
    assert story(Play().records).evidence == ()
    assert story(Play().records).standing == "It waits for an answer."


def test_how_it_stands_before_its_end() -> None:
    assert (
        story(Play(seats={"sre": 2}).review("robin").records).standing == "It waits for more answers; robin said yes."
    )
    live = Play().review("robin").mint().collect()
    assert story(live.records).standing.endswith("The credential was minted 10:00:01 UTC and ends 10:15:01 UTC.")
    ending = live.later(minutes=1).end("revoke", "user:kim", "enough").records[:-1]
    assert story(ending).standing.endswith("The credential is being ended; that it has ended is not proven yet.")
    unused = story(Play(access=None, resource="web", action="deploy:web").review("robin").review("kim").records)
    assert "The approval has not been used." in unused.standing


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KINDS = st.sampled_from(sorted({*WORDS, *MORE, "planet.moved"}))
RECORDS = st.lists(
    st.fixed_dictionaries({"type": KINDS, "data": JSON}, optional={"n": JSON, "at": JSON, "by": JSON, "via": JSON}),
    max_size=4,
)
TYPED = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


def pieces(told: Story) -> list[str]:
    lines = [text for line in told.lines for text in (line.at, line.who, line.words, line.kind, *line.more)]
    return [told.heading, told.standing, *lines, *told.evidence]


def is_harmless(text: str) -> bool:
    """Tell whether it is one line in which everything can be seen."""
    return all(char == " " or unicodedata.category(char) not in ("Cc", "Cf", "Zl", "Zp") for char in text)


@given(RECORDS)
def test_any_records_make_a_harmless_story(records: list[dict[str, Any]]) -> None:
    told = story(records)
    assert len([line for line in told.lines if line.kind != GAP]) == len(records)
    assert all(map(is_harmless, pieces(told)))
    assert all(line.words and line.clock for line in told.lines)


@given(TYPED)
def test_what_anybody_types_stays_on_its_line(text: str) -> None:
    play = Play(reason=text, undo=text, seats={"sre": 1}).review("robin", "deny", text)
    records = play.records
    records[1]["by"]["person"] = f"user:{text}"
    told = story(records, Witnessed(1, text, text), text)
    assert all(map(is_harmless, pieces(told)))
    assert all("\n" not in line for line in as_text(told))
    assert json.loads(json.dumps(pieces(told))) == pieces(told)


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for one in PLAYS:
        (HERE / f"{one}.txt").write_text(written(one))
