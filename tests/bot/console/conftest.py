"""Give these tests a served console, and people who look at it: over plain HTTP, or in a real Chromium."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import aiohttp
import pytest
from yarl import URL

from tests.bot.console.world import World, serve


@dataclass
class Visitor:
    """A browser's worth of cookies, without a browser."""

    http: aiohttp.ClientSession
    url: str

    async def get(self, path: str, **options: object) -> tuple[int, str]:
        async with self.http.get(path, **options) as answer:  # type: ignore[arg-type]
            return answer.status, await answer.text()

    async def post(self, path: str, *, origin: str | None = "", **fields: str) -> tuple[int, str]:
        """Send a form as our own page would, or from another origin (None: from nowhere); follow the redirect."""
        headers = {} if origin is None else {"Origin": origin or self.url}
        async with self.http.post(path, data=fields, headers=headers) as answer:
            return answer.status, await answer.text()

    def cookies(self) -> dict[str, str]:
        """Return what the jar holds for this console."""
        return {name: one.value for name, one in self.http.cookie_jar.filter_cookies(URL(self.url)).items()}

    async def be(self, person: str) -> None:
        status, _ = await self.post("/console/sign-in/as", person=f"user:{person}", next="/console/")
        assert status == 200

    async def field(self, name: str, path: str = "/console/") -> str:
        """Return the first hidden field of that name on a page."""
        _, page = await self.get(path)
        found = re.search(rf'name="{name}" value="([^"]+)"', page)
        assert found, f"no field {name} on {path}"
        return found[1]

    async def review(self, request_id: str, verdict: str, **fields: str) -> tuple[int, str]:
        page = f"/console/requests/{request_id}"
        given = {"form_token": await self.field("form_token"), "back": "list"}
        if "shown" not in fields:
            given["shown"] = await self.field("shown", page)
        return await self.post(f"{page}/review", **{**given, "verdict": verdict, **fields})


Visit = Callable[[World], Visitor]


async def until(visitor: Visitor, path: str, words: str) -> str:
    """Load a page until it says so."""
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        status, page = await visitor.get(path)
        if words in page:
            return page
        await asyncio.sleep(0.02)
    raise AssertionError(f"{path} never said {words!r}; last ({status}): {page[-1500:]}")


def note(page: str) -> str:
    """Return the words of the note on a page."""
    found = re.search(r"data-note[^>]*><bdi>(.*?)</bdi>", page, re.DOTALL)
    assert found, "no note on the page"
    return found[1]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serve() as served:
        yield served


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    """Open visitors of a world; all are closed at the end."""
    opened: list[aiohttp.ClientSession] = []

    def make(world: World) -> Visitor:
        opened.append(aiohttp.ClientSession(world.url, cookie_jar=aiohttp.CookieJar(unsafe=True)))
        return Visitor(opened[-1], world.url)

    yield make
    for one in opened:
        await one.close()


@pytest.fixture
async def visitor(world: World, visit: Visit) -> Visitor:
    return visit(world)
