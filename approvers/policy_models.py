"""Model `policy.toml`, key by key. `approvers.policy` reads and checks it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field

from approvers.conditions import Duration, Test, When, compile_when, duration, may_cover
from approvers.faults import Strict, reject
from approvers.risk_table import RiskTable
from approvers.roster import Name, Names

_ASK = re.compile(r"(group|place):[a-z0-9][a-z0-9_-]{0,62}")


def _after(value: object) -> timedelta:
    return timedelta(0) if value in ("0s", "0m", "0h") else duration(value)


def _ask(text: str) -> str:
    if _ASK.fullmatch(text) is None:
        reject(f"{text!r} is nobody to ask", 'write "group:NAME" or "place:NAME"')
    return text


def _day(value: object) -> object:
    """Take a day only: a time of day here would be one more clock to get wrong."""
    if isinstance(value, datetime):
        reject("a date with a time", "write the last day only, such as 2027-05-31")
    return value


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of the time zone data
        reject(f"{name!r} is not a time zone", 'write it like "Europe/Berlin" or "UTC"')
    return name


class Quorum(Strict):
    """Whose yes is needed: seats per group (bare name), each filled by a different person, and the ladder to use."""

    name: Name
    seats: Annotated[dict[Name, Annotated[int, Field(ge=1, le=100)]], Field(min_length=1)]
    ladder: Name


class Level(Strict):
    """A step of a ladder: how long after the ask it begins, and whom it asks as well."""

    LATER: ClassVar[Mapping[str, str]] = {"may_fill": "escalation", "alert": "escalation"}
    after: Annotated[timedelta, BeforeValidator(_after)]
    ask: Annotated[tuple[Annotated[str, AfterValidator(_ask)], ...], Field(strict=False, min_length=1)]


class Ladder(Strict):
    """Who is asked when, and until when an answer counts."""

    name: Name
    expires_after: Duration
    levels: Annotated[tuple[Level, ...], Field(strict=False, min_length=1)]


class Limits(Strict):
    """Caps on an ask. `ttl_max` is keyed by `default`, environments and access levels; the smallest applies."""

    ttl_default: Duration = timedelta(minutes=30)
    ttl_max: dict[str, Duration] = Field(default={"default": timedelta(hours=1)})
    actions_max: Annotated[int, Field(ge=1, le=50)] = 10
    denied_cool_down: Duration | None = None


class Rule(Strict):
    """One rule: its effect where all its conditions hold, until a day (inclusive)."""

    LATER: ClassVar[Mapping[str, str]] = {"narrow": "narrowing by the reviewer", "break_glass": "break-glass"}
    name: Name
    effect: Literal["allow", "deny", "review"]
    quorum: Name | None = None
    owner: Name
    note: Annotated[str, Field(min_length=1, max_length=300)]
    until: Annotated[date, BeforeValidator(_day)] | None = None
    when: When


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to be evaluated.

    `may_cover`: it only speaks of what is proven, so it can take the default's place.
    """

    rule: Rule
    tests: tuple[Test, ...]
    may_cover: bool


class Policy(Strict):
    """All rules, quorums, ladders, limits and risk points."""

    LATER: ClassVar[Mapping[str, str]] = {"break_glass": "break-glass"}
    version: Literal[1]
    default: Literal["review", "deny"]
    default_quorum: Name
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    environments: Annotated[Names, Field(min_length=1)]
    quorums: Annotated[dict[Name, Quorum], Field(min_length=1)] = Field(alias="quorum")
    ladders: dict[Name, Ladder] = Field(alias="ladder")
    limits: Limits = Limits()
    risk: RiskTable = RiskTable()
    rules: dict[Name, Rule] = Field(alias="rule", default={})

    @cached_property
    def zone(self) -> ZoneInfo:
        """Return the time zone of every hour and day in the policy."""
        return ZoneInfo(self.timezone)

    @cached_property
    def compiled(self) -> tuple[CompiledRule, ...]:
        """Return the rules, compiled, in order of name, so that their order in the file changes nothing."""
        return tuple(
            CompiledRule(rule, compile_when(rule.when), may_cover(rule.when)) for _, rule in sorted(self.rules.items())
        )
