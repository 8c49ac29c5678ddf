"""The token endpoint of the tenant, for the app's own calls."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiohttp import web

from tests.worlds.teams.state import APP_ID, APP_SECRET, TENANT

SCOPE = "https://api.botframework.com/.default"


class Tokens:
    """Give tokens to the app, and tell whether one is good. Their life is measured in real time."""

    def __init__(self) -> None:
        self.secret = APP_SECRET
        self.lifetime = 3599
        """Seconds that a new token lives."""
        self.requests: list[dict[str, str]] = []
        """What was asked, the secret left out."""
        self.refused: list[str] = []
        self.waiting = 0
        self._given: dict[str, float] = {}
        self._trouble: str | None = None
        self._times: int | None = None
        self._gate = asyncio.Event()

    @property
    def current(self) -> str:
        """Return the newest token, or nothing while none was given."""
        return next(reversed(self._given), "")

    def good(self, token: str) -> bool:
        return self._given.get(token, 0) > time.monotonic()

    def expire(self) -> None:
        """End every token given so far."""
        self._given = dict.fromkeys(self._given, 0.0)

    def refuse(self, times: int | None = None) -> None:
        """Answer invalid_client until `up` (or so often)."""
        self._trouble, self._times = "refuse", times

    def status(self, code: int, times: int | None = None) -> None:
        """Answer with this status and a page."""
        self._trouble, self._times = str(code), times

    def outage(self) -> None:
        """Drop every connection until `up`."""
        self._trouble, self._times = "outage", None

    def hang(self) -> None:
        """Answer nothing until `up`."""
        self._trouble, self._times = "hang", None

    def up(self) -> None:
        """End every trouble; what hangs is answered."""
        self._trouble = None
        self._gate.set()
        self._gate = asyncio.Event()

    async def serve(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.requests.append({name: value for name, value in form.items() if name != "client_secret"})
        trouble = self._trouble
        if trouble is not None and self._times is not None:
            self._times -= 1
            if self._times <= 0:
                self._trouble = None
        if trouble == "hang":
            self.waiting += 1
            try:
                await self._gate.wait()
            finally:
                self.waiting -= 1
        elif trouble == "outage":
            raise ConnectionAbortedError
        elif trouble == "refuse":
            return self._no(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
        elif trouble is not None:
            return web.Response(status=int(trouble), text="<html>no</html>", content_type="text/html")
        return self._judge(request.match_info["tenant"], form)

    def _judge(self, tenant: str, form: dict[str, str]) -> web.Response:
        if tenant != TENANT:
            return self._no(400, "invalid_request", f"AADSTS90002: Tenant '{tenant}' not found.")
        if form.get("grant_type") != "client_credentials":
            return self._no(400, "unsupported_grant_type", "AADSTS70003")
        if form.get("client_id") != APP_ID:
            return self._no(400, "unauthorized_client", "AADSTS700016: Application was not found in the directory.")
        if form.get("client_secret") != self.secret:
            return self._no(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
        if form.get("scope") != SCOPE:
            return self._no(400, "invalid_scope", "AADSTS70011")
        token = f"world-token-{len(self._given) + 1:04d}"
        self._given[token] = time.monotonic() + self.lifetime
        body: dict[str, Any] = {"token_type": "Bearer", "expires_in": self.lifetime, "ext_expires_in": self.lifetime}
        return web.json_response(body | {"access_token": token})

    def _no(self, status: int, error: str, words: str) -> web.Response:
        self.refused.append(error)
        return web.json_response({"error": error, "error_description": words}, status=status)
