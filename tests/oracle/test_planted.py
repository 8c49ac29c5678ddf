"""Skip one check on every path, in a copy of the product: the machine finds each, and nothing in the whole copy.

A run plants a third of the skips, another third each day; `PLANTED=all` plants all.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.oracle.planted import SKIPS, Skip, Told, original, planted, run
from tests.thirds import chosen, played

AT_ONCE = 2
TODAY = played(SKIPS, chosen("PLANTED"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Told]]]:
    """Run the machine on the whole copy first, which compiles it, then on one copy without each check."""
    folder = tmp_path_factory.mktemp("planted")
    whole = original(folder / "whole")
    told = run(whole, 2, keep_compiled=True)

    def without(skip: Skip, root: Path) -> Told:
        try:
            return run(planted(skip, whole, root), rules=skip.rules)
        finally:
            shutil.rmtree(root, ignore_errors=True)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = {"": pool.submit(lambda: told)}
        yield found | {one.check: pool.submit(without, one, folder / str(n)) for n, one in enumerate(TODAY)}


@pytest.mark.timeout(240)
def test_with_every_check_in_place_nothing_is_found(runs: dict[str, Future[Told]]) -> None:
    told = runs[""].result()
    assert (told.code, told.found) == (0, ""), told.words


@pytest.mark.timeout(240)
@pytest.mark.parametrize("skip", TODAY, ids=lambda one: one.check.replace(" ", "_"))
def test_a_skipped_check_is_found(skip: Skip, runs: dict[str, Future[Told]], show: Callable[[str], None]) -> None:
    told = runs[skip.check].result()
    assert told.code == 1 and told.found.count("the oracle"), f"{skip.check}: {told.found or told.words}"
    show(f"skip planted in {skip.check} ({skip.file}): found after {told.steps} steps: {told.found[:110]}")
