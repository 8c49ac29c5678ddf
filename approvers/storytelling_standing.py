"""Say of a chain of records who wanted what, and how it stands after the last of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from approvers.storytelling_gaps import ENDINGS
from approvers.storytelling_more import lasting
from approvers.storytelling_words import Data, clock_of, ended_by, plain_name, proof_of
from approvers.times import spell

ASKED = "request.submitted"
DECIDED: Mapping[str, str] = {
    "request.approved": "Approved",
    "request.denied": "Denied",
    "request.expired": "Expired",
    "request.cancelled": "Withdrawn",
}


def heading(records: Sequence[Data]) -> str:
    """Return who asked for what, for whom, and where."""
    asked = _last(records, ASKED)
    if asked is None:
        return f"Records of {records[0]['subject']}" if records else "No records"
    action, plan = asked["data"]["action"], asked["data"].get("plan")
    actor, human = action["actor"]["id"], action["actor"].get("on_behalf_of")
    behind = f", on behalf of {plain_name(human)}," if human else ""
    caller = plain_name(asked["by"]["person"] or "")
    through = f" through {caller}" if caller and caller != actor else ""
    where = f"{plan['account']}, {plan['environment']}" if plan and plan.get("account") else action["environment"]
    handle = f"{asked['data']['handle']}: " if asked["data"].get("handle") else ""
    return f"{handle}{actor}{through}{behind} asked for {action['action']} on {action['resource']} ({where})"


def standing(records: Sequence[Data]) -> str:
    """Return how it stands: decided by whom, what came of the credential, what is still owed."""
    if not any(one["type"] == ASKED for one in records):
        first = records[0]["n"] if records else 1
        before = " How it began was taken out of the log." if first > 1 else ""
        return f"{len(records):,} record{'' if len(records) == 1 else 's'}.{before}"
    return " ".join(_standing(records))


def _standing(records: Sequence[Data]) -> Iterator[str]:
    decision = next((one for one in reversed(records) if one["type"] in DECIDED), None)
    if decision is None:
        yield _waits(records)
        return
    yield f"{DECIDED[decision['type']]} {_by(records, decision)}."
    if _last(records, "request.consumed"):
        yield "The approval has been used."
    elif decision["type"] == "request.approved" and _last(records, "grant.opened") is None:
        yield "The approval has not been used."
    yield from _grant(records)
    if used := _last(records, "break_glass.used"):
        found = _last(records, "break_glass.reviewed")
        verdict = "justified" if found and found["data"]["verdict"] == "justified" else "NOT justified"
        owed = f"Its after-review is owed until {used['data']['due_at']}."
        yield f"The break-glass was found {verdict}." if found else owed


def _waits(records: Sequence[Data]) -> str:
    reviews = (one for one in records if one["type"] == "review.recorded")
    people = [plain_name(one["by"]["person"] or "") for one in reviews if one["data"]["verdict"] == "approve"]
    return f"It waits for more answers; {' and '.join(people)} said yes." if people else "It waits for an answer."


def _by(records: Sequence[Data], decision: Data) -> str:
    because, took = decision["data"].get("because"), _took(records, decision)
    if because in ("nobody_answered", "nobody_reached"):
        return f"{took}: nobody {'was shown it' if because == 'nobody_reached' else 'answered'}"
    if because == "break_glass":
        return "by nobody: taken by break-glass"
    if because == "not_evaluated":
        return "because policy could not be evaluated"
    if because == "rule":
        return "by policy alone"
    names = [plain_name(name) for group in decision["data"].get("filled", {}).values() for name in group]
    person = decision["by"]["person"]
    people = list(dict.fromkeys([*names, *([plain_name(person)] if person else [])]))
    if because == "reviewer":
        people = [plain_name(person)] if person else people
    return f"by {' and '.join(people) or 'policy'} {took}"


def _took(records: Sequence[Data], decision: Data) -> str:
    asked = _last(records, ASKED)
    if asked is None:
        return ""
    return f"after {spell(_between(asked['at'], decision['at']))}"


def _grant(records: Sequence[Data]) -> Iterator[str]:
    """Say what came of the credential."""
    opened, minted, revoked = (_last(records, f"grant.{kind}") for kind in ("opened", "minted", "revoked"))
    if opened is None:
        return
    failed = _last(records, "grant.refused") or _last(records, "grant.overtaken")
    if minted is None:
        yield "No credential was issued." if failed or revoked else "The credential is being minted."
        return
    if narrowed := _last(records, "request.narrowed"):
        yield f"Less was granted than asked, by {plain_name(narrowed['by']['person'] or '')}."
    if _last(records, "credential.collected") is None:
        yield "Nobody collected the credential."
    if revoked is None and any(one["type"] in ENDINGS for one in records):
        yield "The credential is being ended; that it has ended is not proven yet."
        return
    if revoked is None:
        yield f"The credential was minted {clock_of(minted['at'])} and ends {clock_of(minted['data'].get('ends_at'))}."
        return
    yield _life(opened["data"], minted, revoked["data"])


def _life(opened: Data, minted: Data, revoked: Data) -> str:
    """Say how long the credential lived, what ended it, and what shows that."""
    proof, granted = revoked["proof"], opened["plan"]["ttl_seconds"]
    until = min(proof["at"], revoked.get("ends_at") or proof["at"])
    lived = _between(minted["at"], until)
    return (
        f"The credential lived {spell(lived)} of {lasting(granted)}{ended_by(revoked)}. "
        f"Its end is proven: {proof_of(proof)}."
    )


def _between(first: str, last: str) -> timedelta:
    return max(timedelta(), datetime.fromisoformat(last) - datetime.fromisoformat(first))


def _last(records: Sequence[Data], kind: str) -> Data | None:
    return next((one for one in reversed(records) if one["type"] == kind), None)
