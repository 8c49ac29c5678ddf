"""Take every answer again: whose seat it fills, what it makes smaller, and whether policy asked for more by then."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from approvers import request as requests
from approvers import reruling
from approvers.applying_ruling import is_apply
from approvers.card import shown_digest
from approvers.errors import Forbidden
from approvers.escalation import fill_in
from approvers.facts import Facts
from approvers.narrowing import Narrow, narrowed, parts
from approvers.quorum import Review
from approvers.request import Request, RequestState, check_open
from approvers.ruling import rule
from approvers.seating import Standing
from approvers.times import stamp
from approvers.watching import ladder_of, may_fill
from countersign.verifying.replaying_asks import check_groups, erased
from countersign.verifying.replaying_rules import Book, Rules, Unknown
from countersign.verifying.replaying_told import DoesNotFollow, Follows, decided, opened, plain, same_model

Next = tuple[Request, list[Follows]]


def reviewed(rules: Rules, before: Request, record: Mapping[str, Any], at: datetime) -> Next:
    """Return the request with the answer in it, and what follows. Raises DoesNotFollow, CountersignError."""
    book, data, who = rules.book(), record["data"], record["by"]["person"]
    _check_named(book, data)
    if book.roster.person(who) is None:
        raise DoesNotFollow(f"{who} is nobody in the roster of that time")
    own = _own_groups(book, who, data)
    answer = Review(reviewer=who, verdict=data["verdict"], reason=data["reason"], at=at, groups=own, via=record["via"])
    if answer.verdict == "approve":
        _check_may_approve(rules, before, at)
    card = shown_digest(before)
    given = data.get("card")
    if given is not None and not erased(before.action) and given["digest"] != card:
        raise DoesNotFollow("the card that it was given on is not that of the request as it stood")
    current = given["digest"] if given is not None else data["shown"] or card
    after = requests.review(before, answer, shown=data["shown"], current=current,
                            standing=_standing(rules, before, who, data, at))  # fmt: skip
    last = after.reviews[-1]
    for name, came in (("groups", list(last.groups)), ("lent_by", last.lent_by), ("raised", list(last.raised))):
        if data.get(name, []) != came and not (name == "lent_by" and data.get(name) is None is came):
            raise DoesNotFollow(f"the seat of {who} is another: {name} is {data.get(name)}, and {came} comes out")
    after, then = _smaller(after, data, who, at)
    facts = reruling.as_now(before, book.roster, at) if answer.verdict == "approve" else before.facts
    if answer.verdict == "approve" and (over := reruling.over_caps(book.policy, after, facts)):
        raise DoesNotFollow(f"it could not be approved as it stood: {over}")
    return after, [*then, *_closing(after, f"{who} says {answer.verdict}")]


def reruled(rules: Rules, before: Request, record: Mapping[str, Any], at: datetime) -> Next:
    """Return the request under the stricter ruling, and what follows. Raises DoesNotFollow, CountersignError."""
    book, data = rules.book(), record["data"]
    after, facts = ruled_again(book, before, at)
    if after is before:
        raise DoesNotFollow("policy asks for no more than it did before")
    old = before.ruling
    was = {"effect": old.effect, "policy_sha256": old.policy_sha256, "seats": dict(old.seats)}
    same_model(data["facts"], facts, "what the ruling was told")
    same_model(data["ruling"], after.ruling, "the ruling")
    same_model(data["was"], was, "what was pinned")
    if data["expires_at"] != stamp(after.expires_at):
        raise DoesNotFollow(f"answers count until {stamp(after.expires_at)}, and not {data['expires_at']}")
    if data["roster_sha256"] != book.roster_sha256:
        raise DoesNotFollow("it names another roster than the one in force")
    then = [decided(after, "policy denies it by then")] if after.state is RequestState.DENIED else []
    return after, then


def ruled_again(book: Book, request: Request, at: datetime) -> tuple[Request, Facts]:
    """Return a waiting request under the stricter of its ruling and that of the moment, and the facts of that."""
    if why := reruling.gone(request, book.roster):
        raise Forbidden(f"This cannot be approved any more. {why}")
    facts = reruling.as_now(request, book.roster, at)
    ruling = reruling.stricter(request.ruling, rule(book.policy, facts, sha256=book.policy_sha256))
    if ruling is request.ruling:
        return request, facts
    after = reruling.reruled(request, ruling, at, book.roster)
    ladder = ladder_of(book.policy, after)
    new = after.ruling.seats.keys() - request.ruling.seats.keys()
    more = fill_in(ladder, after.level, new) if ladder else ()
    return (after.model_copy(update={"fill_in": (*after.fill_in, *more)}) if more else after), facts


def _check_may_approve(rules: Rules, before: Request, at: datetime) -> None:
    book = rules.book()
    if rules.frozen and not (book.policy.apply and is_apply(before.facts)):
        raise DoesNotFollow("approvals were stopped")
    check_open(before, at)
    after, _ = ruled_again(book, before, at)
    if after is not before:
        more = reruling.difference(before.ruling, after.ruling)
        raise DoesNotFollow(f"policy asked for more by then, and no record says so: {more}")


def _check_named(book: Book, data: Mapping[str, Any]) -> None:
    """Check that an answer was taken under the rules in force; the first records do not name them."""
    for name, there in (("policy_sha256", book.policy_sha256), ("roster_sha256", book.roster_sha256)):
        if name in data and data[name] != there:
            raise DoesNotFollow(f"{name} is {data[name][:12]}…, and {there[:12]}… is in force")


def _own_groups(book: Book, who: str, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the groups of a person as they were looked up, as far as roster and evidence bear them out."""
    seen_in = data.get("seen_in") or {}
    if (own := data.get("own_groups")) is None:  # of the first records: the seat's groups show what was seen outside
        mine = () if data.get("lent_by") else set(data["groups"]) - set(data.get("raised", ()))
        own = sorted(book.roster.groups_of(who).union(mine))
    check_groups(book, who, own, seen_in)
    if missing := sorted(book.roster.groups_of(who) - set(own)):
        raise DoesNotFollow(f"{who} is in {', '.join(missing)} by the roster, which is left out")
    return tuple(own)


def _standing(rules: Rules, before: Request, who: str, data: Mapping[str, Any], at: datetime) -> Standing:
    """Return for whom else a person could answer, by delegations and ladders, and check what the record says of it."""
    book = rules.book()
    names = [f"user:{name}" for name in rules.lenders(who, at)]
    lenders = {name: frozenset(book.roster.groups_of(name)) for name in names}
    if (told := data.get("lenders")) is not None:
        if sorted(told) != names:
            if rules.partial:
                raise Unknown("whose seats were lent before this log begins is not known")
            raise DoesNotFollow(f"{who} answers for {sorted(told)}, and by the delegations in force for {names}")
        for name, groups in told.items():
            check_groups(book, name, groups, data.get("seen_in") or {})
            lenders[name] = frozenset(groups)
    elif (lender := data.get("lent_by")) in lenders:
        lenders[lender] = frozenset(data["groups"]) - frozenset(data.get("raised", ()))
    opened_to = may_fill(book.policy, before)
    if (told := data.get("fill_in")) is not None and plain(opened_to) != told:
        raise DoesNotFollow(f"may fill in: {told} is recorded, and {plain(opened_to)} comes out")
    return Standing(lenders, {}, opened_to)


def _smaller(after: Request, data: Mapping[str, Any], who: str, at: datetime) -> tuple[Request, list[Follows]]:
    """Make the plan smaller as the answer says, by the rule that lets a reviewer do that."""
    if (made := data.get("narrowed")) is None:
        return after, []
    wish = Narrow(**{name: value if name == "ttl_seconds" else tuple(value) for name, value in made["granted"].items()})
    before = after.narrowed.before if after.narrowed else after.plan
    smaller = narrowed(after, wish, who, at)
    if smaller is after or before is None or smaller.plan is None:
        raise DoesNotFollow("it makes nothing smaller, and says that it does")
    told = {"asked": parts(before), "granted": parts(smaller.plan)}
    if told != made:
        raise DoesNotFollow(f"what it makes smaller is {made}, and {told} comes out")
    return smaller, [Follows("request.narrowed", told, f"{who} makes it smaller")]


def _closing(after: Request, why: str) -> list[Follows]:
    if after.state is RequestState.PENDING:
        return []
    then = [decided(after, why)]
    return [*then, opened(after, why)] if after.state is RequestState.APPROVED and after.plan is not None else then
