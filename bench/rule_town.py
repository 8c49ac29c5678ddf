"""A company with many rules, and asks that no two of which are alike: what every engine of the bench rules on.

One ask is for one action on one resource, as Cedar has no pattern over a set: the simplest form for every engine.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from approvers.facts import WINDOWS, Facts, History
from approvers.policy import Policy, parse_policy

TEAMS = ("search", "ads", "billing", "ledger", "mail", "maps", "media", "orders", "photos", "shipping", "stock", "web")
ENVIRONMENTS = ("dev", "staging", "prod")
KINDS = ("agent", "pipeline", "service", "person")
ACTIONS = {
    "Read": ("s3:GetObject", "logs:GetLogEvents", "dynamodb:GetItem", "rds:DescribeDBInstances", "sqs:ReceiveMessage",
             "secretsmanager:GetSecretValue", "ssm:GetParameter", "ecs:DescribeServices", "ec2:DescribeInstances"),
    "List": ("s3:ListBucket", "dynamodb:ListTables", "sqs:ListQueues", "lambda:ListFunctions"),
    "Write": ("s3:PutObject", "s3:DeleteObject", "dynamodb:PutItem", "dynamodb:DeleteItem", "ecs:UpdateService",
              "lambda:UpdateFunctionCode", "rds:DeleteDBInstance", "ec2:TerminateInstances", "sqs:SendMessage"),
    "Tagging": ("s3:PutObjectTagging", "ec2:CreateTags"),
    "Permissions management": ("iam:PassRole", "iam:AttachRolePolicy", "s3:PutBucketPolicy"),
}  # fmt: skip
LISTS = {"s3:DeleteObject": "destructive", "rds:DeleteDBInstance": "destructive", "iam:PassRole": "escalation",
         "ec2:TerminateInstances": "destructive", "secretsmanager:GetSecretValue": "credentials",
         "iam:AttachRolePolicy": "escalation", "s3:PutBucketPolicy": "exposure"}  # fmt: skip
PATTERNS = ("s3:*", "s3:Get*", "s3:List*", "logs:*", "dynamodb:*", "dynamodb:Get*", "sqs:*", "ecs:*", "lambda:*",
            "*:Delete*", "*:Terminate*", "*:Get*", "*:List*", "*:Describe*", "iam:*", "rds:*")  # fmt: skip
BANDS = ("medium", "high", "critical")
HEAD = """
version = 1
default = "review"
default_quorum = "one"
timezone = "UTC"
environments = ["dev", "staging", "prod"]
[quorum.one]
seats = { sre = 1 }
ladder = "work"
[quorum.two]
seats = { sre = 1, security = 1 }
ladder = "work"
[ladder.work]
expires_after = "30m"
levels = [{ after = "0m", ask = ["place:console"] }]
"""
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

When = dict[str, Any]
COMPANY_WIDE = 12
"""The first rules are about the whole company; the others are each about a team."""


def rules(count: int, seed: int = 5) -> list[tuple[str, str, When]]:
    """Return (name, effect, conditions) of so many rules: the company's own, then each team's."""
    some, found = random.Random(seed), []
    for number in range(count):
        effect = some.choices(("allow", "review", "deny"), (40, 45, 15))[0]
        team = TEAMS[number % len(TEAMS)] if number >= COMPANY_WIDE else None
        found.append((f"{effect}-{number:03d}", effect, _when(some, effect, team)))
    return found


def _when(some: random.Random, effect: str, team: str | None) -> When:
    """Name two to four conditions: which actions, a team's own corner if it is a team's rule, and a few more."""
    when: When = {"action": some.sample(PATTERNS, some.randint(1, 3))}
    if team is not None:
        name, where = some.choice((
            ("account", [f"{team}-{env}" for env in some.sample(ENVIRONMENTS, some.randint(1, 2))]),
            ("resource", [f"arn:aws:s3:::{team}-{thing}/*" for thing in some.sample(("exports", "raw", "logs"), 2)]),
            ("principal", [f"caller:{team}-{some.choice(KINDS[:3])}"]),
        ))  # fmt: skip
        when[name] = where
    others: When = {
        "environment": some.sample(ENVIRONMENTS, 1),
        "principal_kind": some.sample(KINDS, some.randint(1, 2)),
        "access_level": some.sample(sorted(ACTIONS), some.randint(1, 2)),
        "outside_hours": some.choice(("08:00-19:00", "07:00-20:00", "06:00-22:00")),
    }
    if effect == "allow":
        others |= {"ttl_at_most": some.choice(("15m", "30m", "1h")), "risk_below": some.choice(BANDS)}
    else:
        others |= {"ttl_over": some.choice(("15m", "30m")), "risk_at_least": some.choice(BANDS),
                   "data_class": some.sample(("pii", "payment", "health"), 1), "ticket_missing": True}  # fmt: skip
    return when | {name: others[name] for name in some.sample(sorted(others), some.randint(1, 2) if team else 1)}


def policy(chosen: list[tuple[str, str, When]]) -> Policy:
    """Write the rules as our policy, and read it."""
    return parse_policy(HEAD + "".join(_ours(*one) for one in chosen))


def _ours(name: str, effect: str, when: When) -> str:
    extra = {"allow": "until = 2030-01-01\n", "review": 'quorum = "two"\n', "deny": ""}[effect]
    pairs = ", ".join(f"{key} = {_toml(value)}" for key, value in when.items())
    return f'[rule.{name}]\neffect = "{effect}"\nowner = "sre"\nnote = "{name}"\n{extra}when = {{ {pairs} }}\n'


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return "true" if value is True else f'"{value}"'


def asks(count: int, seed: int = 7) -> list[Facts]:
    """Return so many asks, each with an actor and a resource of its own."""
    return list(_asks(random.Random(seed), count))


def _asks(some: random.Random, count: int) -> Iterator[Facts]:
    for number in range(count):
        team, kind = some.choice(TEAMS), some.choice(KINDS)
        environment, level = some.choice(ENVIRONMENTS), some.choices(sorted(ACTIONS), (20, 5, 40, 5, 30))[0]
        action = some.choice(ACTIONS[level])
        yield Facts(
            account=f"{team}-{environment}",
            account_environment=environment,
            actions=(action,),
            actor=f"user:p{number}" if kind == "person" else f"{kind}:run-{number}",
            at=NOON + timedelta(minutes=some.randrange(7 * 1440)),
            break_glass=False,
            claimed_risk=None,
            data_classes=tuple(some.choice(((), (), ("pii",), ("payment",), ("public",)))),
            environment=environment,
            extends=None,
            groups=(),
            has_access=True,
            history=History(around=3, asked=(1,) * len(WINDOWS), known=5, new=(), total=40),
            issuer=None,
            levels=(level,),
            model="m-1",
            on_behalf_of=f"user:p{some.randrange(500)}",
            owed=0,
            owners=(f"group:{team}",),
            pairs=(),
            principal=f"user:p{number}" if kind == "person" else f"caller:{team}-{kind}",
            principal_kind=kind,
            project=team,
            reason=f"Ticket {number}: the nightly job failed.",
            ref=None,
            repository_id=None,
            resources=(f"arn:aws:s3:::{team}-{some.choice(('exports', 'raw', 'logs', 'web'))}/2026/{number}",),
            risk_lists=(LISTS[action],) if action in LISTS else (),
            role=f"{team}-{environment}",
            stage=None,
            tag_keys=(),
            tags=(None,),
            ticket=f"INC-{number}" if some.random() < 0.8 else None,
            ttl_seconds=some.choice((600, 900, 1800, 3600)),
            urgency="normal",
            workflow=None,
        )
