"""Every byte of an export counts: flip one, and verify says so, and names the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from countersign.verifying.core import Key
from tests.countersign.verifying import logs
from tests.countersign.verifying.flipping import flips
from tests.countersign.verifying.logs import OURS

KEYS = [Key.parse(OURS.text)]


def test_no_flipped_byte_goes_unseen(tmp_path: Path, show: Callable[[str], None]) -> None:
    log = logs.requests(2, 3, every=3)
    export = log.export(tmp_path / "export")
    bytes_of, unseen, elsewhere = Counter[str](), [], []
    for flip in flips(export.path, KEYS, tmp_path):
        bytes_of[flip.file] += 1
        if flip.found is None:
            unseen.append(flip)
        elif flip.found.file not in (flip.file, "manifest.json"):
            elsewhere.append(flip)
    show(f"bytes flipped: {dict(sorted(bytes_of.items()))}; undetected: {len(unseen)}")
    assert unseen == []
    assert [flip for flip in elsewhere if flip.file not in ("records.jsonl", "texts.jsonl")] == []
    assert bytes_of.keys() == {*(one.name for one in export.path.iterdir())}


def test_a_flipped_record_is_named_by_its_line_or_by_the_lines_between_two_checkpoints(tmp_path: Path) -> None:
    log = logs.requests(2, 3, every=3)
    export = log.export(tmp_path / "export")
    wrong = []
    for flip in flips(export.path, KEYS, tmp_path, step=7):
        found = flip.found
        if flip.file != "records.jsonl" or found is None or found.file != "records.jsonl":
            continue
        assert found.line is not None
        around = range((flip.line - 1) // 3 * 3 + 1, flip.line + 3)
        if not (found.line in around or f"line {flip.line:,}" in found.what):
            wrong.append((flip.line, found))
    assert wrong == []
