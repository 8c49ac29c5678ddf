"""Model policy's answer, with everything that explains it; `approvers.ruling` makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from approvers.audit import Recorded, Sorted
from approvers.risk import Risk

Effect = Literal["allow", "deny", "review", "break_glass"]

NOT_EVALUATED = "not_evaluated"
"""The `because` of a ruling that could not be computed."""


class Condition(Recorded):
    """One condition of a rule: what the rule wanted, and what the ask has."""

    got: str
    name: str
    wanted: str


class RuleHit(Recorded):
    """One rule that decided."""

    conditions: tuple[Condition, ...]
    effect: Effect
    name: str
    note: str


class NearMiss(Recorded):
    """An allow rule that lacked exactly one condition. For people only; to an agent it is a recipe."""

    condition: Condition
    rule: str


class Ruling(Recorded):
    """Policy's answer, with everything that explains it.

    `seats` are counts per bare group name; `quorums` the named quorums they come from. `rules` are the rules that
    decided (none: the default did). `barred` may fill no seat (`user:NAME`, and `group:NAME` where a group owns the
    caller); `barred_as` says why: principal, actor, on_behalf_of or owner. `narrow` is what a reviewer may make
    smaller. With `break_glass` nobody is asked first: seats and quorums are those of the review that it stands in for.
    """

    barred: tuple[str, ...]
    barred_as: Annotated[Mapping[str, str], Sorted]
    because: str
    effect: Effect
    expires_after_seconds: int | None
    narrow: tuple[str, ...]
    near_misses: tuple[NearMiss, ...]
    notes: tuple[str, ...]
    policy_sha256: str
    quorums: tuple[str, ...]
    risk: Risk
    rules: tuple[RuleHit, ...]
    seats: Annotated[Mapping[str, int], Sorted]


def unevaluated(why: str, *, sha256: str) -> Ruling:
    """Return the ruling where policy could not be computed: no yes, and told apart from every no."""
    return Ruling(
        effect="deny",
        rules=(),
        narrow=(),
        near_misses=(),
        seats={},
        quorums=(),
        expires_after_seconds=None,
        because=NOT_EVALUATED,
        notes=(why,),
        risk=Risk(level="critical", score=100, points=()),
        policy_sha256=sha256,
        barred=(),
        barred_as={},
    )
