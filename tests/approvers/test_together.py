"""What is kept of earlier asks never answers another one, and never grows without end."""

from __future__ import annotations

import pytest

from approvers import masks, ruling, together
from approvers.masks import Kept
from approvers.policy import parse_policy
from tests.approvers.plain_rules import check_index
from tests.approvers.rules_world import POLICY, SHA, facts

RULES = """
[rule.long]
effect = "review"
owner = "sre"
note = "long"
when = { ttl_over = "10m", data_class = ["pii"], ticket_missing = true }
[rule.short]
effect = "allow"
owner = "sre"
note = "short"
until = 2027-05-31
when = { ttl_at_most = "10m", risk_below = "high", account = ["shop-*"] }
"""


def test_kept_elements_begin_anew_when_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "KEPT", 3)
    kept = Kept(len)
    assert [kept["x" * size] for size in range(8)] == [(size, size) for size in range(8)]
    assert len(kept) <= 3


def test_a_ruling_is_the_same_with_and_without_what_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (masks, ruling, together):
        monkeypatch.setattr(module, "KEPT", 2)
    warm = parse_policy(POLICY + RULES)
    asks = [
        facts(warm, ttl_seconds=ttl, ticket=ticket, data_classes=classes, risk=claim)
        for ttl in (60, 600, 601)
        for ticket in (None, "INC-1")
        for classes in ([], ["PII"])
        for claim in (None, "critical")
    ]
    first = [check_index(warm, ask, SHA) for ask in asks]
    cold = [check_index(parse_policy(POLICY + RULES), ask, SHA) for ask in asks]
    again = [check_index(warm, ask, SHA) for ask in reversed(asks)]
    assert first == cold == again[::-1]
    assert len({(one.effect, one.because) for one in first}) > 1
    assert len(warm.index.told) <= 2
    assert all(len(group._kept) <= 2 for group in warm.index._groups)
