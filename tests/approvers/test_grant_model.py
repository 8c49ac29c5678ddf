"""Every interleaving of one grant's life: no credential outlives its grant, and there is always a way out."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator

import pytest

from tests.approvers.grant_model import Rules, walk

TROUBLES = int(os.environ.get("MODEL_TROUBLES") or 1)
"""How many crashes and calls gone wrong one life meets; `make faults` walks two."""
RIGHT = {
    "a TTL shorter than the session": Rules(ttl=1),
    "a TTL as long as the session": Rules(ttl=2),
    "what cannot be ended early": Rules(ttl=1, ends_early=False),
}
WRONG = {
    "minted before it is on record": Rules(record_first=False),
    "revoked by time of issue": Rules(revoke_by="issue time"),
    "minted however late": Rules(stamp_in_time=False),
    "Deny collected at once": Rules(keep_deny=False),
}


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    """A walk keeps all that it makes until its end: to look through a million objects for garbage finds none."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("rules", RIGHT.values(), ids=RIGHT)
def test_no_credential_outlives_its_grant_and_no_state_is_without_a_way_out(
    rules: Rules, show: Callable[[str], None]
) -> None:
    found = walk(rules, TROUBLES)
    show(f"{rules}: {found.states} states, {found.moves} moves; ends: {dict(sorted(found.rests.items()))}")
    assert found.wrong == {}
    assert found.rests.total() > 0


@pytest.mark.parametrize("rules", WRONG.values(), ids=WRONG)
def test_a_wrong_order_is_found(rules: Rules, show: Callable[[str], None]) -> None:
    found = walk(rules, until_wrong=True)
    way = found.wrong.get("a credential is alive and its grant is REVOKED")
    show(f"{rules}: {found.states} states; found: {'; '.join(found.wrong)}; the shortest way: {' → '.join(way or ())}")
    assert way
