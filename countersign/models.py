"""Hold what travels over the wire: the ask as we send it, strictly; the answers as we read them, open to new fields.

Answers keep fields that this version does not know (`model_extra`), so that a newer server breaks no older client.
Unknown states are kept as text, and are never a yes.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from approvers.action import MAX_TTL_SECONDS, Access, ActionName, Actor, GrantId, Level, Resource, Token
from approvers.environment import fault

__all__ = [
    "Access", "Actor", "AfterReview", "Ask", "Credential", "Freeze", "Grant", "Proof", "Receipt", "Request", "Review",
    "Revocation", "Risk",
]  # fmt: skip

TERMINAL_GRANT = frozenset({"REVOKED", "FAILED"})
UNSETTLED_GRANT = frozenset({"PENDING", "MINTING"})


def _json_only(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"must be JSON ({error})") from error
    return value


class Ask(BaseModel):
    """State what is asked for: the body of `POST /v1/requests`. What is left out, the server fills in or refuses.

    Without `access` it is an action approval, to be consumed once; with it, an approval mints a credential.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: ActionName
    resource: Resource
    environment: Token | None = None
    reason: Annotated[str, StringConstraints(max_length=65_536)] = ""
    ttl_seconds: Annotated[int, Field(ge=1, le=MAX_TTL_SECONDS)] | None = None
    risk: Level | None = None
    project: Token | None = None
    stage: Token | None = None
    urgency: Literal["low", "normal", "high"] | None = None
    data_classes: tuple[Token, ...] = ()
    ticket: Annotated[str, StringConstraints(max_length=200)] | None = None
    undo: Annotated[str, StringConstraints(max_length=4_096)] | None = None
    actor: Actor | None = None
    parameters: Annotated[dict[str, Any], AfterValidator(_json_only)] | None = None
    access: Access | None = None
    extends: GrantId | None = None
    heartbeat_seconds: Annotated[int, Field(ge=10, le=3_600)] | None = None
    break_glass: bool = False
    public_key: str | None = None

    def body(self) -> dict[str, Any]:
        """Return the JSON object to send: only what was said."""
        return self.model_dump(mode="json", exclude_none=True, exclude_defaults=True)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    def raw(self) -> dict[str, Any]:
        """Return the answer as JSON, fields unknown to this version included."""
        return self.model_dump(mode="json")


class Review(_Answer):
    """One person's answer."""

    reviewer: str
    verdict: str
    reason: str | None = None
    at: datetime | None = None


class AfterReview(_Answer):
    """The review that a use of break-glass owes; `verdict` None: nobody has given it yet."""

    due_at: datetime | None = None
    verdict: str | None = None
    by: str | None = None
    reason: str = ""
    at: datetime | None = None


class Risk(_Answer):
    """How risky the ask was judged, and the points that led there."""

    level: str
    points: list[dict[str, Any]] = []


class Proof(_Answer):
    """How the end of a grant was shown: `never_issued`, `expired`, `ttl_denied` or `probe_denied`."""

    kind: str
    at: datetime | None = None
    seconds: float | None = None
    refused: int | None = None
    asked: int | None = None


class Grant(_Answer):
    """One grant: who acts, with which role, until when, and how its end was proven.

    Attributes:
        extends: the grant whose work it goes on with; that one ends at its own time.
        extended_by: the newest grant that goes on with its work.
        heartbeat_seconds: how long its caller may be silent before it is ended (see `AsyncClient.beating`).
        collect_by: when it is ended if nobody has collected its credential.
        warned_at: when its end was warned of.
    """

    id: str
    state: str
    request_id: str | None = None
    handle: str | None = None
    actor: str | None = None
    role: str | None = None
    ttl_seconds: int | None = None
    extends: str | None = None
    extended_by: str | None = None
    heartbeat_seconds: int | None = None
    break_glass: bool = False
    collect_by: datetime | None = None
    warned_at: datetime | None = None
    ends_at: datetime | None = None
    ending: dict[str, Any] | None = None
    trouble: str | None = None
    failure: str | None = None
    proof: Proof | None = None

    @property
    def active(self) -> bool:
        """Tell whether its credential is live and may be used."""
        return self.state == "ACTIVE"

    @property
    def over(self) -> bool:
        """Tell whether it is in a terminal state."""
        return self.state in TERMINAL_GRANT


class Revocation(_Answer):
    """What a revocation hits, oldest first; `hint` says what else there is to do."""

    target: dict[str, str]
    dry_run: bool
    frozen: bool
    hint: str | None = None
    grants: list[Grant]


class Freeze(_Answer):
    """How the switch stands that stops approvals and mints; `changed`: whether this call has moved it."""

    on: bool
    why: str = ""
    by: str | None = None
    at: datetime | None = None
    changed: bool = False


class Receipt(_Answer):
    """The signed receipt of a decision (`countersign.verify_receipt` checks `jws`), and the log that includes it.

    `log` holds `size` and `root`: whoever keeps them is a witness of everything that the log said by then.
    """

    jws: str
    log: dict[str, Any] = {}
    at: datetime | None = None


class Request(_Answer):
    """One request as it stands. Code reads `state`, `human_decision` and `retry`; a model reads `agent_message`."""

    id: str
    version: int
    state: str
    handle: str | None = None
    because: str | None = None
    human_decision: bool = False
    retry: str = "no"
    agent_message: str = ""
    principal: str | None = None
    waiting_for: dict[str, int] = {}
    ruling: dict[str, Any] | None = None
    risk: Risk | None = None
    reviews: list[Review] = []
    expires_at: datetime | None = None
    action_digest: str | None = None
    narrowed: dict[str, Any] | None = None
    after_review: AfterReview | None = None
    grant: Grant | None = None
    receipt: Receipt | None = None

    @property
    def pending(self) -> bool:
        """Tell whether it still waits for an answer."""
        return self.state == "PENDING"

    @property
    def approved(self) -> bool:
        """Tell whether it was approved; its grant may have ended since."""
        return self.state == "APPROVED"

    @property
    def settled(self) -> bool:
        """Tell whether waiting is over: decided, and its grant, if any, past MINTING."""
        return not self.pending and (self.grant is None or self.grant.state not in UNSETTLED_GRANT)

    @property
    def label(self) -> str:
        """Return what people call it: the short handle, else the id."""
        return self.handle or self.id


class Credential(_Answer):
    """Hold a credential; its repr and its JSON say nothing secret.

    `environment`: of what is no AWS session, the variables that its user's program reads; the keys are empty then.
    """

    access_key_id: str = ""
    secret_access_key: str = Field(default="", repr=False, exclude=True)
    session_token: str = Field(default="", repr=False, exclude=True)
    expiration: datetime | None = None
    environment: dict[str, str] | None = Field(default=None, repr=False, exclude=True)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.environment is None and not (self.access_key_id and self.secret_access_key and self.session_token):
            raise ValueError("three keys, or the variables of what is no AWS session")
        if self.environment is not None and (why := fault(self.environment)):
            raise ValueError(f"the credential brings {why}")
        return self

    def environ(self) -> dict[str, str]:
        """Return the variables that AWS SDKs and the AWS command line read, or those of what is no AWS session."""
        if self.environment is not None:
            return dict(self.environment)
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_SESSION_TOKEN": self.session_token,
        }
