"""Say what a card says of a request: its one-line summary, where it stands, who answered, and what to look out for.

Everything returned is made visible (`approvers.card_text`) and is not yet escaped for any markup.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from datetime import timedelta

from approvers import card_after_review as after_words
from approvers import card_caps
from approvers.applying_ruling import is_apply
from approvers.card_text import MAX_LINE, one_line, visible
from approvers.grant import Grant, GrantState, ProofKind
from approvers.lifetime import time_left
from approvers.patterns import Patterns
from approvers.quorum import Review
from approvers.request import Because, Request, RequestState, told
from approvers.times import spell
from approvers.waiting import left_at_reminder

VERBS = {"List": "LIST", "Read": "READ", "Write": "WRITE", "Tagging": "TAG", "Permissions management": "PERMISSIONS"}
LEVEL_ORDER = ("List", "Read", "Tagging", "Write", "Permissions management")
MAX_OBJECT = 60
MAX_REASON = 240
MAX_WARNING = 240
_PHASES = {
    RequestState.PENDING: "Waiting",
    RequestState.APPROVED: "Approved",
    RequestState.DENIED: "Denied",
    RequestState.EXPIRED: "Expired",
    RequestState.CANCELLED: "Withdrawn",
}
_GRANT_PHASES = {
    GrantState.PENDING: "Approved",
    GrantState.MINTING: "Approved",
    GrantState.ACTIVE: "Live",
    GrantState.REVOKING: "Revoking",
    GrantState.REVOKED: "Ended",
    GrantState.FAILED: "Failed",
}


_CAUSES = {
    "ttl_elapsed": "time was over",
    "release": "released by its caller",
    "revoke": "revoked",
    "kill": "ended",
    "never_collected": "nobody collected it in time",
    "heartbeat_lost": "its agent fell silent",
}


def push(request: Request, grant: Grant | None = None) -> str:
    """Return one line that stands alone: who → what, where, how long · risk · seats · until when, or how it stands."""
    length = f", {spell(timedelta(seconds=request.plan.ttl_seconds))}" if request.plan else ""
    risk = f"{request.ruling.risk.level.upper()} {request.ruling.risk.score}"
    parts = [f"{actor(request)} → {title(request)}{length}", risk]
    if request.state is RequestState.PENDING:
        parts += [progress(request), f"until {request.expires_at:%H:%M} UTC"]
    else:
        parts.append(phase(request, grant).upper())
    return one_line(" · ".join(parts), 2 * MAX_LINE)


def title(request: Request) -> str:
    """Return verb and object: `READ customer-exports/2026/* in prod-payments`."""
    where = f" in {request.plan.account}" if request.plan else ""
    broken = "BREAK-GLASS: " if request.because is Because.BREAK_GLASS else ""
    return one_line(f"{broken}{_verb(request)} {_short(request.action.resource)}{where}")


def headline(request: Request) -> str:
    """Say who wants what; of break-glass, who took it."""
    action = request.action
    if request.because is Because.BREAK_GLASS:
        return f"BREAK-GLASS: {visible(_name(request.principal), MAX_LINE)} took {visible(action.action, MAX_LINE)}"
    return f"{visible(action.actor.id, MAX_LINE)} wants {visible(action.action, MAX_LINE)}"


def actor(request: Request) -> str:
    """Return the actor's bare name, as people call it."""
    return request.action.actor.id.partition(":")[2]


def phase(request: Request, grant: Grant | None) -> str:
    """Return the one word that stands for the state: Waiting, Approved, Live, Revoking, Ended, Denied …"""
    return _GRANT_PHASES[grant.state] if grant and request.state is RequestState.APPROVED else _PHASES[request.state]


def progress(request: Request) -> str:
    """Return how many seats are filled: `1 of 2`."""
    counted = request.tally()
    filled = sum(len(people) for people in counted.filled.values())
    return f"{filled} of {sum(request.ruling.seats.values())}"


def asked(request: Request) -> str:
    """Say why the reader is asked: the rules, and what they need of which group. Empty where nobody is."""
    if not request.ruling.seats:
        return ""
    needs = " and ".join(f"{count} of {group}" for group, count in sorted(request.ruling.seats.items()))
    default = "[apply] in the policy" if is_apply(request.facts) else "the policy's default"
    names = [hit.name for hit in request.ruling.rules] or [default]
    need = "needs" if len(names) == 1 else "need"
    return one_line(f"You are asked because {', '.join(names)} {need} {needs}{_fill_in(request)}.", 2 * MAX_LINE)


def _fill_in(request: Request) -> str:
    """Say which groups may take whose seats by now, because the ladder's level has come to them."""
    said = [f"{group} may fill in for {seat}" for group, seat in request.fill_in if seat in request.ruling.seats]
    return f"; {', '.join(said)}" if said else ""


def answers(request: Request) -> Iterator[str]:
    """Yield who answered what and when, the first answer first."""
    for one in request.reviews:
        verb = "approved" if one.verdict == "approve" else "denied"
        yield one_line(f"{reviewer(one)} {verb} at {one.at:%H:%M:%S} UTC{_said(one.reason)}", 2 * MAX_LINE)


def reviewer(review: Review) -> str:
    """Return the reviewer's bare name, and for whom they answered if it was for somebody else."""
    lent_by: str | None = getattr(review, "lent_by", None)
    return f"{_name(review.reviewer)} (for {_name(lent_by)})" if lent_by else _name(review.reviewer)


def warnings(request: Request, hidden: int = 0) -> Iterator[str]:
    """Yield what a hurried reader could miss: a credential wider than its headline, a reason that is not there."""
    yield from after_words.warning(request)
    yield from card_caps.warning(request.plan)
    yield from uncovered(request)
    yield from _look_alikes((request.action.resource, *(request.plan.resources if request.plan else ())))
    if hidden:
        yield f"{hidden:,} invisible {'character is' if hidden == 1 else 'characters are'} spelled out as ⟨U+…⟩."
    if not request.action.reason.strip():
        yield "No reason was given."


def uncovered(request: Request) -> Iterator[str]:
    """Yield how what will be minted goes beyond the headline; nothing where the headline covers it."""
    action, plan = request.action, request.plan
    if plan is None:
        return
    headline = Patterns([action.resource])
    if more := [name for name in plan.actions if name.lower() != action.action.lower()]:
        also = "also allows" if len(more) < len(plan.actions) or request.narrowed is None else "allows not that, but"
        yield one_line(f"The headline names {action.action} only; the credential {also} {_few(more)}.", MAX_WARNING)
    if others := [arn for arn in plan.resources if not headline.covers(arn)]:
        said = f"The headline names {_end(action.resource)} only; the credential also reaches {_few(others)}."
        yield one_line(said, MAX_WARNING)
    if action.environment != plan.environment:
        yield one_line(f"The headline says {action.environment}; the account is {plan.environment}.")


def outcome(request: Request) -> str:
    """Say in one sentence what was decided, by whom and when; empty while it waits."""
    when = f" at {request.decided_at:%H:%M:%S} UTC" if request.decided_at else ""
    match request.because:
        case Because.WAITING:
            return ""
        case Because.QUORUM:
            return f"Approved by {_joined(one for one in request.reviews if one.verdict == 'approve')}{when}."
        case Because.REVIEWER:
            last = request.reviews[-1]
            return one_line(f"Denied by {reviewer(last)}{when}{_said(last.reason) or '.'}", 2 * MAX_LINE)
        case Because.NOBODY_ANSWERED:
            return f"Expired{when}: nobody answered in time."
        case Because.NOBODY_REACHED:
            return f"Expired{when}: nobody was reached."
        case Because.WITHDRAWN:
            return one_line(f"Withdrawn by {_name(request.decided_by or 'its caller')}{when}.")
        case Because.RULE:
            names = ", ".join(hit.name for hit in request.ruling.rules) or "the default"
            return one_line(f"{phase(request, None)} by policy ({names}){when}.")
        case Because.BREAK_GLASS:
            return one_line(f"BREAK-GLASS: {_name(request.principal)} took this{when}; nobody was asked first.")
        case _:
            return one_line(f"{phase(request, None)}: {told(request)}.")


def status(request: Request, grant: Grant | None) -> str:
    """Say where the story stands, in one sentence; of break-glass, in another one where its review stands."""
    return _status(request, grant) + after_words.status(request)


def _status(request: Request, grant: Grant | None) -> str:
    if grant is None or request.state is not RequestState.APPROVED:
        return _decided(request)
    match grant.state:
        case GrantState.PENDING | GrantState.MINTING:
            return f"Approved by {_people(grant)}; the credential is being minted."
        case GrantState.ACTIVE:
            return f"Live, approved by {_people(grant)}; {_until(grant)}."
        case GrantState.REVOKING:
            trouble = f" Not proven yet: {grant.trouble}." if grant.trouble else ""
            return f"Revoking since {_since(grant)}: {_cause(grant)}.{one_line(trouble)}"
        case GrantState.FAILED:
            return f"Failed, nothing was issued: {one_line(grant.failure or 'unknown')}"
        case GrantState.REVOKED:
            return _proof(grant)


def _decided(request: Request) -> str:
    if request.state is RequestState.PENDING:
        return f"Waiting until {request.expires_at:%H:%M:%S} UTC{_level(request)}.{_hurry(request)}"
    used = f" Used at {request.consumed_at:%H:%M:%S} UTC." if request.consumed_at else ""
    return outcome(request) + used


def _level(request: Request) -> str:
    """Say which level asks, once that is a later one than the first."""
    return f"; level {request.level + 1} since {request.level_since:%H:%M}" if request.level_since else ""


def _hurry(request: Request) -> str:
    return f" Less than {spell(left_at_reminder(request))} left." if request.reminded_at else ""


def _proof(grant: Grant) -> str:
    assert grant.proof is not None
    ended, cause = f"Ended {grant.proof.at:%H:%M:%S}", f"{_cause(grant)}; times are UTC."
    cause = f"{cause[:1].upper()}{cause[1:]}"
    match grant.proof.kind:
        case ProofKind.PROBE_DENIED | ProofKind.TTL_DENIED:
            probes = f"refused {grant.proof.refused} of {grant.proof.asked} probes"
            since = "the request" if grant.ending and grant.ending.early else "its time was over"
            return f"{ended}, {probes}, {grant.proof.seconds[:-2]} s after {since}. {cause}"
        case ProofKind.EXPIRED:
            return f"{ended}, expired by the provider's own clock. {cause}"
        case ProofKind.NEVER_ISSUED:
            return f"{ended}, nothing was ever issued. {cause}"


def _cause(grant: Grant) -> str:
    if grant.ending is None:
        return "ended"
    cause = _CAUSES.get(grant.ending.cause, grant.ending.cause.replace("_", " "))
    by = f" by {_name(grant.ending.by)}" if grant.ending.cause in ("revoke", "kill") else ""
    return one_line(f"{cause}{by}")


def _until(grant: Grant) -> str:
    """Say when a live grant ends; of a warned one how little that is, and which grant goes on with its work."""
    left = f", in less than {time_left(grant)}" if grant.warned_at else ""
    more = f"; its work goes on as {grant.extended_as}" if grant.extended_as else ""
    return f"ends {grant.ends_at:%H:%M:%S} UTC{left}{more}"


def _since(grant: Grant) -> str:
    return f"{grant.ending.requested_at:%H:%M:%S} UTC" if grant.ending else "now"


def _people(grant: Grant) -> str:
    if grant.break_glass:
        return one_line(f"nobody (break-glass of {_name(grant.principal)})")
    return one_line(", ".join(_name(one) for one in grant.approved_by)) or "policy"


def _joined(reviews: Iterable[Review]) -> str:
    return one_line(" and ".join(reviewer(one) for one in reviews))


def _said(reason: str) -> str:
    return f": {one_line(reason.strip(), MAX_REASON)}" if reason.strip() else ""


def _name(principal: str) -> str:
    return principal.removeprefix("user:")


def _few(names: list[str]) -> str:
    """Return the first names, as many as a line takes; all of them stand among the facts."""
    return ", ".join(map(_end, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _end(name: str) -> str:
    """Return a name, of a long one its end, which tells it from its neighbours."""
    return name if len(name) <= 80 else f"…{name[-79:]}"


def _look_alikes(resources: Iterable[str]) -> Iterator[str]:
    """Warn of letters outside ASCII in a resource: `с` reads as `c`, and names something else."""
    found = dict.fromkeys(char for name in resources for char in name if not char.isascii() and char.isalnum())
    if found:
        names = ", ".join(f"{char} (U+{ord(char):04X} {unicodedata.name(char, 'unnamed')})" for char in list(found)[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        yield one_line(f"A resource holds letters that can pass for others: {names}{more}.", MAX_WARNING)


def _verb(request: Request) -> str:
    levels = [level for level in LEVEL_ORDER if level in request.facts.levels]
    if not levels or "unknown" in request.facts.levels:
        return request.action.action
    return VERBS[levels[-1]]


def _short(resource: str) -> str:
    tail = resource.rpartition(":")[2]
    return tail if len(tail) <= MAX_OBJECT else f"…{tail[1 - MAX_OBJECT :]}"
