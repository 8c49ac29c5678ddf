"""Say on a card what a credential's provider cannot do: end it early, or end it by a clock of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from approvers.grant import Plan
from approvers.times import spell

NOT_EARLY = "It cannot be ended early: once approved, it lives until its time is over."


def warning(plan: Plan | None) -> Iterator[str]:
    """Warn before an approval of what nobody can take back."""
    if plan is not None and not plan.ends_early:
        yield NOT_EARLY


def home(plan: Plan) -> str:
    """Say where it leads: an account by its last digits, or a system that executables mint for."""
    digits = f"…{plan.account_id[-4:]}, " if plan.account_id else ""
    return f"{plan.account} ({digits}{plan.environment})"


def length(plan: Plan) -> str:
    """Say how long it lives, and who ends it then where that is not the provider's own clock."""
    ended = "" if plan.ends_itself else "; then ended by Countersign, not by the provider's own clock"
    return f"{spell(timedelta(seconds=plan.ttl_seconds))}{ended}"


def revoke_label(plan: Plan, ends_at: datetime | None) -> str:
    """Return what a button that takes it away promises: where nothing ends it early, when it will have ended."""
    if plan.ends_early:
        return "Revoke"
    return f"Revoke (ends at {ends_at:%H:%M} UTC)" if ends_at else "Revoke (lives until its end)"
