"""Model the records of a grant's life, from its opening to the proof of its end and what became of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from approvers.grant import Ending, GrantState, Plan, Proof
from approvers.records_parts import Count, GrantId, Handle, Part, RecordType, When, maybe, told


class Grant(Part):
    """Say how a grant stands: never more of its credential than the public handle. What says nothing is left out."""

    access_key_id: str = maybe("the public handle of the credential; the secret is in no record")
    collect_by: When = maybe("until when its caller had to collect it, or it ends")
    collected_at: When = maybe("when the Deny was removed from the role")
    ending: Ending = maybe("why, by whom and since when it is being ended")
    ends_at: When = maybe("when its TTL is over, counted from the mint")
    expiration: When = maybe("when the provider's own clock ends the credential")
    extended_by: GrantId = maybe("the newest grant that goes on with its work")
    failure: str = maybe("why nothing was issued")
    grant: GrantId = told("the grant")
    handed_at: When = maybe("when its caller first collected it")
    may_live_until: When = maybe("the last moment at which any session ever minted for it can be valid")
    minted_at: When = maybe("when it was minted")
    packed_percent: Count = maybe("how much of the provider's room for a session's policy and tags it took")
    proof: Proof = maybe("what shows that the credential is dead")
    role_arn: str = told("the role that it is minted from, or `command:PROVIDER/ROLE`")
    state: GrantState = told("its state after what is recorded")
    trouble: str = maybe("what stands in the way at present; it is tried again")
    warned_at: When = maybe("when its end was warned of")


class Opened(Part):
    """Say that a credential may be minted, and exactly which."""

    approved_by: tuple[str, ...] = told("the people who approved; empty where a rule or break-glass did")
    grant: GrantId = told("the grant")
    mint_by: When = maybe("until when it may be minted; later the approval is stale")
    plan: Plan = told("what will be minted: narrower than what was asked where reviewers made it so")


class Extended(Grant):
    """Say that another grant goes on with this one's work; this one ends as it would have."""

    handle: Handle = told("the other grant's short handle")
    until: When = told("when the other grant ends")


class Flag(Part):
    """Say one thing that a session did and should not have."""

    calls: tuple[str, ...] = told("the first calls that show it")
    kind: str = told("which kind of flag")
    points: Count = told("its points")
    through: bool = told("whether any such call went through")


class Flagged(Part):
    """Say what monitoring saw."""

    flags: tuple[Flag, ...] = told("each flag that stands, with its evidence")
    grant: GrantId = told("the grant")
    points: Count = told("the sum of the flags' points")
    said: str = told("the same in words")


class Killed(Grant):
    """Say why monitoring ends a grant."""

    flags: tuple[Flag, ...] = told("each flag that stands, with its evidence")
    points: Count = told("the sum of the flags' points")
    said: str = told("the same in words")
    writes: str = told("what was changed by then, in words")


class Narrower(Part):
    """Say what would have been enough."""

    actions: tuple[str, ...] = told("the actions that were used, or of which nobody can tell")
    resources: tuple[str, ...] = told("the resources that were reached")


class Reported(Flagged):
    """Hold what was granted against what was used: the summary of a session's activity."""

    calls: Count = told("how many calls were seen")
    never: tuple[str, ...] = told("granted actions that nobody used")
    proposal: Narrower | None = told("what to ask for next time; null where nothing narrower would have done")
    refusals: Count = told("how many calls were refused")
    text: str = told("the whole report in words")
    unseen: tuple[str, ...] = told("granted actions that the account's log cannot show")
    used: tuple[str, ...] = told("granted actions that were used")
    writes: Count = told("how many calls changed something")


class Collected(Part):
    """Say that the caller fetched its sealed credential."""

    access_key_id: str = told("the public handle of the credential")
    grant: GrantId = told("the grant")


WORKER = "Countersign (worker)"
_MINTED = ("access_key_id", "minted_at", "ends_at", "expiration", "may_live_until")


def _moved(says: str, *needs: str, by: str = WORKER, ended: bool = False) -> RecordType:
    wants = (*needs, "ending") if ended else needs
    return RecordType(Grant, says, by, needs=wants)


TYPES: Mapping[str, RecordType] = {
    "grant.opened": RecordType(
        Opened, "with the decision that approves an ask for access.", "who decided", lately=("mint_by",)
    ),
    "grant.claimed": _moved("before the provider is called: from here on a credential may exist.", "may_live_until"),
    "grant.minted": _moved("when the provider has issued the credential.", *_MINTED),
    "grant.refused": _moved("when the provider says no and issues nothing.", "failure"),
    "grant.not_sent": _moved("when nothing reached the provider; it is tried again.", "trouble"),
    "grant.lost": _moved("when nobody knows whether it was issued, or its mint took too long.", ended=True),
    "grant.overtaken": RecordType(
        Grant,
        "when a freeze, a change of the rules or the deadline came before the mint.",
        WORKER,
        needs=("failure",),
    ),
    "grant.ended": _moved("when its TTL is over.", *_MINTED, ended=True),
    "grant.never_collected": _moved("when nobody collected it in time.", *_MINTED, ended=True),
    "grant.heartbeat_lost": _moved("when its caller fell silent.", *_MINTED, ended=True),
    "grant.ending_soon": _moved("when its end is warned of.", *_MINTED, "warned_at"),
    "grant.extended": RecordType(
        Extended,
        "when another grant that goes on with its work is minted.",
        WORKER,
        needs=("extended_by",),
    ),
    "grant.release_requested": _moved("when its caller gives it back.", by="the caller", ended=True),
    "grant.revoke_requested": _moved(
        "when a person takes it away, or the reconciler finds that somebody did at the provider.",
        by="the person, or Countersign (reconciler)",
        ended=True,
    ),
    "grant.kill_requested": RecordType(Killed, "when monitoring ends it.", WORKER, needs=(*_MINTED, "ending")),
    "grant.revoke_failed": _moved("when there is no proof of its end yet; it is tried again.", "trouble", ended=True),
    "grant.revoked": _moved(
        "with the proof of its end: which kind, at what moment, after how many seconds and how many probes.",
        "proof",
        by="Countersign (worker); who revoked it, where nothing had been issued",
        ended=True,
    ),
    "grant.collected": _moved(
        "when its Deny is removed from the role, after every session of it has expired.",
        "proof",
        "collected_at",
        ended=True,
    ),
    "grant.flagged": RecordType(Flagged, "when monitoring sees what was not granted.", WORKER),
    "grant.reported": RecordType(Reported, "when its activity is no longer looked at: the last word on it.", WORKER),
    "credential.collected": RecordType(Collected, "each time the sealed credential is fetched.", "the caller"),
}
"""The records of a grant, in the order in which they can come."""
