"""Tell an audit record in one plain sentence, and show its bytes harmlessly. Pure; the record stays the truth."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from approvers.card import visible
from approvers.narrowing import difference

MAX_RAW = 20_000
"""Characters of a record shown on a page; `countersign audit show` prints any record whole."""
Data = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One record, told: when, who, what, whether it is bad news, and the record as stored.

    `raw` is for surfaces that show it; `text` is the whole line for those that have one line only.
    """

    n: int
    at: str
    who: str
    words: str
    bad: bool
    kind: str
    raw: str

    @property
    def clock(self) -> str:
        """Return the time of day, `22:15:07.123`."""
        return self.at[11:23]

    @property
    def text(self) -> str:
        """Return the line as one sentence: `22:15:07 robin approves`."""
        return f"{self.at[11:19]} {self.who} {self.words}"


def tell(body: bytes) -> Line:
    """Return the line of a stored record. A kind that has no words here is told by its name."""
    record = json.loads(body)
    kind = record["type"]
    try:
        words = WORDS[kind](record["data"])
    except (KeyError, TypeError):  # no words for this kind, or another shape than today's: the name must do
        words = kind.replace(".", " ").replace("_", " ")
    return Line(
        n=record["n"],
        at=record["at"],
        who=_who(record),
        words=visible(words, 600),
        bad=kind in BAD,
        kind=kind,
        raw=_harmless(json.dumps(record, indent=2, ensure_ascii=False)),
    )


def place(via: str) -> str:
    """Return where an answer was given: `in the console`, `over the API`."""
    return {"console": "in the console", "api": "over the API", "slack": "in Slack", "teams": "in Teams"}.get(via, via)


def name(principal: str) -> str:
    """Return what people call a principal: `dana` for `user:dana`, everything else with its kind."""
    return visible(principal.removeprefix("user:"), 120)


def _who(record: Data) -> str:
    person = record["by"]["person"]
    return name(person) if person else f"Countersign ({visible(record['via'], 40)})"


def _harmless(text: str) -> str:
    """Spell out what is invisible, but keep the record's own line breaks and, up to a limit, its length."""
    return visible(text, MAX_RAW).replace("whole in the record]", "`countersign audit show` prints all of it]")


def _submitted(data: Data) -> str:
    action = data["action"]
    return f"asks for {action['action']} on {action['resource']}. {data['ruling']['because']}"


def _review(data: Data) -> str:
    verb = "approves" if data["verdict"] == "approve" else "denies"
    if lender := data.get("lent_by"):
        verb += f" for {name(lender)}"
    return f"{verb}: {data['reason']}" if data["reason"] else f"{verb}"


def _decided(state: str) -> Callable[[Data], str]:
    def words(data: Data) -> str:
        people = [name(person) for group in data.get("filled", {}).values() for person in group]
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
    return f"mints the credential {data['access_key_id']}; it ends {_clock(data.get('ends_at'))}."


def _revoked(data: Data) -> str:
    proof = data["proof"]
    match proof["kind"]:
        case "never_issued":
            return "ends it: nothing was ever issued."
        case "expired":
            return "proves the end: expired by the provider's own clock."
        case _:
            probes = f"{proof['refused']} of {proof['asked']}"
            return f"proves the end: refused {probes} probes, {proof['seconds']} s after the request for it."


def _used(data: Data) -> str:
    ticket = f" (ticket {data['ticket']})" if data["ticket"] else ""
    return f"takes it by break-glass{ticket}: {data['reason']}. A review of that is owed until {data['due_at']}."


def _after(data: Data) -> str:
    verdict = "justified" if data["verdict"] == "justified" else "NOT justified"
    said = f": {data['reason']}" if data["reason"] else "."
    return f"reviews the break-glass of {name(data['used_by'])} and finds it {verdict}{' (late)' * data['late']}{said}"


def _reruled(data: Data) -> str:
    ruling, was = data["ruling"], data["was"]["seats"]
    if ruling["effect"] == "deny":
        return f"rules again, more strictly than before: {ruling['because']}"
    return f"rules again, more strictly than before: needs {_needs(ruling['seats'])}; it was {_needs(was)}."


def _needs(seats: Mapping[str, int]) -> str:
    return " and ".join(f"{count} of {group}" for group, count in sorted(seats.items())) or "nobody"


def _asked_to_end(verb: str) -> Callable[[Data], str]:
    def words(data: Data) -> str:
        reason = data.get("ending", {}).get("reason", "")
        return f"{verb}: {reason}" if reason else f"{verb}."

    return words


def _with(sentence: str, field: str) -> Callable[[Data], str]:
    return lambda data: sentence.format(data.get(field, "no reason was recorded"))


def _clock(moment: str | None) -> str:
    return f"{moment[11:19]} UTC" if moment and re.fullmatch(r"[0-9T:.Z-]{20,30}", moment) else "at a time not known"


WORDS: Mapping[str, Callable[[Data], str]] = {
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
    "review.refused": lambda data: f"tries to {data['verdict']}, and is refused: {data['detail']}",
    "break_glass.used": _used,
    "break_glass.reviewed": _after,
    "break_glass.review_refused": lambda data: f"tries to find it {data['verdict']}, and is refused: {data['detail']}",
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
    "grant.ending_soon": lambda data: f"warns that it ends {_clock(data.get('ends_at'))}.",
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
