"""Tell machines how this process does: alive, ready, its figures, and the description of its API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from aiohttp import web

from bot import metrics
from bot.deps import Deps
from bot.identity import Identity
from bot.intake import HEADERS, json_response
from bot.problems import Problem
from bot.routes import Route
from bot.wire import HealthAnswer
from workers.policies import NotConfigured
from workers.stores.port import StoreError

READY_WITHIN_SECONDS = 1.0


def program_version() -> str:
    """Return the installed version; `0` where the code runs without having been installed."""
    with suppress(PackageNotFoundError):
        return version("countersign")
    return "0"


class Health:
    """Answer for this process."""

    def __init__(self, deps: Deps) -> None:
        self._deps, self._version = deps, program_version()
        self._document = b""

    def describe(self, document: bytes) -> None:
        """Take the OpenAPI document, once every route is known."""
        self._document = document

    async def alive(self, _request: web.Request, _who: Identity) -> web.Response:
        """Answer that the process lives: it answered."""
        return json_response({"status": "up", "version": self._version})

    async def ready(self, _request: web.Request, _who: Identity) -> web.Response:
        """Answer whether to send work here, and what is missing if not."""
        if missing := await self._missing():
            raise Problem("not_serving", f"Not ready: {', '.join(missing)}.", field=missing[0])
        return json_response({"status": "ready", "version": self._version})

    async def figures(self, _request: web.Request, _who: Identity) -> web.Response:
        """Answer with the figures for Prometheus."""
        reading = await metrics.read(self._deps.store, self._version)
        headers = {**HEADERS, "Content-Type": metrics.CONTENT_TYPE}
        return web.Response(body=metrics.render(reading), headers=headers)

    async def openapi(self, _request: web.Request, _who: Identity) -> web.Response:
        """Answer with the OpenAPI document."""
        return web.Response(body=self._document, content_type="application/json", headers=HEADERS)

    async def _missing(self) -> list[str]:
        missing = ["stopping"] if self._deps.closing.is_set() else []
        try:
            async with asyncio.timeout(READY_WITHIN_SECONDS):
                await self._deps.policies.refresh()
        except (StoreError, TimeoutError):
            return [*missing, "store"]
        try:
            self._deps.policies.current  # noqa: B018 asked for its error
        except NotConfigured:
            missing.append("policy")
        return missing


def routes(health: Health) -> Sequence[Route]:
    """Return the rows of the table that are open to everybody."""
    up = {200: ("The process lives.", HealthAnswer)}
    ready = {200: ("It can serve.", HealthAnswer)}
    return (
        Route("GET", "/healthz", health.alive, "Does the process live?", None, up),
        Route("GET", "/readyz", health.ready, "Can it serve?", None, ready, problems=("not_serving",)),
        Route("GET", "/metrics", health.figures, "Figures for Prometheus", None, {200: ("Prometheus text.", None)}),
        Route("GET", "/openapi.json", health.openapi, "This document", None, {200: ("OpenAPI 3.1.", None)}),
    )
