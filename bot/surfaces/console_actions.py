"""Take the clicks of the console: approve, deny, revoke. What came of each is told on its card, in chat's words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from multidict import MultiDictProxy

from approvers.after_review import Verdict
from approvers.audit import By
from approvers.card import DENY_PRESETS
from approvers.errors import CountersignError, Inadmissible, Malformed
from approvers.ids import request_of
from approvers.narrowing import offer
from approvers.targets import Target
from bot import outcomes
from bot.commits import Click
from bot.deciding import AFTERWARDS
from bot.deps import Deps
from bot.narrow_form import check_smaller
from bot.sessions import SignedIn
from bot.surfaces import console_less as less
from bot.surfaces import console_notes as notes
from bot.surfaces.console_guard import FORM, SIGNED_IN, NotListed, SignedOut
from bot.surfaces.console_notes import Note
from bot.surfaces.console_shell import Shell
from workers.stores.port import Conflict

MAX_REASON = 4_000
VIA = "console"
VERDICTS = ("approve", "deny")
FINDINGS = ("justified", "unjustified")
WHOLE = "request"
"""What a form says of itself that stands on a request's own page, where nothing of it is cut."""


class Actions:
    """Hand clicks to the desk and to custody."""

    def __init__(self, deps: Deps, shell: Shell) -> None:
        self._deps, self._shell = deps, shell

    async def review(self, request: web.Request) -> web.Response:
        """Take an approval or a denial."""
        who, form, request_id = request[SIGNED_IN], request[FORM], request.match_info["id"]
        verdict = str(form.get("verdict", ""))
        if verdict not in VERDICTS:
            raise Malformed("verdict must be approve or deny", field="verdict")
        if less.is_sent(form):
            return await self._review_less(request)
        # An absent digest is not "no card was shown", as it would be over the API: here there always is one.
        shown = str(form.get("shown", ""))

        async def take() -> str:
            click = Click(who.identity, request_id, verdict, reason_of(request), shown, whole=_whole(form))
            return outcomes.reviewed(await self._deps.desk.review(click), who.principal).text

        return self._back(request, who, await noted(request_id, take))

    async def after_review(self, request: web.Request) -> web.Response:
        """Take what somebody finds of a use of break-glass."""
        who, request_id = request[SIGNED_IN], request.match_info["id"]
        verdict = str(request[FORM].get("verdict", ""))
        if verdict not in FINDINGS:
            raise Malformed("verdict must be justified or unjustified", field="verdict")
        found: Verdict = "justified" if verdict == "justified" else "unjustified"

        async def take() -> str:
            view = await self._deps.after_reviews.take(who.identity, request_id, found, reason_of(request))
            return outcomes.after_reviewed(view, who.principal).text

        return self._back(request, who, await noted(request_id, take))

    async def _review_less(self, request: web.Request) -> web.Response:
        """Take an approval of less than was asked, or show its form once more with what is wrong in it."""
        who, form, request_id = request[SIGNED_IN], request[FORM], request.match_info["id"]
        view = await self._deps.reader.look(request_id)
        wanted, shown = offer(view.request), str(form.get("shown", ""))
        filled, problem = less.filled_in(form, wanted), list[CountersignError]()

        async def take() -> str:
            try:
                narrow = less.wish(filled)
                check_smaller(view.request, narrow, shown)
                click = Click(
                    who.identity,
                    request_id,
                    "approve",
                    shown=shown,
                    whole=_whole(form),
                    narrow=narrow,
                )
                return outcomes.reviewed(await self._deps.desk.review(click), who.principal).text
            except CountersignError as error:
                problem.append(error)
                raise

        note = await noted(request_id, take)
        if problem and wanted and (page := await less.again(self._shell, request, view, filled, problem[0])):
            return page
        return self._back(request, who, note)

    async def revoke(self, request: web.Request) -> web.Response:
        """Take a grant away."""
        who, grant_id = request[SIGNED_IN], request.match_info["id"]

        async def take() -> str:
            await self._check(who, grant_id)
            return outcomes.revoked(
                await self._deps.custody.revoke(who.identity, grant_id, "revoked in the console")
            ).text

        return self._back(request, who, await noted(request_of(grant_id), take))

    async def turned_away(self, request: web.Request, error: NotListed) -> None:
        """Record a click of somebody whose session stands, but who is nobody here any more."""
        if request.method != "POST" or (subject := request.match_info.get("id")) is None:
            return
        by, verdict = By(None, VIA, error.who.session.id), str(request[FORM].get("verdict", "revoke"))
        request_id = request_of(subject) if subject.startswith("grt_") else subject
        known = AFTERWARDS if verdict in FINDINGS else verdict if verdict in VERDICTS else "revoke"
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


async def noted(on: str, take: Callable[[], Awaitable[str]]) -> Note:
    """Take a click and return what came of it, a refusal included. Raises SignedOut: the session ended meanwhile."""
    try:
        return Note(on, await take(), good=True)
    except CountersignError as error:
        return Note(on, outcomes.refused(error).text, good=False)
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
