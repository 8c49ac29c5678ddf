"""What is put aside on the disk is still there: a history played from the disk verifies as one in memory does."""

from __future__ import annotations

from pathlib import Path

from countersign.verifying.checks import Checks
from countersign.verifying.core import Key
from countersign.verifying.verify import verify
from tests.countersign.verifying.exported import SignedHistory, export_of
from tests.worlds.shelf import Aside
from tests.worlds.signing import VERIFY_KEY


async def test_a_history_of_which_nothing_stays_in_memory_is_whole(tmp_path: Path) -> None:
    history = await SignedHistory(4).begin()
    aside = Aside(history.store, tmp_path / "aside")
    while history.asked < 12:
        await history.turn()
        await aside.put(set())
        assert set(history.store.log._state.chains) <= {"sys"}
    path = await export_of(history, tmp_path / "export")
    aside.close()
    checks = Checks(path)
    found = verify(path, [Key.parse(VERIFY_KEY)], checks=checks.all, everything=True)
    assert {one.code for one in found.findings} <= {"flag"}
    assert found.counts["receipts"] == found.counts["decisions"] == found.types["request.submitted"] > 8
    assert found.counts["texts"] and not found.counts["erased"]
