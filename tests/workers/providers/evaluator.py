"""Decide a request as IAM does, for exactly the documents we emit; anything it does not know raises."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

KNOWN = {"Sid", "Effect", "Action", "Resource", "Condition"}


def evaluate(policies: Mapping[str, Iterable[Mapping[str, Any]]], request: Mapping[str, Any]) -> str:
    """Any Deny wins; else identity, boundary and session must each allow."""
    effects = {kind: [_effects(document, request) for document in documents] for kind, documents in policies.items()}
    if any("Deny" in found for documents in effects.values() for found in documents):
        return "explicit_deny"
    each = all(any("Allow" in found for found in documents) for documents in effects.values())
    return "allow" if each and set(effects) == {"identity", "boundary", "session"} else "implicit_deny"


def _effects(document: Mapping[str, Any], request: Mapping[str, Any]) -> set[str]:
    return {statement["Effect"] for statement in document["Statement"] if _applies(statement, request)}


def _applies(statement: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    if extra := set(statement) - KNOWN:
        raise ValueError(f"unknown {extra}")
    action = any(_like(p.lower(), request["action"].lower()) for p in _list(statement["Action"]))
    resource = any(_like(p, request["resource"]) for p in _list(statement["Resource"]))
    pairs = [(op, key, v) for op, keys in statement.get("Condition", {}).items() for key, v in keys.items()]
    # every pair is computed, so that an unknown one raises even where an earlier one is false
    return all([_holds(op, request["context"].get(key), value) for op, key, value in pairs]) and action and resource


def _holds(operator: str, found: str | None, wanted: str) -> bool:
    if operator == "Null":
        return (found is None) == (wanted == "true")
    if operator not in ("StringEquals", "DateGreaterThan"):
        raise ValueError(f"unknown {operator}")
    return found is not None and (found == wanted if operator == "StringEquals" else found > wanted)


def _like(pattern: str, text: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text) is not None


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
