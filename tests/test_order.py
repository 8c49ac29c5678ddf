"""The files that begin a run are there; a name that is none any more would order nothing."""

from __future__ import annotations

from tests.conftest import LONGEST_FIRST
from tests.sources import ROOT


def test_what_begins_is_there() -> None:
    assert [name for name in LONGEST_FIRST if not (ROOT / name).is_file()] == []
    assert len(LONGEST_FIRST) == len(set(LONGEST_FIRST))
