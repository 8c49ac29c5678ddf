"""A connection that a server accepted as its loop ended fails no later test; one of our own does."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from collections.abc import Awaitable, Callable


def leftovers(work: Callable[[], Awaitable[object]]) -> list[str]:
    """Return what is said of what a loop has left open."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(work())
        finally:
            loop.close()
        del loop
        gc.collect()
    return [str(one.message) for one in seen if issubclass(one.category, ResourceWarning)]


def test_what_a_server_accepted_as_its_loop_ended_is_closed():
    async def accepted() -> None:
        came = asyncio.Event()
        server = await asyncio.start_server(lambda _reader, _writer: came.set(), "127.0.0.1", 0)
        client.connect(server.sockets[0].getsockname())
        await came.wait()
        server.close()

    with socket.socket() as client:
        assert leftovers(accepted) == []
        assert client.recv(1) == b"", "and the other side is told"


def test_what_was_opened_is_still_told():
    async def opened() -> None:
        await asyncio.open_connection(*listener.getsockname())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert any("unclosed" in one for one in leftovers(opened))
