"""Model the closed set of conditions of a rule, as `when = { … }` of `policy.toml` names them.

What a caller merely claims, and what would reward asking for less care, does not load in allow; what would reward
asking for more does not load elsewhere. How a condition reads an ask is `approvers.conditions`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from approvers.facts import WINDOWS, AccessLevel, PrincipalKind, RiskLevel, RiskList
from approvers.faults import Strict, reject
from approvers.times import parse_duration

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
CLAIMS = frozenset({"actor", "model", "project", "stage", "urgency", "data_class"})
"""What only the caller says; a claim may tighten and opens nothing."""
ONLY_ALLOW = frozenset({"ttl_at_most", "risk_below"})
NEVER_ALLOW = CLAIMS | {"risk_list", "ttl_over", "risk_at_least", "rate_over", "reason_missing",
                        "reason_shorter_than", "ticket_missing", "first_seen"}  # fmt: skip
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_RATE = re.compile(r"([1-9][0-9]{0,5})/(.+)")
_PATTERN = re.compile(r"[^\s?\[\]]{1,2048}")
_TAG = re.compile(r"[^=]+=.*", re.DOTALL)


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


def _rate(text: str) -> str:
    found = _RATE.fullmatch(text)
    if found is None or found[2] not in WINDOWS:
        reject(f"{text!r} is not a rate", f'write it like "20/1h"; the window is one of: {", ".join(WINDOWS)}')
    return text


def _tag(text: str) -> str:
    """Take a pattern over `key=value`; unlike other patterns it may hold spaces, `?` and brackets, as tags may."""
    if not 1 <= len(text) <= 512 or _TAG.fullmatch(text) is None:
        reject(f"{text!r} fits no tag", 'write "KEY=VALUE", such as "data=pii" or "owner=*"; * is the only wildcard')
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
TagList = Annotated[tuple[Annotated[str, AfterValidator(_tag)], ...], *_List]


class When(Strict):
    """Name the conditions of a rule; all those named must hold. Lists hold patterns (`*`), or words of a closed set."""

    principal: Annotated[tuple[Annotated[Pattern, AfterValidator(_principal)], ...], *_List] | None = None
    principal_kind: Annotated[tuple[PrincipalKind, ...], *_List] | None = None
    issuer: PatternList | None = None
    repository_id: PatternList | None = None
    ref: PatternList | None = None
    workflow: PatternList | None = None
    actor: PatternList | None = None
    model: PatternList | None = None
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
    tags_any: TagList | None = None
    tags_none: TagList | None = None
    data_class: PatternList | None = None
    ttl_over: Duration | None = None
    ttl_at_most: Duration | None = None
    risk_at_least: RiskLevel | None = None
    risk_below: RiskLevel | None = None
    rate_over: Annotated[str, AfterValidator(_rate)] | None = None
    outside_hours: Annotated[str, AfterValidator(_hours)] | None = None
    weekday: Annotated[tuple[Weekday, ...], *_List] | None = None
    reason_missing: Literal[True] | None = None
    reason_shorter_than: Annotated[int, Field(ge=1, le=4000)] | None = None
    ticket_missing: Literal[True] | None = None
    first_seen: Literal[True] | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """Return the names of the conditions that are set."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) is not None)


LISTS = ("principal", "principal_kind", "issuer", "repository_id", "ref", "workflow", "actor", "model", "project",
         "stage", "urgency", "action", "access_level", "risk_list", "resource", "role", "account", "environment",
         "data_class", "weekday")  # fmt: skip
"""Conditions that compare the elements of the ask, one by one, with a list of words or patterns."""
FOLDED = frozenset({"action", "actor", "model", "project", "stage", "data_class"})
"""Compared in lower case: AWS takes actions in any case, and a claim must not slip by in capitals."""


def may_cover(when: When) -> bool:
    """Tell whether the same conditions could stand in an allow rule: they only speak of what is proven."""
    return not NEVER_ALLOW.intersection(when.named)


def hours(text: str) -> tuple[int, int]:
    """Return the first and the last minute of the day of a span such as "08:00-19:00"."""
    start, end = (int(part[:2]) * 60 + int(part[3:]) for part in text.split("-"))
    return start, end


def rate(text: str) -> tuple[int, int]:
    """Return how many asks a rate such as "20/1h" lets pass, and the place of its window in `WINDOWS`."""
    count, _, window = text.partition("/")
    return int(count), WINDOWS.index(window)
