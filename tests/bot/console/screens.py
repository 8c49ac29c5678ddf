"""Look at the console through a real Chromium: one browser for all tests, one context (one person) per screen.

A screen notes everything that the browser complains of, violations of the content security policy above all, and a test
that ends with a complaint fails.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Locator, Page, async_playwright

from tests.bot.console.world import World, serve

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
EXPECTED = ("status of 401", "status of 403", "status of 404", "status of 410", "ERR_INTERNET_DISCONNECTED")
"""Complaints that only repeat a status or a cut line that the test itself asked for."""

pytestmark_browser = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed"),
]


class Screen:
    """One person's browser window."""

    def __init__(self, world: World, page: Page) -> None:
        self.world, self.page = world, page
        self.complaints: list[str] = []
        page.on("console", lambda said: self._hear(said.type, said.text))
        page.on("pageerror", lambda error: self._hear("error", str(error)))
        page.on("dialog", lambda dialog: self._hear("error", f"dialog: {dialog.message}"))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(word in text for word in EXPECTED):
            self.complaints.append(text)

    async def open(self, path: str = "/console/") -> None:
        await self.page.goto(self.world.url + path)

    async def be(self, person: str) -> None:
        """Sign in through the chooser, or switch to another person."""
        if await self.page.locator(".you").count():
            await self.page.locator(".you > summary").click()
        else:
            await self.open()
        await self.page.get_by_role("button", name=person, exact=True).click()
        await self.page.locator(".you > summary", has_text=person).wait_for()

    def card(self, request_id: str) -> Locator:
        return self.page.locator(f"#card-{request_id}")

    def button(self, request_id: str, words: str) -> Locator:
        return self.card(request_id).get_by_role("button", name=words)

    async def press(self, request_id: str, words: str) -> None:
        await self.button(request_id, words).click()

    async def settle(self) -> None:
        """Wait until what moved may be pressed again: the script's own clock, so there is no event to wait for."""
        await self.page.wait_for_timeout(700)

    async def says(self, words: str) -> None:
        """Wait until the page shows these words, without loading it again."""
        await self.page.get_by_text(words).first.wait_for()

    async def mark(self) -> None:
        """Leave a mark that only this load of the page has."""
        await self.page.evaluate("window.sameLoad = true")

    async def is_same_load(self) -> bool:
        return bool(await self.page.evaluate("window.sameLoad === true"))


Open = Callable[..., Awaitable[Screen]]


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def stage() -> AsyncIterator[World]:
    async with serve() as served:
        yield served


@pytest_asyncio.fixture(loop_scope="session")
async def look(chromium: Browser, stage: World) -> AsyncIterator[Open]:
    """Open screens of the stage: `await look(person, width=360, color_scheme="dark")`."""
    async with contextlib.AsyncExitStack() as closing:
        screens: list[Screen] = []

        async def make(person: str | None = None, *, width: int = 1280, height: int = 900, **options: Any) -> Screen:
            viewport = {"width": width, "height": height}
            context: BrowserContext = await chromium.new_context(viewport=viewport, **options)
            closing.push_async_callback(context.close)
            context.set_default_timeout(15_000)
            screens.append(Screen(stage, await context.new_page()))
            if person:
                await screens[-1].be(person)
            return screens[-1]

        yield make
        for screen in screens:
            assert screen.complaints == []
