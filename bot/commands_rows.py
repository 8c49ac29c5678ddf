"""Turn requests into the rows and choices of a command's answer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from approvers.card import push, render, shown_digest, visible
from approvers.grant import GrantState
from approvers.times import spell
from bot.reading import View
from bot.replies import MAX_CHOICES, MAX_ROWS, Choice, Row

MAX_TITLE = 300


def title(view: View) -> str:
    """Return who wants what, where, for how long: `report-bot → READ 2026/* in prod-payments, 15 min`."""
    return visible(push(view.request).partition(" · ")[0], MAX_TITLE)


def waiting(view: View, *, mine: bool) -> Row:
    """Return the row of a request that waits."""
    _, _, facts = push(view.request).partition(" · ")
    detail = f"waits for you · {facts}" if mine else facts
    request = view.request
    return Row(request.id, request.handle, title(view), detail, ("review",), shown_digest(request))


def live(view: View, now: datetime, *, buttons: bool = True) -> Row:
    """Return the row of a grant that has not ended: until when it lives, or how far its end is."""
    request, grant = view.request, view.grant
    assert grant is not None
    gives = buttons and grant.state is not GrantState.REVOKING
    detail = ends(view, now)
    return Row(request.id, request.handle, title(view), detail, ("revoke",) if gives else (), shown_digest(request))


def ends(view: View, now: datetime) -> str:
    """Say when a grant ends, in how long, and who approved it; of one that is not live, how it stands."""
    grant = view.grant
    if grant is None or grant.state is not GrantState.ACTIVE or grant.ends_at is None:
        return render(view.request, grant).status
    left = max(timedelta(), grant.ends_at - now)
    people = ", ".join(person.removeprefix("user:") for person in grant.approved_by) or "policy"
    return visible(f"ends {grant.ends_at:%H:%M:%S} UTC, in {spell(left)} · approved by {people}", MAX_TITLE)


def shortened(rows: Sequence[Row]) -> tuple[tuple[Row, ...], int]:
    """Return at most `MAX_ROWS` rows, and how many there are beyond them."""
    return tuple(rows[:MAX_ROWS]), max(0, len(rows) - MAX_ROWS)


def choices(command: str, views: Iterable[View]) -> tuple[Choice, ...]:
    """Return a picker that runs the command on one of these; by id, as a handle may mean another by then."""
    unique = {view.request.id: view for view in views}
    found = [Choice(f"{one.request.handle} {title(one)}", f"{command} {key}") for key, one in unique.items()]
    return tuple(found[:MAX_CHOICES])
