"""Ask for a second signature from Python: the client, its answers and errors, and a decorator.

with countersign.Client.from_environ() as client:
    request = client.request(action="s3:GetObject", resource="arn:…", reason="…", access={…}, wait=600)
    credential = client.credential(request)
"""

from __future__ import annotations

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
    Request,
    Review,
    Revocation,
    Risk,
)

__all__ = [
    "Access",
    "Actor",
    "AfterReview",
    "ArgumentsChanged",
    "Ask",
    "AsyncClient",
    "BadAnswer",
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
    "Request",
    "Review",
    "Revocation",
    "Risk",
    "ServerTrouble",
    "StillPending",
    "TooManyRequests",
    "Unauthenticated",
    "Unreachable",
    "key_for",
    "outcome",
    "requires_approval",
]
