"""The demo's policy, whose reviewers may approve less than was asked; and an ask that can be made smaller."""

from __future__ import annotations

import re
from typing import Any

from approvers.action import Access
from tests.worlds import samples

BUCKET = "arn:aws:s3:::customer-exports"
ACTIONS = ("s3:GetObject", "s3:GetObjectVersion")
YEAR = f"{BUCKET}/2026/*"
WIDE: dict[str, Any] = {
    "ttl_seconds": 1800,
    "resource": YEAR,
    "access": Access(role="analytics", actions=ACTIONS, resources=(YEAR,)),
}
"""The ask, as `Action` has it; its risk is medium under `policy`, so that it can be approved from a card."""
BODY: dict[str, Any] = {**WIDE, "access": WIDE["access"].model_dump(mode="json"), "data_classes": None}
"""The same as the API has it."""
LESS = {"ttl_seconds": 900, "actions": ["s3:GetObject"], "resources": [f"{BUCKET}/2026/07/*"]}


def policy(*parts: str, people: int = 1) -> str:
    """Return the demo's policy with `narrow` in each review rule (none: all parts), and so many people asked."""
    named = ", ".join(f'"{part}"' for part in parts or ("ttl", "actions", "resources"))
    text = samples.POLICY_TEXT.replace(
        "[quorum.one]\nseats  = { sre = 1 }", f"[quorum.one]\nseats  = {{ sre = {people} }}"
    )
    return re.sub(r'(\[rule\.review-[a-z]+\]\neffect = "review"\n)', rf"\1narrow = [{named}]\n", text)
