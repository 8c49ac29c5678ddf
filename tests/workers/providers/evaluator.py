"""Decide a request as IAM does, for exactly the documents we emit; anything it does not know raises."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

KNOWN = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
TOGETHER = [{"identity", "boundary", "session"}, {"identity", "session"}, {"identity"}, {"trust"}]
"""What decides a request: a session of a base role, of a plain role; a user or role by itself; who assumes a role."""
GRANT = "aws:PrincipalTag/grant-id"
PAIRS = {
    ("StringEquals", GRANT),
    ("Null", GRANT),
    ("StringEquals", "iam:PermissionsBoundary"),
    ("StringEquals", "sts:ExternalId"),
    ("StringLike", "sts:RoleSessionName"),
    ("StringLike", "sts:SourceIdentity"),
    ("StringLike", "aws:RequestTag/grant-id"),
    ("ForAllValues:StringEquals", "aws:TagKeys"),
    ("DateGreaterThan", "aws:CurrentTime"),
    ("DateLessThan", "aws:TokenIssueTime"),
}
"""What AWS is known to do with these keys is in each vector's expectation; any other pair was never thought through."""


def evaluate(policies: Mapping[str, Iterable[Mapping[str, Any]]], request: Mapping[str, Any]) -> str:
    """Any Deny wins; else every kind of policy that applies must allow."""
    if set(policies) not in TOGETHER:
        raise ValueError(f"unknown together: {sorted(policies)}")
    effects = {kind: [_effects(document, request) for document in documents] for kind, documents in policies.items()}
    if any("Deny" in found for documents in effects.values() for found in documents):
        return "explicit_deny"
    each = all(any("Allow" in found for found in documents) for documents in effects.values())
    return "allow" if each else "implicit_deny"


def _effects(document: Mapping[str, Any], request: Mapping[str, Any]) -> set[str]:
    # every statement is computed, so that an unknown one raises even where it changes nothing
    return {statement["Effect"] for statement in document["Statement"] if _applies(statement, request)}


def _applies(statement: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    if extra := set(statement) - KNOWN:
        raise ValueError(f"unknown {extra}")
    if ("Principal" in statement) == ("Resource" in statement):
        raise ValueError("unknown: a statement is for a Principal (trust) or for Resources")
    action = any(_like(p.lower(), request["action"].lower()) for p in _list(statement["Action"]))
    if "Principal" in statement:
        there = request["principal"] in _list(statement["Principal"]["AWS"])
    else:
        there = any(_like(p, request["resource"]) for p in _list(statement["Resource"]))
    pairs = [(op, key, v) for op, keys in statement.get("Condition", {}).items() for key, v in keys.items()]
    return all([_holds(op, key, request["context"], value) for op, key, value in pairs]) and action and there


def _holds(operator: str, key: str, context: Mapping[str, Any], wanted: str | list[str]) -> bool:
    if (operator, key) not in PAIRS:
        raise ValueError(f"unknown {operator} on {key}")
    found = context.get(key)
    if operator == "Null":
        return (found is None) == (wanted == "true")
    if operator == "ForAllValues:StringEquals":
        return set(found or ()) <= set(_list(wanted))  # true as well where the key is absent
    if found is None:
        return False
    tests = {
        "StringEquals": lambda value: found == value,
        "StringLike": lambda value: _like(value, found),
        "DateGreaterThan": lambda value: _moment(found) > _moment(value),
        "DateLessThan": lambda value: _moment(found) < _moment(value),
    }
    return any(tests[operator](value) for value in _list(wanted))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _like(pattern: str, text: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text, re.DOTALL) is not None


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
