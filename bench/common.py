"""Load a server over plain HTTP/1.1 from one lean client, and say how fast and how even it was.

The client shares the machine with what it measures, so it does as little as can be: bytes are prepared, answers are
only cut at their length and counted by status. Percentiles are over every answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d+)\r\n")
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Measured:
    """One run: answers per second, latencies in milliseconds, and how many answers had which status."""

    per_second: float
    p50_ms: float
    p99_ms: float
    statuses: Mapping[int, int]


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], took: list[float], statuses: Counter[int]) -> None:
        self._requests, self._took, self._statuses = requests, took, statuses
        self._buffer = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(self._buffer, 0, head + 2)
        assert length, self._buffer[:head]
        if len(self._buffer) < head + 4 + int(length[1]):
            return
        self._took.append(time.perf_counter() - self._began)
        self._statuses[int(self._buffer[9:12])] += 1
        self._buffer = b""
        self._next()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server closed a connection"))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.done.done() or self.done.set_result(None)
            self._transport.close()
            return
        self._began = time.perf_counter()
        self._transport.write(request)


async def load(port: int, requests: list[bytes], connections: int) -> Measured:
    """Send every request once, over that many connections, each waiting for its answer before the next."""
    took, statuses, source = [], Counter(), iter(requests)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    opened = [
        (await loop.create_connection(lambda: _Connection(source, took, statuses), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(one.done for one in opened))
    seconds = time.perf_counter() - began
    took.sort()
    return Measured(len(took) / seconds, *(took[int(len(took) * part)] * 1000 for part in (0.5, 0.99)), dict(statuses))


class Connection:
    """One open connection to the web process: bytes go out, the status and the body come back. As lean as can be."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.send = reader, writer.write
        self.close = writer.close

    async def answer(self) -> tuple[int, bytes]:
        """Return the next answer."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return int(head[9:12]), await self._reader.readexactly(length)

    async def call(self, request: bytes) -> dict[str, Any]:
        """Send a request and return what was answered."""
        self.send(request)
        status, body = await self.answer()
        assert status < 300, body
        found: dict[str, Any] = json.loads(body)
        return found


def post(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return the bytes of one POST."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def serving(module: str, env: Mapping[str, str], *arguments: str) -> Iterator[tuple[int, int]]:
    """Run `python -m module` until it says where it listens; gives port and process id."""
    command = [sys.executable, "-m", module, *arguments]
    with Path(os.environ.get("BENCH_LOG", os.devnull)).open("ab") as nowhere:
        process = subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=nowhere, cwd=ROOT)
    assert process.stdout
    try:
        line = process.stdout.readline().decode()
        assert "listening on" in line, f"{module} did not start"
        yield int(line.rsplit(":", 1)[1]), process.pid
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
