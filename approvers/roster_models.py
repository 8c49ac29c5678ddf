"""Model `countersign.toml`, key by key. `approvers.roster` reads and checks it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from approvers.condition_models import Duration
from approvers.faults import Strict, reject
from approvers.patterns import Patterns
from approvers.roster_access import ARN, ARN_PATTERN, Account, Provider, Role
from approvers.roster_words import NAME, Name, Named, Text, formed, unique

__all__ = [
    "ARN", "ARN_PATTERN", "Account", "Caller", "Delegation", "Group", "Issuer", "Name", "Names", "Person",
    "Place", "Provider", "Role", "Roster", "Schedule", "SlackRules", "Token",
]  # fmt: skip

ACTOR = re.compile(r"[a-z]+:[A-Za-z0-9*][A-Za-z0-9*._@/-]{0,127}")
SLACK_USER = re.compile(r"(?:[TE][A-Z0-9]{1,20}:)?[UW][A-Z0-9]{1,20}")
SLACK_GROUP = re.compile(r"S[A-Z0-9]{1,20}")
TEAMS_USER = re.compile(r"{0}:{0}".format(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"))
TEAMS_CHANNEL = re.compile(r"19:[^\s;]{1,250}@thread\.(?:tacv2|v2|skype)")
SLACK_CHANNEL = re.compile(r"[CG][A-Z0-9]{1,20}")
TEAMS_EXAMPLE = "TENANT:OBJECT, both of them ids like 8f1c2a40-5b7e-4d3f-9a61-0c2d4e6f8a10"
HTTPS = re.compile(r"https://[^\s?#@\\]+|http://(?:127\.0\.0\.1|localhost)(?::\d+)?(?:/[^\s?#@\\]*)?")
"""Without user or password: this file holds no secret."""
OWNER = re.compile(r"(user|group):([a-z0-9][a-z0-9_-]{0,62})")


def _duty(value: object) -> object:
    """Take true, false or the name of a schedule; anything else is told in one sentence."""
    if not isinstance(value, bool) and not (isinstance(value, str) and NAME.fullmatch(value)):
        reject(f"{value!r} does not say who is on call", "write true, or the name of a [schedule.NAME]")
    return value


def _values(value: object) -> tuple[str, ...]:
    """Take what a claim has to be: one text, or a list of several that will do."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(one, str) and one for one in texts):
        reject(f"{value!r} is no claim's value", 'write text in quotes, such as "456789", or a list of such')
    return unique(tuple(texts))


def _day(value: object) -> object:
    """Take a day only: a delegation ends with it, in the policy's time zone."""
    if isinstance(value, datetime):
        reject("a date with a time", "write the last day only, such as 2027-05-31")
    return value


Names = Annotated[tuple[Name, ...], Field(strict=False), AfterValidator(unique)]
Owners = Annotated[tuple[Annotated[str, formed(OWNER, "an owner", "user:dana")], ...], Field(strict=False),
                   AfterValidator(unique)]  # fmt: skip
Actors = Annotated[tuple[Annotated[str, formed(ACTOR, "an actor", "agent:report-*")], ...], Field(strict=False),
                   AfterValidator(unique)]  # fmt: skip


class Person(Named):
    """A human, and under which accounts chat and issuers of tokens know them.

    `slack` is a user id, its workspace before it if need be; `teams` is the tenant's id and the Entra object id;
    `tokens` says by issuer which account there is theirs: whoever starts a job does not approve what it asks.
    """

    email: Annotated[str, formed(re.compile(r"[^@\s]+@[^@\s]+"), "an address", "dana@example.com")] | None = None
    slack: Annotated[str, formed(SLACK_USER, "a Slack user id", "U02ABCDEF")] | None = None
    teams: Annotated[str, formed(TEAMS_USER, "a Teams account", TEAMS_EXAMPLE)] | None = None
    tokens: Annotated[dict[Name, Text], Field(default={})]

    @property
    def slack_user(self) -> str | None:
        """Return the Slack user id without its workspace."""
        return self.slack.rpartition(":")[2] if self.slack else None

    @property
    def slack_team(self) -> str | None:
        """Return the Slack workspace (or organisation) that the id was given with; None where it stands alone."""
        return (self.slack.rpartition(":")[0] or None) if self.slack else None


class Group(Named):
    """People who can fill a seat: those named, the members of a Slack user group, and whom a schedule names.

    `oncall`: true where its people are on call; a schedule's name (`[schedule.NAME]`) where those are its people whom
    that schedule names at the moment.
    """

    people: Names = ()
    slack: Annotated[str, formed(SLACK_GROUP, "a Slack user group's id", "S02ABCDEF")] | None = None
    oncall: Annotated[bool | str, BeforeValidator(_duty)] = False

    @property
    def schedule(self) -> str | None:
        """Return the name of the schedule that says who is in this group at the moment."""
        return self.oncall if isinstance(self.oncall, str) else None


class Issuer(Named):
    """A service that proves who a program is by signed tokens (OpenID Connect), such as a CI system.

    Attributes:
        url: its issuer, exactly as tokens name it; its keys are found below it unless `keys` says where.
        audience: what a token has to be made for.
        max_age: the longest life of a token.
        person: the claim that says which person there started the job.
    """

    url: Annotated[str, formed(HTTPS, "an issuer", "https://token.actions.githubusercontent.com")]
    audience: Text
    keys: Annotated[str, formed(HTTPS, "an address", "https://token.example.com/keys")] | None = None
    max_age: Duration = timedelta(hours=1)
    person: Text = "actor_id"


class Token(Strict):
    """Which tokens of an issuer prove a caller: every claim named must have exactly that value, or one of those."""

    issuer: Name
    claims: Annotated[dict[str, Annotated[tuple[str, ...], BeforeValidator(_values)]], Field(min_length=1)]

    def fits(self, claims: Mapping[str, object]) -> bool:
        """Tell whether a token with these claims is meant: each one named is there, as text, with a value named."""
        return all(isinstance(claims.get(name), str) and claims[name] in wanted for name, wanted in self.claims.items())


class Schedule(Named):
    """An on-call schedule kept elsewhere: an address that says who is on call (docs/operating.md)."""

    url: Annotated[str, formed(HTTPS, "an address", "https://oncall.example.com/db")]


class Caller(Named):
    """A program that may ask: its kind, the people answerable for it, and for whom it may speak.

    `token` lets it prove itself by a token of an issuer, in place of an API key.
    """

    kind: Literal["agent", "pipeline", "service"]
    owners: Annotated[Owners, Field(min_length=1)]
    actors: Annotated[Actors, Field(min_length=1)]
    on_behalf_of: Literal["required", "optional", "never"] = "never"
    token: Token | None = None

    def may_speak_for(self, actor: str) -> bool:
        """Tell whether this caller may name that actor."""
        return self._speaks_for.covers(actor)

    @cached_property
    def _speaks_for(self) -> Patterns:
        return Patterns(self.actors)


class Place(Named):
    """Where cards are posted, and the groups that look there. `shared`: other organisations may be there as well."""

    slack: Annotated[str, formed(SLACK_CHANNEL, "a Slack channel's id", "C02ABCDEF")] | None = None
    shared: bool = False
    teams: Annotated[str, formed(TEAMS_CHANNEL, "a Teams channel's id", "19:0a1b…@thread.tacv2")] | None = None
    groups: Annotated[Names, Field(min_length=1)]


class Delegation(Strict):
    """One person's seats, lent to another until a day (inclusive, in the policy's time zone)."""

    giver: Name = Field(alias="from")
    taker: Name = Field(alias="to")
    until: Annotated[date, BeforeValidator(_day)]


class SlackRules(Strict):
    """How people in Slack are told apart. `match_email`: by a confirmed e-mail address, where no id is given."""

    match_email: bool = False


class Roster(Strict):
    """Everybody and everything that rules can name, by bare name."""

    persons: dict[str, Person] = Field(alias="person")
    groups: dict[str, Group] = Field(alias="group")
    callers: dict[str, Caller] = Field(alias="caller", default={})
    accounts: dict[str, Account] = Field(alias="account", default={})
    providers: dict[str, Provider] = Field(alias="provider", default={})
    roles: dict[str, Role] = Field(alias="role", default={})
    places: dict[str, Place] = Field(alias="place", default={})
    issuers: dict[str, Issuer] = Field(alias="issuer", default={})
    schedules: dict[str, Schedule] = Field(alias="schedule", default={})
    delegations: Annotated[tuple[Delegation, ...], Field(strict=False)] = Field(alias="delegation", default=())
    slack: SlackRules = SlackRules()

    @cached_property
    def environments(self) -> Mapping[str, str]:
        """Return where credentials lead, by the name that cards and rules use (accounts, providers): its environment.

        No provider is named like an account.
        """
        accounts = {name: one.environment for name, one in self.accounts.items()}
        return accounts | {name: one.environment for name, one in self.providers.items()}

    def home_of(self, role: Role) -> str:
        """Return the name of the account, or of the provider, that a role's credentials lead to."""
        return role.provider if role.by_command else role.account

    def account_of(self, role: Role) -> Account | None:
        """Return the AWS account that a role lies in; None for one that executables mint."""
        return None if role.by_command else self.accounts[role.account]

    @cached_property
    def _groups_of(self) -> Mapping[str, frozenset[str]]:
        return {
            person: frozenset(name for name, group in self.groups.items() if person in group.people)
            for person in self.persons
        }

    def groups_of(self, person: str) -> frozenset[str]:
        """Return the groups of `user:dana` (or bare `dana`); of somebody unknown: none."""
        return self._groups_of.get(person.removeprefix("user:"), frozenset())

    @cached_property
    def outside_groups(self) -> frozenset[str]:
        """Return the groups that have members whom the roster does not name."""
        return frozenset(name for name, group in self.groups.items() if group.slack or group.schedule)

    def on_call_groups(self) -> frozenset[str]:
        """Return the groups whose members are on call."""
        return frozenset(name for name, group in self.groups.items() if group.oncall)

    def by_slack(self, user_id: str, team_id: str | None) -> list[Person]:
        """Return who has this Slack account. An id given with its workspace is found in that workspace only."""
        return [
            person
            for person in self.persons.values()
            if person.slack_user == user_id and person.slack_team in (None, team_id)
        ]

    def by_teams(self, tenant: str, object_id: str) -> list[Person]:
        """Return who has this Microsoft Teams account: both ids count, upper and lower case alike."""
        account = f"{tenant}:{object_id}".lower()
        return [person for person in self.persons.values() if person.teams and person.teams.lower() == account]

    def by_email(self, mail: str) -> list[Person]:
        """Return who has this e-mail address, upper and lower case alike."""
        return [person for person in self.persons.values() if person.email and person.email.lower() == mail.lower()]

    def proven(self, issuer: str, claims: Mapping[str, object]) -> list[Caller]:
        """Return the callers that a token of this issuer (by its name here) proves: one, where all is well."""
        callers = self.callers.values()
        return [one for one in callers if one.token and one.token.issuer == issuer and one.token.fits(claims)]

    def by_token(self, issuer: str, account: str) -> Person | None:
        """Return whose account this is at an issuer (by its name here), or None."""
        return next((one for one in self.persons.values() if one.tokens.get(issuer) == account), None)

    def caller(self, principal: str) -> Caller | None:
        """Return the caller behind a principal `caller:NAME`, or None."""
        kind, _, name = principal.partition(":")
        return self.callers.get(name) if kind == "caller" else None

    def person(self, principal: str) -> Person | None:
        """Return the person behind a principal `user:NAME`, or None."""
        kind, _, name = principal.partition(":")
        return self.persons.get(name) if kind == "user" else None
