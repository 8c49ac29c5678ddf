"""Make plans: what one grant lives through, and which faults it meets on the way.

Pure. A seed and a number always give the same plan, and its hash names it: `python -m tests.faults --seed S --only
HASH` plays it again. A fault is placed at the nth call of a kind, counted from the moment its stage begins; so a plan
can be told, and its timing alone differs from one play to the next.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

Stage = Literal["mint", "end", "gone"]
"""mint: from the approval on · end: from what ends it on · gone: from the jump to the time when its Deny is removed."""
LONG_TTL = 600
LONG, SHORT = (600, 720, 900, 1200, 1800), (3, 4, 6, 30, 120, 300)
WAITED_FOR = 10
"""TTLs up to here are lived through; for longer ones all clocks jump."""
LIVES = (
    "ttl",
    "uncollected",
    "released",
    "revoked",
    "revoked at the fault",
    "revoked twice",
    "extended",
    "overlapping",
)
LIFE_WEIGHTS = (4, 2, 2, 5, 2, 1, 2, 3)
EARLY = ("released", "revoked", "revoked twice", "extended", "overlapping")
"""Lives whose grant is ended early while all is well, so that a Deny is sure to be written."""
KINDS = {
    "kill": 6, "kill all": 2, "stop": 3, "delay": 2, "restart redis": 2, "lose answer": 3, "cut": 2, "throttle": 2,
    "error": 2, "shift": 3, "hand": 1,
}  # fmt: skip
AWS_ONLY = ("throttle", "error")
HOLDING = ("kill", "kill all", "stop")
GATES = ("worker→aws", "worker→redis", "clock→redis")
SHIFT_SECONDS = 300
GROUPS = ("host", "redis", "aws")
"""Who shares a clock: web, workers and clock · Valkey · the local AWS."""

CALLS: dict[tuple[str, str], tuple[tuple[str, int], ...]] = {
    ("mint", "worker→aws"): (("sts:GetCallerIdentity", 1), ("sts:AssumeRole", 1), ("sts:AssumeRole", 1)),
    ("mint", "worker→redis"): (("EVALSHA:commit", 2), ("EVALSHA:read", 2), ("*", 12)),
    ("mint", "clock→redis"): (("EVALSHA:claim", 2), ("EVALSHA:push", 1), ("*", 4)),
    ("end", "worker→aws"): (("iam:PutRolePolicy", 1), ("iam:PutRolePolicy", 1), ("sts:AssumeRole", 2), ("*", 8)),
    ("end by time", "worker→aws"): (("*", 1), ("*", 2)),
    ("end", "worker→redis"): (("EVALSHA:commit", 1), ("EVALSHA:hold", 1), ("*", 10)),
    ("end", "clock→redis"): (("EVALSHA:claim", 2), ("EVALSHA:push", 1), ("*", 4)),
    ("gone", "worker→aws"): (("iam:DeleteRolePolicy", 1),),
    ("gone", "worker→redis"): (("EVALSHA:commit", 1), ("*", 8)),
    ("gone", "clock→redis"): (("EVALSHA:claim", 1),),
}
"""Names of calls of a stage as its gate tells them, each with how many of it there surely are; `*` is any call."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, and where.

    Attributes:
        amount: seconds of a delay, times of a throttle or error, seconds of a shift; else 0.
        group: whose clock is shifted; else "".
    """

    kind: str
    stage: Stage
    gate: str
    call: str
    nth: int
    when: Literal["before", "after"]
    amount: int = 0
    group: str = ""

    def __str__(self) -> str:
        what = f"{self.kind} {self.group}".strip() + (f" {self.amount:+d}" if self.amount else "")
        return f"{what} {self.when} call {self.nth} {self.call} {self.gate} of its {self.stage}"


@dataclass(frozen=True)
class Plan:
    """One grant's life with its faults."""

    number: int
    ttl_seconds: int
    life: str
    faults: tuple[Fault, ...]

    @property
    def hash(self) -> str:
        """Name the plan by what it says, not by its number."""
        said = {name: value for name, value in asdict(self).items() if name != "number"}
        return hashlib.sha256(repr(said).encode()).hexdigest()[:10]

    def __str__(self) -> str:
        return f"{self.hash} ttl {self.ttl_seconds} {self.life}: {'; '.join(map(str, self.faults))}"


def plan_of(seed: int, number: int) -> Plan:
    """Return the plan of this number."""
    dice = random.Random(f"{seed}:{number}")
    ttl = dice.choice(LONG if number % 2 else SHORT)
    [life] = dice.choices(LIVES, LIFE_WEIGHTS)
    if life in EARLY and ttl <= WAITED_FOR:
        ttl = 30  # long enough to be ended early
    [count] = dice.choices((1, 2, 3), (6, 3, 1))
    faults = [_fault(dice, life, number=number, first=place == 0) for place in range(count)]
    order = ("mint", "end", "gone")
    return Plan(number, ttl, life, tuple(sorted(faults, key=lambda fault: order.index(fault.stage))))


def plans(seed: int, start: int = 0) -> Iterator[Plan]:
    """Yield plans without end, no two alike."""
    seen: set[str] = set()
    number = start
    while True:
        plan = plan_of(seed, number)
        if plan.hash not in seen:
            seen.add(plan.hash)
            yield plan
        number += 1


def _fault(dice: random.Random, life: str, *, number: int, first: bool) -> Fault:
    [kind] = dice.choices(tuple(KINDS), tuple(KINDS.values()))
    if life == "revoked at the fault" and first:
        return _placed(dice, dice.choice(HOLDING), "mint", life)
    if kind == "hand" and life not in EARLY:
        kind = "kill"
    if kind == "hand":
        return Fault("hand", "gone", "aws", "iam:DeleteRolePolicy", 1, "before")
    stages: tuple[Stage, ...] = ("mint", "end", "end", "gone") if life in EARLY else ("mint", "end")
    return _placed(dice, kind, "mint" if life == "revoked at the fault" else dice.choice(stages), life)


def _placed(dice: random.Random, kind: str, stage: Stage, life: str) -> Fault:
    [gate] = ("worker→aws",) if kind in AWS_ONLY else dice.choices(GATES, (5, 4, 2))
    by_time = stage == "end" and life in ("ttl", "uncollected") and gate == "worker→aws"
    call, most = dice.choice(CALLS["end by time" if by_time else stage, gate])
    amount = {"delay": dice.choice((1, 2, 4, 7)), "throttle": dice.choice((1, 2, 4)), "error": dice.choice((1, 2, 3)),
              "shift": dice.choice((-SHIFT_SECONDS, SHIFT_SECONDS))}.get(kind, 0)  # fmt: skip
    group = dice.choice(GROUPS) if kind == "shift" else ""
    when: Literal["before", "after"] = dice.choice(("before", "after"))
    if kind in ("throttle", "error", "cut"):
        when = "before"
    if kind == "lose answer":
        when = "after"
    return Fault(kind, stage, gate, call, dice.randint(1, most), when, amount, group)
