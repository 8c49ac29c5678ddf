"""Say what records of the chain `sys` tell: files applied, keys, sign-ins, freezes, refusals. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from approvers.storytelling_words import Data, clock_of, plain_name, typed

MOST_NAMED = 3


def _because(data: Data, field: str = "why") -> str:
    said = typed(data.get(field))
    return f": {said}" if said else "."


def _applied(what: str) -> Callable[[Data], str]:
    def words(data: Data) -> str:
        was = f", in place of sha256:{data['was'][:12]}" if data.get("was") else ", the first"
        yes = f", as {data['approval']} approved" if data.get("approval") else ""
        return f"applies the {what} sha256:{data['sha256'][:12]}{was}{yes}{_because(data)}"

    return words


def _key(verb: str) -> Callable[[Data], str]:
    def words(data: Data) -> str:
        scopes = ", ".join(data["scopes"])
        return f"{verb} the API key {data['id']} of {plain_name(data['principal'])} ({scopes})."

    return words


def _refused(data: Data) -> str:
    who = f" of {plain_name(data['principal'])}" if data.get("principal") else ""
    return f"refuses {data['route']}{who}: {data.get('detail') or data.get('code', 'no reason was recorded')}"


def _strangers(data: Data) -> str:
    times = "once" if data["failures"] == 1 else f"{data['failures']:,} times"
    others = f", and callers from elsewhere {data['others']:,} times" if data.get("others") else ""
    return f"turns away {data['source']}, {times}{others}: no valid key."


def _revocation(data: Data) -> str:
    target = f"{data['kind']} {typed(data['name'])}".strip()
    count = len(data["grants"])
    return f"revokes {target}, {count} grant{'' if count == 1 else 's'}{_because(data, 'reason')}"


def _lent(data: Data) -> str:
    return f"lends the seats of {plain_name(data['from'])} to {plain_name(data['to'])} until {data['until']}."


def _session(verb: str) -> Callable[[Data], str]:
    return lambda data: f"{verb} the console as {plain_name(data['person'])}."


def _lost(data: Data) -> str:
    return (
        f"says that the signing key {key_name(data['old'])} is lost, from log size {data['size']:,} on{_because(data)}"
    )


def _rolled_back(data: Data) -> str:
    return (
        f"finds another log than the one signed at size {data['size']:,}; this one has {data['found']:,} records"
        f"{_because(data)}"
    )


def _erased(data: Data) -> str:
    count, person = data["count"], data.get("person")
    whose = f" that {plain_name(person)} typed" if person else ""
    return f"erases {count} text{'' if count == 1 else 's'}{whose} of {data['subject']}{_because(data)}"


def _truncated(data: Data) -> str:
    return f"takes the first {data['size']:,} records out of the log, root {data['root'][:16]}{_because(data)}"


def _accepted(data: Data) -> str:
    return f"accepts a log of {data['found']:,} records in place of the one signed at {data['size']:,}{_because(data)}"


def _exported(data: Data) -> str:
    return f"exports the log up to size {data['size']:,}, root {data['root'][:16]}, to {data['to']}."


def key_name(text: str) -> str:
    """Return name and id of a verifier key, without its public half."""
    return "+".join(text.split("+")[:2])


SYSTEM_WORDS: Mapping[str, Callable[[Data], str]] = {
    "policy.applied": _applied("policy"),
    "roster.applied": _applied("roster"),
    "freeze.set": lambda data: f"stops all approvals and mints{_because(data)}",
    "freeze.lifted": lambda data: f"lets approvals and mints go on{_because(data)}",
    "revocation.requested": _revocation,
    "away.set": _lent,
    "away.ended": lambda data: f"ends the stand-in of {plain_name(data['to'])} for {plain_name(data['from'])}.",
    "key.made": _key("makes"),
    "key.revoked": _key("revokes"),
    "key.rotated": lambda data: (
        f"signs the log with {key_name(data['new'])} from now on, and no more with {key_name(data['old'])}."
    ),
    "key.lost": _lost,
    "log.rolled_back": _rolled_back,
    "log.rollback_accepted": _accepted,
    "log.truncated": _truncated,
    "text.erased": _erased,
    "export.made": lambda data: (
        f"exports the log up to size {data['size']:,}, root {data['root'][:16]}, to {data['to']}."
    ),
    "link.made": lambda data: (
        f"makes a sign-in link for {plain_name(data['person'])}, good until {clock_of(data['expires_at'])}."
    ),
    "session.started": _session("signs in to"),
    "session.ended": _session("signs out of"),
    "ask.refused": _refused,
    "call.refused": _refused,
    "sign_in.refused": _strangers,
}
"""What each kind of record under `sys` says, continuing "NAME …"."""
