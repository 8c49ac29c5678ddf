"""Take the clicks of the console: approve, deny, revoke. What came of each is told on its card, in chat's words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from multidict import MultiDictProxy

from approvers.audit import By
from approvers.card import DENY_PRESETS
from approvers.errors import CountersignError, Inadmissible, Malformed
from approvers.ids import request_of
from approvers.targets import Target
from bot import outcomes
from bot.commits import Click
from bot.deps import Deps
from bot.sessions import SignedIn
from bot.surfaces import console_notes as notes
from bot.surfaces.console_guard import FORM, SIGNED_IN, NotListed, SignedOut
from bot.surfaces.console_notes import Note
from workers.stores.port import Conflict

MAX_REASON = 4_000
VIA = "console"
VERDICTS = ("approve", "deny")
WHOLE = "request"
"""What a form says of itself that stands on a request's own page, where nothing of it is cut."""


class Actions:
    """Hand clicks to the desk and to custody."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def review(self, request: web.Request) -> web.Response:
        """Take an approval or a denial."""
        who, form, request_id = request[SIGNED_IN], request[FORM], request.match_info["id"]
        verdict = str(form.get("verdict", ""))
        if verdict not in VERDICTS:
            raise Malformed("verdict must be approve or deny", field="verdict")
        # An absent digest is not "no card was shown", as it would be over the API: here there always is one.
        shown = str(form.get("shown", ""))

        async def take() -> str:
            click = Click(who.identity, request_id, verdict, reason_of(request), shown, whole=_whole(form))
            return outcomes.reviewed(await self._deps.desk.review(click), who.principal).text

        return self._back(request, who, await _noted(request_id, take))

    async def revoke(self, request: web.Request) -> web.Response:
        """Take a grant away."""
        who, grant_id = request[SIGNED_IN], request.match_info["id"]

        async def take() -> str:
            await self._check(who, grant_id)
            return outcomes.revoked(
                await self._deps.custody.revoke(who.identity, grant_id, "revoked in the console")
            ).text

        return self._back(request, who, await _noted(request_of(grant_id), take))

    async def turned_away(self, request: web.Request, error: NotListed) -> None:
        """Record a click of somebody whose session stands, but who is nobody here any more."""
        if request.method != "POST" or (subject := request.match_info.get("id")) is None:
            return
        by, verdict = By(None, VIA, error.who.session.id), str(request[FORM].get("verdict", "revoke"))
        request_id = request_of(subject) if subject.startswith("grt_") else subject
        known = verdict if verdict in VERDICTS else "revoke"
        await self._deps.desk.turned_away(by, VIA, request_id, error, known)

    async def _check(self, who: SignedIn, grant_id: str) -> None:
        """Let reviewers pass; whoever is none is refused on the record."""
        try:
            await self._deps.revocations.check(who.identity, Target("grant", grant_id))
        except CountersignError as error:
            await self._deps.desk.turned_away(who.identity.by, VIA, request_of(grant_id), error, "revoke")
            raise

    def _back(self, request: web.Request, who: SignedIn, note: Note) -> web.Response:
        """Lead back to the page that was clicked on, with the note."""
        page = f"/console/requests/{note.on}" if _whole(request[FORM]) else "/console/"
        response = web.Response(status=303, headers={"Location": f"{page}#note-{note.on}"})
        notes.put(response, who, note, secure=self._deps.settings.base_url.startswith("https:"))
        return response


async def _noted(request_id: str, take: Callable[[], Awaitable[str]]) -> Note:
    """Take a click and return what came of it, a refusal included. Raises SignedOut: the session ended meanwhile."""
    try:
        return Note(request_id, await take(), good=True)
    except CountersignError as error:
        return Note(request_id, outcomes.refused(error).text, good=False)
    except Conflict as conflict:
        if conflict.key.startswith("session:"):
            raise SignedOut("Your session ended while you were answering; nothing was done.") from conflict
        raise


def reason_of(request: web.Request) -> str:
    """Join the preset and the typed words of a form. Raises Inadmissible for too many words."""
    form = request[FORM]
    typed = str(form.get("reason", "")).replace("\r\n", "\n").strip()
    if len(typed) > MAX_REASON:
        detail = f"The reason has {len(typed):,} characters; at most {MAX_REASON:,} are taken."
        raise Inadmissible(detail, field="reason")
    return " ".join(part for part in (DENY_PRESETS.get(str(form.get("preset", "")), ""), typed) if part)


def _whole(form: MultiDictProxy[Any]) -> bool:
    """Tell whether the form stood on the request's own page."""
    return form.get("back") == WHOLE
