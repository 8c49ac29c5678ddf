"""Ask for a second signature from Python: the client, its answers and errors, and a decorator.

with countersign.Client.from_environ() as client:
    request = client.request(action="s3:GetObject", resource="arn:…", reason="…", access={…}, wait=600)
    credential = client.credential(request)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from approvers.errors import CountersignError
    from countersign.approval import ArgumentsChanged, key_for, requires_approval
    from countersign.blocking import Client
    from countersign.client import AsyncClient
    from countersign.errors import (
        BadAnswer,
        BadSetting,
        Cancelled,
        CannotOpen,
        Conflict,
        Denied,
        Expired,
        GrantEnded,
        InvalidRequest,
        NotAllowed,
        NotApproved,
        NotBuiltYet,
        NotFound,
        NotJudged,
        ProblemError,
        ServerTrouble,
        StillPending,
        TooManyRequests,
        Unauthenticated,
        Unreachable,
        outcome,
    )
    from countersign.models import (
        Access,
        Actor,
        AfterReview,
        Ask,
        Credential,
        Freeze,
        Grant,
        Proof,
        Receipt,
        Request,
        Review,
        Revocation,
        Risk,
    )
    from countersign.receipts import BadReceipt, ReceiptClaims, digest_of, verify_receipt

__all__ = [
    "Access",
    "Actor",
    "AfterReview",
    "ArgumentsChanged",
    "Ask",
    "AsyncClient",
    "BadAnswer",
    "BadReceipt",
    "BadSetting",
    "Cancelled",
    "CannotOpen",
    "Client",
    "Conflict",
    "CountersignError",
    "Credential",
    "Denied",
    "Expired",
    "Freeze",
    "Grant",
    "GrantEnded",
    "InvalidRequest",
    "NotAllowed",
    "NotApproved",
    "NotBuiltYet",
    "NotFound",
    "NotJudged",
    "ProblemError",
    "Proof",
    "Receipt",
    "ReceiptClaims",
    "Request",
    "Review",
    "Revocation",
    "Risk",
    "ServerTrouble",
    "StillPending",
    "TooManyRequests",
    "Unauthenticated",
    "Unreachable",
    "digest_of",
    "key_for",
    "outcome",
    "requires_approval",
    "verify_receipt",
]

_HOMES = {
    "approvers.errors": ("CountersignError",),
    "countersign.approval": ("ArgumentsChanged", "key_for", "requires_approval"),
    "countersign.blocking": ("Client",),
    "countersign.client": ("AsyncClient",),
    "countersign.errors": (
        "BadAnswer",
        "BadSetting",
        "Cancelled",
        "CannotOpen",
        "Conflict",
        "Denied",
        "Expired",
        "GrantEnded",
        "InvalidRequest",
        "NotAllowed",
        "NotApproved",
        "NotBuiltYet",
        "NotFound",
        "NotJudged",
        "ProblemError",
        "ServerTrouble",
        "StillPending",
        "TooManyRequests",
        "Unauthenticated",
        "Unreachable",
        "outcome",
    ),
    "countersign.models": (
        "Access",
        "Actor",
        "AfterReview",
        "Ask",
        "Credential",
        "Freeze",
        "Grant",
        "Proof",
        "Receipt",
        "Request",
        "Review",
        "Revocation",
        "Risk",
    ),
    "countersign.receipts": ("BadReceipt", "ReceiptClaims", "digest_of", "verify_receipt"),
}
"""Where each name is at home. It is loaded when asked for: an SDK's helper starts often, and needs none of them."""


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
