"""Say what travels over HTTP: the bodies that are read, strictly, and the answers, for the OpenAPI document.

Answers are built by `approvers.answer`; a test holds them against these models, which allow no field more.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from approvers.action import Action
from approvers.grant import GrantState, ProofKind
from approvers.request import Because, RequestState
from approvers.risk import Point
from bot.wire_receipt import ReceiptAnswer

Reason = Annotated[str, StringConstraints(max_length=65_536)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AskBody(Action):
    """What is asked for. `parameters` is the exact payload, bound by the digest."""

    parameters: dict[str, Any] | None = None  # type: ignore[assignment]  # on the wire an object, stored as RFC 8785 text


class NarrowBody(_Body):
    """What a reviewer makes smaller in approving, where the rules let them; what is left out stays as asked."""

    ttl_seconds: Annotated[int, Field(ge=1)] | None = None
    actions: Annotated[list[str], Field(min_length=1, max_length=50)] | None = None
    resources: Annotated[list[str], Field(min_length=1, max_length=50)] | None = None


class AfterReviewBody(_Body):
    """What somebody else finds of a use of break-glass."""

    verdict: Literal["justified", "unjustified"]
    reason: Reason = ""


class ReviewBody(_Body):
    """One person's answer. `shown` is the digest of the card that they saw, where they saw one."""

    verdict: Literal["approve", "deny"]
    reason: Reason = ""
    shown: Annotated[str, StringConstraints(max_length=100)] | None = None
    narrow: NarrowBody | None = None


class ConsumeBody(_Body):
    """What the executor is about to do."""

    action_digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class RevokeBody(_Body):
    """Why the grant is taken away."""

    reason: Reason = ""


class TargetBody(_Body):
    """What to take away: one grant (by an id of it or of its request, or its handle), or all of a kind."""

    kind: Literal["grant", "actor", "principal", "role", "all"]
    name: Annotated[str, StringConstraints(max_length=200), Field(description="Empty for `all`.")] = ""


class RevocationBody(_Body):
    """What is taken away, and why. With `dry_run` nothing is: the answer says what would be."""

    target: TargetBody
    reason: Reason = ""
    dry_run: bool = False


class FreezeBody(_Body):
    """Why approvals and mints stop, or go on."""

    reason: Annotated[str, StringConstraints(max_length=500)] = ""


class EmptyBody(_Body):
    """Nothing: `{}`, or no body at all."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HitAnswer(_Answer):
    """One rule that decided."""

    name: str
    effect: Literal["allow", "deny", "review"]
    note: str


class RulingAnswer(_Answer):
    """Policy's answer, and the policy that gave it."""

    effect: Literal["allow", "deny", "review", "break_glass"]
    rules: list[HitAnswer]
    policy_sha256: str


class RiskAnswer(_Answer):
    """How risky the ask is, and why."""

    level: Literal["low", "medium", "high", "critical"]
    score: int
    points: list[Point]


class ReviewAnswer(_Answer):
    """One counted review."""

    reviewer: str
    verdict: Literal["approve", "deny"]
    reason: str
    at: AwareDatetime


class ProofAnswer(_Answer):
    """How the end of a grant was shown, and how many seconds after the request for it."""

    kind: ProofKind
    at: AwareDatetime
    seconds: float
    refused: int
    asked: int


class EndingAnswer(_Answer):
    """Why and by whom the grant is being ended."""

    cause: str
    by: str
    reason: str
    requested_at: AwareDatetime
    early: bool


class GrantAnswer(_Answer):
    """One grant."""

    id: str
    request_id: str
    handle: str
    state: GrantState
    principal: str
    actor: str
    role: str
    account: str
    actions: list[str]
    resources: list[str]
    ttl_seconds: int
    extends: str | None
    extended_by: Annotated[str | None, Field(description="The newest grant that goes on with its work.")]
    heartbeat_seconds: Annotated[int | None, Field(description="It ends unless `/heartbeat` is called this often.")]
    break_glass: bool
    ends_at: AwareDatetime | None
    expiration: AwareDatetime | None
    collect_by: Annotated[AwareDatetime | None, Field(description="It ends then, unless its credential is collected.")]
    warned_at: Annotated[AwareDatetime | None, Field(description="When its coming end was told of.")]
    ending: EndingAnswer | None
    trouble: str | None
    failure: str | None
    proof: ProofAnswer | None


class PlanPart(_Answer):
    """What a credential may do, and for how long."""

    actions: list[str]
    resources: list[str]
    ttl_seconds: int


class NarrowedAnswer(_Answer):
    """What a reviewer made smaller: what was asked, and what is granted instead."""

    by: str
    at: AwareDatetime
    asked: PlanPart
    granted: PlanPart


class AfterReviewAnswer(_Answer):
    """The review that a use of break-glass owes; `verdict` null: still owed, `overdue_at`: since when it is late."""

    due_at: AwareDatetime
    verdict: Literal["justified", "unjustified"] | None
    by: str | None
    reason: str
    at: AwareDatetime | None
    overdue_at: AwareDatetime | None


class RequestAnswer(_Answer):
    """One request as it stands. Code reads `state`, `human_decision` and `retry`; a model reads `agent_message`."""

    id: str
    handle: str
    version: int
    state: RequestState
    because: Because
    human_decision: bool
    retry: Literal["same_key", "new_request", "no"]
    agent_message: str
    principal: str
    actor: str
    action: str
    resource: str
    waiting_for: dict[str, int]
    nobody_reached: bool
    ruling: RulingAnswer
    risk: RiskAnswer
    reviews: list[ReviewAnswer]
    submitted_at: AwareDatetime
    expires_at: AwareDatetime
    decided_at: AwareDatetime | None
    action_digest: str
    narrowed: NarrowedAnswer | None
    after_review: AfterReviewAnswer | None
    consumed_at: AwareDatetime | None
    grant: GrantAnswer | None
    receipt: Annotated[ReceiptAnswer | None, Field(description="Null until it is signed, moments after the decision.")]


class RequestList(_Answer):
    """Requests, oldest first."""

    requests: list[RequestAnswer]


class GrantList(_Answer):
    """Grants, oldest first."""

    grants: list[GrantAnswer]


class RevocationAnswer(_Answer):
    """What a revocation hits, oldest first, as it stands: a grant has ended when its state says so, with proof.

    `hint` says what else there is to do, such as to freeze first: new grants are not hit by what was asked before them.
    """

    target: TargetBody
    dry_run: bool
    frozen: bool
    hint: str | None
    grants: list[GrantAnswer]


class FreezeAnswer(_Answer):
    """How the switch stands: on or off, since when, by whom and why. `changed`: whether this call has moved it."""

    on: bool
    why: str
    by: str | None
    at: AwareDatetime | None
    changed: bool


class OpenCredential(_Answer):
    """A credential in the clear, for a caller that gave no `public_key`."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expiration: AwareDatetime
    principal: str


class OpenEnvironment(_Answer):
    """A credential of what is no AWS session, in the clear: the variables that its user's program reads."""

    environment: dict[str, str]
    expiration: AwareDatetime
    principal: str


class SealedCredential(_Answer):
    """A credential that only the caller's own key opens (HPKE: X25519, HKDF-SHA256, AES-128-GCM).

    Inside is the JSON of an `OpenCredential` or `OpenEnvironment`, but for the principal. `sealed` is base64 of the
    encapsulated key (32 bytes, also given alone) and the ciphertext; `info` is `countersign/1|GRANT|PRINCIPAL`.
    """

    sealed: str
    encapsulated_key: str
    principal: str


class AuditAnswer(_Answer):
    """One chain of records, oldest first, with texts in place; `bodies` are the stored bytes, to check the chain by."""

    subject: str
    taken_out: int = Field(description="How many were taken out of the log before these; an export holds them.")
    records: list[dict[str, Any]]
    bodies: list[str] | None = Field(default=None, description="Only with `bodies=1`.")
    texts: dict[str, str] | None = Field(
        default=None,
        description="Only with `bodies=1`: by the hash that stands for a text, its salt (64 hex digits) and it.",
    )
    note: str


class CheckpointAnswer(_Answer):
    """What the whole log was at one size: signed by the clock, for anybody to keep as a witness."""

    note: Annotated[str, Field(description="The signed note: origin, size, root in base64, signatures.")]
    origin: str
    size: int
    root: Annotated[str, Field(description="RFC 6962 root over the stored records, in hex.")]
    at: AwareDatetime


class HealthAnswer(_Answer):
    """The process lives."""

    status: Literal["up", "ready"]
    version: str


class ProblemDocument(BaseModel):
    """An error (RFC 9457). Code reads `code`; people read `detail`, which says what to change."""

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    rule: str | None = None
    request_id: str
