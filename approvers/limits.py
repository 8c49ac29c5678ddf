"""Apply the caps of a policy: how long, how many actions, and how soon again after a denial."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from approvers.errors import Inadmissible
from approvers.facts import Facts
from approvers.policy import Policy
from approvers.times import spell


def ttl_for(policy: Policy, asked: int | None) -> int:
    """Return the TTL in seconds: what was asked, else the policy's default."""
    return int(policy.limits.ttl_default.total_seconds()) if asked is None else asked


def check_limits(policy: Policy, facts: Facts) -> None:
    """Check an ask against the caps; the smallest that applies wins.

    Raises:
        Inadmissible: naming field, cap and what would fit.
    """
    cap, name = min(_caps(policy, facts))
    if facts.ttl_seconds > cap.total_seconds():
        asked = spell(timedelta(seconds=facts.ttl_seconds))
        reason = "" if name == "default" else f" for {name}"
        raise Inadmissible(f"{asked} is longer than the {spell(cap)} that the policy gives{reason}; "
                           f"ask for at most {int(cap.total_seconds())} seconds.",
                           field="ttl_seconds", rule=f"limits.ttl_max.{name}")  # fmt: skip
    most = policy.limits.actions_max
    if len(facts.actions) > most:
        raise Inadmissible(f"{len(facts.actions)} different actions are more than the {most} that the policy lets one "
                           "request hold; ask for fewer, or in several requests.",
                           field="access.actions", rule="limits.actions_max")  # fmt: skip


def cooling_until(policy: Policy, denied_at: datetime) -> datetime | None:
    """Return until when the same ask, denied by a person, is answered with that denial; None: it may be asked again."""
    pause = policy.limits.denied_cool_down
    return denied_at + pause if pause else None


def _caps(policy: Policy, facts: Facts) -> Iterator[tuple[timedelta, str]]:
    caps = policy.limits.ttl_max
    for name in ("default", *facts.environments, *facts.access_levels):
        if name in caps:
            yield caps[name], name
