"""Draw a page around its content, and turn every error into a page that says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp_jinja2
from aiohttp import web

from bot import problems
from bot.deps import Deps
from bot.surfaces.console_guard import SIGNED_IN, Guard
from workers import logs

_log = logs.get_logger(__name__)
EMPTY: Mapping[str, Any] = {
    "who": None,
    "people": (),
    "now": None,
    "path": "/console/",
    "live": "",
    "token": "",
    "note": None,
}
"""What every page needs, where nothing is known."""


@dataclass(frozen=True)
class Shell:
    """Render templates for one deployment."""

    deps: Deps
    guard: Guard

    async def page(
        self, request: web.Request, template: str, context: Mapping[str, Any], *, status: int = 200
    ) -> web.Response:  # fmt: skip
        """Return a page with what all pages have: who is signed in, and the store's time."""
        people = self.deps.policies.current.roster.persons if self.guard.offers_chooser(request) else ()
        common = {
            "who": request.get(SIGNED_IN),
            "people": sorted(people),
            "now": await self.deps.store.records.now(),
            "path": request.path,
        }
        return _render(request, template, {**EMPTY, **common, **context}, status)

    def failure(self, request: web.Request, error: Exception) -> web.Response:
        """Tell a failure in words, with its status; only what is our own fault goes to the log."""
        told = problems.describe(error)
        kind, detail = told.kind, told.detail
        status = told.status or kind.status
        if told.code == "not_found" and isinstance(error, web.HTTPNotFound):
            detail = "No page of the console has this address."
        if status >= 500 and status != 503:
            _log.error("console.failed", path=request.path, exc_info=error)
        if request.path.endswith("/live"):
            return web.json_response({"detail": detail}, status=status)
        context = {**EMPTY, "title": kind.title, "detail": detail, "who": request.get(SIGNED_IN)}
        response = _render(request, "problem.html", context, status)
        if kind.retry_after is not None:
            response.headers["Retry-After"] = str(kind.retry_after)
        return response


def _render(request: web.Request, template: str, context: Mapping[str, Any], status: int) -> web.Response:
    response: web.Response = aiohttp_jinja2.render_template(template, request, context, status=status)
    return response


def bounce(request: web.Request) -> web.Response:
    """Return a page that loads the same address again, this time as our own page."""
    return _render(request, "bounce.html", {"place": request.path}, 200)
