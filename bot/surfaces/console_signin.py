"""Let people in and out: a link with a button, and in a demo a chooser of its people."""

from __future__ import annotations

from aiohttp import web

from approvers.errors import CountersignError
from bot.deps import Deps
from bot.sessions import LinkRefused, SignedIn
from bot.surfaces.console_guard import FORM, SIGNED_IN, Guard
from bot.surfaces.console_shell import Shell


class SignIn:
    """Serve the pages of signing in."""

    def __init__(self, deps: Deps, guard: Guard, shell: Shell) -> None:
        self._deps, self._guard, self._shell = deps, guard, shell

    async def page(self, request: web.Request) -> web.Response:
        """Say how to sign in, and in a demo offer its people."""
        return await self.ask(request, status=200)

    async def ask(self, request: web.Request, *, status: int, why: str = "") -> web.Response:
        """Show that page with a status, and why it is shown."""
        hints = self._hints() if self._guard.offers_chooser(request) else ()
        context = {"title": "Sign in", "why": why, "link": None, "next": request.path, "hints": hints}
        return await self._shell.page(request, "sign_in.html", context, status=status)

    async def link(self, request: web.Request) -> web.Response:
        """Show the link's button. Nothing is used up: chat previews and scanners open links, too."""
        token = request.match_info["token"]
        try:
            link = await self._guard.sessions.peek(token)
        except LinkRefused as refused:
            return await self.ask(request, status=410, why=refused.detail)
        context = {"title": "Sign in", "why": "", "link": link, "token": token}
        return await self._shell.page(request, "sign_in.html", context)

    async def enter(self, request: web.Request) -> web.Response:
        """Use the link up and begin a session."""
        token = str(request[FORM].get("token", ""))
        try:
            link = await self._guard.sessions.peek(token)
            if self._deps.policies.current.roster.person(link.principal) is None:
                raise LinkRefused(f"{link.principal} is not in countersign.toml any more; ask your operator.")
            return await self._begin(request, await self._guard.sessions.enter(token), "/console/")
        except LinkRefused as refused:
            await self._deps.refusals.stranger(request.remote or "unknown")
            return await self.ask(request, status=410, why=refused.detail)

    async def choose(self, request: web.Request) -> web.Response:
        """Sign in as one of the demo's people."""
        if not self._guard.offers_chooser(request):
            raise web.HTTPNotFound(text="There is no chooser here.")
        principal = str(request[FORM].get("person", ""))
        if self._deps.policies.current.roster.person(principal) is None:
            raise CountersignError("There is no such person in the roster; load the page again.")
        chosen = await self._guard.sessions.choose(principal)
        return await self._begin(request, chosen, _safe(request[FORM].get("next")))

    async def leave(self, request: web.Request) -> web.Response:
        """End the session."""
        await self._guard.sessions.leave(request[SIGNED_IN])
        response = web.Response(status=303, headers={"Location": "/console/sign-in"})
        self._guard.end(response)
        return response

    def _hints(self) -> list[str]:
        """Say who answers for which caller, so that nobody wonders about being refused."""
        callers = self._deps.policies.current.roster.callers.values()
        return [
            f"{owner.partition(':')[2]} answers for {caller.name}, and so may not approve what it asks."
            for caller in callers
            for owner in caller.owners
        ]

    async def _begin(self, request: web.Request, who: SignedIn, place: str) -> web.Response:
        if (before := request.get(SIGNED_IN)) is not None:
            await self._guard.sessions.leave(before)
        response = web.Response(status=303, headers={"Location": place})
        self._guard.begin(response, who)
        return response


def _safe(place: object) -> str:
    """Return a page of the console to go to; never another site's."""
    text = str(place or "")
    plain = text.startswith("/console/") and text.isprintable() and text.isascii() and not {"\\", "//"} & set(text)
    return text if plain and "//" not in text and not text.startswith("/console/sign-in") else "/console/"
