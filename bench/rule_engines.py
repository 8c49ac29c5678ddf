"""The same rules in three engines: ours, Cedar (`cedarpy`) and CEL in Rust (`common-expression-language`).

Each answers with the effect and the rules that decided it; ours with the whole ruling. Cedar knows permit and forbid
only: our deny and review are forbids, told apart by their ids. CEL evaluates every rule in one program that returns
which of them hold: one call is far faster than one per rule.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cedarpy
import cel

from approvers.conditions import View
from approvers.deriving import derive
from approvers.facts import RISK_LEVELS, Facts
from approvers.policy import Policy
from approvers.risk import assess
from approvers.ruling import rule
from bench.rule_town import When, policy

SHA = "f" * 64
Rules = Sequence[tuple[str, str, When]]
Answer = tuple[str, tuple[str, ...]]
"""The effect, and the names of the rules that decided it; none where the default did."""


class Engine(NamedTuple):
    """An engine with its rules loaded: make its input of the facts, decide, and read the answer (not timed)."""

    name: str
    prepare: Callable[[Facts], Any]
    decide: Callable[[Any], Any]
    read: Callable[[Any], Answer]


def ours(rules: Rules) -> Engine:
    """Rule as the product does: derive, score the risk, weigh, and explain."""
    loaded = policy(list(rules))
    return Engine(
        "Countersign",
        lambda facts: facts,
        lambda facts: rule(loaded, facts, sha256=SHA),
        lambda ruling: (ruling.effect, tuple(hit.name for hit in ruling.rules)),
    )


def said(loaded: Policy, facts: Facts) -> dict[str, Any]:
    """Return the facts as another engine reads them, risk and local time worked out as we do."""
    derived = derive(loaded, facts)
    view = View(facts, derived, assess(loaded.risk, facts, derived).level, loaded.zone)
    return {
        "principal_kind": facts.principal_kind,
        "action": facts.actions[0].lower(),
        "account": facts.account,
        "environment": derived.environments[-1],
        "access_level": derived.access_levels[-1],
        "resource": facts.resources[0],
        "principal": facts.principal,
        "minute": view.at,
        "ttl": view.ttl,
        "risk": view.risk,
        "ticket_missing": view.ticket_missing,
        "data_class": list(facts.data_classes),
    }


def cedar(rules: Rules) -> Engine:
    """Load the rules as Cedar policies, parsed once; everything that they read goes in as context."""
    loaded = policy(list(rules))
    effects = {name: effect for name, effect, _ in rules}
    parsed = cedarpy.PolicySet.from_str("\n".join(_cedar(*one) for one in rules))
    nobody = cedarpy.Entities.from_json_str("[]")

    def prepare(facts: Facts) -> dict[str, Any]:
        return {
            "principal": {"type": "Caller", "id": facts.principal},
            "action": {"type": "Action", "id": "ask"},
            "resource": {"type": "Arn", "id": facts.resources[0]},
            "context": said(loaded, facts),
        }

    def decide(request: dict[str, Any]) -> tuple[bool, list[str]]:
        found = cedarpy.is_authorized(request, parsed, nobody)
        return found.allowed, list(found.diagnostics.id_annotations_by_reason.values())

    def read(answer: tuple[bool, list[str]]) -> Answer:
        allowed, names = answer
        return _weighed(["allow"] if allowed else [effects[name] for name in names], names, effects)

    return Engine("cedarpy", prepare, decide, read)


def expressions(rules: Rules) -> Engine:
    """Load the rules as one CEL program: a list of booleans, one per rule."""
    loaded = policy(list(rules))
    names = [name for name, _, _ in rules]
    effects = {name: effect for name, effect, _ in rules}
    program = cel.compile(f"[{', '.join(_cel(when) for _, _, when in rules)}]")

    def decide(said: dict[str, Any]) -> list[str]:
        return [name for name, holds in zip(names, program.execute(said), strict=True) if holds]

    def read(found: list[str]) -> Answer:
        return _weighed([effects[name] for name in found], found, effects)

    return Engine("CEL in Rust", lambda facts: said(loaded, facts), decide, read)


def _weighed(found: list[str], names: list[str], effects: dict[str, str]) -> Answer:
    """Take deny before review before allow; where no rule holds, the default is review."""
    effect = next((effect for effect in ("deny", "review", "allow") if effect in found), "review")
    return effect, tuple(sorted(name for name in names if effects[name] == effect))


_SECONDS = {"m": 60, "h": 3600}


def _number(name: str, value: str) -> str:
    """Write a comparison that reads the same in Cedar and in CEL."""
    if name.startswith("ttl"):
        return f"{'>' if name == 'ttl_over' else '<='} {int(value[:-1]) * _SECONDS[value[-1]]}"
    return f"{'>=' if name == 'risk_at_least' else '<'} {RISK_LEVELS.index(value)}"  # type: ignore[arg-type]


def _hours(value: str, minute: str) -> str:
    start, end = (int(part[:2]) * 60 + int(part[3:]) for part in value.split("-"))
    return f"({minute} < {start} || {minute} >= {end})"


def _cedar(name: str, effect: str, when: When) -> str:
    head = f'@id("{name}")\n{"permit" if effect == "allow" else "forbid"}(principal, action, resource)'
    return f"{head} when {{ {' && '.join(_cedar_one(key, value) for key, value in when.items())} }};"


def _cedar_one(name: str, value: Any) -> str:
    match name:
        case "action" | "resource":
            return f"({' || '.join(f'context.{name} like {json.dumps(_lower(name, word))}' for word in value)})"
        case "ttl_over" | "ttl_at_most" | "risk_at_least" | "risk_below":
            return f"context.{name.split('_', maxsplit=1)[0]} {_number(name, value)}"
        case "outside_hours":
            return _hours(value, "context.minute")
        case "ticket_missing":
            return "context.ticket_missing"
        case "data_class":
            return f"context.data_class.containsAny({json.dumps(value)})"
    return f"({' || '.join(f'context.{name} == {json.dumps(word)}' for word in value)})"


def _cel(when: When) -> str:
    return " && ".join(_cel_one(key, value) for key, value in when.items())


def _cel_one(name: str, value: Any) -> str:
    match name:
        case "action" | "resource":
            return f"({' || '.join(_cel_pattern(name, _lower(name, word)) for word in value)})"
        case "ttl_over" | "ttl_at_most" | "risk_at_least" | "risk_below":
            return f"{name.split('_', maxsplit=1)[0]} {_number(name, value)}"
        case "outside_hours":
            return _hours(value, "minute")
        case "ticket_missing":
            return "ticket_missing"
        case "data_class":
            return f"data_class.exists(one, one in {json.dumps(value)})"
    return f"({' || '.join(f'{name} == {json.dumps(word)}' for word in value)})"


def _cel_pattern(name: str, word: str) -> str:
    """Write a pattern of this town: a beginning (`s3:*`), or something within (`*:Delete*`)."""
    if word.startswith("*"):
        return f"{name}.contains({json.dumps(word.strip('*'))})"
    return f"{name}.startsWith({json.dumps(word.rstrip('*'))})"


def _lower(name: str, word: str) -> str:
    return word.lower() if name == "action" else word
