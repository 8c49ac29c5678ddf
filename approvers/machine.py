"""Apply a state table: states, events, and who may cause them, in one place each.

A table maps state → event → the states that the event may lead to. A terminal state is written as `{}`; a missing
entry raises `IllegalTransition`, and nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from approvers.errors import IllegalTransition

S = TypeVar("S", bound=StrEnum)
Table = Mapping[S, Mapping[str, tuple[S, ...]]]


def check_move(table: Table[S], state: S, event: str, target: S) -> S:
    """Return the target if the table has this move, else raise IllegalTransition."""
    if target not in table[state].get(event, ()):
        raise IllegalTransition(f"{state} has no move {event!r} to {target}")
    return target
