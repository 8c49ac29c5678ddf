"""Model `[risk]` of `policy.toml`: how many points each part of an ask adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field

from approvers.condition_models import PatternList
from approvers.facts import UNKNOWN, RiskList
from approvers.faults import Fault, Strict, nearest
from approvers.patterns import Patterns

Points = Annotated[int, Field(ge=0, le=100)]
Credit = Annotated[int, Field(ge=-10, le=0)]


class Bands(Strict):
    """The score from which a level begins; below `medium` it is low."""

    medium: Annotated[int, Field(ge=1, le=100)] = 30
    high: Annotated[int, Field(ge=1, le=100)] = 60
    critical: Annotated[int, Field(ge=1, le=100)] = 85


class AccessPoints(Strict):
    """Points per access level of an action; the highest of the set counts."""

    list_: Points = Field(alias="List", default=5)
    read_: Points = Field(alias="Read", default=10)
    tagging: Points = Field(alias="Tagging", default=15)
    write_: Points = Field(alias="Write", default=25)
    permissions: Points = Field(alias="Permissions management", default=40)
    unknown: Points = 40


class ActionPoints(Strict):
    """Points for what an action can do (risk lists), and for how wide the ask is."""

    destructive: Points = 20
    escalation: Points = 30
    credentials: Points = 25
    exposure: Points = 15
    evasion: Points = 35
    pair: Points = 20
    wildcard: Points = 15
    everything: Points = 25
    many: Points = 8


class ContextPoints(Strict):
    """Points for what surrounds the ask, its principal's history included; `well_known` alone takes away."""

    data: Points = 15
    long: Points = 8
    first_seen: Points = 10
    burst: Points = 12
    unusual_hour: Points = 6
    no_ticket: Points = 5
    well_known: Credit = -10


class RiskTable(Strict):
    """The points of a policy; a key that is left out keeps the value shown here."""

    bands: Bands = Bands()
    access: AccessPoints = AccessPoints()
    environment: dict[str, Points] = Field(default={"dev": 0, "staging": 8, "prod": 20, UNKNOWN: 20})
    action: ActionPoints = ActionPoints()
    context: ContextPoints = ContextPoints()
    lists: dict[RiskList, PatternList] = Field(default={})

    @cached_property
    def _access_points(self) -> Mapping[str, int]:
        return self.access.model_dump(by_alias=True)

    @cached_property
    def _patterns(self) -> tuple[tuple[str, Patterns], ...]:
        return tuple((name, Patterns(word.lower() for word in words)) for name, words in self.lists.items())

    @cached_property
    def worst_levels(self) -> dict[tuple[str, ...], tuple[str, int, str]]:
        """Keep what risk says of each set of access levels."""
        return {}

    @cached_property
    def worst_environments(self) -> dict[tuple[str, ...], tuple[str, int, str]]:
        """Keep what risk says of the environments of an ask; they are the policy's own names."""
        return {}

    @cached_property
    def risks(self) -> dict[Any, Any]:
        """Keep each risk that `approvers.risk` made, by its reasons and the caller's claim."""
        return {}

    def lists_of(self, action: str) -> Iterator[str]:
        """Yield the policy's own risk lists that hold the action; they add to the shipped ones."""
        for name, patterns in self._patterns:
            if patterns.covers(action.lower()):
                yield name

    def access_points(self, level: str) -> int:
        """Return the points of an access level."""
        return self._access_points.get(level, self.access.unknown)

    def environment_points(self, name: str) -> int:
        """Return the points of an environment; one without an entry counts as unknown."""
        return self.environment.get(name, self.environment.get(UNKNOWN, 20))


def table_faults(table: RiskTable, environments: tuple[str, ...]) -> Iterator[Fault]:
    """Yield what makes a table misleading: bands out of order, `unknown` not worst, a list that fits nothing."""
    bands = table.bands
    if not bands.medium < bands.high < bands.critical:
        yield Fault("risk.bands", "the bands do not ascend", "write medium < high < critical")
    worst = max(table.access.model_dump().values())
    if table.access.unknown < worst:
        yield Fault("risk.access.unknown", "unknown is not the worst", f"write at least {worst}")
    if table.action.everything < table.action.wildcard:
        yield Fault("risk.action.everything", "everything counts less than a wildcard", "write at least as much")
    yield from _environment_faults(table, environments)
    for name, words in table.lists.items():
        for index, word in enumerate(words):
            if not (word == "*" or ":" in word):
                yield Fault(f"risk.lists.{name}[{index}]", f"{word!r} fits no action", "write service:Action")


def _environment_faults(table: RiskTable, environments: tuple[str, ...]) -> Iterator[Fault]:
    worst = max(table.environment.values(), default=0)
    if table.environment_points(UNKNOWN) < worst:
        yield Fault("risk.environment.unknown", "unknown is not the worst", f"write at least {worst}")
    known = (*environments, UNKNOWN)
    for name in table.environment if "environment" in table.model_fields_set else ():
        if name not in known:
            yield Fault(f"risk.environment.{name}", "there is no such environment", nearest(name, known))
