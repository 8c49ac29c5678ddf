"""What the small Countersign of `intake` remembers: requests and grants as the API answers them, and their moves."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from approvers.action import Action, action_digest
from approvers.grant import LIVE
from approvers.ids import grant_of, request_of
from approvers.times import stamp

PRINCIPAL = "caller:report-bot"
SECRET = {
    "access_key_id": "ASIAWORLD0000000000X",
    "secret_access_key": "world/secret+CANARY/0000000000000000000000",
    "session_token": "world/token+CANARY==",
}
SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)


class Rows:
    """Requests by id. Names with an underscore stay inside; every change raises `version` and calls `touched`."""

    def __init__(self, touched: Callable[[], None]) -> None:
        self.submit_as = "PENDING"  # or APPROVED, DENIED (both by policy), NOT_EVALUATED
        self.breaks_glass = True  # who asks for it gets it
        self.mints = True  # the worker mints at once
        self.proves = True  # the worker proves an end at once
        self.narrowed: dict[str, Any] | None = None  # what a reviewer made smaller
        self.receipt: Callable[[dict[str, Any]], dict[str, Any]] | None = None  # of an approved action
        self.secrets: dict[str, dict[str, str]] = {}  # by grant id; SECRET for all others
        self.frozen: dict[str, Any] = {"on": False, "why": "", "by": None, "at": None}
        self.expires_in = timedelta(minutes=15)
        self.rows: dict[str, dict[str, Any]] = {}
        self._touched = touched

    def find(self, name: str) -> dict[str, Any] | None:
        return self.rows.get(request_of(name) if name.startswith("grt_") else name)

    def newest(self) -> str:
        return list(self.rows)[-1]

    def digest(self, action: Action) -> str:
        return action_digest(PRINCIPAL, action.model_copy(update={"ttl_seconds": action.ttl_seconds or 900}))

    def folded(self, action: Action) -> dict[str, Any] | None:
        digest = self.digest(action)
        return next((r for r in self.rows.values() if r["state"] == "PENDING" and r["action_digest"] == digest), None)

    def open(self, action: Action) -> dict[str, Any]:
        row = {
            "id": f"req_{len(self.rows):026d}",
            "handle": f"K7{len(self.rows):02d}",
            "version": 1,
            "state": "PENDING",
            "because": "waiting",
            "human_decision": False,
            "retry": "same_key",
            "agent_message": "Not approved. Waiting for 1 of sre. Do not act.",
            "principal": PRINCIPAL,
            "actor": action.actor.id,
            "action": action.action,
            "resource": action.resource,
            "waiting_for": {"sre": 1},
            "nobody_reached": False,
            "ruling": {"effect": "review", "rules": [], "policy_sha256": "0" * 64},
            "risk": {"level": "medium", "score": 40, "points": []},
            "reviews": [],
            "submitted_at": _now(),
            "expires_at": stamp(datetime.now(UTC) + self.expires_in),
            "decided_at": None,
            "action_digest": self.digest(action),
            "narrowed": self.narrowed,
            "after_review": None,
            "consumed_at": None,
            "grant": None,
            "receipt": None,
            "_action": action,
        }
        self.rows[row["id"]] = row
        match "BREAK_GLASS" if action.break_glass and self.breaks_glass else self.submit_as:
            case "BREAK_GLASS":
                due = stamp(datetime.now(UTC) + timedelta(days=1))
                row["after_review"] = {"due_at": due, "verdict": None, "by": None, "reason": "", "at": None}
                self.approve(row, "break_glass", None)
            case "APPROVED":
                self.approve(row, "rule", None)
            case "NOT_EVALUATED":
                self.set(row, state="DENIED", because="not_evaluated", agent_message="Our fault. Tell your operator.")
            case "DENIED":
                self.set(row, state="DENIED", because="rule", agent_message="Denied. Agents never do this.")
        return row

    def approve(self, row: dict[str, Any], because: str, by: str | None) -> None:
        reviews = [_review(by, "approve", "")] if by else []
        self.set(row, state="APPROVED", because=because, reviews=reviews, waiting_for={}, agent_message="Approved.")
        if access := row["_action"].access:
            row["grant"] = {
                "id": grant_of(row["id"]),
                "request_id": row["id"],
                "handle": row["handle"],
                "state": "PENDING",
                "principal": PRINCIPAL,
                "actor": row["actor"],
                "role": access.role,
                "extends": row["_action"].extends,
                "extended_by": None,
                "heartbeat_seconds": row["_action"].heartbeat_seconds,
                "collect_by": None,
                "warned_at": None,
                "break_glass": row["_action"].break_glass,
                "account": "prod-payments",
                "actions": list(access.actions),
                "resources": list(access.resources),
                "ttl_seconds": row["_action"].ttl_seconds or 900,
                "ends_at": None,
                "expiration": None,
                "ending": None,
                "trouble": None,
                "failure": None,
                "proof": None,
            }
            if self.mints:
                self.mint(row)
        elif self.receipt:
            self.set(row, receipt=self.receipt(row))

    def deny(self, row: dict[str, Any], by: str, reason: str) -> None:
        message = f"Denied. Do not retry it or work round it. What was said: {reason}"
        reviews = [_review(by, "deny", reason)]
        self.set(row, state="DENIED", because="reviewer", human_decision=True, reviews=reviews, agent_message=message)

    def review_after(self, row: dict[str, Any], by: str, verdict: str, reason: str) -> None:
        found = {"verdict": verdict, "by": by, "reason": reason, "at": _now()}
        self.set(row, after_review={**row["after_review"], **found})

    def mint(self, row: dict[str, Any]) -> None:
        ends_at = stamp(datetime.now(UTC) + timedelta(seconds=row["grant"]["ttl_seconds"]))
        self.set_grant(row, state="ACTIVE", ends_at=ends_at, expiration=ends_at)
        if (extends := row["grant"]["extends"]) and (old := self.find(extends)) is not None:
            self.set_grant(old, extended_by=row["grant"]["id"])

    def end(self, row: dict[str, Any], cause: str, by: str, reason: str) -> None:
        self.set_grant(row, state="REVOKING", ending={"cause": cause, "by": by, "reason": reason})
        if self.proves:
            self.prove(row)

    def prove(self, row: dict[str, Any]) -> None:
        proof = {"kind": "probe_denied", "at": _now(), "seconds": 1.2, "refused": 3, "asked": 3}
        self.set_grant(row, state="REVOKED", proof=proof, trouble=None)

    def hit(self, kind: str, name: str) -> list[dict[str, Any]]:
        """Return the rows of live grants that a revocation's target names."""
        live = [row for row in self.rows.values() if row["grant"] and row["grant"]["state"] in LIVE]
        named: dict[str, Callable[[dict[str, Any]], bool]] = {
            "grant": lambda row: name in (row["id"], row["grant"]["id"], row["handle"]),
            "actor": lambda row: row["actor"] == name,
            "principal": lambda row: row["principal"] == name,
            "role": lambda row: row["grant"]["role"] == name,
            "all": lambda row: True,
        }
        return [row for row in live if named[kind](row)]

    def freeze(self, on: bool, why: str) -> dict[str, Any]:
        """Move the switch, and say how it stands."""
        changed = self.frozen["on"] != on
        if changed:
            self.frozen = {"on": on, "why": why, "by": PRINCIPAL, "at": _now()}
        return {**self.frozen, "changed": changed}

    def set_grant(self, row: dict[str, Any], **changes: Any) -> None:
        self.set(row, grant={**row["grant"], **changes})

    def set(self, row: dict[str, Any], **changes: Any) -> None:
        row.update(changes, version=row["version"] + 1)
        self._touched()


def settled(row: dict[str, Any]) -> bool:
    return row["state"] != "PENDING" and not (row["grant"] and row["grant"]["state"] in ("PENDING", "MINTING"))


def answer(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not name.startswith("_")}


def credential(row: dict[str, Any], secret: Mapping[str, Any]) -> dict[str, Any]:
    """Return the secret, sealed to the caller's key if it sent one."""
    plain = {**secret, "expiration": row["grant"]["expiration"]}
    if row["_action"].public_key is None:
        return plain
    public = X25519PublicKey.from_public_bytes(base64.b64decode(row["_action"].public_key))
    info = f"countersign/1|{row['grant']['id']}|{PRINCIPAL}".encode()
    sealed = SUITE.encrypt(json.dumps(plain).encode(), public, info)
    return {
        "sealed": base64.b64encode(sealed).decode(),
        "encapsulated_key": base64.b64encode(sealed[:32]).decode(),
        "principal": PRINCIPAL,
    }


def _review(by: str, verdict: str, reason: str) -> dict[str, Any]:
    return {"reviewer": by, "verdict": verdict, "reason": reason, "at": _now()}


def _now() -> str:
    return stamp(datetime.now(UTC))
