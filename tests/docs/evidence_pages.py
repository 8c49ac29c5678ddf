"""Make the tables of docs/evidence.md: what `audit verify` finds, and the table of attacks that its test expects."""

from __future__ import annotations

from countersign.verifying.findings import CODES
from tests.countersign.verifying.test_attacks import ATTACKS, COLUMNS


def findings() -> str:
    """Return the table of what can be found."""
    return _table(("Word", "Means"), [(f"`{code}`", meaning) for code, meaning in CODES.items()])


def attacks() -> str:
    """Return the table of attacks; what was missed stands out."""
    rows = [(one.name, *(f"**{found}**" if found == "missed" else found for found in one.expected)) for one in ATTACKS]
    return _table(("Attack", *COLUMNS), rows)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


EVIDENCE = {"evidence-attacks": attacks, "evidence-findings": findings}
"""Name of a table of the page → what fills it."""
