"""The verdict tells what could not be decided once more: what is not told would pass for proven."""

from __future__ import annotations

from pathlib import Path

from countersign.verifying.checks import SKIPPED
from countersign.verifying.folder import Export
from countersign.verifying.report import as_json, lines, markdown
from countersign.verifying.verify import Verified

WHY = "request.submitted: the policy in force was applied before this log begins"


def outcome(skipped: dict[str, int]) -> Verified:
    return Verified(Export(Path("x"), "log", 9, 9, "00", "", {}), told={"Replayed": {"a": 1}, SKIPPED: skipped})


def test_what_was_not_replayed_is_in_every_form_of_the_verdict():
    found = outcome({WHY: 1_234, "review.recorded: its beginning was not replayed": 2})
    told = list(lines(found))
    assert told[2:5] == [
        "not decided once more: 1,236", f"  1,234 × {WHY}", "  2 × review.recorded: its beginning was not replayed",
    ]  # fmt: skip
    assert f"| {WHY} | 1,234 |" in markdown(found)
    assert as_json(found)["told"][SKIPPED][WHY] == 1_234


def test_where_all_was_replayed_nothing_is_said_of_it():
    assert not [one for one in lines(outcome({})) if SKIPPED.lower() in one]
