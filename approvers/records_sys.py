"""Model the records of the chain `sys`: files applied, freezes, keys, sign-ins, refusals, the log itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from approvers.records_parts import Count, GrantId, Part, RecordType, RequestId, Sha256, When, maybe, told


class Applied(Part):
    """Hold a policy or roster file, whole: any decision under it can be replayed."""

    approval: RequestId = maybe("the request whose approval let this through, where the policy in force asks for one")
    sha256: Sha256 = told("the digest of the text")
    text: str = told("the whole file")
    was: Sha256 | None = told("the digest of the file before it; null for the first")
    why: str = told("why, as typed")


class Frozen(Part):
    """Say that approvals and mints stop."""

    why: str = told("why, as typed")


class Thawed(Part):
    """Say that approvals and mints go on."""

    since: When = told("since when they had been stopped")
    was: str = told("why they had been stopped, as typed")
    why: str = told("why they go on, as typed")


class Revocation(Part):
    """Say who pulled which cord, before anything is ended by it."""

    grants: tuple[GrantId, ...] = told("the grants that are hit")
    kind: str = told("what was named: a grant, an actor, a principal, a role, or `all`")
    name: str = told("its name; empty for `all`")
    reason: str = told("why, as typed")


class Lent(Part):
    """Say that a person lends their seats."""

    from_: str = told("whose seats")
    to: str = told("who answers in them")
    until: When = told("until when")

    model_config = Part.model_config | {"alias_generator": lambda name: name.rstrip("_")}


class TakenBack(Part):
    """Say that a person takes their seats back."""

    from_: str = told("whose seats")
    to: str = told("who answered in them")

    model_config = Part.model_config | {"alias_generator": lambda name: name.rstrip("_")}


class Key(Part):
    """Say which API key; its secret is in no record."""

    expires_at: When = maybe("until when it is good")
    id: str = told("the key's id, which `by.sub` has wherever it is used")
    principal: str = told("in whose name it speaks")
    scopes: tuple[Literal["request", "review", "operate", "read"], ...] = told("what it may do")


class Link(Part):
    """Say that a sign-in link was made; its secret is in no record."""

    expires_at: When = told("until when it is good")
    link: str = told("the link's id, which `by.sub` has where it is used")
    person: str = told("whom it signs in")


class Session(Part):
    """Say that a person signed in to the console, or out; `by` names the link or the chooser that let them in."""

    expires_at: When = told("when it ends by itself")
    person: str = told("who")
    session: str = told("the session's id, which `by.sub` has wherever it is used")


class Refused(Part):
    """Say what was refused before it became anything; nothing of the body is repeated."""

    code: str = told("the error's code")
    detail: str | None = told("what the caller was told; null where that could quote what somebody typed")
    failures: Count = maybe("how many times since it was last recorded; of an account that is nobody here")
    field: str | None = told("the field that was wrong")
    principal: str | None = told("who asked; null where they are nobody here")
    route: str = told("which call")
    rule: str | None = told("the rule that it broke")
    source: str = told("the address or the account that it came from")


class Strangers(Part):
    """Say that callers without a valid key or session were turned away."""

    failures: Count = told("how many times since it was last recorded")
    others: Count = maybe(
        "how many times besides from sources that have no record of their own: what a flood left over"
    )
    source: str = told("the address that they came from")


class Exported(Part):
    """Say that the log was exported, up to a signed checkpoint; the next export holds this."""

    root: Sha256 = told("the log's root at that size")
    size: Count = told("how many records the log had")
    to: Literal["folder", "s3"] = told("to what kind of place")


OPERATOR = "the operator, as named at the command"
PERSON = "the person, by the account or key that proved them"
TYPES: Mapping[str, RecordType] = {
    "policy.applied": RecordType(Applied, "when a policy comes into force.", OPERATOR, "sys"),
    "roster.applied": RecordType(Applied, "when a countersign.toml comes into force.", OPERATOR, "sys"),
    "freeze.set": RecordType(Frozen, "when approvals and mints are stopped.", PERSON, "sys"),
    "freeze.lifted": RecordType(Thawed, "when they go on.", PERSON, "sys"),
    "revocation.requested": RecordType(Revocation, "before a revocation marks what it hits.", PERSON, "sys"),
    "away.set": RecordType(Lent, "when a person lends their seats.", PERSON, "sys"),
    "away.ended": RecordType(TakenBack, "when a person takes them back.", PERSON, "sys"),
    "export.made": RecordType(Exported, "when the log was exported.", OPERATOR, "sys"),
    "key.made": RecordType(Key, "when an API key is made.", OPERATOR, "sys"),
    "key.revoked": RecordType(Key, "when an API key is taken back.", OPERATOR, "sys"),
    "link.made": RecordType(Link, "when a sign-in link is made.", "who made it", "sys"),
    "session.started": RecordType(Session, "when a person signs in to the console.", "the link or chooser", "sys"),
    "session.ended": RecordType(Session, "when a person signs out.", "the session", "sys"),
    "ask.refused": RecordType(Refused, "when an ask is refused before it is a request.", "the caller", "sys"),
    "call.refused": RecordType(
        Refused,
        "when another call is refused; for an account that is nobody here once a minute, with a count.",
        "the caller, or the account that is nobody here",
        "sys",
    ),
    "sign_in.refused": RecordType(
        Strangers,
        "once per source and minute in which nobody known came from it, at most 60 a minute in all.",
        "Countersign",
        "sys",
    ),
}
"""The records of `sys`."""
