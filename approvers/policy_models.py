"""Model `policy.toml`, key by key. `approvers.policy` reads and checks it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field

from approvers.condition_models import Duration, duration
from approvers.facts import EVERY_KEY, RISK_LEVELS
from approvers.faults import Strict, reject
from approvers.index import Index
from approvers.risk_table import RiskTable
from approvers.roster import Name, Names
from approvers.rule_models import CompiledRule, Narrowable, Rule, compiled_rule

__all__ = ["Apply", "BreakGlass", "CompiledRule", "Grants", "Ladder", "Level", "Limits", "Monitoring", "Narrowable",
           "Policy", "Quorum", "Rule"]  # fmt: skip

_WHO = re.compile(r"(group|user):[a-z0-9][a-z0-9_-]{0,62}")
_HALF_AN_HOUR = timedelta(minutes=30)
_ASK = re.compile(r"(group|place):[a-z0-9][a-z0-9_-]{0,62}")


def _after(value: object) -> timedelta:
    return timedelta(0) if value in ("0s", "0m", "0h") else duration(value)


def _ttl_table(value: object) -> object:
    """Take one duration for everything, too."""
    return value if isinstance(value, dict) else {"default": duration(value)}


def _folded(table: dict[str, timedelta]) -> dict[str, timedelta]:
    """Compare data classes in lower case, as rules do."""
    return {name.lower() if name.startswith("data:") else name: value for name, value in table.items()}


def _ask(text: str) -> str:
    if _ASK.fullmatch(text) is None:
        reject(f"{text!r} is nobody to ask", 'write "group:NAME" or "place:NAME"')
    return text


def _who(text: str) -> str:
    if _WHO.fullmatch(text) is None:
        reject(f"{text!r} is no person", 'write "group:NAME" or "user:NAME"')
    return text


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
    """A step of a ladder: how long after the ask it begins, and whom it asks as well.

    `may_fill` names a group whose seats the groups of this level may take, too, from then on; `alert` tells on-call.
    """

    after: Annotated[timedelta, BeforeValidator(_after)]
    ask: Annotated[tuple[Annotated[str, AfterValidator(_ask)], ...], Field(strict=False, min_length=1)]
    may_fill: Name | None = None
    alert: bool = False

    @property
    def fills(self) -> tuple[tuple[str, str], ...]:
        """Return which groups (first) may take the seats of which others from this level on."""
        groups = [who.removeprefix("group:") for who in self.ask if who.startswith("group:")]
        return tuple((group, self.may_fill) for group in groups if group != self.may_fill) if self.may_fill else ()


class Ladder(Strict):
    """Who is asked when, and until when an answer counts."""

    name: Name
    expires_after: Duration
    levels: Annotated[tuple[Level, ...], Field(strict=False, min_length=1)]


class Limits(Strict):
    """Caps on an ask, and the TTL of one that names none.

    Both tables are keyed by `default`, environments, access levels, risk levels (that one and those above) and data
    classes (`data:NAME`); the smallest that applies wins.
    """

    ttl_default: Annotated[dict[str, Duration], BeforeValidator(_ttl_table), AfterValidator(_folded)] = Field(
        default={"default": _HALF_AN_HOUR}
    )
    ttl_max: Annotated[dict[str, Duration], AfterValidator(_folded)] = Field(default={"default": timedelta(hours=1)})
    actions_max: Annotated[int, Field(ge=1, le=50)] = 10
    denied_cool_down: Duration | None = None

    def default_of(self, name: str) -> timedelta:
        """Return the longest default TTL of an ask to which this key of the tables applies."""
        levels = RISK_LEVELS[: RISK_LEVELS.index(name) + 1] if name in RISK_LEVELS else (name,)
        return min(self.ttl_default[key] for key in ("default", *levels) if key in self.ttl_default)


class BreakGlass(Strict):
    """Who may be granted at once what people would have to review, on which terms; it stands in for nothing else.

    Attributes:
        who: `group:NAME` and `user:NAME` that may use it; never a program.
        require: what the ask has to say.
        ttl_max: the longest grant of this kind.
        tell: `group:NAME` and `place:NAME` that are told besides everybody whom the review would have asked.
        review_within: by when a use has to be reviewed by somebody else.
        open_max: how many uses of one person may wait for that review; one more is refused.
    """

    who: Annotated[tuple[Annotated[str, AfterValidator(_who)], ...], Field(strict=False, min_length=1)]
    require: Annotated[tuple[Literal["reason", "ticket"], ...], Field(strict=False)] = ("reason",)
    ttl_max: Duration = timedelta(minutes=30)
    tell: Annotated[tuple[Annotated[str, AfterValidator(_ask)], ...], Field(strict=False, min_length=1)]
    review_within: Duration = timedelta(hours=24)
    open_max: Annotated[int, Field(ge=1, le=10)] = 1


class Grants(Strict):
    """What every grant lives under.

    Attributes:
        collect_within: a credential that its caller has not collected by then is ended.
        warn_before: how long before its end people and caller are warned; not where the TTL is shorter than twice that.
    """

    collect_within: Duration = timedelta(minutes=10)
    warn_before: Duration = timedelta(minutes=2)


def _unless_never(value: object) -> object:
    return None if value == "never" else value


Points = Annotated[Annotated[int, Field(ge=1, le=1000)] | None, BeforeValidator(_unless_never)]


class Monitoring(Strict):
    """What happens when a session does what it was not granted for; docs/policy.md has the points of each flag.

    Attributes:
        kill_at: the points at which the grant is ended; None (written "never"): not by itself.
        ask_at: the points at which on-call is asked.
        watch_for: how long after its end a grant's activity is still looked at.
    """

    kill_at: Points = 60
    ask_at: Points = 20
    watch_for: Duration = timedelta(minutes=15)


class Apply(Strict):
    """Whose yes a change of these files needs, through Countersign itself, before `countersign apply` stores it."""

    quorum: Name


class Policy(Strict):
    """All rules, quorums, ladders, limits and risk points."""

    version: Literal[1]
    default: Literal["review", "deny"]
    default_quorum: Name
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    environments: Annotated[Names, Field(min_length=1)]
    quorums: Annotated[dict[Name, Quorum], Field(min_length=1)] = Field(alias="quorum")
    ladders: dict[Name, Ladder] = Field(alias="ladder")
    limits: Limits = Limits()
    risk: RiskTable = RiskTable()
    break_glass: BreakGlass | None = None
    apply: Apply | None = None
    grants: Grants = Grants()
    monitoring: Monitoring = Monitoring()
    rules: dict[Name, Rule] = Field(alias="rule", default={})

    @cached_property
    def zone(self) -> ZoneInfo:
        """Return the time zone of every hour and day in the policy."""
        return ZoneInfo(self.timezone)

    @cached_property
    def compiled(self) -> tuple[CompiledRule, ...]:
        """Return the rules, compiled, in order of name, so that their order in the file changes nothing."""
        return tuple(compiled_rule(rule) for _, rule in sorted(self.rules.items()))

    @cached_property
    def index(self) -> Index:
        """Return what weighs all rules at once; compiled when it is first asked for."""
        return Index(self.compiled)

    @cached_property
    def tag_keys(self) -> tuple[str, ...]:
        """Return the tag keys that rules name, in order; `EVERY_KEY` where one has a wildcard."""
        whens = [rule.when for rule in self.rules.values()]
        words = [word for when in whens for word in (*(when.tags_any or ()), *(when.tags_none or ()))]
        keys = sorted({word.partition("=")[0] for word in words})
        return EVERY_KEY if any("*" in key for key in keys) else tuple(keys)

    @cached_property
    def _terms(self) -> dict[tuple[str, ...], tuple[Mapping[str, int], int | None]]:
        return {}

    def terms(self, quorums: tuple[str, ...]) -> tuple[Mapping[str, int], int | None]:
        """Return the seats that these quorums want together (per group the largest), and the seconds to answer.

        None of them: no seats, and no time.
        """
        found = self._terms.get(quorums)
        if found is None:
            seats: dict[str, int] = {}
            for name in quorums:
                for group, count in self.quorums[name].seats.items():
                    seats[group] = max(count, seats.get(group, 0))
            ladders = [self.ladders[self.quorums[name].ladder] for name in quorums]
            seconds = min((int(ladder.expires_after.total_seconds()) for ladder in ladders), default=None)
            found = self._terms[quorums] = seats, seconds
        return found
