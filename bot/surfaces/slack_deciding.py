"""Carry one click to the desk or to custody, and say what came of it.

A click is a claim: who it was comes from the directory, what was shown from the digest, everything else from the
record. Nothing is read out of the message. Whatever is refused is a record, whoever it was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from approvers.audit import By
from approvers.errors import CountersignError, Malformed
from approvers.ids import grant_of
from bot import outcomes
from bot.commits import Click
from bot.identity import Identity
from bot.outcomes import Outcome
from bot.reading import NotFound
from bot.revocations import Target
from bot.surfaces.slack_incoming import Incoming
from bot.surfaces.slack_parts import SlackParts
from workers import logs
from workers.stores.port import StoreError

VIA = "slack"
REVIEW_VIEW = "cs_review_view"
_log = logs.get_logger(__name__)


async def decide(parts: SlackParts, call: Incoming, verdict: str, reason: str = "") -> Outcome:
    """Take one review."""

    async def take(request: str, shown: str) -> Outcome:
        who = await known(parts, call, request, verdict)
        click = Click(who, request, verdict, reason, shown, whole=in_review(call))
        view = await parts.deps.desk.review(click)
        return outcomes.reviewed(view, who.principal)

    return await taken(call, take)


async def revoke(parts: SlackParts, call: Incoming) -> Outcome:
    """Take the request's grant away; any reviewer may."""

    async def take(request: str, _shown: str) -> Outcome:
        who = await known(parts, call, request, "revoke")
        try:
            await parts.deps.revocations.check(who, Target("grant", grant_of(request)))
        except CountersignError as error:
            await turned_away(parts, who.by, request, error, "revoke")
            raise
        return outcomes.revoked(await parts.deps.custody.revoke(who, grant_of(request), "revoked in Slack"))

    return await taken(call, take)


async def taken(call: Incoming, take: Callable[[str, str], Awaitable[Outcome]]) -> Outcome:
    """Do it for the request and digest that the click carries; every refusal becomes words for the person."""
    try:
        request, shown = call.target()
    except Malformed as error:
        _log.warning("slack.old_button", action=str(call.action.get("action_id", ""))[:80])
        return outcomes.refused(error)
    try:
        return await take(request, shown)
    except CountersignError as error:
        return outcomes.refused(error, request)
    except StoreError as error:
        _log.warning("slack.not_decided", why=type(error).__name__)
        return outcomes.unanswered(request)


async def known(parts: SlackParts, call: Incoming, request: str, verdict: str) -> Identity:
    """Return who clicked. Raises what `People.identify` raises, once it is a record on the request's chain."""
    try:
        return await parts.people.identify(call.user)
    except CountersignError as error:
        await turned_away(parts, By(None, VIA, f"{call.team or '?'}/{call.user}"), request, error, verdict)
        raise


async def turned_away(parts: SlackParts, by: By, request: str, error: CountersignError, verdict: str) -> None:
    """Record on the request's chain that a click was refused; of a request that is not there nothing can be said."""
    try:
        await parts.deps.desk.turned_away(by, VIA, request, error, verdict)
    except NotFound:
        _log.warning("slack.unknown_request", code=error.code)


def in_review(call: Incoming) -> bool:
    """Tell whether the click was made in the dialog that shows the whole request."""
    return call.view is not None and call.view.get("callback_id") == REVIEW_VIEW
