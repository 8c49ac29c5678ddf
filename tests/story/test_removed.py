"""Take away each check on which the decision rests: a test turns red. As they stand, all of those are green."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.story.removed import REMOVALS, Removal, copied, reds, run

Told = tuple[int, str]
AT_ONCE = 2


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Told]]]:
    """Run the tests on a whole copy, and on one copy without each check."""
    folder = tmp_path_factory.mktemp("removed")

    def whole() -> Told:
        return run(copied(folder / "whole"), sorted({test for one in REMOVALS for test in one.tests}))

    def without(one: Removal, root: Path) -> Told:
        one.apply(copied(root))
        return run(root, one.tests)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = {"": pool.submit(whole)}
        found |= {one.check: pool.submit(without, one, folder / str(n)) for n, one in enumerate(REMOVALS)}
        yield found


@pytest.mark.timeout(120)
def test_with_every_check_in_place_all_are_green(runs: dict[str, Future[Told]]) -> None:
    code, told = runs[""].result()
    assert code == 0, told


@pytest.mark.timeout(120)
@pytest.mark.parametrize("one", REMOVALS, ids=lambda one: one.check.replace(" ", "_"))
def test_without_it_a_test_turns_red(
    one: Removal, runs: dict[str, Future[Told]], show: Callable[[str], None]
) -> None:  # fmt: skip
    code, told = runs[one.check].result()
    assert (code, bool(reds(told))) == (1, True), f"nothing noticed that there is no check of the {one.check}:\n{told}"
    show(f"without the check {one.check!r} ({one.file}): red is {', '.join(reds(told))}")


def test_a_check_that_is_not_there_cannot_be_taken_away(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("if twice:\nif twice:\n")
    for old in ("if gone:", "if twice:"):
        with pytest.raises(AssertionError, match=r"a\.py holds [02] times"):
            Removal("c", "a.py", old, "", ()).apply(tmp_path)
    Removal("c", "a.py", "if twice:\nif", "if", ()).apply(tmp_path)
    assert (tmp_path / "a.py").read_text() == "if twice:\n"


def test_an_error_is_not_taken_for_a_red_test() -> None:
    assert reds("ERROR tests/a.py - ImportError\nE   FAILED\n1 error in 0.1s") == []
    assert reds("FAILED tests/a.py::test_b[x] - assert\n1 failed") == ["test_b[x]"]
