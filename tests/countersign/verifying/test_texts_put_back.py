"""Texts are put back where marks stand, at any depth; what the record itself says stays as it was stored."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from countersign.verifying.core import Seen
from countersign.verifying.findings import Wrong
from countersign.verifying.texts import NAMED, REMEMBERED, Texts
from tests.countersign.verifying.logs import Log


def lines(log: Log) -> list[bytes]:
    return [
        rfc8785.dumps({"salt": salt, "sha256": mark, "subject": subject, "text": text}) + b"\n"
        for mark, (salt, subject, text) in log.texts.items()
    ]


def test_texts_are_put_back_and_what_was_stored_stays(tmp_path: Path) -> None:
    log, path = Log(), tmp_path / "texts.jsonl"
    first, second, gone = (log.typed("sys", text) for text in ("why 🦊", "and then", "erased"))
    path.write_bytes(b"".join(lines(log)[:2]))
    plain: dict[str, Any] = {"data": {"a": [1, {"b": first}, [second, "x"]], "c": {"d": [2]}, "e": gone}, "n": 1}
    seen, as_stored = Seen(1, 1, rfc8785.dumps(plain), plain), rfc8785.dumps(plain)
    other = Seen(2, 2, b'{"data":{}}', {"data": {}})
    with closing(Texts(path)) as texts:
        told = texts.told(seen)
        assert texts.told(other) is other
        assert not [*texts.end()]
    data = {"a": [1, {"b": "why 🦊"}, ["and then", "x"]], "c": {"d": [2]}, "e": "■" * 6}
    assert told.record == {"data": data, "n": 1}
    assert told.stored is plain
    assert rfc8785.dumps(plain) == as_stored
    assert (texts.count, texts.erased) == (2, 1)


def test_a_text_that_is_named_again_and_again_is_remembered_as_long_as_that(tmp_path: Path) -> None:
    """It stands in the file once; so do more others than are remembered."""
    log, path = Log(), tmp_path / "texts.jsonl"
    often = log.typed("sys", "often")
    records = [{"data": [often, log.typed("sys", str(number))]} for number in range(REMEMBERED + 10)]
    path.write_bytes(b"".join(lines(log)))
    with closing(Texts(path)) as texts:
        for line, record in enumerate(records, 1):
            assert texts.told(Seen(line, line, NAMED, record)).record["data"][0] == "often"
    assert (texts.count, texts.erased) == (REMEMBERED + 11, 0)


@pytest.mark.parametrize("chars", [None, "6", -1, 2**53 - 1, True, [6]], ids=repr)
def test_a_mark_that_says_no_length_is_named_and_no_text_as_long_is_made(chars: object, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_bytes(b"")
    record = {"data": {"why": {"chars": chars, "text_sha256": "0" * 64}}}
    with closing(Texts(path)) as texts, pytest.raises(Wrong, match="how many characters") as wrong:
        texts.told(Seen(7, 7, NAMED, record))
    assert (wrong.value.finding.line, wrong.value.finding.code) == (7, "bad_text")
