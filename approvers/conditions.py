"""Read an ask as the conditions of rules do, and put each condition in words: what a rule wants, what an ask has.

Which conditions hold is found for all rules at once, in `approvers.masks`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from approvers.condition_models import LISTS, When, rate
from approvers.facts import RISK_LEVELS, WINDOWS, Derived, Facts, RiskLevel
from approvers.times import spell

NOT_COUNTED = "not counted"
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_PLACES: dict[str, int] = {level: place for place, level in enumerate(RISK_LEVELS)}
TAGS_TOLD = 10
"""How many tags an explanation names; a resource can have fifty."""


class View:
    """Hold the facts in the form in which conditions read them; made once per ruling.

    `risk` is the place of the level in `RISK_LEVELS`; `today`, `at` (minutes) and `weekday` are read on the wall of the
    policy's time zone. `asked` counts the principal's asks per window; None: nothing was counted. `tags` has one entry
    per resource, None where they are not known.
    """

    __slots__ = ("_local", "derived", "facts", "risk")

    def __init__(self, facts: Facts, derived: Derived, risk: RiskLevel, zone: ZoneInfo) -> None:
        """Keep everything as it is until a condition asks for it."""
        self._local = facts.at.astimezone(zone)
        self.facts, self.derived = facts, derived
        self.risk = _PLACES[risk]

    @property
    def ttl(self) -> int:
        """Return for how many seconds it is asked."""
        return self.facts.ttl_seconds

    @property
    def asked(self) -> tuple[int, ...] | None:
        """Return how often the principal asked, per window."""
        asked = self.facts.history.asked
        return asked if len(asked) == len(WINDOWS) else None

    @property
    def new(self) -> tuple[str, ...]:
        """Return the actions that nobody ever approved here for the principal."""
        return self.facts.history.new

    @property
    def today(self) -> date:
        """Return the day."""
        return self._local.date()

    @property
    def at(self) -> int:
        """Return the minute of the day."""
        return self._local.hour * 60 + self._local.minute

    @property
    def weekday(self) -> str:
        """Return the day of the week, as rules name it."""
        return WEEKDAYS[self._local.weekday()]

    @property
    def reason(self) -> int:
        """Return how many characters the reason has, trimmed."""
        return len(self.facts.reason.strip())

    @property
    def ticket_missing(self) -> bool:
        """Tell whether no ticket is named; one of spaces is none."""
        return not (self.facts.ticket and self.facts.ticket.strip())

    @property
    def tags(self) -> tuple[tuple[str, ...] | None, ...]:
        """Return each resource's tags, None where they are not known."""
        return self.derived.tags

    def elements(self, name: str) -> tuple[str, ...]:
        """Return what the ask has of one kind, as it is compared: claims and actions in lower case."""
        return ELEMENTS[name](self)


@lru_cache(maxsize=1024)  # the same few come back
def _folded(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple([word.lower() for word in words])


ELEMENTS: dict[str, Callable[[View], tuple[str, ...]]] = {
    "principal": lambda view: (view.facts.principal,),
    "principal_kind": lambda view: (view.facts.principal_kind,),
    "issuer": lambda view: _one(view.facts.issuer),
    "repository_id": lambda view: _one(view.facts.repository_id),
    "ref": lambda view: _one(view.facts.ref),
    "workflow": lambda view: _one(view.facts.workflow),
    "actor": lambda view: (view.facts.actor.lower(),),
    "model": lambda view: _claim(view.facts.model),
    "project": lambda view: _claim(view.facts.project),
    "stage": lambda view: _claim(view.facts.stage),
    "urgency": lambda view: (view.facts.urgency,),
    "action": lambda view: _folded(view.facts.actions),
    "access_level": lambda view: view.derived.access_levels,
    "risk_list": lambda view: view.derived.risk_lists,
    "resource": lambda view: view.facts.resources,
    "role": lambda view: _one(view.facts.role),
    "account": lambda view: _one(view.facts.account),
    "environment": lambda view: view.derived.environments,
    "data_class": lambda view: _folded(view.facts.data_classes),
    "weekday": lambda view: (view.weekday,),
}
"""Condition → what it compares of the ask, one by one."""


def _one(proven: str | None) -> tuple[str, ...]:
    return (proven,) if proven else ()


def _claim(claim: str | None) -> tuple[str, ...]:
    return (claim.lower(),) if claim else ()


@dataclass(frozen=True, slots=True)
class Test:
    """One condition of one rule, in words: what the rule wants, and what an ask has."""

    name: str
    wanted: str
    got: Callable[[View], str]


def compile_when(when: When) -> tuple[Test, ...]:
    """Put the named conditions in words."""
    return tuple(_list_test(name, getattr(when, name)) if name in LISTS else _test(name, getattr(when, name))
                 for name in when.named)  # fmt: skip


def _list_test(name: str, words: tuple[str, ...]) -> Test:
    elements = ELEMENTS[name]
    return Test(name, ", ".join(words), lambda view: ", ".join(elements(view)) or "none")


def _test(name: str, value: Any) -> Test:
    if name == "rate_over":
        count, window = rate(value)
        return Test(name, f"more than {count} in {WINDOWS[window]}", lambda view: _got_rate(view, window))
    wanted, got = _WORDS[name]
    return Test(name, wanted(value), got)


def _got_ttl(view: View) -> str:
    return _spelled(view.ttl)


@lru_cache(maxsize=1024)
def _spelled(seconds: int) -> str:
    return spell(timedelta(seconds=seconds))


@lru_cache(maxsize=24 * 60)
def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _got_risk(view: View) -> str:
    return RISK_LEVELS[view.risk]


def _got_rate(view: View, window: int) -> str:
    return NOT_COUNTED if view.asked is None else f"{view.asked[window]} in {WINDOWS[window]}"


def _got_new(view: View) -> str:
    return NOT_COUNTED if view.asked is None else ", ".join(view.new) or "nothing new"


def _got_tags(view: View) -> str:
    known = list(dict.fromkeys(tag for tags in view.tags for tag in tags or ()))
    words = [*known[:TAGS_TOLD], f"and {len(known) - TAGS_TOLD} more"] if len(known) > TAGS_TOLD else known
    if unknown := sum(tags is None for tags in view.tags):
        words.append(f"unknown for {unknown} of {len(view.tags)} resources")
    return ", ".join(words) or "no tags"


_WORDS: dict[str, tuple[Callable[[Any], str], Callable[[View], str]]] = {
    "tags_any": (lambda words: f"any of {', '.join(words)}", _got_tags),
    "tags_none": (lambda words: f"none of {', '.join(words)}", _got_tags),
    "ttl_over": (lambda limit: f"over {spell(limit)}", _got_ttl),
    "ttl_at_most": (lambda limit: f"at most {spell(limit)}", _got_ttl),
    "risk_at_least": (lambda level: f"{level} or more", _got_risk),
    "risk_below": (lambda level: f"below {level}", _got_risk),
    "outside_hours": (lambda span: f"outside {span}", lambda view: _clock(view.at)),
    "reason_missing": (lambda _: "no reason", lambda view: "a reason" if view.reason else "no reason"),
    "reason_shorter_than": (lambda least: f"fewer than {least} characters", lambda view: f"{view.reason} characters"),
    "ticket_missing": (lambda _: "no ticket", lambda view: "no ticket" if view.ticket_missing else "a ticket"),
    "first_seen": (lambda _: "something never approved before", _got_new),
}
"""Condition → what it wants, and what an ask has."""
