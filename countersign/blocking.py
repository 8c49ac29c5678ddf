"""Give blocking code the same client: each method runs `AsyncClient`'s coroutine on a private event loop's thread."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from countersign.address import settings, verify_key
from countersign.beating import Beating
from countersign.client import AsyncClient
from countersign.models import Grant, Request

P = ParamSpec("P")
T = TypeVar("T")
GOODBYE_SECONDS = 5.0
"""How long an interrupted call may take to withdraw what it began."""


def _blocking(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Client, P], T]:
    @functools.wraps(method)
    def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(method(self.aio, *args, **kwargs))

    return call


class Client:
    """Ask, wait, collect, release, from blocking code and from any thread. Takes what `AsyncClient` takes."""

    def __init__(self, base_url: str, api_key: str, **options: Any) -> None:
        """Check the settings and start the loop's thread."""
        self.aio = AsyncClient(base_url, api_key, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="countersign", daemon=True)
        self._thread.start()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ, **options: Any) -> Self:
        """Make a client from COUNTERSIGN_URL, COUNTERSIGN_API_KEY and, where it is set, COUNTERSIGN_VERIFY_KEY."""
        return cls(*settings(environ), **{"verify_key": verify_key(environ), **options})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and stop the thread; a second time does nothing."""
        if self._loop.is_closed():
            return
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        """Close the connections, and let what other threads still wait for end: nobody will run this loop again."""
        await self.aio.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=GOODBYE_SECONDS) if others else None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the client's loop and return what it returns; an interrupt cancels it and lets it end."""
        ended = threading.Event()

        async def until_ended() -> T:
            try:
                return await coroutine
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(until_ended(), self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            ended.wait(GOODBYE_SECONDS)
            raise

    @contextmanager
    def beating(self, grant: Grant | Request, **told: Any) -> Iterator[Beating]:
        """Beat in the background for as long as a `with` block lasts; what is `told` of it, `Beating` says."""
        beating = self.aio.beating(grant, **told)
        self.run(beating.__aenter__())
        try:
            yield beating
        finally:
            self.run(beating.__aexit__(None, None, None))

    def now(self) -> datetime:
        """Return the time by the server's clock, as far as its newest answer tells: `ends_at` is counted by it."""
        return self.aio.now()

    request = _blocking(AsyncClient.request)
    get = _blocking(AsyncClient.get)
    wait = _blocking(AsyncClient.wait)
    newer = _blocking(AsyncClient.newer)
    cancel = _blocking(AsyncClient.cancel)
    consume = _blocking(AsyncClient.consume)
    receipt = _blocking(AsyncClient.receipt)
    review = _blocking(AsyncClient.review)
    after_review = _blocking(AsyncClient.after_review)
    credential = _blocking(AsyncClient.credential)
    heartbeat = _blocking(AsyncClient.heartbeat)
    release = _blocking(AsyncClient.release)
    revoke = _blocking(AsyncClient.revoke)
    requests = _blocking(AsyncClient.requests)
    grants = _blocking(AsyncClient.grants)
    audit = _blocking(AsyncClient.audit)
    evidence = _blocking(AsyncClient.evidence)
    search = _blocking(AsyncClient.search)
    access_report = _blocking(AsyncClient.access_report)
    revocations = _blocking(AsyncClient.revocations)
    freeze = _blocking(AsyncClient.freeze)
    unfreeze = _blocking(AsyncClient.unfreeze)
