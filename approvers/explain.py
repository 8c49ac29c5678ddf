"""Explain a ruling so that a person reads it in ten seconds: the answer, then on what, by whom, and what nearly was.

For people only: to an agent the near misses would be a recipe (`for_caller` is what it gets).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from approvers.blast import blast, words
from approvers.deriving import derive
from approvers.facts import Facts
from approvers.grant import Plan
from approvers.limits import caps
from approvers.policy import Policy
from approvers.request import Request, RequestState
from approvers.risk import Risk
from approvers.ruling import rule
from approvers.ruling_models import NOT_EVALUATED, Condition, Effect, NearMiss, RuleHit, Ruling
from approvers.times import spell

ANSWERS: Mapping[Effect, str] = {
    "allow": "ALLOWED without asking anybody",
    "break_glass": "GRANTED AT ONCE by break-glass; an after-review is owed",
    "deny": "DENIED by policy",
    "review": "PEOPLE ARE ASKED",
}
_BARRED = {
    "principal": "asked for it",
    "actor": "would do it",
    "on_behalf_of": "the human behind the agent",
    "owner": "owns the caller",
}
BULLET = "• "
IN_FORCE = "the policy in force now"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SeatPart(_Part):
    """How many of a group are needed, and who has filled a seat so far."""

    group: str
    needed: int
    filled: tuple[str, ...] = ()


class CapPart(_Part):
    """One cap on the TTL that applies; the smallest wins."""

    of: str
    seconds: int


class NowPart(_Part):
    """What the policy in force now says to the same facts; `same`: nothing that counts is different."""

    because: str
    effect: str
    policy_sha256: str
    same: bool
    seats: Mapping[str, int]


class Explanation(_Part):
    """Why a ruling is as it is. `evaluated` False: no rule said no, the policy could not be computed."""

    answer: str
    because: str
    effect: str
    evaluated: bool
    notes: tuple[str, ...]
    rules: tuple[RuleHit, ...]
    seats: tuple[SeatPart, ...]
    barred: Mapping[str, str]
    narrow: tuple[str, ...]
    ttl_seconds: int
    caps: tuple[CapPart, ...]
    risk: Risk
    blast: tuple[str, ...] = ()
    near_misses: tuple[NearMiss, ...]
    policy_sha256: str
    now: NowPart | None = None


class InForce(NamedTuple):
    """The policy in force, and its hash."""

    policy: Policy
    sha256: str


def explain(
    ruling: Ruling,
    facts: Facts,
    *,
    policy: Policy | None = None,
    filled: Mapping[str, tuple[str, ...]] | None = None,
    now: NowPart | None = None,
    plan: Plan | None = None,
) -> Explanation:
    """Return everything that explains a ruling on these facts.

    Args:
        ruling: what policy said.
        facts: about what.
        policy: under which one, for its caps; None: no caps are named.
        filled: who has filled which seat.
        now: what the policy in force says, where that is another one.
        plan: what would be minted; None: nothing would, and the reach is that of the ask.
    """
    evaluated = ruling.because != NOT_EVALUATED
    given = filled or {}
    return Explanation(
        answer=_answer(ruling),
        because=ruling.because if evaluated else "; ".join(ruling.notes),
        effect=ruling.effect,
        evaluated=evaluated,
        notes=ruling.notes if evaluated else (),
        rules=ruling.rules,
        seats=tuple(
            SeatPart(group=group, needed=count, filled=given.get(group, ()))
            for group, count in sorted(ruling.seats.items())
        ),
        barred={who: ruling.barred_as[who] for who in ruling.barred},
        narrow=ruling.narrow,
        ttl_seconds=facts.ttl_seconds,
        caps=tuple(CapPart(of=name, seconds=int(cap.total_seconds())) for cap, name in caps(policy, facts))
        if policy
        else (),
        risk=ruling.risk,
        blast=words(blast(facts, plan, derive(policy, facts).risk_lists if policy else None)),
        near_misses=ruling.near_misses,
        policy_sha256=ruling.policy_sha256,
        now=now,
    )


def explain_request(request: Request, current: InForce | None) -> Explanation:
    """Return why a stored request stands as it does, and what the policy in force says to the same facts.

    The facts are those of the ask: the clock, the counters and the tags are what they were then.
    """
    same_policy = current is not None and current.sha256 == request.ruling.policy_sha256
    now = None if current is None or same_policy else _now(request, current)
    return explain(
        request.ruling,
        request.facts,
        policy=current.policy if current and same_policy else None,
        filled=request.tally().filled,
        now=now,
        plan=request.plan,
    )


def _now(request: Request, current: InForce) -> NowPart:
    try:
        ruling = rule(current.policy, request.facts, sha256=current.sha256)
    except Exception as error:  # whatever broke inside the rules: that is the answer
        return NowPart(because=type(error).__name__, effect=NOT_EVALUATED, policy_sha256=current.sha256, same=False,
                       seats={})  # fmt: skip
    pinned = request.ruling
    same = (pinned.effect, dict(pinned.seats), set(pinned.barred)) == (
        ruling.effect, dict(ruling.seats), set(ruling.barred)
    )  # fmt: skip
    return NowPart(because=ruling.because, effect=ruling.effect, policy_sha256=current.sha256, same=same,
                   seats=dict(ruling.seats))  # fmt: skip


def for_caller(request: Request) -> dict[str, Any]:
    """Return what a caller reads of its own request: the notes of the rules, nothing to learn a way around from."""
    evaluated = request.ruling.because != NOT_EVALUATED
    return {"because": request.because.value, "notes": list(request.ruling.notes) if evaluated else []}


def lines(found: Explanation, request: Request | None = None, *, under: str = IN_FORCE) -> Iterator[str]:
    """Yield what a person reads, the answer first; a line that belongs to the one before begins with a bullet.

    `under` names the policy of `found.now`.
    """
    yield found.answer + _standing(request)
    yield found.because if found.evaluated else f"Nobody said no: the policy could not be computed ({found.because})."
    yield from _now_lines(found.now, under)
    for hit in found.rules:
        yield f"Rule {hit.name} ({hit.effect}): {hit.note}"
        for condition in hit.conditions:
            yield BULLET + told(condition)
    yield from _seat_lines(found)
    yield f"Risk {found.risk.level.upper()} {found.risk.score}"
    for point in found.risk.points:
        yield f"{BULLET}{point.points:+d} {point.why}"
    yield from _cap_lines(found)
    for line in found.blast:
        yield f"Reach: {line}"
    for miss in found.near_misses:
        yield f"Nearly allowed by {miss.rule}, but for one condition: {told(miss.condition)}"
    yield f"Policy sha256 {found.policy_sha256[:16]}…"


def told(condition: Condition) -> str:
    """Say what a rule wanted of a condition, and what it got."""
    return f"{condition.name}: the rule wants {condition.wanted}, the request has {condition.got}"


def _answer(ruling: Ruling) -> str:
    if ruling.because == NOT_EVALUATED:
        return "NOT EVALUATED, and so not allowed"
    return ANSWERS[ruling.effect] + (f": {_needs(ruling.seats)}" if ruling.effect == "review" else "")


def _standing(request: Request | None) -> str:
    """Say how a request stands, where that is not what policy alone said."""
    if request is None or request.state is RequestState.PENDING or not request.human_decision:
        return ""
    return f"; {request.state} by {(request.decided_by or 'people').removeprefix('user:')}"


def _now_lines(now: NowPart | None, under: str) -> Iterator[str]:
    if now is None:
        return
    if now.effect == NOT_EVALUATED:
        yield f"Under {under}: it cannot be evaluated ({now.because})."
    elif now.same:
        yield f"Under {under}: the same answer."
    else:
        needs = f" ({_needs(now.seats)})" if now.seats else ""
        yield f"Under {under}: {now.effect}{needs}. {now.because}"


def _needs(seats: Mapping[str, int]) -> str:
    return " and ".join(f"{count} of {group}" for group, count in sorted(seats.items()))


def _seat_lines(found: Explanation) -> Iterator[str]:
    for seat in found.seats:
        people = ", ".join(map(_bare, seat.filled))
        yield f"Needs {seat.needed} of {seat.group}: {len(seat.filled)} so far" + (f" ({people})" if people else "")
    for who, why in found.barred.items():
        yield f"{BULLET}not {_bare(who)}: {_BARRED.get(why, 'barred')}"
    if found.narrow:
        yield f"{BULLET}a reviewer may make smaller: {', '.join(found.narrow)}"


def _cap_lines(found: Explanation) -> Iterator[str]:
    if found.caps:
        first, *others = found.caps
        more = f"; wider: {', '.join(f'{_span(one.seconds)} ({one.of})' for one in others)}" if others else ""
        yield f"TTL {_span(found.ttl_seconds)} of at most {_span(first.seconds)} ({first.of}){more}"


def _span(seconds: int) -> str:
    return spell(timedelta(seconds=seconds))


def _bare(principal: str) -> str:
    return principal.removeprefix("user:")
