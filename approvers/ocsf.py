"""Spell a record as an event of OCSF 1.3, for whoever collects security events: one way, and never the evidence.

A credential that is given or taken back is User Access Management (3005), what is asked and decided is API Activity
(6003): OCSF has no class for a decision. Only fields that its schema names are filled; the record itself goes along.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from approvers.times import to_ms

VERSION = "1.3.0"
ACCESS, ACTIVITY = 3005, 6003
CATEGORIES = {ACCESS: 3, ACTIVITY: 6}
CREATE, UPDATE, OTHER = 1, 3, 99
ASSIGN, REVOKE = 1, 2
INFORMATIONAL, SUCCESS, FAILURE = 1, 1, 2
_CLASSES = {
    "grant.minted": (ACCESS, ASSIGN, SUCCESS),
    "grant.refused": (ACCESS, ASSIGN, FAILURE),
    "grant.overtaken": (ACCESS, ASSIGN, FAILURE),
    "grant.revoked": (ACCESS, REVOKE, SUCCESS),
    "request.submitted": (ACTIVITY, CREATE, SUCCESS),
    "review.recorded": (ACTIVITY, UPDATE, SUCCESS),
    "review.refused": (ACTIVITY, UPDATE, FAILURE),
    "request.approved": (ACTIVITY, UPDATE, SUCCESS),
    "request.denied": (ACTIVITY, UPDATE, FAILURE),
    "request.expired": (ACTIVITY, UPDATE, FAILURE),
    "request.cancelled": (ACTIVITY, UPDATE, FAILURE),
    "request.consumed": (ACTIVITY, UPDATE, SUCCESS),
}


def event(position: int, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a record as an OCSF event; None for a type that has no class there."""
    found = _CLASSES.get(record["type"])
    if found is None and record["type"].startswith("request."):
        found = ACTIVITY, OTHER, SUCCESS
    if found is None:
        return None
    kind, activity, status = found
    told = _access(record) if kind == ACCESS else _activity(record)
    return {
        "activity_id": activity,
        "activity_name": record["type"],
        "actor": {"user": _who(record["by"])},
        "category_uid": CATEGORIES[kind],
        "class_uid": kind,
        "metadata": {
            "correlation_uid": record["subject"],
            "product": {"name": "Countersign", "vendor_name": "Countersign"},
            "uid": str(position),
            "version": VERSION,
        },
        "severity_id": INFORMATIONAL,
        "status_id": status,
        "time": to_ms(datetime.fromisoformat(record["at"])),
        "type_uid": kind * 100 + activity,
        "unmapped": {"position": position, "record": dict(record)},
        **told,
    }


def _access(record: Mapping[str, Any]) -> dict[str, Any]:
    """Say whose session it is: the credential's own, that of one grant on one role."""
    data = record["data"]
    user = {"name": data.get("grant"), "credential_uid": data.get("access_key_id"), "uid": data.get("grant")}
    return {
        "privileges": [data["role_arn"]] if data.get("role_arn") else [],
        "user": {name: value for name, value in user.items() if value},
    }


def _activity(record: Mapping[str, Any]) -> dict[str, Any]:
    action = record["data"].get("action")
    asked = action if isinstance(action, Mapping) else {}
    told: dict[str, Any] = {
        "api": {"operation": record["type"], "service": {"name": "Countersign"}},
        "src_endpoint": {"name": record["via"]},
    }
    if resource := asked.get("resource"):
        told["resources"] = [{"name": resource}]
    return told


def _who(by: Mapping[str, Any]) -> dict[str, Any]:
    return {"domain": by["iss"], "name": by["person"] or by["sub"], "uid": by["sub"]}
