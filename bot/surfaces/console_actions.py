"""Take the clicks of the console: approve, deny, revoke. What came of each is told on its card."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from approvers.card import DENY_PRESETS, progress
from approvers.errors import CountersignError, Inadmissible, Malformed
from approvers.grant import GrantState
from approvers.ids import request_of
from approvers.request import RequestState
from approvers.targets import Target
from bot.commits import Click
from bot.deps import Deps
from bot.reading import View
from bot.sessions import SignedIn
from bot.surfaces import console_notes as notes
from bot.surfaces.console_guard import FORM, SIGNED_IN, SignedOut
from bot.surfaces.console_notes import Note
from workers.stores.port import Conflict

MAX_REASON = 4_000


class Actions:
    """Hand clicks to the desk and to custody."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def review(self, request: web.Request) -> web.Response:
        """Take an approval or a denial."""
        who, form, request_id = request[SIGNED_IN], request[FORM], request.match_info["id"]
        verdict = str(form.get("verdict", ""))
        if verdict not in ("approve", "deny"):
            raise Malformed("verdict must be approve or deny", field="verdict")
        # An absent digest is not "no card was shown", as it would be over the API: here there always is one.
        shown = str(form.get("shown", ""))

        async def take() -> str:
            click = Click(who.identity, request_id, verdict, reason_of(request), shown)
            return _reviewed(await self._deps.desk.review(click), verdict)

        return self._back(request, who, await _noted(request_id, take))

    async def revoke(self, request: web.Request) -> web.Response:
        """Take a grant away."""
        who, grant_id = request[SIGNED_IN], request.match_info["id"]

        async def take() -> str:
            await self._deps.revocations.check(who.identity, Target("grant", grant_id))
            return _revoked(await self._deps.custody.revoke(who.identity, grant_id, "revoked in the console"))

        return self._back(request, who, await _noted(request_of(grant_id), take))

    def _back(self, request: web.Request, who: SignedIn, note: Note) -> web.Response:
        """Lead back to the page that was clicked on, with the note."""
        page = f"/console/requests/{note.on}" if request[FORM].get("back") == "request" else "/console/"
        response = web.Response(status=303, headers={"Location": f"{page}#note-{note.on}"})
        notes.put(response, who, note, secure=self._deps.settings.base_url.startswith("https:"))
        return response


async def _noted(request_id: str, take: Callable[[], Awaitable[str]]) -> Note:
    """Take a click and return what came of it, a refusal included. Raises SignedOut: the session ended meanwhile."""
    try:
        return Note(request_id, await take(), good=True)
    except CountersignError as error:
        return Note(request_id, error.detail, good=False)
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


def _reviewed(view: View, verdict: str) -> str:
    if verdict == "deny":
        return "You denied it. The agent is told so, with your reason."
    if view.request.state is RequestState.APPROVED:
        return "You approved it, and that was enough."
    return f"Your approval counts: {progress(view.request)}."


def _revoked(view: View) -> str:
    assert view.grant is not None
    if view.grant.state is GrantState.REVOKING:
        return "You revoked it. It is called ended only when it is proven."
    return "It has ended."
