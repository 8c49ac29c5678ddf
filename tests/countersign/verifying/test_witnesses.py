"""Whatever somebody else kept of a log's size and root is compared with it: receipts, checkpoints, chat lines."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from countersign.verifying.core import Key
from countersign.verifying.findings import Unreadable
from countersign.verifying.report import witnessed
from countersign.verifying.verify import Verified, verify
from countersign.verifying.witnesses import read_witnesses
from tests.countersign.verifying import logs
from tests.countersign.verifying.logs import OURS, Export, Log

KEYS = [Key.parse(OURS.text)]


@pytest.fixture(scope="module")
def log() -> Log:
    return logs.requests(300, 4, every=300)


@pytest.fixture(scope="module")
def export(log: Log, tmp_path_factory: pytest.TempPathFactory) -> Export:
    return log.export(tmp_path_factory.mktemp("witnesses") / "e")


def chat(log: Log, size: int, digits: int = 32, changed: str = "") -> str:
    found = logs.root([logs.leaf(body) for body in log.bodies()[:size]]).hex()
    return f"robin 10:04  Log {size:,} · root {changed or found[:digits]}\n"


def looked(export: Export, tmp_path: Path, *texts: str) -> Verified:
    paths = []
    for number, text in enumerate(texts):
        paths.append(tmp_path / f"witness-{number}.txt")
        paths[-1].write_text(text)
    return verify(export.path, KEYS, witnesses_in=paths, everything=True)


def test_a_file_may_hold_many_of_all_kinds(log: Log, export: Export, tmp_path: Path) -> None:
    mail = f"Dear auditor,\n\n{export.notes[1]}\nand this:\n{export.receipts[7]}\n"
    found = looked(export, tmp_path, chat(log, 1_000) + "\nnoise\n" + chat(log, 40, 64), mail)
    assert found.whole, found.findings
    assert found.agreed == (4, 1_200)
    assert witnessed(found) == "agrees with 4 outside witnesses, newest at size 1,200 of 1,200"


def test_a_witness_of_more_records_shows_a_cut(log: Log, export: Export, tmp_path: Path) -> None:
    found = looked(export, tmp_path, "\n" + chat(log, 600).replace("600", "4,711"))
    (one,) = found.findings
    assert (one.file, one.line, one.code) == ("witness-0.txt", 2, "cut")


def test_a_witness_of_another_root_says_after_which_the_log_was_changed(
    log: Log, export: Export, tmp_path: Path
) -> None:
    found = looked(export, tmp_path, chat(log, 100) + chat(log, 400, changed="0" * 32))
    (one,) = found.findings
    assert (one.line, one.code) == (2, "witness_differs")
    assert "400" in one.what and "after size 100" in one.what


@pytest.mark.parametrize("text", ["", "hello", "Log 5 · root"], ids=["empty", "noise", "half a line"])
def test_what_holds_nothing_is_said_to(text: str, log: Log, export: Export, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="holds no checkpoint"):
        looked(export, tmp_path, text)


def test_too_few_digits_prove_nothing(log: Log, export: Export, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="at least 32"):
        looked(export, tmp_path, chat(log, 100, 12))


def test_a_witness_that_is_not_there(log: Log, export: Export, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="cannot be read"):
        verify(export.path, KEYS, witnesses_in=[tmp_path / "nothing"])


def test_each_is_named_by_its_line_however_long_the_lines_are(export: Export, log: Log, tmp_path: Path) -> None:
    """An export of a chat may be one line of megabytes: nothing is looked for anew at each of its letters."""
    text = f"{'x' * 300_000}{chat(log, 40)}\n{export.notes[0]}{export.receipts[3]}\n\n{export.receipts[4]}"
    path = tmp_path / "kept.txt"
    path.write_text(text)
    began = time.process_time()
    said = read_witnesses([path])
    assert time.process_time() - began < 5
    lines = text.split("\n")
    assert [one.line for one in said] == [1, 3, 8, 10]
    assert (lines[2], lines[7], lines[9]) == (logs.ORIGIN, export.receipts[3], export.receipts[4])
