"""Break-glass in the demo's company: its terms, and uses as the product itself would make them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from approvers.after_review import Finding, reviewed
from approvers.policy import parse_policy
from approvers.request import AfterReview, Because, Request, RequestState
from tests.worlds import samples
from tests.worlds.samples import NOW

WITHIN = timedelta(hours=24)
TELL = ("group:oncall",)
TERMS = (
    'break_glass = { who = ["user:dana", "group:oncall"], require = ["reason", "ticket"], ttl_max = "30m", '
    'tell = ["group:oncall"], review_within = "24h", open_max = 1 }\n'
)
POLICY = samples.POLICY_TEXT.replace("[quorum.one]", f"{TERMS}\n[quorum.one]", 1)
assert parse_policy(POLICY).break_glass
ASK: dict[str, Any] = {"break_glass": True, "ticket": "INC-42", "actor": {"id": "user:dana"}, "data_classes": None}
"""What dana changes of the sample ask."""


def used(**changes: Any) -> Request:
    """Return a use of break-glass by dana, whose after-review is owed."""
    asked = samples.request(ticket="INC-42")
    action = asked.action.model_copy(update={"break_glass": True, **changes})
    barred = {"user:dana": "principal"}
    ruling = asked.ruling.model_copy(update={"effect": "break_glass", "barred": tuple(barred), "barred_as": barred})
    return asked.model_copy(
        update={
            "action": action,
            "after_review": AfterReview(due_at=NOW + WITHIN),
            "because": Because.BREAK_GLASS,
            "decided_at": NOW,
            "decided_by": "policy",
            "principal": "user:dana",
            "ruling": ruling,
            "state": RequestState.APPROVED,
        }
    )


def finding(name: str = "robin", verdict: Any = "justified", reason: str = "", *groups: str, **more: Any) -> Finding:
    """Return what somebody of the group sre says an hour later."""
    at = more.pop("at", NOW + timedelta(hours=1))
    return Finding(f"user:{name}", verdict, reason, at, frozenset(groups or ("sre",)), **more)


def found(verdict: Any = "justified", reason: str = "") -> Request:
    """Return a use that robin has reviewed."""
    return reviewed(used(), finding("robin", verdict, reason), TELL)
