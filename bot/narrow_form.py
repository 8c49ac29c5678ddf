"""Read the form with which a reviewer makes an ask smaller, and say where in it a complaint belongs. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from approvers.card import shown_digest
from approvers.errors import Malformed
from approvers.narrowing import Narrow, Offer, is_whole
from approvers.request import Request, RequestState
from approvers.times import spell

TTL, ACTIONS, RESOURCES = FIELDS = ("ttl_seconds", "actions", "resources")
"""The form's fields, as `narrow` has them."""
LABELS = {
    TTL: "For how long, at most",
    ACTIONS: "Only these actions",
    RESOURCES: "Only these resources, one ARN per line; each inside one that was asked for",
}
NOTHING = "Nothing is smaller here, so nothing is decided yet. Make something smaller, or press Approve for all of it."
MAX_TYPED = 3_000


def to_narrow(*, ttl: str | None = None, actions: Sequence[str] | None = None, resources: str | None = None) -> Narrow:
    """Return what was filled in; None is a field that the form does not have. Raises Malformed, with its field."""
    if ttl is not None and not re.fullmatch(r"[1-9][0-9]{0,5}", ttl):
        raise Malformed("choose for how long", field=f"narrow.{TTL}")
    return Narrow(
        ttl_seconds=None if ttl is None else int(ttl),
        actions=None if actions is None else tuple(actions),
        resources=None if resources is None else tuple(resources.split()),
    )


def check_smaller(request: Request, wish: Narrow, shown: str) -> None:
    """Refuse a form that was sent as it was: whoever opened it wanted less, and approving all has a button.

    Of a request that waits no more, or is not what was `shown`, that is what there is to say first: by the desk.
    """
    as_shown = request.state is RequestState.PENDING and shown_digest(request) == shown
    if as_shown and is_whole(request, wish):
        raise Malformed(NOTHING, field="narrow")


def field_of(path: str, offered: Sequence[str]) -> str:
    """Return the field to show a complaint at: `narrow.actions[1]` is about `actions`; of those the form has."""
    name = re.sub(r"\[\d+\]", "", path.removeprefix("narrow.").removeprefix("narrow"))
    return name if name in offered else offered[0]


def offered(offer: Offer) -> list[str]:
    """Return the fields that a form has."""
    return [name for name, part in zip(FIELDS, (offer.ttls, offer.actions, offer.resources), strict=True) if part]


def sentence(detail: str) -> str:
    """Return a refusal as a sentence of its own."""
    said = f"{detail[:1].upper()}{detail[1:]}"
    return said if said.endswith((".", "!", "?")) else f"{said}."


def times(offer: Offer) -> list[tuple[str, str]]:
    """Return (value, words) of each time that can be chosen, the shortest first."""
    return [(str(seconds), spell(timedelta(seconds=seconds))) for seconds in offer.ttls]
