"""A gate in front of Redis: understands enough RESP to count commands, name them, and tell answers apart.

A script's call is named `EVALSHA:<name>` when its source was given, else by the start of its SHA-1. Pub/sub pushes
are passed on; they answer no command.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tests.sources import ROOT
from tests.worlds.gate import Call, Cut, Gate, has_gone

READONLY = b"-READONLY You can't write against a read only replica.\r\n"
MISCONF = b"-MISCONF Errors writing to the AOF file: No space left on device\r\n"
OOM = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"
QUIET = (
    "PING",
    "BLPOP",
    "BLMOVE",
    "CLIENT *",
    "HELLO",
    "AUTH",
    "SELECT",
    "INFO",
    "SCRIPT *",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
)
"""A good `ignore`: what a connection says to keep house."""


class RedisGate(Gate):
    """Speak RESP on loopback, in front of a `redis://` or `unix://` URL."""

    def __init__(self, upstream: str, *, scripts: Mapping[str, str] | None = None, **options: Any) -> None:
        """`scripts` maps a name to a Lua source, so that its calls can be told by name."""
        self._upstream = urlsplit(upstream)
        self._scripts = {hashlib.sha1(source.encode()).hexdigest(): name for name, source in (scripts or {}).items()}
        self._clients = itertools.count(1)
        self._serving: set[asyncio.Task[None]] = set()
        super().__init__(**options)

    @property
    def url(self) -> str:
        password = quote(unquote(self._upstream.password or ""), safe="")
        login = f"{self._upstream.username or ''}:{password}@" if password else ""
        return f"redis://{login}127.0.0.1:{self.port}/0"

    async def _start(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._background.loop.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await self._connect()
        except OSError:
            writer.transport.abort()  # the server is away, and so the gate is
            return
        try:
            await _Connection(self, next(self._clients), (reader, writer), (up_reader, up_writer)).run()
        finally:
            for end in (writer, up_writer):
                end.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._upstream.scheme == "unix":
            return await asyncio.open_unix_connection(self._upstream.path)
        return await asyncio.open_connection(self._upstream.hostname, self._upstream.port or 6379)

    def name(self, words: list[bytes]) -> str:
        """Name a command: `SET`, `CLIENT SETINFO`, `EVALSHA:commit`."""
        verb = words[0].decode().upper()
        if verb in {"CLIENT", "SCRIPT", "CONFIG", "FUNCTION"} and len(words) > 1:
            return f"{verb} {words[1].decode().upper()}"
        if verb in {"EVALSHA", "EVAL"}:
            sha = words[1].decode() if verb == "EVALSHA" else hashlib.sha1(words[1]).hexdigest()
            return f"{verb}:{self._scripts.get(sha, sha[:8])}"
        return verb


class _Connection:
    """Carry one client's commands up and their answers down, each past the gate."""

    def __init__(
        self,
        gate: RedisGate,
        number: int,
        down: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        up: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._gate, self._number = gate, number
        (self._reader, self._writer), (self._up_reader, self._up_writer) = down, up
        self._arrived: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._waiting: deque[tuple[Call, bytes | None]] = deque()
        """Calls in order, until their answer was given; with one of our own if the server never saw the call."""
        self._listens = False

    async def run(self) -> None:
        """End when either side ends or a rule cuts; the caller closes both."""
        tasks = [asyncio.create_task(step()) for step in (self._read, self._up, self._down)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Exception) and not isinstance(result, (Cut, ConnectionError)):
                    raise result

    async def _read(self) -> None:
        """Take commands in even while one is held, so that the end of the client is seen."""
        async for command in messages(self._reader):
            self._arrived.put_nowait(command)
        self._arrived.put_nowait(None)
        await asyncio.Event().wait()  # `_up` ends the connection once it has sent what came before the end

    async def _up(self) -> None:
        while (raw := await self._arrived.get()) is not None:
            words = command_words(raw)
            call = self._gate._arrive(self._gate.name(words), self._number, words)
            self._listens |= call.name in {"SUBSCRIBE", "PSUBSCRIBE", "MONITOR"}
            instead = await self._gate._meet(call, "before", self._gone)
            self._waiting.append((call, instead))
            if instead is None:
                self._up_writer.write(raw)
                await self._up_writer.drain()
            await self._give_own_answers()

    async def _down(self) -> None:
        async for raw in messages(self._up_reader):
            if raw[:1] == b">" or self._listens:  # a push, or RESP2 pub/sub, answers nobody
                self._writer.write(raw)
            else:
                call, _ = self._waiting[0]
                call.answer = raw if self._gate._record else None
                await self._gate._meet(call, "after", self._gone)
                self._writer.write(raw)
                self._waiting.popleft()
            await self._give_own_answers()

    async def _give_own_answers(self) -> None:
        """Answer the calls at the head of the line that the server never saw."""
        while self._waiting and (instead := self._waiting[0][1]) is not None:
            self._waiting.popleft()
            self._writer.write(instead)
        await self._writer.drain()

    def _gone(self) -> bool:
        return has_gone(self._writer.transport)


async def messages(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield one RESP value's bytes after the other, until the end."""
    buffer = bytearray()
    with suppress(ConnectionError):
        while chunk := await reader.read(65536):
            buffer += chunk
            start = 0
            while (end := value_end(buffer, start)) is not None:
                yield bytes(buffer[start:end])
                start = end
            del buffer[:start]


def value_end(buffer: bytearray | bytes, at: int) -> int | None:
    """Return where the RESP2 or RESP3 value at `at` ends, or None if it is not all there yet."""
    line = buffer.find(b"\r\n", at)
    if line < 0:
        return None
    kind, end = buffer[at : at + 1], line + 2
    if kind in b"+-:_#,(":
        return end
    count = int(buffer[at + 1 : line])
    if kind in b"$=!":
        end += max(count + 2, 0) if count >= 0 else 0
        return end if end <= len(buffer) else None
    if kind not in b"*~>%|":
        raise ValueError(f"not RESP: {bytes(buffer[at : at + 20])!r}")
    parts = {b"%": 2 * count, b"|": 2 * count + 1}.get(bytes(kind), count)
    for _ in range(parts):
        following = value_end(buffer, end)
        if following is None:
            return None
        end = following
    return end


def command_words(raw: bytes) -> list[bytes]:
    """Return the words of a command, an array of bulk strings."""
    words, at = [], raw.index(b"\r\n") + 2
    while at < len(raw):
        start = raw.index(b"\r\n", at) + 2
        length = int(raw[at + 1 : start - 2])
        words.append(raw[start : start + length])
        at = start + length + 2
    return words


def lua_scripts() -> dict[str, str]:
    """Return the store's own scripts by file name, for `RedisGate(scripts=…)`."""
    return {path.stem: path.read_text() for path in (ROOT / "workers/stores").glob("*.lua")}
