"""Work out where a person stands towards one request: their groups, whom they answer for, what could not be learnt.

Pure: what the rulebook says and what the directory has seen, put together at the moment of the answer.
"""

from __future__ import annotations

from datetime import datetime

from approvers.applying_ruling import is_apply
from approvers.card import review_first, shown_digest
from approvers.errors import AlreadyDecided, CountersignError, Expired, Forbidden, Malformed, NotEvaluated, Outdated
from approvers.escalation import fill_in
from approvers.facts import Facts
from approvers.narrowing import narrowed
from approvers.quorum import Review
from approvers.request import Request, RequestState, check_open, review
from approvers.reruling import as_now, difference, gone, over_caps, reruled, stricter
from approvers.ruling import rule
from approvers.seating import Standing
from approvers.watching import ladder_of, may_fill
from bot.commits import Answered, Click, Reruled, Stood
from bot.directory import Membership
from workers import logs
from workers.policies import Rulebook
from workers.providers.plans import check_size

_log = logs.get_logger(__name__)
NOT_ASKED = "it was not asked for its members"


def decisive(book: Rulebook, request: Request) -> frozenset[str]:
    """Return the groups with members elsewhere on whom an answer may hang: with a seat or filling in, and barred ones.

    Of a request that takes no more answers: none.
    """
    if request.state is not RequestState.PENDING:
        return frozenset()
    barred = {who.removeprefix("group:") for who in request.ruling.barred if who.startswith("group:")}
    helping = {group for group, _ in request.fill_in}
    return book.roster.outside_groups & (barred | helping | request.ruling.seats.keys())


def to_look_at(book: Rulebook, request: Request, verdict: str, now: datetime) -> frozenset[str]:
    """Return the groups to ask about before an answer: those of the pinned ruling, and of what policy says now."""
    groups = decisive(book, request)
    if verdict != "approve":
        return groups
    try:
        return groups | decisive(book, ruled_again(book, request, now)[0])
    except CountersignError:  # the answer itself meets it, and says so
        return groups


def groups_of(book: Rulebook, person: str, found: Membership) -> tuple[str, ...]:
    """Return the groups of `user:NAME` by the roster and as seen outside, in order; of somebody unknown: none."""
    if book.roster.person(person) is None:
        return ()
    return tuple(sorted(book.roster.groups_of(person) | found.of(person)))


def stand(book: Rulebook, request: Request, person: str, found: Membership, now: datetime) -> Standing:
    """Return for whom this person may answer now, and which decisive groups are not known."""
    given = book.lenders(person, now) if book.roster.person(person) else ()
    lenders = {f"user:{name}": frozenset(groups_of(book, f"user:{name}", found)) for name in given}
    missing = decisive(book, request) - found.outside.keys()
    unknown = {group: found.unknown.get(group, NOT_ASKED) for group in missing}
    return Standing(lenders, unknown, may_fill(book.policy, request))


def ruled_again(book: Rulebook, request: Request, now: datetime) -> tuple[Request, Facts]:
    """Return a waiting request under the stricter of its ruling and today's, and the facts that were ruled on.

    The request itself comes back where nothing asks for more than when it was pinned.

    Raises:
        Forbidden: the caller, the role or the account is not there any more, or leads elsewhere.
        NotEvaluated: today's rules could not be computed.
    """
    if request.state is not RequestState.PENDING:
        return request, request.facts
    if why := gone(request, book.roster):
        raise Forbidden(f"This cannot be approved any more. {why} Deny it, and have it asked anew.")
    facts = as_now(request, book.roster, now)
    try:
        current = rule(book.policy, facts, sha256=book.policy_sha256)
    except Exception as error:  # whatever broke inside the rules: nobody said no, and it is not a yes
        _log.error("policy.not_evaluated", request=request.id, exc_info=error)
        why = type(error).__name__
        detail = f"What policy says of this now could not be evaluated ({why}): no approval counts. Tell your operator."
        raise NotEvaluated(detail) from error
    ruling = stricter(request.ruling, current)
    if ruling is request.ruling:
        return request, facts
    return _with_helpers(book, request, reruled(request, ruling, now, book.roster)), facts


def _with_helpers(book: Rulebook, before: Request, after: Request) -> Request:
    """Let the levels reached so far open the seats that are new, as they would have from the beginning."""
    ladder = ladder_of(book.policy, after)
    new = after.ruling.seats.keys() - before.ruling.seats.keys()
    more = fill_in(ladder, after.level, new) if ladder else ()
    return after.model_copy(update={"fill_in": (*after.fill_in, *more)}) if more else after


def with_answer(book: Rulebook, before: Request, click: Click, found: Membership, now: datetime) -> Answered:
    """Return what this answer comes to; policy rules again before an approval counts.

    Raises:
        Forbidden: also `frozen`, and `review_first` for an approval from a card that cannot have shown enough.
        Malformed, Inadmissible: what `approvers.narrowing.narrowed` raises; what is left is too much for one grant.
        NotEvaluated: today's rules could not be computed.
        CountersignError: what `approvers.request.review` raises.
    """
    who = click.who.principal
    answer = Review(
        reviewer=who,
        verdict="approve" if click.verdict == "approve" else "deny",
        reason=click.reason,
        at=now,
        groups=groups_of(book, who, found),
        via=click.who.via,
    )
    if answer.verdict == "deny":
        after, stood = _counted(book, before, click, answer, found)
        return Answered(after, stood=stood)
    if book.frozen is not None and not (book.policy.apply and is_apply(before.facts)):  # which mints nothing
        raise Forbidden(f"Approvals are stopped: {book.frozen}", code="frozen")
    check_open(before, now)
    ruled, facts = ruled_again(book, before, now)
    new = None
    if ruled is not before:
        new, tried = Reruled(ruled, before.ruling, facts), _tried(before, ruled)
        review(tried, answer, shown=None, current="", standing=stand(book, tried, who, found, now))
        if (error := _not_now(before, ruled, click, now)) is not None:
            return Answered(ruled, new, error)
    after, stood = _counted(book, ruled, click, answer, found)
    if over := over_caps(book.policy, after, facts):
        raise Forbidden(f"This cannot be approved as it stands. {over}")
    return Answered(after, new, stood=stood)


def _tried(before: Request, ruled: Request) -> Request:
    """Return the request to try an approval on, still open: whoever has no say in it changes nothing either."""
    return before.model_copy(update={"ruling": ruled.ruling, "fill_in": ruled.fill_in})


def _not_now(before: Request, ruled: Request, click: Click, now: datetime) -> CountersignError | None:
    """Return why an approval does not count under the stricter ruling; None for one that was given without a card."""
    what = f"What applies to this has changed: {difference(before.ruling, ruled.ruling)}"  # policy, people or the hour
    if ruled.state is RequestState.DENIED:
        return AlreadyDecided(f"{what}; {before.handle} is denied now.")
    if now >= ruled.expires_at:
        return Expired(f"{what}; {before.handle} has expired, nobody's answer counts any more.")
    return Outdated(f"{what}. Look again, then decide.") if click.shown is not None else None


def _counted(book: Rulebook, before: Request, click: Click, answer: Review, found: Membership) -> tuple[Request, Stood]:
    """Return the request with the answer in it, and what that was given on. Raises what `review` raises."""
    standing, card = stand(book, before, answer.reviewer, found, answer.at), shown_digest(before)
    after = review(before, answer, shown=click.shown, current=card, standing=standing).model_copy(update={"card": card})
    if answer.verdict == "approve" and not click.whole and review_first(before):
        detail = "This one has to be read whole: press Review, and approve there."
        raise Forbidden(detail, code="review_first")
    return _narrowed(after, click, answer.at), Stood(before, card, answer.groups, standing)


def _narrowed(after: Request, click: Click, now: datetime) -> Request:
    """Make the plan smaller where the reviewer has, once their answer counts: who has no seat is told that first."""
    if click.narrow is None:
        return after
    if click.verdict != "approve":
        raise Malformed("A denial narrows nothing: leave `narrow` out, or approve with it.", field="narrow")
    smaller = narrowed(after, click.narrow, click.who.principal, now)
    if smaller.plan is not None and smaller is not after:
        check_size(smaller.plan, "narrow.resources")  # many small resources can take more room than one wide one
    return smaller
