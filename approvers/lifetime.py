"""Say what comes to an ACTIVE grant, and when: its end, a warning of it, an end because nobody is there to use it.

A grant has one due time while it is ACTIVE: the earliest of these (`next_look`). Whoever looks then asks what has come
(`what_is_due`) by the store's time. Of what is due at once, the end of the TTL comes first: it needs no Deny.

That nobody comes says something only while somebody is there to hear it (`excused`): an outage of our own ends nothing
before its time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from approvers.errors import Inadmissible
from approvers.grant import Grant, Plan, end
from approvers.times import Moment, spell, stamp

BEAT_GRACE = timedelta(seconds=5)
"""How long after the promised heartbeat a grant is let live: one beat may be under way, and no network is even."""
HEARD_GAP = BEAT_GRACE
"""Web processes were away if none noted itself for longer: what is shorter, the grace covers."""
COLLECT_GRACE = timedelta(minutes=1)
"""How long after an outage of ours a credential that nobody collected yet still waits for its caller."""
WARNING = "ending_soon"
Cause = Literal["ttl_elapsed", "never_collected", "heartbeat_lost"]
ENDS: Mapping[Cause, tuple[str, str]] = {
    "ttl_elapsed": ("clock", "the TTL is over"),
    "never_collected": ("worker", "nobody collected the credential in time"),
    "heartbeat_lost": ("worker", "no heartbeat came in time"),
}
"""By whom, and with which words, a grant ends by itself."""


class Beat(BaseModel):
    """The last time that a grant's caller said it lives, stored beside the grant: a beat wakes nobody who reads it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    at: Moment


class Hearing(BaseModel):
    """Since when web processes have been there to hear callers, without a gap, and until when that is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    since: Moment
    until: Moment


def heard(before: Hearing | None, now: datetime) -> Hearing:
    """Note that a web process is there; after a gap it counts from now."""
    if before is None or now - before.until > HEARD_GAP:
        return Hearing(since=now, until=now)
    return before.model_copy(update={"until": now})


def check_heartbeat(seconds: int | None, plan: Plan | None) -> None:
    """Raise Inadmissible where a heartbeat is asked for that nothing could come of."""
    if seconds is None:
        return
    if plan is None:
        raise Inadmissible("a heartbeat keeps a credential alive, and this asks for none: add `access`, or leave "
                           "`heartbeat_seconds` out.", field="heartbeat_seconds", rule="heartbeat.access")  # fmt: skip
    if not plan.ends_early:
        raise Inadmissible(f"a credential of role {plan.role} cannot be ended early, so a heartbeat that stops would "
                           "end nothing: leave `heartbeat_seconds` out.", field="heartbeat_seconds",
                           rule="heartbeat.ends_early")  # fmt: skip


def under(grant: Grant, *, collect_within: timedelta, warn_before: timedelta) -> Grant:
    """Return a grant just minted with what it lives under; a TTL below twice `warn_before` is not warned of."""
    assert grant.minted_at is not None
    assert grant.ends_at is not None
    warned = timedelta(seconds=grant.plan.ttl_seconds) >= 2 * warn_before
    return grant.model_copy(
        update={
            "collect_by": min(grant.minted_at + collect_within, grant.ends_at),
            "beat_at": grant.minted_at if grant.heartbeat_seconds else None,
            "warn_at": grant.ends_at - warn_before if warned else None,
        }
    )


def next_look(grant: Grant) -> datetime:
    """Return when something comes to an ACTIVE grant next."""
    return min(when for _, when in _ahead(grant))


def what_is_due(grant: Grant, now: datetime) -> Cause | Literal["ending_soon"] | None:
    """Return what has come to an ACTIVE grant by `now`: why it ends, `ending_soon`, or nothing."""
    return next((what for what, when in _ahead(grant) if when <= now), None)


def ended(grant: Grant, cause: Cause, now: datetime) -> Grant:
    """End a grant for a cause that nobody gave the order for."""
    by, reason = ENDS[cause]
    if cause == "heartbeat_lost" and grant.beat_at:
        reason = f"{reason}; the last one was at {stamp(grant.beat_at)}"
    return end(grant, cause, now, by=by, reason=reason)


def handed(grant: Grant, now: datetime) -> Grant:
    """Note the first time that its caller collected the credential; the grant itself where that was before."""
    return grant if grant.handed_at else grant.model_copy(update={"handed_at": now})


def beaten(grant: Grant, at: datetime | None) -> Grant:
    """Return the grant with its caller's last beat; one that asked for no heartbeat has none."""
    if at is None or grant.beat_at is None or at <= grant.beat_at:
        return grant
    return grant.model_copy(update={"beat_at": at})


def excused(grant: Grant, hearing: Hearing | None, now: datetime) -> Grant:
    """Return the grant as its caller's silence counts: from when somebody could hear it; while nobody can, from now.

    So each caller has one whole interval after an outage of ours. None: web processes that note nothing; then silence
    counts as it is.
    """
    if hearing is None:
        return grant
    since = hearing.since if now - hearing.until <= HEARD_GAP else now
    if grant.collect_by and grant.minted_at and since > grant.minted_at:
        grant = grant.model_copy(update={"collect_by": max(grant.collect_by, since + COLLECT_GRACE)})
    return beaten(grant, since)


def warned(grant: Grant, now: datetime) -> Grant:
    """Note that its end was warned of; the state stays what it was."""
    return grant.model_copy(update={"warned_at": now})


def extended(grant: Grant, by: Grant) -> Grant:
    """Note which grant goes on with the work of this one, whatever its state; it ends no later for that."""
    return grant.model_copy(update={"extended_by": by.id, "extended_as": by.handle})


def silent_at(grant: Grant) -> datetime | None:
    """Return when the grant ends unless its caller beats before; None where no heartbeat was asked for."""
    if grant.heartbeat_seconds is None or grant.beat_at is None:
        return None
    return grant.beat_at + timedelta(seconds=grant.heartbeat_seconds) + BEAT_GRACE


def time_left(grant: Grant) -> str:
    """Say how long a warned grant had still to go, in whole seconds: `2 min`."""
    assert grant.ends_at is not None
    assert grant.warned_at is not None
    return spell(max(timedelta(seconds=1), grant.ends_at - grant.warned_at + timedelta(milliseconds=500)))


def _ahead(grant: Grant) -> Iterator[tuple[Cause | Literal["ending_soon"], datetime]]:
    """Yield what can come to an ACTIVE grant, and when; a grant of an old record has its end only."""
    assert grant.ends_at is not None
    yield "ttl_elapsed", grant.ends_at
    if grant.collect_by and not grant.handed_at:
        yield "never_collected", grant.collect_by
    if silent := silent_at(grant):
        yield "heartbeat_lost", silent
    if grant.warn_at and not grant.warned_at:
        yield "ending_soon", grant.warn_at
