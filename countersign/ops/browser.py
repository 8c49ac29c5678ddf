"""Use the console as a browser without script does: load pages, fill in their forms, keep the cookie."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from types import TracebackType
from typing import Self

import aiohttp


class Browser:
    """One person's browser on the console of a demo."""

    def __init__(self, base_url: str) -> None:
        """Take the console's address; nobody is signed in yet."""
        self._base = base_url
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the connections, with an empty jar of cookies (an address in digits keeps cookies, too)."""
        self._http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        if self._http:
            await self._http.close()

    async def choose(self, person: str) -> None:
        """Sign in as one of the demo's people."""
        await self._send("/console/sign-in/as", {"person": f"user:{person}", "next": "/console/"})

    async def load(self, path: str) -> str:
        """Return a page's HTML."""
        assert self._http
        async with self._http.get(self._base + path) as answer:
            answer.raise_for_status()
            return await answer.text()

    async def press(self, path: str, action: str, values: dict[str, str] | None = None) -> str:
        """Press the button of the form on that page that leads to `action`; return the words of the page after it."""
        fields = _Forms.read(await self.load(path)).get(action)
        if fields is None:
            raise LookupError(f"the page {path} has no form for {action}")
        return words_of(await self._send(action, {**fields, **(values or {})}))

    async def _send(self, path: str, fields: dict[str, str]) -> str:
        assert self._http
        headers = {"Origin": self._base, "Sec-Fetch-Site": "same-origin"}
        async with self._http.post(self._base + path, data=fields, headers=headers) as answer:
            answer.raise_for_status()
            return await answer.text()


def words_of(page: str) -> str:
    """Return what a person reads on a page: its text without tags, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


class _Forms(HTMLParser):
    """Collect the hidden fields of a page's forms by where they lead."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self._current: dict[str, str] = {}

    @classmethod
    def read(cls, page: str) -> dict[str, dict[str, str]]:
        parser = cls()
        parser.feed(page)
        return parser.found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":  # the first of several for one place: the approving one stands before the denying one
            self._current = self.found.setdefault(given.get("action", ""), {})
        elif tag == "input" and given.get("type") == "hidden":
            self._current.setdefault(given["name"], given.get("value", ""))
