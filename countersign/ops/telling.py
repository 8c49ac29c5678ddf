"""Tell audit records in plain words, a sentence for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from approvers.narrowing import difference
from approvers.storytelling import WORDS
from approvers.times import spell

LONGEST_REASON = 80
Data = Mapping[str, Any]


def tell(record: Data) -> str | None:
    """Return what a record says, in a sentence; None for the steps in between, which tell a spectator nothing."""
    who = name_of(record["by"]["person"] or record["by"]["sub"])
    teller = _TELLERS.get(record["type"])
    if teller is not None:
        return teller(who, record["data"])
    words = WORDS.get(record["type"])  # as the console and `audit show` say it
    return f"{who} {words(record['data'])}" if words else f"{record['type']} by {who}"


def name_of(principal: str) -> str:
    """Return the bare name of a person, caller or actor."""
    return principal.partition(":")[2] or principal


def proof_sentence(proof: Data, over: str = "AWS's own clock ended it") -> str:
    """Say how an end was shown: `refused 3 of 3 probes, 1.2 s after the request (probe_denied)`.

    `over` says what ended it, where its time did.
    """
    if proof["kind"] == "never_issued":
        return "nothing was ever issued (never_issued)"
    if proof["kind"] == "expired":
        return "the session has expired by AWS's own clock (expired)"
    probes = f"refused {proof['refused']} of {proof['asked']} probes"
    if proof["kind"] == "ttl_denied":
        return f"{over}; {probes} (ttl_denied)"
    tenths = math.floor(float(proof["seconds"]) * 10) / 10  # cut, as the card does
    return f"{probes}, {tenths:.1f} s after the request ({proof['kind']})"


def _submitted(who: str, data: Data) -> str:
    action, effect = data["action"], data["ruling"]["effect"]
    behind = action["actor"].get("on_behalf_of")
    lasting = f" for {spell(timedelta(seconds=action['ttl_seconds']))}" if action.get("access") else ""
    answer = {"allow": "policy allows it", "deny": "policy denies it"}.get(effect, f"asked: {_seats(data)}")
    for_whom = f" (for {name_of(behind)})" if behind else ""
    asker = f"{name_of(action['actor']['id'])}{for_whom}"
    return f"{asker} asks: {action['action']} on {action['resource']}{lasting}; {answer}"


def _seats(data: Data) -> str:
    return " and ".join(f"{count} of {group}" for group, count in sorted(data["ruling"]["seats"].items()))


def _ruled_again(data: Data) -> str:
    return "denied" if data["ruling"]["effect"] == "deny" else f"asked: {_seats(data)}"


def _reason(text: str) -> str:
    flat = " ".join(text.split())
    return f": {flat[:LONGEST_REASON]}{'…' if len(flat) > LONGEST_REASON else ''}" if flat else ""


def _clock_time(text: str | None) -> str:
    return text[11:19] if text else "?"


def _ending(data: Data) -> str:
    ending = data.get("ending") or {}
    return f"{name_of(str(ending.get('by', '')))}{_reason(str(ending.get('reason', '')))}"


def _ended(data: Data) -> str:
    kept = f"; its end was {_clock_time(data['ends_at'])}" if data.get("ends_at") else ""
    own = {} if _at_aws(data) else {"over": "its time is over"}
    return f"ended, and proven: {proof_sentence(data['proof'], **own)}{kept}"


def _at_aws(data: Data) -> bool:
    """Tell whether AWS issues it, and not executables of an operator's."""
    return not str(data.get("role_arn", "")).startswith("command:")


def _cloud(data: Data) -> str:
    """Say who issues it: AWS, or the provider by its name."""
    return "AWS" if _at_aws(data) else str(data["role_arn"]).removeprefix("command:").partition("/")[0]


def _silence(data: Data) -> str:
    return "nobody was reached" if data.get("because") == "nobody_reached" else "nobody answered"


def _hit(data: Data) -> str:
    what = {"all": "everything", "grant": "one grant"}.get(data["kind"], f"all of {data['kind']} {data['name']}")
    return f"{what}, {len(data['grants'])} live"


_TELLERS: dict[str, Callable[[str, Data], str | None]] = {
    "request.submitted": _submitted,
    "request.folded": lambda who, _: f"{who} asks the same again; it waits already",
    "request.approved": lambda _, data: f"APPROVED ({data['because']})",
    "request.denied": lambda _, data: f"DENIED ({data['because']})",
    "request.expired": lambda _, data: f"EXPIRED: {_silence(data)}, which is neither a no nor a yes",
    "request.escalated": lambda _, data: f"level {data['level']} of the ladder is asked as well",
    "request.narrowed": lambda who, data: f"{who} grants less: {difference(data['asked'], data['granted'])}",
    "request.reruled": lambda _, data: f"policy rules again, more strictly than at the ask: {_ruled_again(data)}",
    "break_glass.used": lambda who, data: f"{who} uses break-glass; the after-review is due {data['due_at']}",
    "break_glass.reviewed": lambda who, data: f"{who} finds that use {data['verdict']}",
    "break_glass.review_refused": lambda who, data: f"{who} may not review that use: {data['detail']}",
    "break_glass.overdue": lambda _, data: f"the after-review is late: it was due {data['due_at']}",
    "request.unreached": lambda _who, _data: "nobody has been shown it yet; on-call is told if that lasts",
    "request.unfillable": lambda _, data: f"too few people are left in {', '.join(data['groups'])} to answer it",
    "request.cancelled": lambda who, _: f"CANCELLED by {who}",
    "request.consumed": lambda who, _: f"{who} uses the approval, once",
    "review.recorded": lambda who, data: f"{who} says {data['verdict']}{_reason(data['reason'])}",
    "review.refused": lambda who, data: f"{who} may not {data['verdict']}: {data['detail']}",
    "grant.opened": lambda _who, _data: None,
    "grant.claimed": lambda _, data: f"a worker asks {_cloud(data)} for the credential",
    "grant.minted": lambda _, data: f"credential issued, for exactly this, until {_clock_time(data.get('ends_at'))}",
    "grant.refused": lambda _, data: f"{_cloud(data)} issues nothing: {data.get('failure')}",
    "grant.not_sent": lambda _, data: f"{_cloud(data)} could not be asked, again soon: {data.get('trouble')}",
    "grant.overtaken": lambda _, data: f"nothing is issued: {data.get('failure')}",
    "grant.lost": lambda _, data: f"nobody knows whether {_cloud(data)} issued it, so it is revoked ({_ending(data)})",
    "grant.ended": lambda _, data: f"its time is over; {_cloud(data)} is asked whether it refuses",
    "grant.never_collected": lambda _who, _data: "nobody collected it in time, so it is ended",
    "grant.heartbeat_lost": lambda _who, _data: "its caller fell silent, so it is ended",
    "grant.ending_soon": lambda _, data: f"it ends soon, at {_clock_time(data.get('ends_at'))}",
    "grant.extended": lambda _, data: f"its work goes on as {data['handle']}; it ends as it would have",
    "grant.release_requested": lambda who, _: f"{who} is done and gives it back",
    "grant.revoke_requested": lambda _, data: f"taken away by {_ending(data)}",
    "grant.flagged": lambda _, data: (
        f"its session does what it was not granted, {data['points']} points: {data['said']}"
    ),
    "grant.kill_requested": lambda _, data: f"monitoring ends it, {data['points']} points: {data['said']}",
    "grant.reported": lambda _, data: f"what it did: {data['text']}",
    "grant.revoke_failed": lambda _, data: f"not proven ended yet, again soon: {data.get('trouble')}",
    "grant.revoked": lambda _, data: _ended(data),
    "grant.collected": lambda _who, _data: "the Deny is removed; every session has expired by itself",
    "credential.collected": lambda who, _: f"{who} collects the credential, sealed",
    "ask.refused": lambda who, data: f"{who} may not ask this: {data.get('detail')}",
    "call.refused": lambda who, data: f"{who} may not do this: {data.get('detail')}",
    "sign_in.refused": lambda _, data: f"somebody without a good key at {data['source']}, {data['failures']} times",
    "link.made": lambda who, data: f"{who} makes a sign-in link for {name_of(str(data.get('person', '')))}",
    "session.started": lambda _, data: f"{name_of(str(data.get('person', '')))} signs in to the console",
    "session.ended": lambda _, data: f"{name_of(str(data.get('person', '')))} signs out",
    "key.made": lambda _, data: f"an API key for {data['principal']} is made",
    "key.revoked": lambda _, data: f"an API key of {data['principal']} is revoked",
    "away.set": lambda who, data: f"{who}: {name_of(data['to'])} answers for {name_of(data['from'])} from now on",
    "away.ended": lambda who, data: f"{who}: {name_of(data['to'])} answers for {name_of(data['from'])} no longer",
    "freeze.set": lambda who, data: f"{who} stops all approvals and mints{_reason(data['why'])}",
    "freeze.lifted": lambda who, data: f"{who} lets approvals and mints go on{_reason(data['why'])}",
    "revocation.requested": lambda who, data: f"{who} takes away {_hit(data)}{_reason(data['reason'])}",
    "policy.applied": lambda who, data: f"{who} puts a policy into force, {data['sha256'][:12]}…{_reason(data['why'])}",
    "roster.applied": lambda who, data: f"{who} puts a roster into force, {data['sha256'][:12]}…{_reason(data['why'])}",
}
