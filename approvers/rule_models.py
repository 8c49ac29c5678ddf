"""Model one rule of `policy.toml`, and hold it ready to be evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from approvers.condition_models import When, may_cover
from approvers.conditions import Test, compile_when
from approvers.faults import Strict, reject
from approvers.roster import Name

Narrowable = Literal["ttl", "actions", "resources"]


def _day(value: object) -> object:
    """Take a day only: a time of day here would be one more clock to get wrong."""
    if isinstance(value, datetime):
        reject("a date with a time", "write the last day only, such as 2027-05-31")
    return value


class Rule(Strict):
    """One rule: its effect where all its conditions hold, until a day (inclusive).

    `narrow` says what a reviewer may make smaller before they approve, where this rule asks for the review.
    """

    name: Name
    effect: Literal["allow", "deny", "review"]
    quorum: Name | None = None
    owner: Name
    note: Annotated[str, Field(min_length=1, max_length=300)]
    until: Annotated[date, BeforeValidator(_day)] | None = None
    narrow: Annotated[tuple[Narrowable, ...], Field(strict=False, min_length=1)] = ()
    when: When


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to be evaluated.

    `may_cover`: it only speaks of what is proven, so it can take the default's place.
    """

    rule: Rule
    tests: tuple[Test, ...]
    may_cover: bool


def compiled_rule(rule: Rule) -> CompiledRule:
    """Compile a rule."""
    return CompiledRule(rule, compile_when(rule.when), may_cover(rule.when))
