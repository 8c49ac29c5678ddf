"""Every document that the code emits, beside the hand-written ones, and the vectors that say what they mean."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from approvers.grant import Plan
from approvers.narrowing import Narrow, narrowed
from tests.worlds import samples
from tests.worlds.ministack import a_plan
from workers.providers import documents

VECTORS = Path(__file__).parent / "vectors"
DOCUMENTS: dict[str, Any] = json.loads((VECTORS / "documents.json").read_text())
FILES = ("requests", "ends", "escapes", "trust", "identities")
REQUESTS: list[dict[str, Any]] = [one for name in FILES for one in json.loads((VECTORS / f"{name}.json").read_text())]
ENDS = datetime(2026, 11, 20, 10, 10, tzinfo=UTC)
ACCOUNT = "123456789012"
MINTER, WORKER = (f"arn:aws:iam::{ACCOUNT}:role/countersign-{name}" for name in ("minter", "worker"))


@dataclass(frozen=True)
class Emitted:
    """A document as the code writes it, and the function that did."""

    by: str
    text: str


def _emit(by: str, *arguments: Any) -> Emitted:
    return Emitted(by, getattr(documents, by)(*arguments))


def narrowed_plan() -> Plan:
    """Return a plan that a reviewer made smaller in every part."""
    key, years = "arn:aws:s3:::customer-exports/2026/report.csv", "arn:aws:s3:::customer-exports/{}/*"
    actions = ["s3:GetObject", "s3:GetObjectTagging", "s3:PutObject"]
    resources = [key, years.format(2025), years.format(2024)]
    asked = samples.request(access={"role": "analytics", "actions": actions, "resources": resources}, resource=key)
    may = asked.model_copy(
        update={"ruling": asked.ruling.model_copy(update={"narrow": ("actions", "resources", "ttl")})}
    )
    wish = Narrow(ttl_seconds=600, actions=tuple(actions[:2]), resources=tuple(resources[:2]))
    plan = narrowed(may, wish, "user:robin", samples.NOW).plan
    assert plan is not None
    assert plan.ttl_seconds == 600
    return plan


EMITTED = {
    "session": _emit("session_policy", a_plan(), ENDS),
    "session-narrowed": _emit("session_policy", narrowed_plan(), ENDS - timedelta(minutes=5)),
    "revoke-A": _emit("revoke_policy", "grt_01JAAAAAAAAAAAAAAAAAAAAAAA"),
    "revoke-all": _emit("revoke_all_policy", ENDS - timedelta(minutes=10)),
    "probe": _emit("probe_policy"),
    "probe-ttl": _emit("probe_policy", ENDS),
    "boundary": _emit("boundary_policy", ["s3:*"]),
    "trust": _emit("trust_policy", MINTER, "cs-1"),
    "trust-plain": _emit("trust_policy", MINTER),
    "minter": _emit("minter_policy"),
    "revoker": _emit("revoker_policy", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:policy/countersign-boundary"),
    "revoker-unbound": _emit("revoker_policy", ACCOUNT, None),
    "revoker-trust": _emit("revoker_trust_policy", WORKER),
    "revoker-caller": _emit("revoker_caller_policy"),
    "tags": _emit("tags_policy"),
    "tags-trust": _emit("tags_trust_policy", MINTER),
    "tags-minter": _emit("tags_minter_policy"),
}
