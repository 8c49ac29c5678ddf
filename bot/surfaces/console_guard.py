"""Stand before every page of the console: who may load it, from where, signed in as whom, and what it may contain.

A page is answered only under a host name that is ours (a rebound name of somebody else's is not), a form counts only
when our own page sent it, and a person is whoever the session names, as long as the roster still knows that person.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from multidict import MultiDictProxy

from approvers.errors import CountersignError
from bot.deps import Deps
from bot.sessions import SESSION_LASTS, Sessions, SignedIn
from workers.settings import Settings, is_loopback

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SIGNED_IN = web.RequestKey("signed_in", SignedIn)
FORM: web.RequestKey[MultiDictProxy[Any]] = web.RequestKey("form", MultiDictProxy)
PUBLIC = ("/console/static/", "/console/sign-in")
"""Where nobody needs to be signed in yet."""
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class SignedOut(CountersignError):
    """Nobody is signed in here, or not any more."""

    code = "unauthenticated"


class NotListed(SignedOut):
    """The session stands, but countersign.toml does not name its person any more: they are nobody here."""

    code = "unknown_person"

    def __init__(self, who: SignedIn) -> None:
        """Take the session."""
        super().__init__(
            f"Countersign does not know you any more: {who.principal} is not in countersign.toml, so nothing was done. "
            "Ask whoever keeps it."
        )
        self.who = who


class NotOurs(CountersignError):
    """The request did not come from a page of this console, or not to this console."""

    code = "forbidden"


@dataclass(frozen=True)
class Guard:
    """Check requests against one deployment's address."""

    deps: Deps
    sessions: Sessions

    @property
    def cookie(self) -> str:
        """Return the session cookie's name; behind https the prefix ties it to this host and to https."""
        return "__Host-countersign" if self._https else "countersign"

    @property
    def _settings(self) -> Settings:
        return self.deps.settings

    @property
    def _https(self) -> bool:
        return self._settings.base_url.startswith("https:")

    def offers_chooser(self, request: web.Request) -> bool:
        """Tell whether anybody may sign in as anybody: only in a demo, only from this machine."""
        return self._settings.demo and is_loopback(request.remote or "")

    def check_host(self, request: web.Request) -> None:
        """Refuse a host name that is not ours: another site could have pointed its own name here."""
        name = urlsplit(f"//{request.host}").hostname or ""
        ours = None if self._settings.public_url is None else urlsplit(self._settings.public_url).hostname
        if is_loopback(name) or (name == ours and not self._settings.demo):
            return
        raise NotOurs(f"This console does not answer to that name; open {self._settings.base_url}/console/.")

    def check_origin(self, request: web.Request, *, needed: bool) -> None:
        """Refuse a form that another site's page sent; `needed`: also one that does not say where it comes from."""
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        if site is not None:
            ok = site in ("same-origin", "none")
        elif origin is not None:
            ok = origin in self._origins(request)
        else:
            ok = not needed
        if not ok:
            raise NotOurs("This form was not sent by a page of this console, so nothing was done.")

    def _origins(self, request: web.Request) -> set[str]:
        parts = urlsplit(self._settings.base_url)
        return {f"{parts.scheme}://{parts.netloc}", f"{request.scheme}://{request.host}"}

    async def find(self, request: web.Request) -> SignedIn | None:
        """Return whose session stands; the roster may have lost them since."""
        token = request.cookies.get(self.cookie)
        return await self.sessions.find(token) if token else None

    def knows(self, who: SignedIn) -> bool:
        """Tell whether the roster still has this person."""
        return self.deps.policies.current.roster.person(who.principal) is not None

    def begin(self, response: web.StreamResponse, who: SignedIn) -> None:
        """Give the browser its session."""
        response.set_cookie(
            self.cookie,
            who.token,
            max_age=int(SESSION_LASTS.total_seconds()),
            path="/",
            httponly=True,
            samesite="Strict",
            secure=self._https,
        )

    def end(self, response: web.StreamResponse) -> None:
        """Take the session out of the browser."""
        response.del_cookie(self.cookie, path="/", httponly=True, samesite="Strict", secure=self._https)

    async def check(self, request: web.Request) -> None:
        """Check host, origin and form, and note who is signed in. Raises SignedOut, NotListed, NotOurs."""
        self.check_host(request)
        public = request.path.startswith(PUBLIC)
        if request.method == "POST":
            self.check_origin(request, needed=public)
            request[FORM] = await read_form(request)
        if request.path.startswith(PUBLIC[0]):
            return
        who = await self.find(request)
        if who is None and not public:
            raise SignedOut("Nobody is signed in here. If you were, your session has ended; nothing was done.")
        if who is not None and request.method == "POST" and not public:
            self._check_form(request, who)
        if who is not None and self.knows(who):
            request[SIGNED_IN] = who
        elif who is not None and not public:
            raise NotListed(who)

    @staticmethod
    def _check_form(request: web.Request, who: SignedIn) -> None:
        sent = str(request[FORM].get("form_token", ""))
        if not hmac.compare_digest(sent.encode(), who.form_token.encode()):
            raise NotOurs("This form is not of your present session, so nothing was done. Load the page again.")


async def read_form(request: web.Request) -> MultiDictProxy[Any]:
    """Return a form's fields. Raises 415 and 400 for what is not a form."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPUnsupportedMediaType(text="This takes a form.")
    try:
        return await request.post()
    except (ValueError, LookupError) as error:  # an encoding that there is not, or bytes that are not in it
        raise web.HTTPBadRequest(text="The form cannot be read.") from error


def finish(response: web.StreamResponse, *, static: bool) -> None:
    """Put the headers on; a prepared response (a file, sent already) has got them from `on_prepare`."""
    response.headers.update(HEADERS)
    response.headers["Cache-Control"] = "no-cache" if static else "no-store"
