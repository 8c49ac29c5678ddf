"""Answer recorded facts under one policy, as the intake would, and say how two answers differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from approvers.applying_ruling import is_apply
from approvers.cases import Outcome
from approvers.conditions import View
from approvers.deriving import derive
from approvers.errors import Inadmissible
from approvers.facts import Facts
from approvers.policy import Policy
from approvers.risk import assess
from approvers.ruling import NOT_EVALUATED, check_limits, rule

REFUSED = "refused"
"""The effect of an ask that a cap of the policy does not let in."""
STRICTNESS: Mapping[str, int] = {"allow": 0, "break_glass": 1, "review": 2, "deny": 3, NOT_EVALUATED: 3, REFUSED: 4}
FEWER, OTHER, MORE = "fewer seats", "other seats", "more seats"
TIME, NARROW = "other time to answer", "other narrowing"
MOST_KNOWN = 10_000
"""How many sets of rules that held together are remembered."""
_NOBODY: Mapping[str, int] = {}


class Change(NamedTuple):
    """A way in which answers differ: `review→allow`, `more seats`. `looser`: something moves toward allow.

    A seat that nobody has to fill any more is such a move, even if another group is asked in its place.
    """

    name: str
    looser: bool

    @property
    def allows(self) -> bool:
        """Tell whether the ask is now allowed, and was not."""
        return self.name.endswith("→allow")

    @property
    def order(self) -> tuple[bool, bool, str]:
        """Sort: what is allowed now first, then what else moves toward allow."""
        return not self.allows, not self.looser, self.name


class Judge:
    """Answer facts under one policy.

    What it answers is `ruling.rule`'s own answer. But a ruling explains itself, and of a hundred thousand asks most
    come out as they did: what the same rules come to is remembered, and only what differs is explained.
    """

    def __init__(self, policy: Policy, sha256: str) -> None:
        """Take the policy and the SHA-256 of its text."""
        self.policy, self.sha256 = policy, sha256
        self._least_cap = min(int(cap.total_seconds()) for cap in policy.limits.ttl_max.values())
        self._known: dict[tuple[object, ...], Outcome] = {}

    def outcome(self, facts: Facts) -> Outcome:
        """Return what this policy makes of the facts: its caps first, as at the intake, then its rules."""
        if self._refusal(facts) is not None:
            return Outcome(REFUSED, _NOBODY, None, ())
        try:
            return self._ruled(facts) if facts.break_glass or self._applies(facts) else self._remembered(facts)
        except Exception:  # as at the intake: whatever broke inside the rules, it is not a yes
            return Outcome(NOT_EVALUATED, _NOBODY, None, ())

    def why(self, facts: Facts) -> str:
        """Say why: the rules that decide with what each condition got, the default, or the cap."""
        if (refusal := self._refusal(facts)) is not None:
            return refusal
        try:
            ruling = rule(self.policy, facts, sha256=self.sha256)
        except Exception as error:  # the same as above
            return f"not evaluated: {type(error).__name__}"
        hits = [f"{hit.name} ({', '.join(f'{one.name} {one.got}' for one in hit.conditions)})" for hit in ruling.rules]
        return "; ".join(hits) or ruling.because

    def _remembered(self, facts: Facts) -> Outcome:
        """Look up what these rules came to before: without break-glass or a change of policy nothing else has a say."""
        policy, derived = self.policy, derive(self.policy, facts)
        view = View(facts, derived, assess(policy.risk, facts, derived).level, policy.zone)
        deny, review, allow, covered, _ = policy.index.weigh(view)
        key = (*map(id, deny), None, *map(id, review), None, *map(id, allow), covered)
        if (known := self._known.get(key)) is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            known = self._known[key] = self._ruled(facts)
        return known

    def _applies(self, facts: Facts) -> bool:
        return self.policy.apply is not None and is_apply(facts)

    def _ruled(self, facts: Facts) -> Outcome:
        ruling = rule(self.policy, facts, sha256=self.sha256)
        return Outcome(ruling.effect, ruling.seats, ruling.expires_after_seconds, ruling.narrow)

    def _refusal(self, facts: Facts) -> str | None:
        """Return why a cap refuses the ask. Most asks are within every cap, which is seen at once."""
        plain = not facts.break_glass and facts.extends is None
        if plain and facts.ttl_seconds <= self._least_cap and len(facts.actions) <= self.policy.limits.actions_max:
            return None
        try:
            check_limits(self.policy, facts)
        except Inadmissible as error:
            return f"{error.detail} [{error.rule}]"
        return None


def compare(before: Outcome, after: Outcome) -> Change | None:
    """Say how two outcomes differ; None if they do not."""
    if before == after:
        return None
    if before.effect != after.effect:
        looser = STRICTNESS[after.effect] < STRICTNESS[before.effect]
        return Change(f"{before.effect}→{after.effect}", looser)
    if before.seats != after.seats:
        return _seats(before.seats, after.seats)
    return Change(TIME if before.expires_after_seconds != after.expires_after_seconds else NARROW, looser=False)


def _seats(before: Mapping[str, int], after: Mapping[str, int]) -> Change:
    fewer = any(after.get(group, 0) < count for group, count in before.items())
    more = any(before.get(group, 0) < count for group, count in after.items())
    return Change(OTHER if fewer and more else FEWER if fewer else MORE, looser=fewer)
