"""Make one ask and see it through: until it is settled, or taken back so that nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from approvers.errors import CountersignError
from countersign.client import AsyncClient
from countersign.errors import Conflict, outcome
from countersign.models import Ask, Request

GOODBYE_SECONDS = 10.0
"""How long anything may take that is done on the way out."""


class Asking:
    """One ask. `request` is its newest answer."""

    def __init__(
        self, client: AsyncClient, ask: Ask, on_answer: Callable[[Request], None], key: str | None = None
    ) -> None:
        """Prepare it; with a `key` of the caller's own its credential is open to other processes of the caller."""
        self._client, self._ask, self._on_answer, self._key = client, ask, on_answer, key
        self._posting: asyncio.Task[Request] | None = None
        self.request: Request | None = None

    async def settled(self) -> Request:
        """Ask, wait, and return the approved request with its grant ACTIVE; raises what stands in the way."""
        if self.request is None:
            self._posting = asyncio.ensure_future(self._client.request(self._ask, idempotency_key=self._key))
            self._note(await asyncio.shield(self._posting))
        assert self.request is not None
        self._note(await self._client.wait(self.request, on_answer=self._note))
        if (trouble := outcome(self.request)) is not None:
            raise trouble
        return self.request

    def _note(self, request: Request) -> None:
        self.request = request
        self._on_answer(request)

    async def withdraw(self, say: Callable[[str], None]) -> Request | None:
        """Take it back after `settled` was cancelled; where the answer was faster, return it: it may hold a grant."""
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                if self.request is None and self._posting is not None:
                    self.request = await self._posting
                if self.request is None:
                    return None
                try:
                    self.request = await self._client.cancel(self.request)
                except Conflict:
                    return await self._client.wait(self.request)
                say(f"{self.request.label} is withdrawn")
        except (CountersignError, TimeoutError):
            if self._posting is not None:
                self._posting.cancel()
            say("stopped, but the request could not be withdrawn; it expires by itself")
        return None
