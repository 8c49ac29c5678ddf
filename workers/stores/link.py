"""Hold the connections to one Redis: scripts, retries, deadlines, and what the server's clock says.

Every error of the client library leaves here as `Unavailable`, within a few seconds, also when the server hangs. Calls
that are made in the same turn of the event loop share one write and one read (`_Batcher`), packed by hiredis: the
library's own way from a call to the wire costs more than all else in a commit.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Awaitable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import hiredis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as NoAnswer

from approvers.times import from_ms
from workers.stores.port import Unavailable

T = TypeVar("T")
Argument = str | bytes | int
Reply = Any
"""What the server answers: its shape depends on the command."""
_Call = tuple["asyncio.Future[Reply]", bytes]
CALL_SECONDS = 4.0
"""The longest that any call may take, with its retries: a caller is told "we could not" while it still listens."""
SOCKET_SECONDS = 1.5
RESYNC_SECONDS = 1.0
PAUSES = (0.01, 0.05, 0.2)
"""Seconds before each new try. A try may repeat what was done: commits carry an id, all else may run twice."""
BATCH = 64
FLUSHERS = 2


def client(url: str, *, socket_seconds: float = SOCKET_SECONDS) -> Redis:
    """Make a plain client. Its few retries may run a command twice: give it none for which that matters."""
    retry = Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.2), len(PAUSES))
    return Redis.from_pool(_pool(url, retry, socket_seconds))


def _pool(url: str, retry: Retry, socket_seconds: float | None) -> BlockingConnectionPool:
    tcp = {} if url.startswith("unix:") else {"socket_keepalive": True}  # a socket file has no such option
    return BlockingConnectionPool.from_url(
        url,
        max_connections=16,
        timeout=2,
        retry=retry,
        socket_timeout=socket_seconds,
        socket_connect_timeout=SOCKET_SECONDS,
        **tcp,
    )


async def guarded(answer: Awaitable[T], seconds: float = CALL_SECONDS) -> T:
    """Wait for an answer, but not for ever. Raises Unavailable for every way in which the server may fail."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except (RedisError, OSError, TimeoutError) as error:  # OSError: what asyncio raises before the library sees it
        raise Unavailable(f"the store did not answer: {type(error).__name__}: {error}") from error


class Script:
    """Hold one Lua file and the name under which a server that has seen it knows it."""

    def __init__(self, name: str) -> None:
        self.text = (Path(__file__).parent / f"{name}.lua").read_text(encoding="utf-8")
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class Clock:
    """Estimate the server's time from its last answers and this process's monotonic clock.

    Each answer bounds the difference from below (the server's time when it wrote, against ours when we read); within a
    second the highest bound is the tightest, and what is older counts no more.
    """

    def __init__(self) -> None:
        self._ahead, self._since = 0.0, float("-inf")

    def heard(self, milliseconds: int) -> None:
        """Take the time out of an answer that has just arrived."""
        now = time.monotonic()
        ahead = milliseconds - now * 1000
        if ahead > self._ahead or now - self._since > RESYNC_SECONDS:
            self._ahead, self._since = ahead, now

    def doubt(self) -> None:
        """Forget the estimate: the store has just said that it was wrong."""
        self._since = float("-inf")

    def read(self) -> datetime | None:
        """Return the estimate, or None when it is too old to be one."""
        now = time.monotonic()
        return from_ms(int(self._ahead + now * 1000)) if now - self._since <= RESYNC_SECONDS else None


class _Batcher:
    """Send what the callers of one turn of the loop ask for in one write; hand each its own answer or error."""

    def __init__(self, pool: BlockingConnectionPool) -> None:
        self._pool = pool
        self._idle: list[AbstractConnection] = []
        """Connections kept between calls: to fetch one from the pool takes a third as long as all else in a call."""
        self._waiting: deque[_Call] = deque()
        self._flushing = 0
        self._flushers: set[asyncio.Task[None]] = set()

    async def call(self, *command: Argument) -> Reply:
        """Send a command with those of the other callers, and wait for its own answer."""
        packed = hiredis.pack_command(command)  # type: ignore[arg-type] # its stub says one item
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append((answer, packed))
        if self._flushing < FLUSHERS:
            self._flushing += 1
            flusher = asyncio.create_task(self._flush())
            self._flushers.add(flusher)  # the loop itself keeps tasks by weak references only
            flusher.add_done_callback(self._flushers.discard)
        return await answer

    async def aclose(self) -> None:
        """End the flushers; whoever still waits is told by its deadline."""
        for flusher in list(self._flushers):
            flusher.cancel()
        await asyncio.gather(*self._flushers, return_exceptions=True)

    async def _flush(self) -> None:
        try:
            while batch := self._next():
                try:
                    replies = await self._send(batch)
                except (RedisError, OSError) as error:
                    replies = [error] * len(batch)
                _hand_out(batch, replies)
        finally:  # in one step with the look at the empty queue: a task that has ended is still in the set for a turn
            self._flushing -= 1

    def _next(self) -> list[_Call]:
        batch: list[_Call] = []
        while self._waiting and len(batch) < BATCH:
            call = self._waiting.popleft()
            if not call[0].done():
                batch.append(call)
        return batch

    async def _send(self, batch: list[_Call]) -> Sequence[Reply]:
        packed = [command for _, command in batch]
        for pause in PAUSES:
            try:
                return await self._once(packed)
            except (ConnectionLost, NoAnswer):
                if all(answer.done() for answer, _ in batch):
                    raise
            await asyncio.sleep(pause)
        return await self._once(packed)

    async def _once(self, packed: list[bytes]) -> Sequence[Reply]:
        """Send and read, under one limit of time: the client library's own would be a task and two timers a call."""
        try:
            async with asyncio.timeout(SOCKET_SECONDS):
                return await self._exchange(packed)
        except TimeoutError as error:
            raise NoAnswer("no answer in time") from error

    async def _exchange(self, packed: list[bytes]) -> Sequence[Reply]:
        connection = self._idle.pop() if self._idle else await self._pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.send_packed_command(packed, check_health=False)
            replies = [await _reply(connection) for _ in packed]
        except BaseException:  # also when cancelled: answers still on their way must not reach the next caller
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)
            raise
        self._idle.append(connection)
        return replies


def _hand_out(batch: list[_Call], replies: Sequence[Reply]) -> None:
    for (answer, _), reply in zip(batch, replies, strict=True):
        if answer.done():  # its caller was cancelled or gave up
            continue
        if isinstance(reply, Exception):
            answer.set_exception(reply)
        else:
            answer.set_result(reply)


async def _reply(connection: AbstractConnection) -> Reply:
    """Read one answer. A refusal is an answer too; a lost connection is not."""
    try:
        return await connection.read_response()
    except ResponseError as refusal:
        return refusal


class Link:
    """Bundle what the ports share: connections, also for calls that block, the key prefix and the clock."""

    def __init__(self, url: str, prefix: str) -> None:
        self.prefix = prefix
        self.blocking = client(url, socket_seconds=SOCKET_SECONDS + 2)
        self.clock = Clock()
        self._pool = _pool(url, Retry(NoBackoff(), 0), None)
        self._batcher = _Batcher(self._pool)

    async def run(self, script: Script, args: Sequence[Argument]) -> Reply:
        """Run a script. A server that has lost its script cache gets the whole text."""
        return await guarded(self._run(script, args))

    async def call(self, *command: Argument) -> Reply:
        """Send one plain command; the answer comes as the server gave it, texts as bytes."""
        return await guarded(self._batcher.call(*command))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._batcher.aclose()
        await self._pool.disconnect()
        await self.blocking.aclose()
        await self.blocking.connection_pool.disconnect()

    async def _run(self, script: Script, args: Sequence[Argument]) -> Reply:
        try:
            return await self._batcher.call("EVALSHA", script.sha, 1, self.prefix, *args)
        except NoScriptError:
            return await self._batcher.call("EVAL", script.text, 1, self.prefix, *args)
