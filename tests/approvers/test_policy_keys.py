"""Every key of `policy.toml`, enumerated from its model, changes an outcome: none is taken and ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from approvers.activity import Activity
from approvers.activity_flags import Scope, noted, verdict, watched_until
from approvers.after_review import reviewers
from approvers.applying_ruling import APPLY
from approvers.errors import Inadmissible
from approvers.escalation import alerts, asked_at, expires_at, fill_in, ladder_for
from approvers.grant import Grant
from approvers.lifetime import handed, next_look, under, what_is_due
from approvers.limits import check_limits, cooling_until, default_ttl
from approvers.policy import ConfigError, Policy, check_together, parse_policy
from approvers.ruling import Ruling, rule
from bot.breaking import Broken
from tests.approvers.rules_world import (
    ALLOW_DEV,
    DENY_DELETES,
    NOON,
    POLICY,
    REVIEW_PII,
    REVIEW_READS,
    ROSTER,
    SHA,
    edited,
    facts,
    past,
    roster,
)
from tests.worlds import glass, samples
from tests.worlds.trail import a_call

EVERY_POINT = """
[risk.bands]
medium = 30
high = 60
critical = 85
[risk.access]
List = 5
Read = 10
Tagging = 15
Write = 25
"Permissions management" = 40
unknown = 41
[risk.environment]
dev = 0
staging = 8
prod = 20
unknown = 20
[risk.action]
destructive = 20
escalation = 30
credentials = 25
exposure = 15
evasion = 35
wildcard = 15
everything = 25
many = 8
pair = 20
[risk.context]
data = 15
long = 8
first_seen = 10
burst = 12
unusual_hour = 6
well_known = -10
no_ticket = 5
[risk.lists]
evasion = ["cloudtrail:StopLogging"]
exposure = ["s3:PutBucketPolicy"]
"""
GLASS = """
[break_glass]
who = ["user:robin"]
require = ["reason"]
ttl_max = "40m"
tell = ["group:security"]
review_within = "24h"
open_max = 2
[apply]
quorum = "two"
"""
LIFE = """
[grants]
collect_within = "10m"
warn_before = "2m"
[monitoring]
kill_at = 60
ask_at = 20
watch_for = "15m"
"""
BASE = (POLICY + EVERY_POINT + GLASS + LIFE + DENY_DELETES + REVIEW_PII + REVIEW_READS + ALLOW_DEV).replace(
    "actions_max = 3", "actions_max = 9"
)
LEVEL = '{ after = "15m", ask = ["group:security"] }'
BREAKS = {"principal": "user:robin", "id": "user:robin", "on_behalf_of": None, "break_glass": True}
APPLIES = {"principal": "user:robin", "id": "user:robin", "on_behalf_of": None, "access": None, "action": APPLY,
           "resource": "countersign:policy"}  # fmt: skip
DEV = {"role": "dev", "environment": "dev"}


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield every key of a model as it is written in the file; `*` stands for a name."""
    for name, info in model.model_fields.items():
        if name != "name":
            yield from _below(info.annotation, f"{prefix}{info.alias or name}")


def _below(annotation: Any, place: str) -> Iterator[str]:
    inner = [part for part in get_args(annotation) if part is not type(None)]
    if len(inner) == 1 and type(None) in get_args(annotation):
        annotation = inner[0]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from keys_of(annotation, f"{place}.")
    elif get_origin(annotation) is dict and isinstance(inner[1], type) and issubclass(inner[1], BaseModel):
        yield from _below(inner[1], f"{place}.*")
    elif get_origin(annotation) is tuple and isinstance(inner[0], type) and issubclass(inner[0], BaseModel):
        yield from _below(inner[0], f"{place}.*")
    else:
        yield place


@dataclass
class Case:
    """Say what to edit, what to ask, where to look, and what is seen there before and after."""

    old: str
    new: str
    look: Callable[[Policy, dict[str, Any]], Any]
    before: Any
    after: Any
    ask: dict[str, Any] = field(default_factory=dict)


def _ruling(rules: Policy, asked: dict[str, Any]) -> Ruling:
    return rule(rules, facts(rules, **asked), sha256=SHA)


def effect(rules: Policy, asked: dict[str, Any]) -> str:
    return _ruling(rules, asked).effect


def seats(rules: Policy, asked: dict[str, Any]) -> dict[str, int]:
    return dict(_ruling(rules, asked).seats)


def decided(rules: Policy, asked: dict[str, Any]) -> list[str]:
    return [hit.name for hit in _ruling(rules, asked).rules]


def notes(rules: Policy, asked: dict[str, Any]) -> tuple[str, ...]:
    return _ruling(rules, asked).notes


def score(rules: Policy, asked: dict[str, Any]) -> int:
    return _ruling(rules, asked).risk.score


def level(rules: Policy, asked: dict[str, Any]) -> str:
    return _ruling(rules, asked).risk.level


def limit(rules: Policy, asked: dict[str, Any]) -> str | None:
    try:
        check_limits(rules, facts(rules, **asked))
    except Inadmissible as refusal:
        return refusal.rule
    return None


def fits(rules: Policy, asked: dict[str, Any]) -> bool:
    people = roster(edited(ROSTER, 'owners = ["group:security"]', 'owners = ["user:robin"]'))
    try:
        check_together(rules, people)
    except ConfigError:
        return False
    return True


def lasts(rules: Policy, asked: dict[str, Any]) -> timedelta:
    return expires_at(ladder_for(rules, _ruling(rules, asked)), NOON) - NOON


def asked_later(rules: Policy, asked: dict[str, Any]) -> tuple[str, ...]:
    return asked_at(ladder_for(rules, _ruling(rules, asked)), NOON, NOON + timedelta(minutes=12))


def filled_late(rules: Policy, asked: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return fill_in(ladder_for(rules, _ruling(rules, asked)), 1, {"sre"})


def alerted_late(rules: Policy, asked: dict[str, Any]) -> bool:
    return alerts(ladder_for(rules, _ruling(rules, asked)), 1)


def narrowed(rules: Policy, asked: dict[str, Any]) -> tuple[str, ...]:
    return _ruling(rules, asked).narrow


def reviewed_by(rules: Policy, asked: dict[str, Any]) -> timedelta:
    """Say when the after-review of a use is due, as the desk writes it down."""
    use, book = glass.used(), SimpleNamespace(policy=rules)
    due = Broken().marked(book, use).after_review  # type: ignore[arg-type]
    assert due
    return due.due_at - use.submitted_at


def looks_after(rules: Policy, asked: dict[str, Any]) -> tuple[str, ...]:
    """Name the groups whose people may review a use."""
    use = SimpleNamespace(ruling=_ruling(rules, asked))
    assert rules.break_glass
    return tuple(sorted(reviewers(use, rules.break_glass.tell)))  # type: ignore[arg-type]


def cooling(rules: Policy, asked: dict[str, Any]) -> timedelta | None:
    until = cooling_until(rules, NOON)
    return until and until - NOON


def default(rules: Policy, asked: dict[str, Any]) -> int:
    return default_ttl(rules, facts(rules, **asked))


def ends_uncollected(rules: Policy, asked: dict[str, Any]) -> timedelta:
    grant = _live(rules)
    assert what_is_due(grant, next_look(grant)) == "never_collected"
    return next_look(grant) - samples.NOW


def warned_before(rules: Policy, asked: dict[str, Any]) -> timedelta:
    grant = handed(_live(rules), samples.NOW)
    assert grant.ends_at
    assert what_is_due(grant, next_look(grant)) == "ending_soon"
    return grant.ends_at - next_look(grant)


def weighed(rules: Policy, asked: dict[str, Any]) -> str:
    """Say what becomes of a session with so many refused calls on what was not granted."""
    calls = [replace(a_call(samples.NOW, "s3:DeleteBucket", "arn:aws:s3:::x", error="AccessDenied"), id=f"{n:012}")
             for n in range(asked["refusals"])]  # fmt: skip
    seen = noted(Activity(grant_id="g"), calls, Scope(samples.grant("ACTIVE").plan))
    return verdict(seen, rules.monitoring)


def looked_at(rules: Policy, asked: dict[str, Any]) -> timedelta:
    return watched_until(samples.NOW, rules.monitoring) - samples.NOW


def _live(rules: Policy) -> Grant:
    terms = rules.grants
    return under(samples.grant("ACTIVE"), collect_within=terms.collect_within, warn_before=terms.warn_before)


def points(key: str, old: int, new: int, **ask: Any) -> Case:
    before = score(parse_policy(BASE), ask)
    return Case(f"{key} = {old}\n", f"{key} = {new}\n", score, before, before + new - old, ask)


def condition(name: str, probe: str, ask: dict[str, Any], *, allow: bool = False) -> Case:
    """Add the condition to a rule that holds: the rule then holds no more."""
    if allow:
        return Case('ttl_at_most = "1h" }', f"{probe} }}", effect, "allow", "review", {**DEV, **ask})
    old = 'action = ["*:Delete*"], environment = ["prod"] }'
    ask = {"actions": ["s3:DeleteObject"], **ask}
    return Case(old, f"{old[:-2]}, {probe} }}", effect, "deny", "review", ask)


CASES: dict[str, Case] = {
    "default": Case('default = "review"', 'default = "deny"', effect, "review", "deny",
     {"action": "s3:PutObject", **DEV}),
    "default_quorum": Case('default_quorum = "one"', 'default_quorum = "two"', seats, {"sre": 1},
                           {"sre": 1, "security": 1}, {"actions": ["s3:PutObject"], **DEV}),
    "timezone": Case("Europe/Berlin", "Asia/Tokyo", effect, "allow", "review",
                     {**DEV, "at": NOON.replace(year=2027, month=5, day=31, hour=20)}),
    "environments": Case('["dev", "staging", "prod"]', '["prod", "dev", "staging"]', effect, "review", "allow",
                         {"role": "dev", "environment": "prod"}),
    "quorum.*.seats": Case("seats = { sre = 1 }", "seats = { sre = 2 }", seats, {"sre": 1}, {"sre": 2}),
    "quorum.*.ladder": Case('ladder = "work"', 'ladder = "page"', lasts, timedelta(minutes=30), timedelta(minutes=20)),
    "ladder.*.expires_after": Case('expires_after = "30m"', 'expires_after = "40m"', lasts, timedelta(minutes=30),
                                   timedelta(minutes=40)),
    "ladder.*.levels.*.after": Case('after = "15m"', 'after = "10m"', asked_later, ("place:console",),
                                    ("place:console", "group:security")),
    "ladder.*.levels.*.ask": Case('ask = ["place:console"]', 'ask = ["group:sre"]', asked_later, ("place:console",),
                                  ("group:sre",)),
    "limits.ttl_default": Case('ttl_default = "30m"', 'ttl_default = { default = "30m", prod = "20m" }', default, 1800,
                               1200, {"ttl_seconds": None}),
    "limits.ttl_max": Case('prod = "1h"', 'prod = "50m"', limit, None, "limits.ttl_max.prod", {"ttl_seconds": 3600}),
    "limits.actions_max": Case("actions_max = 9", "actions_max = 1", limit, None, "limits.actions_max",
                               {"actions": ["s3:GetObject", "s3:PutObject"]}),
    "limits.denied_cool_down": Case('denied_cool_down = "10m"', 'denied_cool_down = "5m"', cooling,
                                    timedelta(minutes=10), timedelta(minutes=5)),
    "risk.bands.medium": Case("medium = 30", "medium = 31", level, "medium", "low"),
    "risk.bands.high": Case("high = 60", "high = 31", level, "medium", "high", {"ticket": None}),
    "risk.bands.critical": Case("critical = 85", "critical = 61", level, "high", "critical",
                                {"actions": ["iam:PassRole"], "action": "iam:PassRole", "role": "dev",
                                "environment": "dev"}),
    "risk.access.List": points("List", 5, 9, action="s3:ListBucket", actions=["s3:ListBucket"]),
    "risk.access.Read": points("Read", 10, 12),
    "risk.access.Tagging": points("Tagging", 15, 17, actions=["s3:PutObjectTagging"]),
    "risk.access.Write": points("Write", 25, 27, actions=["s3:PutObject"]),
    "risk.access.Permissions management": points('"Permissions management"', 40, 39, actions=["iam:PassRole"]),
    "risk.access.unknown": points("unknown", 41, 50, actions=["odd:Thing"]),
    "risk.environment": points("prod", 20, 19),
    "risk.action.destructive": points("destructive", 20, 21, actions=["s3:DeleteObject"]),
    "risk.action.escalation": points("escalation", 30, 31, actions=["iam:PassRole"], **DEV),
    "risk.action.credentials": points("credentials", 25, 26, actions=["secretsmanager:GetSecretValue"]),
    "risk.action.exposure": points("exposure", 15, 16, actions=["s3:PutBucketPolicy"]),
    "risk.action.evasion": points("evasion", 35, 34, actions=["cloudtrail:StopLogging"], **DEV),
    "risk.action.wildcard": points("wildcard", 15, 16, resource="arn:aws:s3:::exports/*"),
    "risk.action.everything": points("everything", 25, 26, resource="*"),
    "risk.action.many": points("many", 8, 9, actions=[f"s3:Get{n}" for n in range(6)]),
    "risk.action.pair": points("pair", 20, 21, actions=["s3:PutObject", "iam:PassRole"], **DEV),
    "risk.context.first_seen": points("first_seen", 10, 11, history=past(new=("s3:GetObject",))),
    "risk.context.burst": points("burst", 12, 13, history=past(asked=(21,) * 7)),
    "risk.context.unusual_hour": points("unusual_hour", 6, 7, history=past(total=50)),
    "risk.context.well_known": points("well_known", -10, -9, history=past(known=20)),
    "risk.context.data": points("data", 15, 16, data_classes=["pii"]),
    "risk.context.long": points("long", 8, 9, ttl_seconds=3601),
    "risk.context.no_ticket": points("no_ticket", 5, 6, ticket=None),
    "risk.lists": Case('evasion = ["cloudtrail:StopLogging"]', 'evasion = ["cloudtrail:*"]', score, 61, 96,
                       {"action": "cloudtrail:DeleteTrail"}),
    "rule.*.effect": Case('effect = "deny"', 'effect = "review"', effect, "deny", "review",
     {"actions": ["s3:DeleteObject"]}),
    "rule.*.quorum": Case('quorum = "two"\nowner', 'quorum = "one"\nowner', seats,
                          {"sre": 1, "security": 1}, {"sre": 1},
                          {"data_classes": ["pii"]}),
    "rule.*.owner": Case('owner = "security"', 'owner = "nobody"', fits, True, False),
    "rule.*.note": Case("Personal data.", "Names of people.", notes, ("Personal data.", "Reading in production."),
                        ("Names of people.", "Reading in production."), {"data_classes": ["pii"]}),
    "ladder.*.levels.*.may_fill": Case(LEVEL, f'{LEVEL[:-2]}, may_fill = "sre" }}', filled_late, (),
                                       (("security", "sre"),)),
    "ladder.*.levels.*.alert": Case(LEVEL, f"{LEVEL[:-2]}, alert = true }}", alerted_late, False, True),
    "break_glass.who": Case('who = ["user:robin"]', 'who = ["group:sre-lead"]', effect, "break_glass", "deny", BREAKS),
    "break_glass.require": Case('["reason"]', '["reason", "ticket"]', effect, "break_glass", "deny",
                                {**BREAKS, "ticket": None}),
    "break_glass.ttl_max": Case('ttl_max = "40m"', 'ttl_max = "20m"', limit, None, "break_glass.ttl_max",
                                {**BREAKS, "ttl_seconds": 2400}),
    "break_glass.tell": Case('tell = ["group:security"]', 'tell = ["place:console"]', looks_after,
                             ("security", "sre"), ("sre",), BREAKS),
    "break_glass.review_within": Case('review_within = "24h"', 'review_within = "1h"', reviewed_by,
                                      timedelta(hours=24), timedelta(hours=1)),
    "break_glass.open_max": Case("open_max = 2", "open_max = 1", effect, "break_glass", "deny", {**BREAKS, "owed": 1}),
    "apply.quorum": Case('[apply]\nquorum = "two"', '[apply]\nquorum = "one"', seats, {"sre": 1, "security": 1},
                         {"sre": 1}, APPLIES),
    "monitoring.kill_at": Case("kill_at = 60", "kill_at = 90", weighed, "kill", "ask", {"refusals": 5}),
    "monitoring.ask_at": Case("ask_at = 20", 'ask_at = "never"', weighed, "ask", "", {"refusals": 4}),
    "monitoring.watch_for": Case('watch_for = "15m"', 'watch_for = "2h"', looked_at, timedelta(minutes=15),
                                 timedelta(hours=2)),
    "grants.collect_within": Case('collect_within = "10m"', 'collect_within = "3m"', ends_uncollected,
                                  timedelta(minutes=10), timedelta(minutes=3)),
    "grants.warn_before": Case('warn_before = "2m"', 'warn_before = "5m"', warned_before, timedelta(minutes=2),
                               timedelta(minutes=5)),
    "rule.*.narrow": Case('note = "Reading in production."', 'note = "Reading in production."\nnarrow = ["ttl"]',
                          narrowed, (), ("ttl",)),
    "rule.*.until": Case("until = 2027-05-31", "until = 2026-11-19", effect, "allow", "review", DEV),
    "rule.*.when.principal": condition("principal", 'principal = ["caller:deploy"]', {}),
    "rule.*.when.principal_kind": Case('principal_kind = ["agent"]', 'principal_kind = ["pipeline"]', effect, "deny",
                                       "review", {"actions": ["s3:DeleteObject"]}),
    "rule.*.when.issuer": condition("issuer", 'issuer = ["github"]', {"proof": {"issuer": "gitlab"}}),
    "rule.*.when.repository_id": condition("repository_id", 'repository_id = ["4567"]', {"proof": {}}),
    "rule.*.when.ref": condition("ref", 'ref = ["refs/heads/main"]', {"proof": {"ref": "refs/heads/x"}}, allow=True),
    "rule.*.when.workflow": condition("workflow", 'workflow = ["*/deploy.yml"]', {"proof": {"workflow": "a/b.yml"}}),
    "rule.*.when.model": condition("model", 'model = ["gpt-*"]', {"model": "other"}),
    "rule.*.when.tags_any": condition("tags_any", 'tags_any = ["data=pii"]', {}, allow=True),
    "rule.*.when.tags_none": condition("tags_none", 'tags_none = ["data=pii"]', {"tags": dict.fromkeys(
        ["arn:aws:s3:::exports/2026/report.csv"], ("data=pii",))}),
    "rule.*.when.rate_over": condition("rate_over", 'rate_over = "1/1h"', {"history": past()}),
    "rule.*.when.first_seen": condition("first_seen", "first_seen = true", {"history": past()}),
    "rule.*.when.weekday": condition("weekday", 'weekday = ["sat", "sun"]', {}),
    "rule.*.when.reason_shorter_than": condition("reason_shorter_than", "reason_shorter_than = 5", {}),
    "rule.*.when.actor": condition("actor", 'actor = ["agent:other"]', {}),
    "rule.*.when.project": condition("project", 'project = ["shop"]', {"project": "reports"}),
    "rule.*.when.stage": condition("stage", 'stage = ["training"]', {"stage": "inference"}),
    "rule.*.when.urgency": condition("urgency", 'urgency = ["high"]', {"urgency": "low"}),
    "rule.*.when.action": Case('action = ["*:Delete*"]', 'action = ["*:Erase*"]', effect, "deny", "review",
                               {"actions": ["s3:DeleteObject"]}),
    "rule.*.when.access_level": condition("access_level", 'access_level = ["Tagging"]', {}),
    "rule.*.when.risk_list": condition("risk_list", 'risk_list = ["evasion"]', {}),
    "rule.*.when.resource": condition("resource", 'resource = ["arn:aws:s3:::other/*"]', {}),
    "rule.*.when.role": condition("role", 'role = ["dev"]', {}),
    "rule.*.when.account": condition("account", 'account = ["shop-dev"]', {}),
    "rule.*.when.environment": Case('Delete*"], environment = ["prod"]', 'Delete*"], environment = ["dev"]', effect,
     "deny", "review", {"actions": ["s3:DeleteObject"]}),
    "rule.*.when.data_class": condition("data_class", 'data_class = ["pii"]', {}),
    "rule.*.when.ttl_over": condition("ttl_over", 'ttl_over = "15m"', {}),
    "rule.*.when.ttl_at_most": condition("ttl_at_most", 'ttl_at_most = "10m"', {}, allow=True),
    "rule.*.when.risk_at_least": condition("risk_at_least", 'risk_at_least = "critical"', {}),
    "rule.*.when.risk_below": condition("risk_below", 'risk_below = "high"', {"risk": "high"}, allow=True),
    "rule.*.when.outside_hours": condition("outside_hours", 'outside_hours = "08:00-19:00"', {}),
    "rule.*.when.reason_missing": condition("reason_missing", "reason_missing = true", {}),
    "rule.*.when.ticket_missing": condition("ticket_missing", "ticket_missing = true", {}),
}  # fmt: skip


def test_every_key_of_the_model_has_a_case():
    assert set(CASES) == set(keys_of(Policy)) - {"version"}


def test_the_version_is_checked():
    with pytest.raises(ConfigError, match="version"):
        parse_policy(BASE.replace("version = 1", "version = 2"))


@pytest.mark.parametrize("key", sorted(CASES))
def test_a_key_changes_an_outcome(key):
    case = CASES[key]
    changed = BASE.replace(case.old, case.new, 1)
    assert changed != BASE
    assert case.look(parse_policy(BASE), case.ask) == case.before
    assert case.look(parse_policy(changed), case.ask) == case.after
