"""Give every HTTP request an id, and one log line when it is answered.

The line has method, route template, status, milliseconds and principal: no path (it may hold a link's token), no query,
no header, no body. Lines are gathered and written a few times a second, because at thousands of requests a second a
write for each is a tenth of all the work; a process that is killed loses the last of them, and the audit log has none
of this.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quoted

import structlog
from aiohttp import web

from bot.problems import REQUEST_ID, Handler
from workers import logs

PRINCIPAL = web.RequestKey("principal", str)
"""Who asked, once that is known; for the log line."""
HEADER = "X-Request-Id"
WRITE_EVERY_SECONDS = 0.2
_GIVEN = re.compile(r"[A-Za-z0-9._:-]{1,64}")
Write = Callable[[str], object]


class AccessLog:
    """Write access lines."""

    def __init__(self, write: Write | None = None) -> None:
        """Write to stderr, like every other log line, unless told otherwise."""
        self._write, self._lines = write or _to_stderr, list[str]()
        self._timer: asyncio.TimerHandle | None = None

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Name the request, answer it, and note how that went."""
        began = time.perf_counter()
        request_id = request[REQUEST_ID] = _request_id(request)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status = 499  # what is noted when the handler is cancelled: nobody was answered
        try:
            response = await handler(request)
            response.headers[HEADER] = request_id
            status = response.status
            return response
        except web.HTTPException as page:  # a page or a redirect of a surface
            page.headers[HEADER] = request_id
            status = page.status
            raise
        finally:
            self._note(request, request_id, status, time.perf_counter() - began)

    def flush(self) -> None:
        """Write what has been gathered."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            text = "".join(self._lines)
            self._lines.clear()
            self._write(text)

    def _note(self, request: web.Request, request_id: str, status: int, seconds: float) -> None:
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "-"
        self._lines.append(
            f'{{"event": "request.answered", "request_id": "{request_id}", "method": {quoted(request.method)}, '
            f'"route": {quoted(route)}, "status": {status}, "ms": {seconds * 1000:.1f}, '
            f'"principal": {quoted(request.get(PRINCIPAL, ""))}, "level": "info", "logger": "bot.access", '
            f'"at": "{datetime.now(UTC).isoformat()[:-6]}Z", "process": "web"}}\n'
        )
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WRITE_EVERY_SECONDS, self.flush)


def _request_id(request: web.Request) -> str:
    """Return the caller's own id where it is a plain one (and no key that slipped into the header), else a new one."""
    given = request.headers.get(HEADER)
    if given is not None and _GIVEN.fullmatch(given) and logs.scrub(given) == given:
        return given
    return secrets.token_hex(8)


def _to_stderr(text: str) -> None:
    if logging.getLogger("bot.access").isEnabledFor(logging.INFO):
        sys.stderr.write(text)
        sys.stderr.flush()
