"""Checkpoints are read beside the records: whatever their order, the same is found, and memory holds one at a time."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from approvers.tree import Frontier
from countersign.verifying.checkpoints import Checkpoints
from countersign.verifying.core import Key
from countersign.verifying.findings import Wrong
from countersign.verifying.keys import Ring
from countersign.verifying.verify import Verified, verify
from tests.countersign.verifying import logs
from tests.countersign.verifying.logs import OURS, Export, Log

KEYS = [Key.parse(OURS.text)]
Found = tuple[str, int | None, str]


@pytest.fixture(scope="module")
def log() -> Log:
    return logs.requests(4, 3)


def signed(log: Log, *sizes: int, wrong: Sequence[int] = ()) -> list[str]:
    """Return notes of those sizes, in that order; `wrong`: places of notes of another root."""
    leaves = [logs.leaf(body) for body in log.bodies()]
    roots = [logs.root(leaves[: size - 1 if place in wrong else size]) for place, size in enumerate(sizes)]
    return [logs.note(size, at, OURS) for size, at in zip(sizes, roots, strict=True)]


def found(log: Log, path: Path, notes: list[str], *, everything: bool = True) -> list[Found]:
    export = logs.write(path, log.bodies(), notes, [], list(log.texts.items()))
    looked = verify(export.path, KEYS, everything=everything)
    assert looked.counts["checkpoints"] in (len(notes), 0)
    return [(one.file, one.line, one.code) for one in looked.findings if one.grave]


@pytest.mark.parametrize(
    ("sizes", "wrong", "expected"),
    [
        pytest.param((3, 6, 12), (), [], id="as they are written"),
        pytest.param((0, 3, 12), (), [], id="one of nothing"),
        pytest.param((3, 9, 6, 12), (), [("checkpoints.txt", 13, "bad_line")], id="out of order"),
        pytest.param((3, 9, 6, 12), (2,), [("records.jsonl", 4, "wrong_root")], id="out of order, of another root"),
        pytest.param((12, 3), (1,), [("records.jsonl", 1, "wrong_root")], id="the first one last, of another root"),
        pytest.param((3, 6, 6, 12), (), [("checkpoints.txt", 13, "bad_line")], id="twice"),
        pytest.param((3, 6, 6, 12), (2,), [("records.jsonl", 4, "wrong_root")], id="twice, the second of another root"),
        pytest.param(
            (3, 6, 6, 12), (1,), [("checkpoints.txt", 7, "wrong_root"), ("checkpoints.txt", 13, "bad_line")],
            id="twice, the first of another root",
        ),
        pytest.param((3, 12, 14), (), [("checkpoints.txt", 13, "cut")], id="of more than there is"),
        pytest.param(
            (3, 14, 12, 13), (), [("checkpoints.txt", 7, "cut"), ("checkpoints.txt", 19, "cut"),
                                  ("checkpoints.txt", 13, "bad_line")],
            id="of more than there is, out of order",
        ),
        pytest.param((3, 6), (), [("records.jsonl", 7, "cut")], id="none of the end"),
        pytest.param((), (), [("records.jsonl", 1, "cut")], id="none at all"),
    ],
)  # fmt: skip
def test_whatever_their_order_each_is_compared(
    sizes: tuple[int, ...], wrong: tuple[int, ...], expected: list[Found], log: Log, tmp_path: Path
) -> None:
    assert found(log, tmp_path / "e", signed(log, *sizes, wrong=wrong)) == expected


@pytest.mark.parametrize(
    ("part", "what"),
    [
        pytest.param("junk\n", "signatures is none", id="a line more"),
        pytest.param("x\n" * 40, "this is no checkpoint", id="lines without end"),
    ],
)
def test_what_is_none_is_named_before_any_record(part: str, what: str, log: Log, tmp_path: Path) -> None:
    notes = signed(log, 3, 6, 12)
    notes[1] = part if part.startswith("x") else notes[1] + part
    bodies = log.bodies()
    bodies[0] = b"{}"
    export = logs.write(tmp_path / "e", bodies, notes, [])
    (one,) = verify(export.path, KEYS, everything=True).findings
    assert (one.file, one.line, one.code) == ("checkpoints.txt", 7, "bad_line")
    assert what in one.what


def test_a_file_that_is_changed_between_two_readings_is_not_believed(log: Log, tmp_path: Path) -> None:
    """What was out of order was to be compared in place of what was signed; then it is gone."""
    path = tmp_path / "checkpoints.txt"
    path.write_text("".join(f"{note}\n" for note in signed(log, 6, 6, 12, wrong=[1])))
    notes = Checkpoints(path)
    path.write_text("".join(f"{note}\n" for note in signed(log, 6, 12)))
    with closing(notes):
        notes.begin(Ring(KEYS, [], []), logs.ORIGIN, 0)
        assert [size for size in range(1, 13) if notes.at(size)] == [6, 12]
        with pytest.raises(Wrong, match="changed while it was read"):
            list(notes.end(12, {}))


def looked(export: Export) -> tuple[Verified, int]:
    """Verify it; returns the most bytes that were held meanwhile."""
    tracemalloc.start()
    try:
        verdict = verify(export.path, KEYS)
        return verdict, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_records_and_checkpoints(tmp_path: Path) -> None:
    """Ten times as many of both, as many subjects: a checkpoint that was kept would be a kilobyte of the difference."""
    peaks = []
    for count in (150, 1_500):
        log = Log()
        for number in range(count):
            log.add("sys", "freeze.set", why=f"{number:06}")
        bodies, frontier, notes = log.bodies(), Frontier(), []
        for size, body in enumerate(bodies, 1):
            frontier.extend([body])
            notes.append(logs.note(size, frontier.root(), OURS))
        verdict, peak = looked(logs.write(tmp_path / str(count), bodies, notes, []))
        assert verdict.whole and verdict.counts["checkpoints"] == count
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 64_000, peaks
