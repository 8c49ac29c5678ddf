"""Read and evaluate the closed set of conditions of a rule; all those named must hold.

Deny and review hold if *any* element of the ask matches, allow only if *all* do: otherwise one harmless action would
carry a dangerous one in. What a caller merely claims, and what would reward asking for less care, does not load in
allow; what would reward asking for more does not load elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

from approvers.facts import RISK_LEVELS, AccessLevel, Facts, PrincipalKind, RiskLevel, RiskList
from approvers.faults import Strict, reject
from approvers.patterns import Patterns
from approvers.times import parse_duration, spell

CLAIMS = frozenset({"actor", "project", "stage", "urgency", "data_class"})
ONLY_ALLOW = frozenset({"ttl_at_most", "risk_below"})
NEVER_ALLOW = CLAIMS | {"risk_list", "ttl_over", "risk_at_least", "reason_missing", "ticket_missing"}
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_PATTERN = re.compile(r"[^\s?\[\]]{1,2048}")


def duration(value: object) -> timedelta:
    """Read a duration of a policy file, such as "30m"."""
    if isinstance(value, timedelta):
        return value
    try:
        return parse_duration(value if isinstance(value, str) else "")
    except ValueError:
        reject(f"{value!r} is not a duration", 'write "90s", "15m", "2h" or "1d"')


def _pattern(text: str) -> str:
    if _PATTERN.fullmatch(text) is None:
        reject(f"{text!r} is not a pattern", "write it without spaces; * is the only wildcard")
    return text


def _action(text: str) -> str:
    if text != "*" and ":" not in text:
        reject(f"{text!r} fits no action", f'write service:Action, such as "{text}:*"')
    return text


def _principal(text: str) -> str:
    if not text.startswith(("caller:", "user:", "*")):
        reject(f"{text!r} is not a principal", 'write "caller:NAME" or "user:NAME"')
    return text


def _hours(text: str) -> str:
    if _HOURS.fullmatch(text) is None or text[:5] == text[6:]:
        reject(f"{text!r} is not a span of hours", 'write it like "08:00-19:00"')
    return text


def _once(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        if words.count(word) > 1:
            reject(f"{word!r} is named twice", "name it once")
    return words


Duration = Annotated[timedelta, BeforeValidator(duration)]
Pattern = Annotated[str, AfterValidator(_pattern)]
_List = (Field(strict=False, min_length=1), AfterValidator(_once))
PatternList = Annotated[tuple[Pattern, ...], *_List]


class When(Strict):
    """Name the conditions of a rule. Lists hold patterns (`*`), or words of a closed set."""

    LATER: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("issuer", "repository_id", "ref", "workflow"), "callers from CI by their own tokens"),
        **dict.fromkeys(("tags_any", "tags_none"), "resource tags"),
        **dict.fromkeys(("rate_over", "first_seen"), "rules on history"),
        **dict.fromkeys(("model", "weekday", "reason_shorter_than"), "the full vocabulary"),
    }

    principal: Annotated[tuple[Annotated[Pattern, AfterValidator(_principal)], ...], *_List] | None = None
    principal_kind: Annotated[tuple[PrincipalKind, ...], *_List] | None = None
    actor: PatternList | None = None
    project: PatternList | None = None
    stage: PatternList | None = None
    urgency: Annotated[tuple[Literal["low", "normal", "high"], ...], *_List] | None = None
    action: Annotated[tuple[Annotated[Pattern, AfterValidator(_action)], ...], *_List] | None = None
    access_level: Annotated[tuple[AccessLevel, ...], *_List] | None = None
    risk_list: Annotated[tuple[RiskList, ...], *_List] | None = None
    resource: PatternList | None = None
    role: PatternList | None = None
    account: PatternList | None = None
    environment: PatternList | None = None
    data_class: PatternList | None = None
    ttl_over: Duration | None = None
    ttl_at_most: Duration | None = None
    risk_at_least: RiskLevel | None = None
    risk_below: RiskLevel | None = None
    outside_hours: Annotated[str, AfterValidator(_hours)] | None = None
    reason_missing: Literal[True] | None = None
    ticket_missing: Literal[True] | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """Return the names of the conditions that are set."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) is not None)


LISTS = ("principal", "principal_kind", "actor", "project", "stage", "urgency", "action", "access_level", "risk_list",
         "resource", "role", "account", "environment", "data_class")  # fmt: skip
FOLDED = frozenset({"action", "actor", "project", "stage", "data_class"})
"""Compared in lower case: AWS takes actions in any case, and a claim must not slip by in capitals."""


class View:
    """Hold the facts in the form in which conditions read them; made once per ruling."""

    __slots__ = ("at", "lists", "reason_missing", "risk", "ticket_missing", "today", "ttl")

    def __init__(self, facts: Facts, risk: RiskLevel, zone: ZoneInfo) -> None:
        """Fold case, and read the clock on the wall of the policy's time zone."""
        local = facts.at.astimezone(zone)
        self.today: date = local.date()
        self.at = local.hour * 60 + local.minute
        self.ttl = facts.ttl_seconds
        self.risk = RISK_LEVELS.index(risk)
        self.reason_missing = not facts.reason.strip()
        self.ticket_missing = not (facts.ticket and facts.ticket.strip())
        self.lists: dict[str, tuple[str, ...]] = {
            "principal": (facts.principal,),
            "principal_kind": (facts.principal_kind,),
            "actor": (facts.actor.lower(),),
            "project": _one(facts.project),
            "stage": _one(facts.stage),
            "urgency": (facts.urgency,),
            "action": tuple([action.lower() for action in facts.actions]),
            "access_level": facts.access_levels,
            "risk_list": facts.risk_lists,
            "resource": facts.resources,
            "role": (facts.role,) if facts.role else (),
            "account": (facts.account,) if facts.account else (),
            "environment": facts.environments,
            "data_class": tuple([name.lower() for name in facts.data_classes]),
        }


def _one(claim: str | None) -> tuple[str, ...]:
    return (claim.lower(),) if claim else ()


@dataclass(frozen=True, slots=True)
class Test:
    """One compiled condition: `any_` is how deny and review read it, `all_` how allow does."""

    name: str
    wanted: str
    any_: Callable[[View], bool]
    all_: Callable[[View], bool]
    got: Callable[[View], str]


def compile_when(when: When) -> tuple[Test, ...]:
    """Compile the named conditions, the cheap ones first."""
    return tuple(sorted(_compile(when), key=lambda test: test.name in ("action", "resource")))


def may_cover(when: When) -> bool:
    """Tell whether the same conditions could stand in an allow rule: they only speak of what is proven."""
    return not NEVER_ALLOW.intersection(when.named)


def _compile(when: When) -> Iterator[Test]:
    for name in when.named:
        if name in LISTS:
            yield _list_test(name, getattr(when, name))
    if when.ttl_over is not None:
        over = int(when.ttl_over.total_seconds())
        yield _plain("ttl_over", f"over {spell(when.ttl_over)}", lambda view: view.ttl > over, _got_ttl)
    if when.ttl_at_most is not None:
        most = int(when.ttl_at_most.total_seconds())
        yield _plain("ttl_at_most", f"at most {spell(when.ttl_at_most)}", lambda view: view.ttl <= most, _got_ttl)
    if when.risk_at_least is not None:
        least = RISK_LEVELS.index(when.risk_at_least)
        yield _plain("risk_at_least", f"{when.risk_at_least} or more", lambda view: view.risk >= least, _got_risk)
    if when.risk_below is not None:
        below = RISK_LEVELS.index(when.risk_below)
        yield _plain("risk_below", f"below {when.risk_below}", lambda view: view.risk < below, _got_risk)
    if when.outside_hours is not None:
        yield _hours_test(when.outside_hours)
    if when.reason_missing:
        yield _plain("reason_missing", "no reason", lambda view: view.reason_missing,
                     lambda view: "no reason" if view.reason_missing else "a reason")  # fmt: skip
    if when.ticket_missing:
        yield _plain("ticket_missing", "no ticket", lambda view: view.ticket_missing,
                     lambda view: "no ticket" if view.ticket_missing else "a ticket")  # fmt: skip


def _list_test(name: str, words: tuple[str, ...]) -> Test:
    patterns = Patterns(word.lower() for word in words) if name in FOLDED else Patterns(words)
    covers = patterns.covers
    hits = patterns.touches if name == "resource" else covers  # no other element can hold wildcards

    def any_(view: View) -> bool:
        for element in view.lists[name]:  # noqa: SIM110 - a plain loop, as this runs for every rule of every ruling
            if hits(element):
                return True
        return False

    def all_(view: View) -> bool:
        elements = view.lists[name]
        return bool(elements) and all(map(covers, elements))  # all of nothing would be an open door

    return Test(name, ", ".join(words), any_, all_, lambda view: ", ".join(view.lists[name]) or "none")


def _hours_test(hours: str) -> Test:
    start, end = (int(text[:2]) * 60 + int(text[3:]) for text in hours.split("-"))

    def outside(view: View) -> bool:
        inside = start <= view.at < end if start < end else not end <= view.at < start
        return not inside

    return _plain("outside_hours", f"outside {hours}", outside, lambda view: f"{view.at // 60:02d}:{view.at % 60:02d}")


def _plain(name: str, wanted: str, holds: Callable[[View], bool], got: Callable[[View], str]) -> Test:
    return Test(name, wanted, holds, holds, got)


def _got_ttl(view: View) -> str:
    return spell(timedelta(seconds=view.ttl))


def _got_risk(view: View) -> str:
    return RISK_LEVELS[view.risk]
