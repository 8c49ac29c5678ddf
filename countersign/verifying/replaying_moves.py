"""Take every other move again: levels, ends by time, withdrawals, mints, after-reviews, changes of the files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from approvers import after_review, reruling, waiting, watching
from approvers import request as requests
from approvers.after_review import Finding
from approvers.applying_ruling import is_apply
from approvers.escalation import fill_in, level_at
from approvers.filling import unfillable
from approvers.quorum import tally
from approvers.request import Because, Request, RequestState
from approvers.ruling import rule
from approvers.times import stamp
from countersign.verifying.replaying_answers import Next
from countersign.verifying.replaying_asks import check_groups, erased
from countersign.verifying.replaying_rules import Book, Rules, Unknown
from countersign.verifying.replaying_told import DoesNotFollow

FILES = {"policy.applied": "policy.toml", "roster.applied": "countersign.toml"}


def goes_on(request: Request) -> bool:
    """Tell whether something of a request will still be decided: it waits, is to be minted, or owes an after-review."""
    if request.state is RequestState.PENDING:
        return True
    if request.after_review is not None and request.after_review.verdict is None:
        return True
    return request.state is RequestState.APPROVED and request.plan is not None


def escalated(rules: Rules, before: Request, record: Mapping[str, Any], at: datetime) -> Next:
    """Return the request on its next level."""
    data, wrong = record["data"], ""
    for book in rules.recent(at):
        after, wrong = _level(book, before, data, at)
        if not wrong:
            return after, []
    raise DoesNotFollow(wrong)


def _level(book: Book, before: Request, data: Mapping[str, Any], at: datetime) -> tuple[Request, str]:
    """Return the request on the recorded level by one ladder, and what is wrong with that."""
    ladder, level = watching.ladder_of(book.policy, before), data["level"] - 1
    if ladder is None or not before.level < level < len(ladder.levels):
        return before, f"level {data['level']} is none that its ladder has above level {before.level + 1}"
    after = requests.escalate(before, level, at, fill_in(ladder, level, before.ruling.seats))
    new = [f"{group} for {seat}" for group, seat in after.fill_in if (group, seat) not in before.fill_in]
    if data.get("may_fill", []) != new:
        return before, f"who may fill in is {data.get('may_fill', [])}, and {new} comes out"
    if data["why"] == "time":
        due = min(len(ladder.levels) - 1, level_at(ladder, before.submitted_at, at))
        return after, "" if due == level else f"by the time it is level {due + 1}'s turn"
    if level != before.level + 1:
        return before, "a level is left out, and not because of the time"
    if data["why"] == "unreached":
        return after, "" if at >= waiting.reach_by(before) else "there was still time to show it to somebody"
    return after, "" if unfillable(before, book.roster) else "its seats can be filled"


def expired(rules: Rules, before: Request, record: Mapping[str, Any], at: datetime) -> Next:
    """Return the request closed by time."""
    data, until = record["data"], stamp(before.expires_at)
    if at < before.expires_at:
        raise DoesNotFollow(f"answers count until {before.expires_at:%F %T}, and it is closed at {at:%F %T}")
    reached = data["because"] == Because.NOBODY_ANSWERED
    if before.reviews and not reached:
        raise DoesNotFollow("somebody has answered it, and it is said that nobody was shown it")
    if data["because"] not in (Because.NOBODY_ANSWERED, Because.NOBODY_REACHED):
        raise DoesNotFollow(f"{data['because']} is no reason for an end by time")
    if data["seats"] != dict(before.ruling.seats) or data.get("expires_at", until) != until:
        raise DoesNotFollow("the seats, or the end of the time to answer, are not those of its ruling")
    return requests.expire(before, at, reached=reached), []


def cancelled(rules: Rules, before: Request, record: Mapping[str, Any], at: datetime) -> Next:
    """Return the request withdrawn."""
    book, data, who = rules.book(), record["data"], record["by"]["person"]
    groups = data.get("groups")
    if groups is None:
        groups = sorted(book.roster.groups_of(who))
        if book.roster.outside_groups and who.startswith("user:"):
            raise Unknown("it does not say in which groups its owner was")
    elif groups:
        check_groups(book, who, groups, data.get("seen_in", {}))
    return requests.cancel(before, at, who, frozenset(groups)), []


def folded(rules: Rules, before: Request, record: Mapping[str, Any], at: datetime) -> Next:
    """Return the request that an identical ask was led to: it is sealed to nobody's own key where the two differ."""
    if record["data"].get("sealed_to") == "delivery":
        return before.model_copy(update={"action": before.action.model_copy(update={"public_key": None})}), []
    return before, []


def claimed(rules: Rules, before: Request, record: Mapping[str, Any], at: datetime) -> Next:
    """Check that an approval still stood under the rules at its mint."""
    book = rules.book()
    if rules.frozen and before.because is not Because.BREAK_GLASS:
        raise DoesNotFollow("mints were stopped")
    why = reruling.gone(before, book.roster)
    why = why or reruling.overtaken_by(before, rule(book.policy, before.facts, sha256=book.policy_sha256))
    if why := why or reruling.over_caps(book.policy, before, before.facts):
        raise DoesNotFollow(f"the approval did not stand any more: {why}")
    return before, []


def after_reviewed(rules: Rules, before: Request, record: Mapping[str, Any], at: datetime) -> Next:
    """Return the use of break-glass with what somebody found of it."""
    book, data, who = rules.book(), record["data"], record["by"]["person"]
    check_groups(book, who, data["groups"], data["seen_in"])
    tell = book.policy.break_glass.tell if book.policy.break_glass else ()
    said = Finding(who, data["verdict"], data["reason"], at, frozenset(data["groups"]))
    after = after_review.reviewed(before, said, tell)
    if data["used_by"] != before.principal:
        raise DoesNotFollow(f"it was used by {before.principal}, and not by {data['used_by']}")
    return after, []


class Changes:
    """Follow changes of the files that the policy in force wants approved."""

    def __init__(self) -> None:
        """Begin with nothing approved."""
        self._approved: dict[str, Request] = {}
        self._before: tuple[str, str, str, Book | None] = ("", "", "", None)

    def approved(self, request: Request) -> None:
        """Remember an approved change."""
        if is_apply(request.facts):
            self._approved[request.id] = request

    def used(self, request: str) -> None:
        """Forget a change that was made."""
        self._approved.pop(request, None)

    def check(self, rules: Rules, record: Mapping[str, Any], at: datetime) -> None:
        """Check a change of a file against its approval. Raises DoesNotFollow, Unknown."""
        data, kind, who = record["data"], record["type"], record["by"]["person"]
        other, stamped, by, book = self._before
        pair = other != kind and (stamped, by) == (record["at"], who)
        if not pair:  # else the other file of the same change came right before
            try:
                book = rules.book()
            except Unknown:  # the first files, or ones that could be replaced because nothing could be decided
                book = None
        self._before = ("", "", "", None) if pair else (kind, record["at"], who, book)
        if book is None or book.policy.apply is None:
            return
        request = self._approved.get(data.get("approval", ""))
        if request is None and rules.partial:
            raise Unknown("it may have been approved before this log begins")
        if request is None:
            raise DoesNotFollow("the policy in force wants other people's yes to a change, and there is none")
        self._fits(book, request, record)

    def _fits(self, book: Book, request: Request, record: Mapping[str, Any]) -> None:
        data, who = record["data"], record["by"]["person"]
        if request.principal != who:
            raise DoesNotFollow(f"{request.id} is a change that {request.principal} asked for, and {who} made it")
        assert book.policy.apply is not None
        seats = book.policy.quorums[book.policy.apply.quorum].seats
        if not tally(seats, [one for one in request.reviews if one.reviewer != who]).satisfied:
            raise DoesNotFollow(f"{request.id} was not approved by {dict(seats)}, as [apply] wants it")
        if erased(request.action) or not request.action.parameters:
            raise Unknown("what was approved was erased")
        told, name = json.loads(request.action.parameters), FILES[record["type"]]
        if told["files"].get(name) != data["sha256"] or told["was"].get(name) != data["was"]:
            raise DoesNotFollow(f"{request.id} approved another change of {name}")
