"""Say what each kind of record tells, in one plain sentence that goes on from "NAME …". Pure; the record is the truth.

A new kind of record gets its sentence in `REQUEST_WORDS` here; one of `sys` in `approvers.storytelling_sys`. Sentences
are raw: `approvers.storytelling` makes them harmless, and all surfaces show what that returns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from approvers.narrowing import difference
from approvers.texts import ERASED

Data = Mapping[str, Any]


def typed(text: object) -> str:
    """Return a text that somebody typed, or what became of it: erased, or kept outside the record and not at hand."""
    if isinstance(text, Mapping):
        return f"(a text of {text.get('chars', '?')} characters, not at hand)"
    said = text if isinstance(text, str) else ""
    return "(this text was erased)" if said and not said.strip(ERASED) else said


def plain_name(principal: str) -> str:
    """Return what people call a principal: `dana` for `user:dana`, everything else with its kind."""
    return principal.removeprefix("user:")


def _submitted(data: Data) -> str:
    action = data["action"]
    return f"asks for {action['action']} on {action['resource']}. {data['ruling']['because']}"


def _review(data: Data) -> str:
    verb = "approves" if data["verdict"] == "approve" else "denies"
    if lender := data.get("lent_by"):
        verb += f" for {plain_name(lender)}"
    return f"{verb}: {typed(data['reason'])}" if data["reason"] else f"{verb}."


def _decided(state: str) -> Callable[[Data], str]:
    def words(data: Data) -> str:
        people = [plain_name(person) for group in data.get("filled", {}).values() for person in group]
        return f"brings the request to {state}" + (f"; seats are filled by {', '.join(people)}." if people else ".")

    return words


def _expired(data: Data) -> str:
    if data.get("because") == "nobody_reached":
        return "closes it: the time to answer is over, and nobody had been shown it."
    return "closes it: the time to answer is over. Nobody said no, nobody said yes."


def _escalated(data: Data) -> str:
    why = {"unreached": "nobody has been shown it", "empty": "too few people are left to answer it"}
    more = f" Now {', '.join(data['may_fill'])} may fill in." if data.get("may_fill") else ""
    return f"asks more people, on level {data['level']}: {why.get(data['why'], 'nobody has answered yet')}.{more}"


def _minted(data: Data) -> str:
    return f"mints the credential {data['access_key_id']}; it ends {clock_of(data.get('ends_at'))}."


def _revoked(data: Data) -> str:
    if data["proof"]["kind"] == "never_issued":
        return "ends it: nothing was ever issued."
    return f"proves the end: {proof_of(data['proof'])}."


def proof_of(proof: Data) -> str:
    """Say what shows that a credential is dead, and how soon that was known."""
    match proof["kind"]:
        case "never_issued":
            return "nothing was ever issued"
        case "expired":
            return "expired by the provider's own clock"
        case _:
            probes = f"{proof['refused']} of {proof['asked']}"
            return f"refused {probes} probes, {proof['seconds']} s after the request for it"


def ended_by(data: Data) -> str:
    """Say what ended a grant, as its record has it: `, ended by kim (revoke)`; empty where no cause is recorded."""
    ending = data.get("ending")
    if not ending:
        return ""
    cause = ENDED_BY.get(ending["cause"], ending["cause"].replace("_", " "))
    return f", {cause.format(plain_name(ending['by']))}"


def _used(data: Data) -> str:
    ticket = f" (ticket {data['ticket']})" if data["ticket"] else ""
    reason = typed(data["reason"]).rstrip(".")
    return f"takes it by break-glass{ticket}: {reason}. A review of that is owed until {data['due_at']}."


def _after(data: Data) -> str:
    verdict = "justified" if data["verdict"] == "justified" else "NOT justified"
    said = f": {typed(data['reason'])}" if data["reason"] else "."
    late = " (late)" if data["late"] else ""
    return f"reviews the break-glass of {plain_name(data['used_by'])} and finds it {verdict}{late}{said}"


def _reruled(data: Data) -> str:
    ruling, was = data["ruling"], data["was"]["seats"]
    if ruling["effect"] == "deny":
        return f"rules again, more strictly than before: {ruling['because']}"
    return f"rules again, more strictly than before: needs {_needs(ruling['seats'])}; it was {_needs(was)}."


def _needs(seats: Mapping[str, int]) -> str:
    return " and ".join(f"{count} of {group}" for group, count in sorted(seats.items())) or "nobody"


def _asked_to_end(verb: str) -> Callable[[Data], str]:
    def words(data: Data) -> str:
        reason = typed(data.get("ending", {}).get("reason", ""))
        return f"{verb}: {reason}" if reason else f"{verb}."

    return words


def _with(sentence: str, field: str) -> Callable[[Data], str]:
    return lambda data: sentence.format(typed(data.get(field)) or "no reason was recorded")


def clock_of(moment: str | None) -> str:
    """Return a recorded moment's time of day, `10:04:31 UTC`."""
    return f"{moment[11:19]} UTC" if moment and re.fullmatch(r"[0-9T:.Z-]{20,30}", moment) else "at a time not known"


ENDED_BY: Mapping[str, str] = {
    "ttl_elapsed": "until its time was over",
    "release": "given back by {}",
    "revoke": "revoked by {}",
    "kill": "killed by monitoring",
    "never_collected": "ended as nobody collected it",
    "heartbeat_lost": "ended as its caller fell silent",
    "outcome_unknown": "revoked as nobody knew whether it was issued",
    "stale": "revoked as its mint took too long",
}
"""What ended a grant, by the cause that its record names."""
REQUEST_WORDS: Mapping[str, Callable[[Data], str]] = {
    "request.submitted": _submitted,
    "request.folded": lambda _: "asks for the same again, and is led to this request.",
    "request.approved": _decided("APPROVED"),
    "request.denied": _decided("DENIED"),
    "request.expired": _expired,
    "request.narrowed": lambda data: f"narrows it: {difference(data['asked'], data['granted'])}.",
    "request.cancelled": lambda _: "withdraws the request.",
    "request.consumed": lambda _: "uses the approval; it cannot be used again.",
    "request.escalated": _escalated,
    "request.reruled": _reruled,
    "request.unreached": lambda _: "finds that nobody has been shown the request.",
    "request.unfillable": lambda data: f"finds too few people left in {', '.join(data['groups'])} to answer it.",
    "review.recorded": _review,
    "review.refused": lambda data: f"tries to {data['verdict']}, and is refused: {typed(data['detail'])}",
    "break_glass.used": _used,
    "break_glass.reviewed": _after,
    "break_glass.review_refused": lambda data: (
        f"tries to find it {data['verdict']}, and is refused: {typed(data['detail'])}"
    ),
    "break_glass.overdue": lambda data: f"finds the after-review late: it was due at {data['due_at']}.",
    "grant.opened": lambda data: f"opens the grant: a credential of role {data['plan']['role']} may be minted.",
    "grant.claimed": lambda _: "takes the grant; from here on a credential may exist.",
    "grant.minted": _minted,
    "grant.refused": _with("is refused by the provider, and nothing is issued: {}", "failure"),
    "grant.not_sent": _with("cannot reach the provider, and will try again: {}", "trouble"),
    "grant.lost": lambda _: "does not know whether minting worked, so revokes it.",
    "grant.overtaken": _with("does not mint it: {}", "failure"),
    "grant.ended": lambda _: "ends it, for its time is over. Next comes the proof.",
    "grant.never_collected": lambda _: "ends it, for nobody collected the credential in time.",
    "grant.heartbeat_lost": lambda _: "ends it, for its caller's heartbeat stopped.",
    "grant.ending_soon": lambda data: f"warns that it ends {clock_of(data.get('ends_at'))}.",
    "grant.extended": lambda data: f"notes that its work goes on as {data['handle']}; this one ends as it would have.",
    "grant.release_requested": _asked_to_end("gives the credential back"),
    "grant.revoke_requested": _asked_to_end("revokes it"),
    "grant.kill_requested": _asked_to_end("kills it"),
    "grant.revoke_failed": _with("has no proof of the end yet, and will try again: {}", "trouble"),
    "grant.revoked": _revoked,
    "grant.collected": lambda _: "removes the Deny, for every session of it has expired.",
    "grant.flagged": lambda data: f"sees what was not granted, {data['points']} points: {data['said']}.",
    "grant.reported": lambda data: f"tells what was granted against what was used. {data['text']}",
    "credential.collected": lambda data: f"collects the credential {data['access_key_id']}.",
}
"""What each kind of record says, continuing "NAME …"."""
BAD = frozenset(
    {
        "review.refused",
        "break_glass.used",
        "break_glass.review_refused",
        "break_glass.overdue",
        "grant.refused",
        "grant.lost",
        "grant.overtaken",
        "grant.heartbeat_lost",
        "grant.kill_requested",
        "grant.flagged",
        "grant.revoke_failed",
    }
)
"""Records that deserve the eye."""
