"""Rule again at the click and at the mint: of the ruling that was pinned and the one of today, the stricter wins.

What was asked stays as it was recorded; what lies outside the ask (who owns the caller, what an account is, the time of
day) is taken as it is now, at the click. Nothing here ever makes a ruling more lenient.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from approvers.barring import barred_as
from approvers.errors import CountersignError, Inadmissible
from approvers.facts import RISK_LEVELS, Facts
from approvers.grant import Grant, Plan
from approvers.limits import check_limits
from approvers.patterns import Patterns
from approvers.policy import Policy
from approvers.quorum import Review, tally
from approvers.request import Because, Request, RequestState
from approvers.roster import Roster, check_claims
from approvers.roster_models import Provider
from approvers.ruling_models import NOT_EVALUATED, Effect, Ruling
from approvers.times import from_ms, to_ms

T = TypeVar("T")
STRICTNESS: Mapping[Effect, int] = {"allow": 0, "break_glass": 1, "review": 2, "deny": 3}


def gone(request: Request, roster: Roster) -> str | None:
    """Say what of a request is not in the roster any more, or leads elsewhere by now; None if all still holds."""
    facts = request.facts
    try:
        check_claims(roster, facts.principal, facts.actor, facts.on_behalf_of)
    except CountersignError as error:
        return error.detail
    return None if request.plan is None else _astray(request.plan, roster)


def _astray(plan: Plan, roster: Roster) -> str | None:
    role = roster.roles.get(plan.role)
    if role is None:
        return f"Role {plan.role} is not in countersign.toml any more."
    if role.by_command and (why := _differs(plan, roster.providers[role.provider])):
        return why
    account = roster.account_of(role)
    home = account.id if account else ""
    if (role.target, role.external_id, home) != (plan.role_arn, plan.external_id, plan.account_id):
        where = f" in account {home}" if home else ""
        return f"Role {plan.role} leads elsewhere now: to {role.target}{where}."
    if not set(plan.more_arns) <= set(role.more_arns) or (account and account.revoker != plan.revoker_arn):
        return f"Role {plan.role} has other base roles, or another revoker, by now."
    ceiling = Patterns(pattern.lower() for pattern in role.ceiling)
    if over := [name for name in plan.actions if not ceiling.covers(name.lower())]:
        return f"The ceiling of role {plan.role} does not hold {', '.join(over)} any more."
    return None


def _differs(plan: Plan, provider: Provider) -> str | None:
    """Say what a provider promises otherwise than the card said that was approved."""
    if (plan.ends_early, plan.ends_itself) != (provider.ends_early, provider.ends_itself):
        return f"Provider {provider.name} ends its credentials in another way now."
    if plan.ttl_seconds > provider.max_ttl.total_seconds():
        return f"Provider {provider.name} grants no {plan.ttl_seconds} s any more."
    return None


def refreshed(
    facts: Facts, now: datetime, *, owners: tuple[str, ...], kind: Any, environment: str | None
) -> Facts:  # fmt: skip
    """Return the recorded ask as it would be ruled on now.

    Args:
        facts: as recorded; history, tags, levels and what the caller's token proved stay.
        now: the store's time.
        owners: who owns the caller now.
        kind: what the caller is now (`Facts.principal_kind`).
        environment: what the account is now; None without one.
    """
    at = from_ms(to_ms(now))
    changes = {"at": at, "owners": owners, "principal_kind": kind, "account_environment": environment}
    return facts.model_copy(update=changes)


def as_now(request: Request, roster: Roster, now: datetime) -> Facts:
    """Return the facts of a request of which nothing is `gone`, with what the roster says now."""
    facts, caller = request.facts, roster.caller(request.principal)
    role = roster.roles[request.plan.role] if request.plan else None
    return refreshed(
        facts,
        now,
        owners=caller.owners if caller else (),
        kind=caller.kind if caller else "person",
        environment=roster.environments[roster.home_of(role)] if role else facts.account_environment,
    )


def over_caps(policy: Policy, request: Request, facts: Facts) -> str | None:
    """Say which cap of the policy this ask is over by now, with what would be minted; None if it is within them."""
    held = facts if request.plan is None else facts.model_copy(update={"ttl_seconds": request.plan.ttl_seconds})
    try:
        check_limits(policy, held)
    except Inadmissible as error:
        return error.detail
    return None


def stricter(pinned: Ruling, current: Ruling) -> Ruling:
    """Return the ruling that satisfies both; `pinned` itself where the current one asks for nothing more.

    The stricter effect wins, with its rules. Of each group the larger count is needed; whoever is barred by either is
    barred; the earlier end of the time to answer and the higher risk count.
    """
    joined = _joined(pinned, current)
    return joined if changed(pinned, joined) else pinned


def changed(old: Ruling, new: Ruling) -> bool:
    """Tell whether the new ruling asks for something else than the old one."""
    relevant = ("effect", "seats", "expires_after_seconds", "narrow")
    return any(getattr(old, name) != getattr(new, name) for name in relevant) or set(old.barred) != set(new.barred)


def difference(old: Ruling, new: Ruling) -> str:
    """Say in half a sentence what the new ruling asks for, and the old one did not."""
    if new.effect == "deny":
        return _denied(new)
    said = []
    if old.seats != new.seats:
        said.append(f"it needs {needs(new)} now, was {needs(old) if old.seats else 'nobody'}")
    if more := [who for who in new.barred if who not in old.barred]:
        said.append(f"{', '.join(more)} cannot answer it any more")
    if old.expires_after_seconds != new.expires_after_seconds:
        said.append("there is less time to answer it")
    if old.narrow != new.narrow:
        said.append("less of it may be narrowed")
    return "; ".join(said) or "people have to answer it"


def _denied(ruling: Ruling) -> str:
    """Name what denies, and say why in the rules' own words."""
    names, why = ", ".join(hit.name for hit in ruling.rules), " ".join(ruling.notes).rstrip(".")
    return ": ".join(filter(None, (names, why))) or "no rule speaks for all of this, and the default denies"


def needs(ruling: Ruling) -> str:
    """Return the seats in words: `1 of security and 2 of sre`."""
    return " and ".join(f"{count} of {group}" for group, count in sorted(ruling.seats.items()))


def reruled(request: Request, ruling: Ruling, now: datetime, roster: Roster) -> Request:
    """Return a waiting request under its stricter ruling: denied by policy, or waiting for what that asks.

    An approval by somebody whom the new ruling bars stays on record, and fills no seat any more.
    """
    if ruling.effect == "deny":
        because = Because.NOT_EVALUATED if ruling.because == NOT_EVALUATED else Because.RULE
        closed = {"because": because, "decided_at": now, "decided_by": "policy"}
        return request.moved("rerule", RequestState.DENIED, ruling=ruling, **closed)
    until = request.expires_at
    if ruling.expires_after_seconds is not None:
        until = min(until, request.submitted_at + timedelta(seconds=ruling.expires_after_seconds))
    reviews = tuple(_seated(one, ruling, roster) for one in request.reviews)
    return request.moved("rerule", RequestState.PENDING, ruling=ruling, expires_at=until, reviews=reviews)


def overtaken_by(request: Request, current: Ruling) -> str | None:
    """Say why an approval no longer stands under the ruling that policy gives now; None if it does.

    The stricter of the pinned ruling and this one must be satisfied by the reviews that were given. What was taken by
    break-glass stands where policy would allow it, or break-glass again.
    """
    joined = _joined(request.ruling, current)
    if joined.effect == "deny":
        return f"policy now denies it ({', '.join(hit.name for hit in joined.rules) or 'the default'})"
    if request.because is Because.BREAK_GLASS:
        return None if joined.effect != "review" else f"policy now needs {needs(joined)}"
    if joined.effect != "allow" and not tally(joined.seats, request.reviews).satisfied:
        return f"policy now needs {needs(joined)}"
    return None


def ended_early(extended: Grant | None) -> str | None:
    """Say that the grant which an approved ask goes on with was taken away since; None if it was not."""
    if extended is None:
        return "the grant that it extends is not known any more"
    if extended.ending is None or not extended.ending.early:
        return None
    return f"the grant that it extends, {extended.handle}, was ended early ({extended.ending.cause.replace('_', ' ')})"


def _joined(pinned: Ruling, current: Ruling) -> Ruling:
    """Join the two, field by field: nothing in what comes out is more lenient than in either."""
    rank, rank_now = STRICTNESS[pinned.effect], STRICTNESS[current.effect]
    winners = [one for one, strict in ((pinned, rank), (current, rank_now)) if strict == max(rank, rank_now)]
    barred = {who: one.barred_as[who] for one in (current, pinned) for who in one.barred}
    narrow = pinned.narrow
    if current.effect == "review":
        narrow = tuple(part for part in narrow if part in current.narrow)
    rules = {hit.name: hit for one in reversed(winners) for hit in one.rules}
    ends = [one.expires_after_seconds for one in (pinned, current) if one.expires_after_seconds is not None]
    return pinned.model_copy(
        update={
            "barred": _once(*pinned.barred, *current.barred),
            "barred_as": barred,
            "because": _because(winners[-1], pinned, current),
            "effect": winners[0].effect,
            "expires_after_seconds": min(ends, default=None),
            "narrow": narrow,
            "near_misses": current.near_misses,
            "notes": _once(*(note for one in winners for note in one.notes)),
            "policy_sha256": current.policy_sha256,
            "quorums": _once(*sorted((*pinned.quorums, *current.quorums))),
            "risk": max(pinned.risk, current.risk, key=lambda risk: (RISK_LEVELS.index(risk.level), risk.score)),
            "rules": tuple(rules[name] for name in sorted(rules)),
            "seats": {group: max(pinned.seats.get(group, 0), current.seats.get(group, 0))
                      for group in sorted({*pinned.seats, *current.seats})},
        }
    )  # fmt: skip


def _because(winner: Ruling, pinned: Ruling, current: Ruling) -> str:
    """Say why in the words of the stricter one, and that it was not always so; `not_evaluated` stays as it is."""
    if winner.because == NOT_EVALUATED or winner is pinned or pinned.because == current.because:
        return winner.because
    return f"{winner.because.rstrip('.')}, which was not so when it was asked."


def _seated(review: Review, ruling: Ruling, roster: Roster) -> Review:
    """Take the seat from an approval that four-eyes does not let stand any more; the answer itself stays."""
    for who in filter(None, (review.reviewer, review.lent_by)):
        own = roster.groups_of(who) | (set(review.groups) - set(review.raised))
        if review.verdict == "approve" and barred_as(ruling, who, frozenset(own)) is not None:
            return review.model_copy(update={"groups": (), "raised": ()})
    return review


def _once(*words: T) -> tuple[T, ...]:
    return tuple(dict.fromkeys(words))
