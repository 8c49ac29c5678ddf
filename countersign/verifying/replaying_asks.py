"""Rule on an ask again, as it was recorded, and say what has to follow from the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from approvers import request as requests
from approvers import watching
from approvers.action import Action, action_digest
from approvers.facts import Facts
from approvers.grant import Plan
from approvers.quick import made
from approvers.request import AfterReview, Because, Request, RequestState
from approvers.roster import check_claims
from approvers.ruling import NOT_EVALUATED, Ruling, check_limits, gather, rule
from approvers.times import stamp
from countersign.verifying.replaying_rules import Book, Rules, Unknown
from countersign.verifying.replaying_told import ERASED, DoesNotFollow, Follows, decided, opened, same_model

FIRST_FORM = "access_levels"
"""A field of facts that only their first form has."""


class Recorded:
    """Be the table of actions of which the facts were made, as far as they show it."""

    def __init__(self, facts: Facts) -> None:
        """Take the facts."""
        self._levels = dict(zip(facts.actions, facts.levels, strict=True))
        self._lists, self._pairs = frozenset(facts.risk_lists), facts.pairs

    def level(self, action: str) -> str:
        """Return the level that was found."""
        return self._levels.get(action, "unknown")

    def lists(self, action: str) -> frozenset[str]:
        """Return the lists that hold any of the actions."""
        return frozenset(self._lists)

    def pairs(self, actions: Sequence[str]) -> tuple[str, ...]:
        """Return the pairs that were found."""
        return self._pairs


def asked(rules: Rules, record: Mapping[str, Any], at: datetime) -> Request:
    """Return the request as the ruling opens it. Raises DoesNotFollow, Unknown, CountersignError."""
    data = record["data"]
    if FIRST_FORM in data["facts"]:
        raise Unknown("its facts are of the first form, which does not hold all that rules read")
    ruling, facts = Ruling.model_validate({"narrow": (), **data["ruling"]}), Facts.model_validate(data["facts"])
    rules.seen(ruling.policy_sha256, data["roster_sha256"], at)
    book = rules.book()
    _check_in_force(book, ruling.policy_sha256, data["roster_sha256"])
    action = Action.model_validate(data["action"])
    plan = None if data["plan"] is None else Plan.model_validate(data["plan"])
    who = record["by"]["person"]
    check_claims(book.roster, who, action.actor.id, action.actor.on_behalf_of)
    _check_facts(book, record, facts, action, plan)
    if not _blocks(action.parameters) and action_digest(who, action) != data["action_digest"]:
        raise DoesNotFollow("action_digest is not that of the action that was asked")
    if ruling.because == NOT_EVALUATED:
        if ruling.effect != "deny":
            raise DoesNotFollow("the policy could not be evaluated, and the ruling is no denial")
    else:
        check_limits(book.policy, facts)
        same_model({"narrow": [], **data["ruling"]}, rule(book.policy, facts, sha256=book.policy_sha256), "the ruling")
    return _opened(book, record, facts, ruling, (action, plan))


def erased(action: Action) -> bool:
    """Tell whether a text of the ask was erased, or may have been: the digest of its card cannot be computed again."""
    return any(map(_blocks, (action.reason, action.undo, action.parameters)))


def _blocks(text: str | None) -> bool:
    return text is not None and text != "" and not text.strip(ERASED)


def follows(rules: Rules, request: Request) -> list[Follows]:
    """Return the records that have to come right after the ask. Raises DoesNotFollow."""
    if request.state is RequestState.PENDING:
        return []
    if rules.frozen and request.because is Because.RULE and request.state is RequestState.APPROVED:
        raise DoesNotFollow("approvals were stopped, and a rule alone approves nothing then")
    why = f"the ruling is {request.ruling.effect}"
    then = [decided(request, why)]
    if request.state is RequestState.APPROVED and request.plan is not None:
        then.append(opened(request, why))
    if (owed := request.after_review) is not None:
        plan = hashlib.sha256(request.plan.model_dump_json().encode()).hexdigest() if request.plan else ""
        used = {"action_digest": request.action_digest, "due_at": stamp(owed.due_at), "plan_sha256": plan,
                "reason": request.action.reason, "ticket": request.action.ticket or ""}  # fmt: skip
        then.append(Follows("break_glass.used", used, why))
    return then


def stands(request: Request) -> str:
    """Say how a request stands, and what it lacks, in words."""
    count = request.tally()
    if request.state is not RequestState.PENDING:
        return f"by then it is {request.state} ({request.because})"
    filled = ", ".join(f"{group}: {' and '.join(people) or 'nobody'}" for group, people in count.filled.items())
    lacks = " and ".join(f"{number} of {group}" for group, number in count.missing.items())
    names = ", ".join(hit.name for hit in request.ruling.rules) or "the policy's default"
    return f"{names} asks people; filled are {filled}; {lacks or 'nobody'} is missing, and nobody has said no"


def _check_in_force(book: Book, policy: str, roster: str) -> None:
    """Check that the rules that a record names are those in force there."""
    for what, named, there in (("policy", policy, book.policy_sha256), ("roster", roster, book.roster_sha256)):
        if named != there:
            raise DoesNotFollow(f"it names the {what} {named[:12]}…, and {there[:12]}… is in force")


def _check_facts(
    book: Book, record: Mapping[str, Any], facts: Facts, action: Action, plan: Plan | None
) -> None:  # fmt: skip
    """Check what of the facts follows from the ask, the plan and the roster; the tables are taken as recorded."""
    data, who = record["data"], record["by"]["person"]
    if len(facts.actions) != len(facts.levels) or len(facts.tags) != len(facts.resources):
        raise DoesNotFollow("the facts have not one level for each action and tags for each resource")
    made_again = gather(
        _as_ruled_on(action, facts),
        principal=who,
        caller=book.roster.caller(who),
        plan=plan,
        policy=book.policy,
        levels=Recorded(facts),
        at=datetime.fromisoformat(record["at"]),
        history=facts.history,
        tags={name: tags for name, tags in zip(facts.resources, facts.tags, strict=True) if tags is not None},
        proof=data.get("proof", {}),
        groups=facts.groups,
        owed=facts.owed,
    )
    told = {**data["facts"], "reason": facts.reason.strip()}  # older records hold it with the blanks at its ends
    same_model(told, made_again, "what the ruling was told")
    if plan is not None:
        role = book.roster.roles.get(plan.role)
        if role is None or book.roster.environments.get(book.roster.home_of(role)) != plan.environment:
            raise DoesNotFollow(f"role {plan.role} does not lead to {plan.environment} by the roster")
    if facts.groups:
        check_groups(book, who, facts.groups, data.get("seen_in", {}))
    if facts.break_glass and not set(book.roster.groups_of(who)) <= set(facts.groups):
        raise DoesNotFollow("groups of the asker by the roster are left out")


def _as_ruled_on(action: Action, facts: Facts) -> Action:
    """Return the ask as its ruling saw it: how long an erased reason was without its outer blanks, facts alone say."""
    if not _blocks(action.reason):
        return action
    if len(facts.reason) > len(action.reason):
        raise DoesNotFollow("the ruling was told of a longer reason than was given")
    return action.model_copy(update={"reason": facts.reason})


def check_groups(book: Book, person: str, groups: Sequence[str], seen_in: Mapping[str, Any]) -> None:
    """Check groups as recorded: those of the roster, and outside ones that were looked at. Raises DoesNotFollow."""
    more = set(groups) - book.roster.groups_of(person)
    if wrong := [group for group in sorted(more) if group not in book.roster.outside_groups or group not in seen_in]:
        raise DoesNotFollow(f"{person} is not in {', '.join(wrong)} by the roster of that time")


def _opened(
    book: Book, record: Mapping[str, Any], facts: Facts, ruling: Ruling, what: tuple[Action, Plan | None]
) -> Request:  # fmt: skip
    at, data, (action, plan) = facts.at, record["data"], what
    state, because = requests.opened_as(ruling)
    waits = state is RequestState.PENDING
    blank: dict[str, Any] = {name: field.get_default() for name, field in Request.model_fields.items()}
    request = made(
        Request,
        **blank
        | {
            "id": record["subject"], "handle": data.get("handle", ""), "state": state, "because": because,
            "principal": record["by"]["person"], "action": action, "action_digest": data["action_digest"],
            "plan": plan, "facts": facts, "ruling": ruling, "submitted_at": at,
            "expires_at": requests.answer_by(ruling, at), "decided_at": None if waits else at,
            "decided_by": None if waits else "policy",
        },
    )  # fmt: skip
    if because is Because.BREAK_GLASS:
        assert book.policy.break_glass is not None
        due = AfterReview(due_at=at + book.policy.break_glass.review_within)
        request = request.model_copy(update={"after_review": due})
    return watching.begun(book.policy, request)
