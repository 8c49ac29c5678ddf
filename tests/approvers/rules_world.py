"""A small company to rule over: its roster, its policy, what its actions are, and how to ask."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from approvers.action import Action
from approvers.facts import NO_HISTORY, WINDOWS, Facts, History
from approvers.gathering import NO_PROOF, NO_TAGS
from approvers.grant import Plan
from approvers.limits import ttl_for
from approvers.policy import Policy, parse_policy
from approvers.roster import Roster, parse_roster
from approvers.ruling import Ruling, gather, rule

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SHA = "f" * 64

ROSTER = """
[person.dana]
email = "dana@example.com"
slack = "T01:U02"
[person.robin]
email = "robin@example.com"
[person.alex]
[person.kim]
[group.sre]
people = ["dana", "robin", "alex"]
[group.security]
people = ["robin", "kim"]
[caller.report-bot]
kind = "agent"
owners = ["user:dana"]
actors = ["agent:report-*"]
on_behalf_of = "required"
[caller.deploy]
kind = "pipeline"
owners = ["group:security"]
actors = ["pipeline:deploy"]
[account.shop-prod]
id = "111122223333"
environment = "prod"
[account.shop-dev]
id = "444455556666"
environment = "dev"
[role.analytics]
account = "shop-prod"
arn = "arn:aws:iam::111122223333:role/countersign-base-analytics"
external_id = "cs-1"
ceiling = ["s3:Get*", "s3:List*"]
[role.dev]
account = "shop-dev"
arn = "arn:aws:iam::444455556666:role/teams/countersign-base-dev"
ceiling = ["s3:*"]
[place.console]
groups = ["sre", "security"]
"""

POLICY = """
version = 1
default = "review"
default_quorum = "one"
timezone = "Europe/Berlin"
environments = ["dev", "staging", "prod"]
[quorum.one]
seats = { sre = 1 }
ladder = "work"
[quorum.two]
seats = { sre = 1, security = 1 }
ladder = "page"
[ladder.work]
expires_after = "30m"
levels = [{ after = "0m", ask = ["place:console"] }, { after = "15m", ask = ["group:security"] }]
[ladder.page]
expires_after = "20m"
levels = [{ after = "0m", ask = ["group:sre", "group:security"] }]
[limits]
ttl_default = "30m"
ttl_max = { default = "4h", prod = "1h", "Permissions management" = "45m" }
actions_max = 3
denied_cool_down = "10m"
"""

DENY_DELETES = """
[rule.deny-deletes]
effect = "deny"
owner = "sre"
note = "Agents do not delete in production."
when = { principal_kind = ["agent"], action = ["*:Delete*"], environment = ["prod"] }
"""
REVIEW_PII = """
[rule.review-pii]
effect = "review"
quorum = "two"
owner = "security"
note = "Personal data."
when = { data_class = ["pii"] }
"""
REVIEW_READS = """
[rule.review-reads]
effect = "review"
quorum = "one"
owner = "sre"
note = "Reading in production."
when = { access_level = ["Read", "List"], environment = ["prod"] }
"""
ALLOW_DEV = """
[rule.allow-dev]
effect = "allow"
until = 2027-05-31
owner = "sre"
note = "Reading in dev."
when = { environment = ["dev"], access_level = ["Read", "List"], ttl_at_most = "1h" }
"""

_LEVELS = {
    "s3:getobject": "Read",
    "s3:listbucket": "List",
    "s3:putobject": "Write",
    "s3:deleteobject": "Write",
    "s3:putobjecttagging": "Tagging",
    "iam:passrole": "Permissions management",
    "secretsmanager:getsecretvalue": "Read",
}
_LISTS = {
    "s3:deleteobject": frozenset({"destructive"}),
    "iam:passrole": frozenset({"escalation"}),
    "secretsmanager:getsecretvalue": frozenset({"credentials"}),
}


class SmallTable:
    """A table of seven actions; any other is unknown."""

    def level(self, action: str) -> str:
        return _LEVELS.get(action.lower(), "unknown")

    def lists(self, action: str) -> frozenset[str]:
        return _LISTS.get(action.lower(), frozenset())

    def pairs(self, actions: Sequence[str]) -> tuple[str, ...]:
        return ("iam:PassRole with s3:PutObject",) if {"iam:PassRole", "s3:PutObject"} <= set(actions) else ()


def roster(text: str = ROSTER) -> Roster:
    return parse_roster(text)


def policy(*rules: str, base: str = POLICY) -> Policy:
    return parse_policy(base + "".join(rules))


def edited(text: str, old: str, new: str) -> str:
    """Replace exactly one place; a test that edits nothing would show nothing."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the text"
    return text.replace(old, new)


def when(condition: str, *, effect: str = "deny") -> str:
    """Return one rule named `probe` with this condition."""
    until = "until = 2027-05-31\n" if effect == "allow" else ""
    return f'[rule.probe]\neffect = "{effect}"\nowner = "sre"\nnote = "Probe."\n{until}when = {{ {condition} }}\n'


def ask(**changes: Any) -> Action:
    """Return a read in production, as an agent asks for it; keys of `actor` and `access` are given flat."""
    actor = {"id": "agent:report-bot", "on_behalf_of": "user:dana", "model": None, "run": "r1"}
    access: dict[str, Any] | None = {
        "role": "analytics",
        "actions": ["s3:GetObject"],
        "resources": ["arn:aws:s3:::exports/2026/report.csv"],
    }
    body: dict[str, Any] = {
        "action": "s3:GetObject",
        "resource": "arn:aws:s3:::exports/2026/report.csv",
        "environment": "prod",
        "reason": "The weekly report failed.",
        "ttl_seconds": 900,
        "ticket": "INC-42",
    }
    for name, value in changes.items():
        if name in ("id", "on_behalf_of", "model"):
            actor[name] = value
        elif name in ("role", "actions", "resources"):
            access = {**(access or {}), name: value}
        elif name == "access":
            access = value
        else:
            body[name] = value
    return Action.model_validate({**body, "actor": actor, "access": access})


def past(**changes: Any) -> History:
    """Return what was counted of somebody who asks for the first time today, and whose actions are known a little."""
    return History(**{"around": 0, "asked": (1,) * len(WINDOWS), "known": 0, "new": (), "total": 0, **changes})


def facts(
    rules: Policy,
    *,
    principal: str = "caller:report-bot",
    at: datetime = NOON,
    history: History = NO_HISTORY,
    tags: Mapping[str, tuple[str, ...]] = NO_TAGS,
    proof: Mapping[str, str] = NO_PROOF,
    groups: Sequence[str] = (),
    owed: int = 0,
    **changes: Any,
) -> Facts:
    """Ask, plan as the provider would, and gather."""
    people, action = roster(), ask(**changes)
    plan = None
    if action.access:
        role = people.roles[action.access.role]
        account = people.accounts[role.account]
        plan = Plan(
            provider="aws",
            role=role.name,
            role_arn=role.arn,
            external_id=role.external_id,
            account=account.name,
            account_id=account.id,
            environment=account.environment,
            actions=action.access.actions,
            resources=action.access.resources,
            ttl_seconds=ttl_for(rules, action.ttl_seconds),
        )
    caller = people.caller(principal)
    return gather(
        action,
        principal=principal,
        caller=caller,
        plan=plan,
        policy=rules,
        levels=SmallTable(),
        at=at,
        history=history,
        tags=tags,
        proof=proof,
        groups=groups,
        owed=owed,
    )


def ruled(rules: Policy, **changes: Any) -> Ruling:
    """Ask and rule."""
    return rule(rules, facts(rules, **changes), sha256=SHA)


def names(ruling: Ruling) -> list[str]:
    return [hit.name for hit in ruling.rules]


def place_of(fault: object) -> str:
    return re.split(r": ", str(fault), maxsplit=1)[0]
