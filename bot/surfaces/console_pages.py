"""Serve the pages that people look at, and their news: a long poll that answers when what they show has changed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from markupsafe import Markup

from approvers.times import to_ms
from bot import ledger
from bot.deps import Deps
from bot.surfaces import console_notes as notes
from bot.surfaces.console_fragments import Fragments
from bot.surfaces.console_guard import SIGNED_IN, Handler
from bot.surfaces.console_mold import Mold
from bot.surfaces.console_pulse import Pulse
from bot.surfaces.console_shell import Shell

WAIT_SECONDS = 25.0
"""How long a poll waits; shorter than the idle limits of usual proxies."""
Render = Callable[[web.Request], Awaitable[str]]


@dataclass(frozen=True)
class Page:
    """Name a page, and what renders its changing part."""

    title: str
    render: Render


class Pages:
    """Serve pages and their news."""

    def __init__(self, deps: Deps, fragments: Fragments, mold: Mold, shell: Shell) -> None:
        self._deps, self._fragments, self._mold, self._shell = deps, fragments, mold, shell
        self._pulse = Pulse(deps.store, deps.closing)

    async def follow(self, _app: web.Application) -> AsyncIterator[None]:
        """Keep the pulse while the application runs."""
        task = asyncio.create_task(self._pulse.follow())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def overview(self, _request: web.Request) -> str:
        """Render what waits, what is live, what ended lately."""
        return await self._fragments.overview()

    async def request(self, request: web.Request) -> str:
        """Render one request, found by id or handle."""
        found = await self._deps.reader.by_handle(request.match_info["id"])
        shown = await self._fragments.request(found)
        await ledger.seen(self._deps, found, request[SIGNED_IN].principal)
        return shown

    async def policy(self, _request: web.Request) -> str:
        """Render the rules as applied."""
        return await self._fragments.policy()

    async def reviewers(self, _request: web.Request) -> str:
        """Render what there is to know of each reviewer."""
        return await self._fragments.reviewers()

    def show(self, page: Page) -> Handler:
        """Return the handler of a whole page."""

        async def handler(request: web.Request) -> web.Response:
            who, beat = request[SIGNED_IN], self._pulse.beat
            fragment = await page.render(request)
            note = notes.take(request, who)
            plain, _ = self._mold.pour(fragment, who.form_token)
            told, placed = self._mold.pour(fragment, who.form_token, note) if note else (plain, False)
            context = {
                "title": page.title,
                "live": f"{request.rel_url.raw_path.rstrip('/')}/live",
                "token": _token(beat, plain),
                "fragment": Markup(told),  # noqa: S704 rendered by our own escaping templates
                "note": None if placed else note,
            }
            response = await self._shell.page(request, "page.html", context)
            if note:
                notes.drop(response)
            return response

        return handler

    def live(self, page: Page) -> Handler:
        """Return the handler that waits until a page has changed: `{now, token, html?}`."""

        async def handler(request: web.Request) -> web.Response:
            who, loop = request[SIGNED_IN], asyncio.get_running_loop()
            seen = request.query.get("after", "")
            number, _, digest = seen.partition("-")
            beat = int(number) if number.isdecimal() and len(number) < 16 else -1
            give_up = loop.time() + WAIT_SECONDS
            while True:
                left = give_up - loop.time()
                await self._pulse.wait(beat, max(0.0, left))
                beat = self._pulse.beat
                html, _ = self._mold.pour(await page.render(request), who.form_token)
                changed = _token(beat, html).partition("-")[2] != digest
                if changed or left <= 0 or self._deps.closing.is_set():
                    body = {"token": _token(beat, html), "now": to_ms(await self._deps.store.records.now())}
                    return web.json_response(body | {"html": html} if changed else body)

        return handler


def _token(beat: int, html: str) -> str:
    return f"{beat}-{hashlib.sha256(html.encode()).hexdigest()[:24]}"
