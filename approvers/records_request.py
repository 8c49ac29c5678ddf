"""Model the records of a request: the ask with all that a ruling saw, each answer, each move, its end. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from approvers.action import Action
from approvers.facts import Facts, RiskLevel
from approvers.grant import Plan
from approvers.records_parts import (
    ActionDigest,
    Count,
    Finding,
    Handle,
    Part,
    RecordType,
    SeenIn,
    Sha256,
    Verdict,
    When,
    maybe,
    told,
)
from approvers.request import Because, RequestState
from approvers.ruling_models import Ruling

Claims = Mapping[str, str]
Seats = Mapping[str, Count]


class RulingAsRecorded(Ruling):
    """Hold a ruling; before there was narrowing it had no `narrow`."""

    narrow: tuple[str, ...] = ()


class FirstFacts(Part):
    """Hold the facts of an ask in their first form, before rules read tags, history and access level of each action."""

    access_levels: tuple[str, ...] = told("the access levels of all actions together")
    account: str | None = told("the account's name")
    actions: tuple[str, ...] = told("the headline's action and those of the access")
    actor: str = told("who acts, by the caller's word")
    at: When = told("the clock that the ruling read")
    claimed_risk: RiskLevel | None = told("the caller's own word on the risk")
    data_classes: tuple[str, ...] = told("the data in play, by the caller's word")
    environment: str = told("the environment that the caller names")
    environments: tuple[str, ...] = told("the environments in play")
    has_access: bool = told("whether a credential is asked for")
    model: str | None = told("the agent's model, by the caller's word")
    on_behalf_of: str | None = told("the human behind the actor")
    owners: tuple[str, ...] = told("the caller's owners, by the roster")
    principal: str = told("who asks, proven")
    principal_kind: str = told("agent, pipeline, service or person, by the roster")
    project: str | None = told("the project that the caller names")
    reason: str = told("why, as typed")
    resources: tuple[str, ...] = told("the headline's resource and those of the access")
    risk_lists: tuple[str, ...] = told("which of the shipped risk lists hold an action")
    role: str | None = told("the role's alias")
    stage: str | None = told("the stage that the caller names")
    ticket: str | None = told("the ticket that the caller names")
    ttl_seconds: Count = told("for how long")
    urgency: str = told("the caller's own word on the urgency")


class Submitted(Part):
    """Hold an ask, everything that its ruling saw, and the ruling."""

    action: Action = told("what was asked, as it arrived; the policy's default TTL filled in")
    action_digest: ActionDigest = told("what an approval binds")
    body_sha256: Sha256 = told("the digest by which a retry under the same Idempotency-Key is known")
    facts: Annotated[Facts | FirstFacts, Field(union_mode="left_to_right")] = told(
        "the whole evaluated input: clock, counters, memberships, tags, claims that a token proves"
    )
    handle: Handle = maybe("the short name that people use")
    plan: Plan | None = told("what would be minted; null where no credential is asked for")
    proof: Claims = maybe("claims of the caller's own token that are recorded and not ruled on")
    roster_sha256: Sha256 = told("the countersign.toml in force (its text: `roster.applied`)")
    ruling: RulingAsRecorded = told(
        "policy's answer, with the policy's sha256, the rules, the risk's points, the seats"
    )
    seen_in: SeenIn = maybe("the outside groups that were looked at for the asker (break-glass)")


class Folded(Part):
    """Say that the same was asked again under another key, and led to this request."""

    body_sha256: Sha256 = told("the digest of the second ask")
    sealed_to: Literal["caller", "delivery"] = maybe("to whose key the credential is sealed from then on")


class Card(Part):
    """Say what an answer was given on."""

    digest: str = told("the digest of what an approval approved at that moment")
    text: str = maybe("the card's whole text, with the first answer that was given on this digest")


class Parts(Part):
    """Hold the parts of a plan that can be made smaller."""

    actions: tuple[str, ...] = told("the actions")
    resources: tuple[str, ...] = told("the resources")
    ttl_seconds: Count = told("the TTL")


class Narrowed(Part):
    """Say what a reviewer made smaller."""

    asked: Parts = told("as it was asked")
    granted: Parts = told("as it will be granted")


class Reviewed(Part):
    """Hold one answer that counts, by whom, in which seat, on what they were shown and under which rules."""

    card: Card = maybe("what was there to be seen when the answer came")
    fill_in: tuple[tuple[str, str], ...] = maybe("which groups (first) may take the seats of which others by then")
    groups: tuple[str, ...] = told("the groups in whose seats it counts")
    lenders: Mapping[str, tuple[str, ...]] = maybe("for whom the person may answer at present, with their groups")
    lent_by: str | None = maybe("whose seat it was given in; null for the person's own")
    narrowed: Narrowed = maybe("what it made smaller")
    own_groups: tuple[str, ...] = maybe("the person's own groups as looked up, outside ones included")
    policy_sha256: Sha256 = maybe("the policy in force; of version 1 only approvals have it")
    proof: Claims = maybe("claims of the person's own token")
    raised: tuple[str, ...] = maybe("those of the groups that a level of the ladder opened to the person")
    reason: str = told("why, as typed")
    roster_sha256: Sha256 = maybe("the countersign.toml in force")
    seen_in: SeenIn = maybe("the outside groups that were looked at, with their members as the platform gave them")
    shown: str | None = told("the digest that came with the answer; null where none did (API without a card)")
    verdict: Verdict = told("the answer")


class NotCounted(Part):
    """Say that an answer did not count, and why."""

    code: str = told("the error's code")
    detail: str = told("what the person was told")
    seen_in: SeenIn = maybe("the outside groups that were looked at")
    shown: str | None = Field(default=None, description="the digest that came with the answer")
    verdict: str = told("what was tried: `approve`, `deny`, or another button, such as `revoke` or `details`")


class Decided(Part):
    """Hold a decision, and what it rests on."""

    action_digest: ActionDigest = told("what was asked")
    because: Because = told(
        "why: a rule, the quorum, one reviewer, break-glass, or a policy that could not be evaluated"
    )
    decided_by: str | None = told("who brought it about: a person, `policy` or `clock`")
    filled: Mapping[str, tuple[str, ...]] = told("by group, who fills its seats")
    lent: Mapping[str, str] = maybe("whose seat somebody answered in, by who answered")
    policy_sha256: Sha256 = maybe("the policy that the ruling is of")
    seats: Seats = told("by group, how many seats there are")
    state: RequestState = told("what the request came to")


class Expired(Part):
    """Say that the time to answer is over."""

    because: Because = told("nobody answered, or nobody had been shown it")
    expires_at: When = maybe("until when people could answer")
    seats: Seats = told("by group, how many seats there were")
    state: RequestState = told("EXPIRED")


class Cancelled(Part):
    """Say that a waiting request was withdrawn."""

    groups: tuple[str, ...] = maybe("the groups of who withdrew it, as looked up: an owner's may do it")
    seen_in: SeenIn = maybe("the outside groups that were looked at")
    state: RequestState = told("CANCELLED")


class Consumed(Part):
    """Say that an approval was used; it cannot be used again."""

    action_digest: ActionDigest = maybe("what it was used for")
    state: RequestState = told("APPROVED")


class Pinned(Part):
    """Hold the parts of an earlier ruling that changed."""

    effect: str = told("its effect")
    policy_sha256: Sha256 = told("its policy")
    seats: Seats = told("its seats")


class Reruled(Part):
    """Hold the stricter ruling that policy gives by now, and the facts of now that it saw."""

    expires_at: When = told("until when people may answer by now")
    facts: Facts = told("the whole evaluated input of now")
    roster_sha256: Sha256 = told("the countersign.toml in force")
    ruling: RulingAsRecorded = told("the ruling that holds from then on")
    was: Pinned = told("the ruling that was pinned before")


class Escalated(Part):
    """Say that a level of the ladder asks more people."""

    level: Count = told("the level that asks from then on; the first is 1")
    may_fill: tuple[str, ...] = maybe("which groups may take whose seats from then on, as `GROUP for GROUP`")
    why: str = told("`time`, `unreached` (nobody was shown it) or `empty` (too few people are left)")


class Unreached(Part):
    """Say that nobody has been shown the request in time."""

    level: Count = told("the level that asks")
    since: When = told("since when it does")


class Unfillable(Part):
    """Say that too few people are left to fill a seat."""

    groups: tuple[str, ...] = told("the groups")


class GlassUsed(Part):
    """Say that a person granted themselves access by break-glass, and owes an after-review."""

    action_digest: ActionDigest = told("what was asked")
    due_at: When = told("until when the after-review is due")
    plan_sha256: str = told("the digest of what may be minted; empty where nothing is")
    reason: str = told("why, as typed")
    ticket: str = told("the ticket that was named")


class GlassReviewed(Part):
    """Hold what somebody else found of a use of break-glass."""

    groups: tuple[str, ...] = told("the reviewer's groups as looked up")
    late: bool = told("whether it came after it was due")
    policy_sha256: Sha256 = maybe("the policy in force")
    reason: str = told("why, as typed")
    roster_sha256: Sha256 = maybe("the countersign.toml in force")
    seen_in: SeenIn = told("the outside groups that were looked at")
    used_by: str = told("who used it")
    verdict: Finding = told("what was found")


class GlassNotCounted(Part):
    """Say that an after-review did not count, and why."""

    code: str = told("the error's code")
    detail: str = told("what the person was told")
    seen_in: SeenIn = told("the outside groups that were looked at")
    verdict: Finding = told("what was tried")


class GlassOverdue(Part):
    """Say that an after-review is late."""

    due_at: When = told("when it was due")
    used_by: str = told("who used break-glass")


CLOCK, POLICY = "Countersign (clock)", "Countersign (policy)"
_DECIDED = "who brought it about: the last reviewer, or Countersign (policy)"
TYPES: Mapping[str, RecordType] = {
    "request.submitted": RecordType(
        Submitted,
        "when an ask is taken, with policy's answer to it: the first record of its chain.",
        "the caller",
        lately=("handle",),
    ),
    "request.folded": RecordType(
        Folded, "when an identical ask is led to this one.", "the caller", lately=("sealed_to",)
    ),
    "review.recorded": RecordType(
        Reviewed,
        "with each answer that counts.",
        "the person, by the account or key that proved them",
        lately=("card", "fill_in", "lenders", "lent_by", "own_groups", "policy_sha256", "roster_sha256", "seen_in"),
    ),
    "review.refused": RecordType(
        NotCounted,
        "with each answer that does not count.",
        "the person, or the account that is nobody here",
    ),
    "request.narrowed": RecordType(Narrowed, "when an approval makes the plan smaller.", "the person"),
    "request.reruled": RecordType(Reruled, "when policy asks for more at an approval than was pinned.", POLICY),
    "request.approved": RecordType(Decided, "with the decision.", _DECIDED, lately=("policy_sha256",)),
    "request.denied": RecordType(Decided, "with the decision.", _DECIDED, lately=("policy_sha256",)),
    "request.expired": RecordType(Expired, "when the time to answer is over.", CLOCK, lately=("expires_at",)),
    "request.cancelled": RecordType(
        Cancelled, "when it is withdrawn.", "the caller, or an owner of it", lately=("groups",)
    ),
    "request.consumed": RecordType(
        Consumed,
        "when an approved action is carried out, once.",
        "the caller, or an operator",
        lately=("action_digest",),
    ),
    "request.escalated": RecordType(Escalated, "when more people are asked.", CLOCK),
    "request.unreached": RecordType(Unreached, "when nobody has been shown it in time.", CLOCK),
    "request.unfillable": RecordType(Unfillable, "when too few people are left for a seat.", CLOCK),
    "break_glass.used": RecordType(GlassUsed, "when break-glass grants an ask.", "the person"),
    "break_glass.reviewed": RecordType(
        GlassReviewed,
        "with the after-review that counts.",
        "the reviewer",
        lately=("policy_sha256", "roster_sha256"),
    ),
    "break_glass.review_refused": RecordType(
        GlassNotCounted, "with each after-review that does not count.", "who tried"
    ),
    "break_glass.overdue": RecordType(GlassOverdue, "when the after-review is late.", CLOCK),
}
"""The records of a request, beside those of its grant."""
