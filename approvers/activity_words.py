"""Say what a session did, in plain sentences: for cards, threads, alerts and records. No markup is escaped here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from approvers.activity import Activity, Flag, FlagKind, Noted
from approvers.card_text import MAX_LINE, one_line

NAMES: Mapping[FlagKind, tuple[str, str]] = {
    "after_end": ("calls went through after its end", "calls after its end, refused"),
    "blinds": ("it switched off what watches", "it tried to switch off what watches"),
    "escalation": ("it got itself more rights", "it tried to get more rights"),
    "other_address": ("calls came from more than one network", "calls came from more than one network"),
    "refusals": ("many calls were refused", "five or more calls were refused"),
    "outside_action": ("actions that were not granted went through", "actions that were not granted, refused"),
    "outside_resource": ("resources that were not granted were reached", "resources that were not granted, refused"),
    "other_region": ("calls in another region went through", "calls in another region, refused"),
    "unknown_action": ("calls that have no known action", "calls that have no known action, refused"),
}
"""What each flag says, where a call went through and where none did."""
MOST_SAID = 4


def name(flag: Flag) -> str:
    """Return what a flag says, with its points: `it tried to get more rights (30)`."""
    return f"{NAMES[flag.kind][0 if flag.through else 1]} ({flag.points})"


def said(activity: Activity, limit: int = MAX_LINE) -> str:
    """Say which flags stand, the worst first: one line without a full stop; empty where there is none."""
    return one_line("; ".join(name(flag) for flag in activity.flags), limit)


def first_call(activity: Activity) -> str:
    """Return the first call of the worst flag, for whoever has to judge it; empty where there is none."""
    for flag in activity.flags:
        if flag.evidence:
            return spoken(flag.evidence[0])
    return ""


def flagged(activity: Activity) -> str:
    """Say what was seen, for the card and its thread."""
    first = first_call(activity)
    return f"{activity.points} points: {said(activity)}." + (f" First: {first}." if first else "")


def kill_reason(activity: Activity) -> str:
    """Say why monitoring ends a grant, in one sentence."""
    return one_line(f"{activity.deadly} points: {said(activity)}")


def writes_done(activity: Activity, most: int = MOST_SAID) -> str:
    """Say what was changed: `2 writes: …`; that there was nothing is said as well."""
    if not activity.write_calls:
        return "no writes were seen"
    count = f"{activity.write_calls} write{'' if activity.write_calls == 1 else 's'}"
    return f"{count}: {listed([spoken(one) for one in activity.writes], most, activity.write_calls)}"


def spoken(line: Noted) -> str:
    """Return a call that was written down, with its time of day."""
    return f"{line.at:%H:%M:%S} {line.text}"


def listed(texts: Sequence[str], most: int, count: int | None = None) -> str:
    """Return the first texts, and how many there are besides."""
    more = (len(texts) if count is None else count) - min(most, len(texts))
    return "; ".join(texts[:most]) + (f"; and {more} more" if more > 0 else "")
