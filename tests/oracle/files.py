"""Write the policies and rosters of the oracle as the files that an operator applies, and vary them."""

from __future__ import annotations

from datetime import date
from typing import Any

Dict = dict[str, Any]
PEOPLE = {"dana": "U01", "robin": "U02", "alex": "U03", "kim": "U04", "bob": "U05", "ines": "U06"}
"""Everybody, with their Slack accounts. Dana is behind the agent, kim is on call, bob is in no group at first."""
GROUPS = ("sre", "security", "duty")
RULES: Dict = {
    "deny-deletes": {
        "effect": "deny",
        "when": {"principal_kind": ["agent"], "action": ["*:Delete*"], "environment": ["prod", "unknown"]},
    },
    "deny-weekend": {"effect": "deny", "when": {"weekday": ["sat", "sun"], "access_level": ["Write", "unknown"]}},
    "deny-without-reason": {"effect": "deny", "when": {"reason_missing": True}},
    "deny-training": {"effect": "deny", "when": {"stage": ["train*"], "environment": ["prod"]}},
    "review-reads": {
        "effect": "review",
        "quorum": "one",
        "narrow": ["ttl", "actions"],
        "when": {"action": ["s3:Get*"], "environment": ["staging", "prod"]},
    },
    "review-writes": {
        "effect": "review",
        "quorum": "two",
        "narrow": ["ttl"],
        "when": {"access_level": ["Write"], "environment": ["staging", "prod", "unknown"]},
    },
    "review-nights": {
        "effect": "review",
        "quorum": "night",
        "when": {"outside_hours": "08:00-19:00", "environment": ["staging", "prod", "unknown"]},
    },
    "review-pii": {"effect": "review", "quorum": "two", "when": {"data_class": ["pii"]}},
    "review-risky": {"effect": "review", "quorum": "night", "when": {"risk_at_least": "high"}},
    "review-long": {"effect": "review", "quorum": "two", "when": {"ttl_over": 1200}},
    "review-terse": {"effect": "review", "quorum": "one", "when": {"reason_shorter_than": 8}},
    "allow-lab-reads": {
        "effect": "allow",
        "until": date(2026, 11, 20),
        "when": {"action": ["s3:Get*"], "environment": ["dev", "staging"], "ttl_at_most": 1800, "risk_below": "high"},
    },
    "allow-lab-writes": {
        "effect": "allow",
        "until": date(2027, 5, 31),
        "when": {"principal": ["caller:*"], "action": ["s3:Get*", "s3:Put*"], "environment": ["dev"]},
    },
}
"""Every rule that a policy of the machine may have."""
BASE = ("deny-deletes", "deny-without-reason", "review-reads", "review-writes", "allow-lab-reads", "allow-lab-writes")
SEATS: Dict = {
    "one": ({"sre": 1}, {"sre": 2}),
    "two": ({"sre": 1, "security": 1}, {"sre": 2}, {"sre": 2, "security": 1}),
    "night": ({"security": 1}, {"duty": 1, "sre": 1}),
}
GLASS: Dict = {"who": ["group:duty", "user:robin"], "require": ["reason", "ticket"], "ttl_max": 900, "open_max": 1}
_LIMITS = {"default": 3600, "prod": 2400}


def first_policy() -> Dict:
    """Return the policy that every example begins with."""
    quorums = {name: {"seats": seats[0], "minutes": 30} for name, seats in SEATS.items()}
    policy = {"default": "review", "quorums": quorums, "rules": {name: RULES[name] for name in BASE},
              "ttl_max": dict(_LIMITS), "break_glass": dict(GLASS)}  # fmt: skip
    return named(policy)


def named(policy: Dict) -> Dict:
    """Give a policy the name that tells it from every other: all that is in it."""
    return {**policy, "name": repr(sorted((key, repr(value)) for key, value in policy.items() if key != "name"))}


def first_roster() -> Dict:
    """Return the people, groups, callers and roles that every example begins with."""
    return {
        "groups": {"sre": ["dana", "robin", "alex"], "security": ["alex", "ines"], "duty": ["kim"]},
        "callers": {
            "report-bot": {"kind": "agent", "owners": ["user:dana"], "actors": ["agent:report-*"],
                           "behalf": "optional"},
            "deploy": {"kind": "pipeline", "owners": ["user:bob"], "actors": ["pipeline:main"], "behalf": "never"},
        },
        "accounts": {"lab": "dev", "shop": "prod"},
        "roles": {"lab": ["s3:*"], "shop": ["s3:*"]},
    }  # fmt: skip


def changed_policy(policy: Dict, what: str, number: int) -> Dict:
    """Return another policy: a rule on or off, other seats, less time, another default, cap, or break-glass."""
    rules, quorums = dict(policy["rules"]), dict(policy["quorums"])
    match what:
        case "rule":
            name = sorted(RULES)[number % len(RULES)]
            if rules.pop(name, None) is None:
                rules[name] = RULES[name]
        case "seats":
            name = sorted(SEATS)[number % len(SEATS)]
            seats = SEATS[name][number // len(SEATS) % len(SEATS[name])]
            quorums[name] = {**quorums[name], "seats": seats}
        case "minutes":
            name = sorted(SEATS)[number % len(SEATS)]
            quorums[name] = {**quorums[name], "minutes": (30, 20, 10)[number // len(SEATS) % 3]}
        case "default":
            return named({**policy, "default": "deny" if policy["default"] == "review" else "review"})
        case "cap":
            caps: tuple[Dict, ...] = ({}, {"Write": 600}, {"prod": 300}, {"dev": 600, "unknown": 600})
            return named({**policy, "ttl_max": {**_LIMITS, **caps[number % 4]}})
        case "glass":
            more = ({}, {"who": ["user:ines"]}, {"open_max": 2}, {"require": ["reason"]})[number % 4]
            return named({**policy, "break_glass": None if number % 5 == 4 else {**GLASS, **more}})
        case "until":
            day = date(2026, 11, 19 + number % 3)
            rules["allow-lab-reads"] = {**RULES["allow-lab-reads"], "until": day}
    return named({**policy, "rules": rules, "quorums": quorums})


def changed_roster(roster: Dict, what: str, number: int) -> Dict:
    """Return another roster: somebody in or out of a group, other owners, an account moved, a caller gone."""
    groups, callers = dict(roster["groups"]), dict(roster["callers"])
    match what:
        case "member":
            group, person = ("sre", "security")[number % 2], sorted(PEOPLE)[number // 2 % len(PEOPLE)]
            people = [one for one in groups[group] if one != person]
            groups[group] = people if people and person in groups[group] else [*people, person]
        case "owners":
            owners = (["user:dana"], ["user:robin"], ["group:security"], ["user:alex", "user:kim"])[number % 4]
            callers["report-bot"] = {**callers["report-bot"], "owners": owners}
        case "account":
            accounts = {**roster["accounts"], "lab": ("dev", "staging", "prod")[number % 3]}
            return {**roster, "accounts": accounts}
        case "ceiling":
            roles = {**roster["roles"], "shop": (["s3:*"], ["s3:Get*"], ["s3:Put*"])[number % 3]}
            return {**roster, "roles": roles}
        case "caller":
            if number % 3:
                callers["report-bot"] = {**callers["report-bot"], "behalf": ("optional", "required")[number % 2]}
            elif callers.pop("deploy", None) is None:
                callers["deploy"] = first_roster()["callers"]["deploy"]
    return {**roster, "groups": groups, "callers": callers}


def policy_text(policy: Dict) -> str:
    """Write `policy.toml`."""
    lines = [
        "version = 1", f'default = "{policy["default"]}"', 'default_quorum = "one"',
        f"environments = {['dev', 'staging', 'prod']}",
        f"limits = {{ ttl_default = '5m', ttl_max = {_times(policy['ttl_max'])} }}",
    ]  # fmt: skip
    if terms := policy["break_glass"]:
        given = {**terms, "ttl_max": f"{terms['ttl_max']}s", "tell": ["group:security"]}
        lines.append(f"break_glass = {_inline(given)}")
    lines += [
        "risk.access = { List = 5, Read = 5, Tagging = 5, Write = 25, 'Permissions management' = 40, unknown = 40 }",
        "risk.environment = { dev = 0, staging = 8, prod = 20, unknown = 20 }",
        f"risk.action = {_inline(dict.fromkeys(POINTS, 0))}",
        f"risk.context = {_inline({**dict.fromkeys(CONTEXT, 0), 'data': 20})}",
    ]
    for name, quorum in sorted(policy["quorums"].items()):
        lines.append(f'[quorum.{name}]\nseats = {_inline(quorum["seats"])}\nladder = "{name}"')
        level = '{ after = "0m", ask = ["place:board"] }'
        lines.append(f'[ladder.{name}]\nexpires_after = "{quorum["minutes"]}m"\nlevels = [{level}]')
    for name, rule in sorted(policy["rules"].items()):
        lines.append(f'[rule.{name}]\nowner = "sre"\nnote = "{name}"\nwhen = {_inline(_when(rule["when"]))}')
        lines += [f"{key} = {_value(value)}" for key, value in rule.items() if key != "when"]
    return "\n".join(lines) + "\n"


POINTS = ("destructive", "escalation", "credentials", "exposure", "evasion", "pair", "wildcard", "everything", "many")
CONTEXT = ("data", "long", "first_seen", "burst", "unusual_hour", "no_ticket", "well_known")


def roster_text(roster: Dict) -> str:
    """Write `countersign.toml`."""
    lines = [f'[person.{name}]\nemail = "{name}@example.com"\nslack = "{slack}"' for name, slack in PEOPLE.items()]
    for name, people in roster["groups"].items():
        lines.append(f"[group.{name}]\npeople = {people}" + ("\noncall = true" if name == "duty" else ""))
    for name, caller in roster["callers"].items():
        lines.append(f'[caller.{name}]\nkind = "{caller["kind"]}"\nowners = {caller["owners"]}')
        lines.append(f'actors = {caller["actors"]}\non_behalf_of = "{caller["behalf"]}"')
    for number, (name, environment) in enumerate(roster["accounts"].items()):
        account = f"{number:012d}"
        lines.append(f'[account.{name}]\nid = "{account}"\nenvironment = "{environment}"')
        arn = f"arn:aws:iam::{account}:role/countersign-base-{name}"
        lines.append(f'[role.{name}]\naccount = "{name}"\narn = "{arn}"\nceiling = {roster["roles"][name]}')
    lines.append('[place.board]\ngroups = ["sre"]')
    return "\n".join(lines) + "\n"


def _times(seconds: dict[str, int]) -> str:
    return _inline({name: f"{value}s" for name, value in seconds.items()})


def _when(when: Dict) -> Dict:
    return {name: f"{value}s" if name.startswith("ttl") else value for name, value in when.items()}


def _inline(table: Dict) -> str:
    return "{ " + ", ".join(f"'{key}' = {_value(value)}" for key, value in table.items()) + " }"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
