"""Read `countersign.toml`: who and what there is. People, groups, callers, accounts, roles, places.

The file holds names and addresses, never a rule and never a secret. A key that can hold one kind takes the bare name
(`people = ["dana"]`); where kinds mix, the name has its prefix (`owners = ["user:dana"]`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from approvers.errors import Forbidden, Inadmissible
from approvers.faults import ConfigError, Fault, Strict, nearest, read, reject
from approvers.patterns import Patterns

__all__ = [
    "Account", "Caller", "ConfigError", "Delegation", "Fault", "Group", "Person", "Place", "Role", "Roster",
    "check_claims", "parse_roster",
]  # fmt: skip

SECTIONS = ("person", "group", "caller", "account", "role", "place")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
ARN = re.compile(r"arn:(?:aws|aws-cn|aws-us-gov):iam::(\d{12}):role/[A-Za-z0-9_+=,.@/-]{1,512}")
CEILING = re.compile(r"[a-z0-9-]+:[A-Za-z0-9*]+")
ACTOR = re.compile(r"[a-z]+:[A-Za-z0-9*][A-Za-z0-9*._@/-]{0,127}")
OWNER = re.compile(r"(user|group):([a-z0-9][a-z0-9_-]{0,62})")


def _name(text: str) -> str:
    if NAME.fullmatch(text) is None:
        reject(f"{text!r} is not a name", "use lower-case letters, digits, '-' and '_', at most 63")
    return text


def _formed(expression: re.Pattern[str], what: str, example: str) -> AfterValidator:
    def check(text: str) -> str:
        if expression.fullmatch(text) is None:
            reject(f"{text!r} is not {what}", f"write it like {example!r}")
        return text

    return AfterValidator(check)


def _unique(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        if words.count(word) > 1:
            reject(f"{word!r} is named twice", "name it once")
    return words


Name = Annotated[str, AfterValidator(_name)]
Text = Annotated[str, Field(min_length=1, max_length=300)]
Names = Annotated[tuple[Name, ...], Field(strict=False), AfterValidator(_unique)]
Owners = Annotated[tuple[Annotated[str, _formed(OWNER, "an owner", "user:dana")], ...], Field(strict=False),
                   AfterValidator(_unique)]  # fmt: skip
Actors = Annotated[tuple[Annotated[str, _formed(ACTOR, "an actor", "agent:report-*")], ...], Field(strict=False),
                   AfterValidator(_unique)]  # fmt: skip
Ceiling = Annotated[tuple[Annotated[str, _formed(CEILING, "an action pattern", "s3:Get*")], ...], Field(strict=False),
                    Field(min_length=1), AfterValidator(_unique)]  # fmt: skip


class _Named(Strict):
    """One entry of a section; `name` is its key there and cannot be written inside."""

    name: Name


class Person(_Named):
    """A human, and under which accounts chat knows them."""

    email: Annotated[str, _formed(re.compile(r"[^@\s]+@[^@\s]+"), "an address", "dana@example.com")] | None = None
    slack: Text | None = None
    teams: Text | None = None


class Group(_Named):
    """People who can fill a seat. `slack` (user group) and `oncall` are read, but add nobody yet."""

    people: Names = ()
    slack: Text | None = None
    oncall: Text | None = None


class Caller(_Named):
    """A program that may ask: its kind, the people answerable for it, and for whom it may speak."""

    kind: Literal["agent", "pipeline", "service"]
    owners: Annotated[Owners, Field(min_length=1)]
    actors: Annotated[Actors, Field(min_length=1)]
    on_behalf_of: Literal["required", "optional", "never"] = "never"

    def may_speak_for(self, actor: str) -> bool:
        """Tell whether this caller may name that actor."""
        return self._speaks_for.covers(actor)

    @cached_property
    def _speaks_for(self) -> Patterns:
        return Patterns(self.actors)


class Account(_Named):
    """A cloud account: AWS's 12 digits, and the environment that it is."""

    id: Annotated[str, _formed(re.compile(r"\d{12}"), "an account id", "123456789012")]
    environment: Text


class Role(_Named):
    """An AWS base role behind an alias; `ceiling` is the most that any grant of it may hold (action patterns)."""

    account: Name
    arn: Annotated[str, _formed(ARN, "a role's ARN", "arn:aws:iam::123456789012:role/NAME")]
    external_id: Text | None = None
    ceiling: Ceiling


class Place(_Named):
    """Where cards are posted, and the groups that look there."""

    slack: Text | None = None
    teams: Text | None = None
    groups: Annotated[Names, Field(min_length=1)]


class Delegation(Strict):
    """One person's seats, lent to another until a day (inclusive)."""

    giver: Name = Field(alias="from")
    taker: Name = Field(alias="to")
    until: date


class Roster(Strict):
    """Everybody and everything that rules can name, by bare name."""

    persons: dict[str, Person] = Field(alias="person")
    groups: dict[str, Group] = Field(alias="group")
    callers: dict[str, Caller] = Field(alias="caller", default={})
    accounts: dict[str, Account] = Field(alias="account", default={})
    roles: dict[str, Role] = Field(alias="role", default={})
    places: dict[str, Place] = Field(alias="place", default={})
    delegations: Annotated[tuple[Delegation, ...], Field(strict=False)] = Field(alias="delegation", default=())

    @cached_property
    def _groups_of(self) -> Mapping[str, frozenset[str]]:
        return {
            person: frozenset(name for name, group in self.groups.items() if person in group.people)
            for person in self.persons
        }

    def groups_of(self, person: str) -> frozenset[str]:
        """Return the groups of `user:dana` (or bare `dana`); of somebody unknown: none."""
        return self._groups_of.get(person.removeprefix("user:"), frozenset())

    def caller(self, principal: str) -> Caller | None:
        """Return the caller behind a principal `caller:NAME`, or None."""
        kind, _, name = principal.partition(":")
        return self.callers.get(name) if kind == "caller" else None

    def person(self, principal: str) -> Person | None:
        """Return the person behind a principal `user:NAME`, or None."""
        kind, _, name = principal.partition(":")
        return self.persons.get(name) if kind == "user" else None


def parse_roster(text: str) -> Roster:
    """Read `countersign.toml`. Raises ConfigError with every mistake."""
    roster = read(text, Roster, named=SECTIONS)
    if faults := list(_cross_check(roster)):
        raise ConfigError(faults)
    return roster


def check_claims(roster: Roster, principal: str, actor: str, on_behalf_of: str | None) -> None:
    """Check for whom a principal says to speak.

    Raises:
        Forbidden: `unknown_principal`, or `not_your_actor` where the caller's `actors` do not hold the actor.
        Inadmissible: `on_behalf_of` is missing where required, given where never, or names no known person (whom
            four-eyes would then miss).
    """
    if roster.person(principal) is not None:
        if actor != principal or on_behalf_of not in (None, principal):
            raise Forbidden(f"{principal} asks for themselves only; write actor {principal}.", code="not_your_actor",
                            field="actor.id")  # fmt: skip
        return
    caller = roster.caller(principal)
    if caller is None:
        raise Forbidden(f"{principal} is not in countersign.toml any more.", code="unknown_principal")
    if not caller.may_speak_for(actor):
        raise Forbidden(f"{principal} may not speak for {actor}; it may for {', '.join(caller.actors)}.",
                        code="not_your_actor", field="actor.id")  # fmt: skip
    _check_behind(roster, caller, on_behalf_of)


def _check_behind(roster: Roster, caller: Caller, on_behalf_of: str | None) -> None:
    field, rule = "actor.on_behalf_of", f"caller.{caller.name}.on_behalf_of"
    if on_behalf_of is None:
        if caller.on_behalf_of == "required":
            raise Inadmissible(
                "Say for which person this is done: actor.on_behalf_of = user:NAME.", field=field, rule=rule
            )
    elif caller.on_behalf_of == "never":
        raise Inadmissible("This caller acts for nobody; leave actor.on_behalf_of out.", field=field, rule=rule)
    elif roster.person(on_behalf_of) is None:
        raise Inadmissible(f"{on_behalf_of} is not a known person; write user:NAME as in countersign.toml.",
                           field=field, rule="person")  # fmt: skip


def _cross_check(roster: Roster) -> Iterator[Fault]:
    yield from _check_names(roster)
    for group in roster.groups.values():
        yield from _known(f"group.{group.name}.people", group.people, roster.persons, "person")
        yield from _check_members(group)
    for caller in roster.callers.values():
        yield from _check_owners(caller, roster)
    for role in roster.roles.values():
        yield from _check_role(role, roster)
    for place in roster.places.values():
        yield from _known(f"place.{place.name}.groups", place.groups, roster.groups, "group")
    for index, delegation in enumerate(roster.delegations):
        yield from _known(f"delegation[{index}].from", (delegation.giver,), roster.persons, "person")
        yield from _known(f"delegation[{index}].to", (delegation.taker,), roster.persons, "person")
    if roster.delegations:
        yield Fault("delegation", "delegation is not built yet", "remove it, and add the person to the group instead")


def _known(place: str, names: tuple[str, ...], known: Mapping[str, object], kind: str) -> Iterator[Fault]:
    for index, name in enumerate(names):
        if name not in known:
            where = place if place.endswith((".from", ".to", ".account")) else f"{place}[{index}]"
            yield Fault(where, f"there is no {kind} {name!r}", nearest(name, known, otherwise=f"add [{kind}.{name}]"))


def _check_names(roster: Roster) -> Iterator[Fault]:
    """Refuse the same chat or mail account for two people: a click must lead to exactly one."""
    for field in ("email", "slack", "teams"):
        seen: dict[str, str] = {}
        for person in roster.persons.values():
            value = getattr(person, field)
            if value and (other := seen.setdefault(value.lower(), person.name)) != person.name:
                yield Fault(f"person.{person.name}.{field}", f"{other} has the same", "one account, one person")
    ids: dict[str, str] = {}
    for account in roster.accounts.values():
        if (other := ids.setdefault(account.id, account.name)) != account.name:
            yield Fault(f"account.{account.name}.id", f"account {other!r} has the same", "name each account once")


def _check_members(group: Group) -> Iterator[Fault]:
    if group.people:
        return
    outside = " and ".join(key for key in ("slack", "oncall") if getattr(group, key))
    if outside:
        detail = f"its members can only come from {outside}, which is not built yet"
    else:
        detail = "the group has nobody, so its seats could never be filled"
    yield Fault(f"group.{group.name}", detail, 'name its people: people = ["dana"]')


def _check_owners(caller: Caller, roster: Roster) -> Iterator[Fault]:
    for index, owner in enumerate(caller.owners):
        kind, _, name = owner.partition(":")
        known: Mapping[str, object] = roster.persons if kind == "user" else roster.groups
        if name not in known:
            what = "person" if kind == "user" else "group"
            yield Fault(f"caller.{caller.name}.owners[{index}]", f"there is no {what} {name!r}",
                        nearest(name, known, otherwise=f"add [{what}.{name}]"))  # fmt: skip
    for index, actor in enumerate(caller.actors):
        if any(Patterns([actor]).covers(f"user:{person}") for person in roster.persons):
            yield Fault(f"caller.{caller.name}.actors[{index}]", "a caller cannot pass for a person",
                        "name what it is, such as agent:NAME; the person goes into on_behalf_of")  # fmt: skip


def _check_role(role: Role, roster: Roster) -> Iterator[Fault]:
    yield from _known(f"role.{role.name}.account", (role.account,), roster.accounts, "account")
    account = roster.accounts.get(role.account)
    match = ARN.fullmatch(role.arn)
    if account and match and match[1] != account.id:
        yield Fault(f"role.{role.name}.arn", f"the ARN lies in account {match[1]}, {account.name} is {account.id}",
                    "correct the ARN, or the role's account")  # fmt: skip
    for other in roster.roles.values():
        if other.arn == role.arn and other.name < role.name:
            yield Fault(f"role.{role.name}.arn", f"role {other.name!r} has the same", "one alias for one role")
