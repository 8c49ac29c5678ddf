"""Carry one click to the desk or to custody, and say what came of it: the same on every chat surface.

A click is a claim: who it was comes from the directory, what was shown from the digest, everything else from the
record. Nothing is read out of the message. Whatever is refused is a record, whoever it was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from approvers.after_review import Verdict
from approvers.audit import By
from approvers.errors import CountersignError, Malformed
from approvers.ids import grant_of
from approvers.narrowing import Narrow
from bot import outcomes
from bot.commits import Click
from bot.deps import Deps
from bot.identity import Identity
from bot.narrow_form import check_smaller
from bot.outcomes import Outcome
from bot.reading import NotFound
from bot.revocations import Target
from workers import logs
from workers.stores.port import StoreError

AFTERWARDS = "review it afterwards"
"""What a record says somebody tried who may not review a use of break-glass."""
_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Press:
    """One press of a button, as a surface heard it.

    Attributes:
        who: asks the platform who this is; raises for whoever is nobody here.
        by: how records name them as long as it is not known who they are.
        via: the surface.
        target: returns request and digest as the button carries them. Raises Malformed.
        whole: whether all of the request was before them, not a card that may have had to leave things out.
        where: the platform's name, in the reason of a revocation.
    """

    who: Callable[[], Awaitable[Identity]]
    by: By
    via: str
    target: Callable[[], tuple[str, str]]
    whole: bool
    where: str


async def decide(
    deps: Deps, press: Press, verdict: str, reason: str = "", *, narrow: Narrow | None = None
) -> Outcome:  # fmt: skip
    """Take one review. `narrow` comes from a form for that: one that makes nothing smaller is no approval yet."""

    async def take(request: str, shown: str) -> Outcome:
        who = await known(deps, press, request, verdict)
        if narrow is not None:
            check_smaller((await deps.reader.look(request)).request, narrow, shown)
        view = await deps.desk.review(Click(who, request, verdict, reason, shown, whole=press.whole, narrow=narrow))
        return outcomes.reviewed(view, who.principal)

    return await taken(press, take)


async def after_review(deps: Deps, press: Press, verdict: Verdict, reason: str = "") -> Outcome:
    """Take what somebody finds of a use of break-glass."""

    async def take(request: str, _shown: str) -> Outcome:
        who = await known(deps, press, request, AFTERWARDS)
        return outcomes.after_reviewed(await deps.after_reviews.take(who, request, verdict, reason), who.principal)

    return await taken(press, take)


async def revoke(deps: Deps, press: Press) -> Outcome:
    """Take the request's grant away; any reviewer may."""

    async def take(request: str, _shown: str) -> Outcome:
        who = await known(deps, press, request, "revoke")
        try:
            await deps.revocations.check(who, Target("grant", grant_of(request)))
        except CountersignError as error:
            await turned_away(deps, replace(press, by=who.by), request, error, "revoke")
            raise
        return outcomes.revoked(await deps.custody.revoke(who, grant_of(request), f"revoked in {press.where}"))

    return await taken(press, take)


async def taken(press: Press, take: Callable[[str, str], Awaitable[Outcome]]) -> Outcome:
    """Do it for the request and digest that the click carries; every refusal becomes words for the person."""
    try:
        request, shown = press.target()
    except Malformed as error:
        _log.warning(f"{press.via}.old_button", by=press.by.sub)
        return outcomes.refused(error)
    try:
        return await take(request, shown)
    except CountersignError as error:
        return outcomes.refused(error, request)
    except StoreError as error:
        _log.warning(f"{press.via}.not_decided", why=type(error).__name__)
        return outcomes.unanswered(request)


async def known(deps: Deps, press: Press, request: str, verdict: str) -> Identity:
    """Return who clicked. Raises what `press.who` raises, once it is a record on the request's chain."""
    try:
        return await press.who()
    except CountersignError as error:
        await turned_away(deps, press, request, error, verdict)
        raise


async def turned_away(deps: Deps, press: Press, request: str, error: CountersignError, verdict: str) -> None:
    """Record on the request's chain that a click was refused; of a request that is not there nothing can be said."""
    try:
        await deps.desk.turned_away(press.by, press.via, request, error, verdict)
    except NotFound:
        _log.warning(f"{press.via}.unknown_request", code=error.code)
