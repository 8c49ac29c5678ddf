"""Run a real Valkey that a test can kill, freeze and start again at the same address.

The product's own launcher gives a new password at every start and keeps its server alive; here we want the contrary.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import redis

from countersign.ops.valkey import find_binary

DURABLE = {"appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory-policy": "noeviction", "hz": "100"}

_prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux only; looked up before any fork


def _die_with_the_tests() -> None:
    if _prctl:  # 1 is PR_SET_PDEATHSIG; SIGKILL, because a frozen server answers to nothing else
        _prctl(1, signal.SIGKILL)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Valkey:
    """One server on one directory and one loopback port. A context manager: at its end nothing is left running."""

    def __init__(self, data_dir: Path, *, env: Mapping[str, str] | None = None, **settings: str) -> None:
        """`env` is added to the server's environment."""
        self.data_dir, self.port = data_dir, free_port()
        self._env = {**os.environ, **(env or {})}
        self._settings = DURABLE | {name.replace("_", "-"): value for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """A plain client, to look behind the store's back."""
        return redis.Redis.from_url(self.url)

    def start(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        settings = self._settings | {"bind": "127.0.0.1", "port": str(self.port), "dir": str(self.data_dir)}
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [find_binary(), *words], stdout=subprocess.DEVNULL, env=self._env, preexec_fn=_die_with_the_tests
        )
        give_up = time.monotonic() + 60
        with self.client() as client:
            while time.monotonic() < give_up:
                with suppress(redis.ConnectionError):
                    client.ping()
                    return
                assert self._process.poll() is None, "the server ended at once"
                time.sleep(0.005)
        raise AssertionError("the server never answered")

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        self._signal(signal.SIGKILL)
        assert self._process
        self._process.wait()

    def freeze(self) -> None:
        """Stop answering without closing anything, as a machine does that swaps or is suspended."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._process
        if self._process.poll() is None:
            self.kill()

    def _signal(self, number: int) -> None:
        assert self._process
        os.kill(self._process.pid, number)
