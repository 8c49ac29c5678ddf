"""Hand a Slack click to the neutral deciding: who pressed, on what, and whether all of it was before them."""

from __future__ import annotations

from approvers.after_review import Verdict
from approvers.audit import By
from approvers.narrowing import Narrow
from bot import deciding
from bot.deciding import Press
from bot.identity import Identity
from bot.outcomes import Outcome
from bot.surfaces.slack_incoming import Incoming
from bot.surfaces.slack_parts import SlackParts

REVIEW_VIEW = "cs_review_view"


async def decide(
    parts: SlackParts, call: Incoming, verdict: str, reason: str = "", *, narrow: Narrow | None = None
) -> Outcome:  # fmt: skip
    """Take one review."""
    return await deciding.decide(parts.deps, _press(parts, call), verdict, reason, narrow=narrow)


async def after_review(parts: SlackParts, call: Incoming, verdict: Verdict, reason: str = "") -> Outcome:
    """Take what somebody finds of a use of break-glass."""
    return await deciding.after_review(parts.deps, _press(parts, call), verdict, reason)


async def revoke(parts: SlackParts, call: Incoming) -> Outcome:
    """Take the request's grant away; any reviewer may."""
    return await deciding.revoke(parts.deps, _press(parts, call))


async def known(parts: SlackParts, call: Incoming, request: str, verdict: str) -> Identity:
    """Return who clicked. Raises what `People.identify` raises, once it is a record on the request's chain."""
    return await deciding.known(parts.deps, _press(parts, call), request, verdict)


def in_review(call: Incoming) -> bool:
    """Tell whether the click was made in the dialog that shows the whole request."""
    return call.view is not None and call.view.get("callback_id") == REVIEW_VIEW


def _press(parts: SlackParts, call: Incoming) -> Press:
    return Press(
        who=lambda: parts.people.identify(call.user),
        by=By(None, "slack", f"{call.team or '?'}/{call.user}"),
        via="slack",
        target=call.target,
        whole=in_review(call),
        where="Slack",
    )
