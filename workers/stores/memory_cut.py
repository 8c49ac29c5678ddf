"""Take the first records out of the log that is kept in this process, in the order of `cut.lua`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from approvers.audit import Base
from approvers.cases import decoded
from workers.stores.cutting import Cut
from workers.stores.port import Conflict, lane_of

if TYPE_CHECKING:
    from workers.stores.memory import State


def take_out(state: State, cut: Cut) -> None:
    """Apply a cut whole, or raise Conflict, changing nothing."""
    before, size = state.base.size, cut.base.size
    if before == size:  # a resend
        return
    if before != cut.since or len(state.log) < size - before:
        raise Conflict("base")
    out = [decoded(body) for body in state.log[: size - before]]
    count = Counter(str(record["subject"]) for record in out)
    _check(state, cut, out, count)
    state.base = Base(size, cut.base.peaks, {**state.base.heads, **cut.base.heads})
    del state.log[: size - before]
    for subject in cut.base.heads:
        del state.chains[subject][: count[subject]]
    for subject in cut.ended:
        state.chains.pop(subject, None)
        state.texts.pop(subject, None)
        state.base.heads.pop(subject, None)  # type: ignore[attr-defined] # it is a dict, made above
    for subject, marks in cut.erase.items():
        for mark in marks:
            state.texts[subject].pop(mark, None)
    for key in cut.records:
        state.records.pop(key, None)
    for index, members in cut.leave.items():
        for member in members:
            state.indexes[index].pop(member, None)


def _check(state: State, cut: Cut, out: list[dict[str, Any]], count: Counter[str]) -> None:
    left = {record["subject"]: record["n"] for record in out}
    for subject, head in cut.base.heads.items():
        if left.pop(subject, None) != head.n:
            raise Conflict(f"audit:{subject}")
    for subject in cut.ended:
        if len(state.chains.get(subject, ())) != count[subject]:
            raise Conflict(f"audit:{subject}")
        left.pop(subject, None)
    for subject in left:
        raise Conflict(f"audit:{subject}")
    for member in cut.idle:
        if member in state.due[lane_of(member)]:
            raise Conflict(member)
