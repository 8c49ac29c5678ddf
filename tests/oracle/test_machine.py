"""Random asks, clicks, changes and mints against the running product: at every step it says what the oracle says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.oracle.__main__ import run

HERE = Path(__file__).parent
ORACLE = ("rules.py", "answers.py", "files.py")
STORIES = ("approved_then_changed_then_minted", "changed_then_asked", "clicked_by_one_after_the_other",
           "looked_at_then_changed_then_clicked", "minted_then_extended_then_minted",
           "used_then_reviewed_then_used")  # fmt: skip
MUST_MEET = (
    "ask: allow", "ask: break_glass", "ask: deny", "ask: frozen", "ask: inadmissible", "ask: not_your_actor",
    "ask: review", "extend: not_your_grant", "extend: inadmissible", "extend: review", "api: APPROVED",
    "slack: APPROVED", "slack: four_eyes", "slack: review_first",
    "slack: outdated_card", "console: APPROVED", "console: four_eyes", "console: outdated_card", "click: reruled",
    "mint: minted", "mint: frozen", "mint: too late", "mint: gone", "mint: policy says no", "mint: seats are empty",
    "mint: what it goes on with was taken away", "after-review: four_eyes", "after-review: no_seat",
)  # fmt: skip
"""What the runs must have come to, together: agreement on less would show nothing."""


@pytest.mark.timeout(120)
def test_the_product_and_the_oracle_agree_on_whatever_happens(capsys: pytest.CaptureFixture[str]) -> None:
    random, stories = run(15), run(5, STORIES)
    seen = random.seen + stories.seen
    missing = [one for one in MUST_MEET if not seen[one]]
    with capsys.disabled():
        print(f"\nthe oracle and the product agree over {random.steps + stories.steps} steps, {len(seen)} outcomes")
    assert missing == []


@pytest.mark.parametrize("name", ORACLE)
def test_the_oracle_knows_nothing_of_the_product(name: str) -> None:
    """It imports the standard library and itself, also inside functions."""
    found = set[str]()
    for node in ast.walk(ast.parse((HERE / name).read_text())):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
    own = {f"tests.oracle.{one.removesuffix('.py')}" for one in ORACLE}
    assert found <= {"__future__", "collections.abc", "datetime", "re", "typing", *own}
