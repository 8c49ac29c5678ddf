"""Own the life of a request: its record, its one table, and every move.

Policy's ruling opens it DENIED, APPROVED or PENDING; reviews, expiry and withdrawal close it. The functions take and
return values; `now` is the store's time, and the caller commits what comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from approvers.action import Action
from approvers.errors import AlreadyDecided, Expired, Forbidden, NotEvaluated, Outdated
from approvers.grant import Grant, Plan
from approvers.ids import grant_of
from approvers.machine import Table, check_move
from approvers.quorum import Review, Tally, tally
from approvers.ruling import NOT_EVALUATED, Facts, Ruling
from approvers.seating import ALONE, Standing, seat
from approvers.times import Moment, gone_back, stamp

MINT_WITHIN = timedelta(minutes=10)
"""An approval that could not be minted by then is stale: its facts are too old, and its asker has moved on."""


class RequestState(StrEnum):
    """Where a request stands."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    DENIED = "DENIED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


S = RequestState
SUBMIT = (S.DENIED, S.APPROVED, S.PENDING)
"""Where `submit` may lead, by the ruling alone."""
REQUEST_TABLE: Table[RequestState] = {
    S.PENDING: {
        "review": (S.PENDING, S.APPROVED),
        "deny": (S.DENIED,),
        "rerule": (S.PENDING, S.DENIED),
        "escalate": (S.PENDING,),
        "expire": (S.EXPIRED,),
        "cancel": (S.CANCELLED,),
    },
    S.APPROVED: {},
    S.DENIED: {},
    S.EXPIRED: {},
    S.CANCELLED: {},
}
REQUEST_EVENTS: Mapping[str, str] = {
    "submit": "caller, answered by policy",
    "review": "reviewer",
    "deny": "reviewer",
    "rerule": "policy, ruling again at an approval",
    "escalate": "clock",
    "expire": "clock",
    "cancel": "caller or its owner",
}


class Because(StrEnum):
    """Why the request stands where it does; code reads this, so the values are part of the contract."""

    WAITING = "waiting"
    RULE = "rule"
    QUORUM = "quorum"
    REVIEWER = "reviewer"
    NOT_EVALUATED = "not_evaluated"
    BREAK_GLASS = "break_glass"
    NOBODY_ANSWERED = "nobody_answered"
    NOBODY_REACHED = "nobody_reached"
    WITHDRAWN = "withdrawn"


class Narrowed(BaseModel):
    """What reviewers made smaller before they approved: the plan as it was before, by whom last and when.

    `also`: who made it smaller before `by` did, in order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    before: Plan
    by: str
    at: Moment
    also: tuple[str, ...] = ()


class Extended(BaseModel):
    """The grant that an ask goes on with, as it stood then: its id, its handle, and when it ends by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    grant: str
    handle: str
    ends_at: Moment


class AfterReview(BaseModel):
    """The review that a use of break-glass owes: until when, and what somebody else found. `verdict` None: still owed.

    `overdue_at`: since when it is known to be late.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    due_at: Moment
    verdict: Literal["justified", "unjustified"] | None = None
    by: str | None = None
    reason: str = ""
    at: Moment | None = None
    overdue_at: Moment | None = None


class Receipt(BaseModel):
    """The signed receipt of the decision (`approvers.receipts`), and the log that it names: size, and root in hex.

    `key`: the id of the key that signed it; `at`: when that was.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: Moment
    jws: str
    key: str
    root: str
    size: int


class Request(BaseModel):
    """One request, as stored: what was asked, what policy said about which facts, and who answered.

    `plan` is what will really be minted: narrower than what was asked where `narrowed` says so.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[2] = 2
    id: str
    handle: str
    state: RequestState
    because: Because
    principal: str
    action: Action
    action_digest: str
    plan: Plan | None
    facts: Facts
    ruling: Ruling
    reviews: tuple[Review, ...] = ()
    submitted_at: Moment
    expires_at: Moment
    decided_at: Moment | None = None
    decided_by: str | None = None
    consumed_at: Moment | None = None
    names: tuple[str, ...] = ()
    """The idempotency names that find this request; they are forgotten a day after its end."""
    level: int = 0
    """Which level of its ladder asks; people count from 1."""
    level_since: Moment | None = None
    reminded_at: Moment | None = None
    unreached_at: Moment | None = None
    """Since when it is known that nobody was shown this in time; None once somebody was."""
    empty: tuple[str, ...] = ()
    """Groups with a seat here of which too few people are left, as last looked at."""
    narrowed: Narrowed | None = None
    after_review: AfterReview | None = None
    extended: Extended | None = None
    fill_in: tuple[tuple[str, str], ...] = ()
    """Which groups (first) may take the seats of which others by now, as the levels reached have it (`may_fill`)."""
    alerted_at: Moment | None = None
    """Since when it is on a level that on-call is told of."""
    receipt: Receipt | None = None
    """The decision's receipt; None until the clock has signed it."""
    card: str = ""
    """The digest of the card whose text is on record; empty until somebody has answered."""

    @property
    def human_decision(self) -> bool:
        """Tell whether people decided (their quorum, or one denial), not a rule and not the clock."""
        return self.because in (Because.QUORUM, Because.REVIEWER)

    @property
    def actor(self) -> str:
        """Return who acts, by the caller's word."""
        return self.action.actor.id

    def tally(self) -> Tally:
        """Count who fills which seat so far."""
        return tally(self.ruling.seats, self.reviews)

    def moved(self, event: str, target: RequestState, **changes: Any) -> Request:
        """Return the request after a move that the table has; raises IllegalTransition otherwise."""
        return self.model_copy(update={"state": check_move(REQUEST_TABLE, self.state, event, target), **changes})


def opened_as(ruling: Ruling) -> tuple[RequestState, Because]:
    """Say in which state a ruling opens a request."""
    if ruling.because == NOT_EVALUATED:
        return S.DENIED, Because.NOT_EVALUATED
    match ruling.effect:
        case "allow":
            return S.APPROVED, Because.RULE
        case "deny":
            return S.DENIED, Because.RULE
        case "review":
            return S.PENDING, Because.WAITING
        case "break_glass":
            return S.APPROVED, Because.BREAK_GLASS


def answer_by(ruling: Ruling, now: datetime) -> datetime:
    """Return until when people may answer; a request that policy decided has no such time left."""
    return now + timedelta(seconds=ruling.expires_after_seconds or 0)


def check_open(request: Request, now: datetime) -> None:
    """Raise unless the request still waits: AlreadyDecided says who was first, Expired that time is over.

    NotEvaluated: the store's time is before the ask, so that nobody can say whether it is still open.
    """
    if request.state is not S.PENDING:
        raise AlreadyDecided(f"{request.handle} is decided already: {told(request)}.")
    if gone_back(request.submitted_at, now):
        raise NotEvaluated(
            f"{request.handle} was asked at {stamp(request.submitted_at)}, and the store's time is {stamp(now)}: it "
            "has gone backwards, and nothing counts until it is right. Nobody said no."
        )
    if now >= request.expires_at:
        raise Expired(f"{request.handle} expired at {stamp(request.expires_at)}; nobody's answer counts any more.")


def review(request: Request, answer: Review, *, shown: str | None, current: str, standing: Standing = ALONE) -> Request:
    """Add one person's answer: a denial ends the request, an approval counts towards the seats.

    The answer counts in the person's own seat, or in that of somebody they stand in for; both have answered then.

    Args:
        request: as read with the store's time `answer.at`.
        answer: who, which verdict, and the groups that this person was seen in.
        shown: digest of the card that the person saw; None where no card was shown (API).
        current: digest of the card as it is now.
        standing: for whom else the person may answer, and whose membership could not be learnt.

    Raises:
        AlreadyDecided, Expired: somebody or something was first.
        Forbidden: `four_eyes`, `no_seat` or `already_reviewed`.
        NotKnown: the answer hangs on a group whose members could not be learnt.
        Outdated: the person saw something else than what would now be approved.
    """
    check_open(request, answer.at)
    answer = seat(request.ruling, request.reviews, answer, standing)
    if shown is not None and shown != current:
        raise Outdated("This card is out of date: the request has changed since it was shown. Look again, then decide.")
    reviews = (*request.reviews, answer)
    closed = {"reviews": reviews, "decided_at": answer.at, "decided_by": answer.reviewer}
    if answer.verdict == "deny":
        return request.moved("deny", S.DENIED, because=Because.REVIEWER, **closed)
    if tally(request.ruling.seats, reviews).satisfied:
        return request.moved("review", S.APPROVED, because=Because.QUORUM, **closed)
    return request.moved("review", S.PENDING, reviews=reviews)


def escalate(
    request: Request, level: int, now: datetime, fill_in: tuple[tuple[str, str], ...] = ()
) -> Request:  # fmt: skip
    """Have a higher level of the ladder asked as well; who was asked stays asked, who may fill in still may."""
    opened = tuple(dict.fromkeys((*request.fill_in, *fill_in)))
    return request.moved("escalate", S.PENDING, level=level, level_since=now, fill_in=opened)


def expire(request: Request, now: datetime, *, reached: bool = True) -> Request:
    """Close a request that nobody answered in time; this is no denial. `reached`: somebody was shown it."""
    because = Because.NOBODY_ANSWERED if reached else Because.NOBODY_REACHED
    return request.moved("expire", S.EXPIRED, because=because, decided_at=now)


def cancel(request: Request, now: datetime, by: str, groups: frozenset[str] = frozenset()) -> Request:
    """Withdraw a waiting request; only its principal, the human behind it, or the caller's owners may.

    `groups` are those of `by`: an owner may be a group.
    """
    if request.state is not S.PENDING:
        raise AlreadyDecided(f"{request.handle} is decided already: {told(request)}.")
    own = {by, *(f"group:{group}" for group in groups)}
    if not own & {request.principal, request.action.actor.on_behalf_of, *request.facts.owners}:
        raise Forbidden("Only the caller that asked, the human it asked for, or its owner can withdraw this request.")
    return request.moved("cancel", S.CANCELLED, because=Because.WITHDRAWN, decided_at=now, decided_by=by)


def told(request: Request) -> str:
    """Say in half a sentence how the request stands and who brought it there."""
    when = f" at {request.decided_at:%H:%M:%S} UTC" if request.decided_at else ""
    match request.because:
        case Because.QUORUM | Because.REVIEWER:
            return f"{request.state} by {request.decided_by}{_lender(request)}{when}"
        case Because.RULE:
            names = ", ".join(hit.name for hit in request.ruling.rules) or "the default"
            return f"{request.state} by policy ({names}){when}"
        case Because.BREAK_GLASS:
            return f"APPROVED by break-glass of {request.principal}{when}"
        case Because.NOBODY_ANSWERED:
            return f"EXPIRED{when}, nobody answered"
        case Because.NOBODY_REACHED:
            return f"EXPIRED{when}, nobody was reached"
        case Because.WITHDRAWN:
            return f"CANCELLED by {request.decided_by}{when}"
        case Because.NOT_EVALUATED:
            return "DENIED because the policy could not be evaluated"
        case Because.WAITING:
            return f"waiting until {request.expires_at:%H:%M:%S} UTC"


def _lender(request: Request) -> str:
    last = request.reviews[-1] if request.reviews else None
    return f", for {last.lent_by}" if last and last.lent_by else ""


def open_grant(request: Request, now: datetime) -> Grant:
    """Return the grant that an approved request opens; it is FAILED unless somebody mints it in `MINT_WITHIN`."""
    assert request.plan is not None
    return Grant(
        id=grant_of(request.id),
        request_id=request.id,
        handle=request.handle,
        principal=request.principal,
        actor=request.actor,
        on_behalf_of=request.action.actor.on_behalf_of,
        approved_by=tuple(one.reviewer for one in request.reviews if one.verdict == "approve"),
        plan=request.plan,
        public_key=request.action.public_key,
        opened_at=now,
        mint_by=now + MINT_WITHIN,
        extends=request.action.extends,
        heartbeat_seconds=request.action.heartbeat_seconds,
        break_glass=request.because is Because.BREAK_GLASS,
    )
