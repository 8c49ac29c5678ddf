"""Start the real processes, watch what they say, and end them the hard way or the soft one.

    web = start("bot", env, tmp_path).wait_ready(url + "/readyz")
    web.kill(); web.restart().wait_ready(…)

Output goes to files, so that nothing blocks on a full pipe and every byte can be searched later. A process dies with
the test run (PR_SET_PDEATHSIG, Linux), and inherits no COUNTERSIGN_*, AWS_* or PYTHON* variable.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
# Asked for by the child itself, before it becomes the program: no code runs between fork and exec in a test process
# that has threads, and the wish survives the exec. Exits if the parent died first. Ctrl-C counts, even where the tests
# were started in the background, where shells have it ignored.
LAUNCHER = (
    "import ctypes, os, signal, sys; parent = int(sys.argv[1]);"
    "getattr(ctypes.CDLL(None), 'prctl', lambda *a: 0)(1, signal.SIGKILL);"
    "signal.signal(signal.SIGINT, signal.SIG_DFL);"
    "os.getppid() == parent or os._exit(1);"
    "os.execv(sys.argv[2], sys.argv[2:])"
)


class Process:
    """One real process and everything that it ever printed, over restarts."""

    def __init__(self, args: Sequence[str], env: Mapping[str, str], folder: Path, name: str) -> None:
        """Prepare, do not start: `restart` does both the first and every later start."""
        self.args, self.env, self.name = list(args), dict(env), name
        folder.mkdir(parents=True, exist_ok=True)
        self._paths = {stream: folder / f"{name}.{stream}" for stream in ("stdout", "stderr")}
        self._popen: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def restart(self, **env: str) -> Self:
        """Start it (again), with these changes to its environment."""
        assert not self.running, f"{self.name} is running"
        self.env |= env
        self._skip = {stream: len(self._read(stream)) for stream in self._paths}
        with self._paths["stdout"].open("ab") as stdout, self._paths["stderr"].open("ab") as stderr:
            self._popen = subprocess.Popen(
                [sys.executable, "-c", LAUNCHER, str(os.getpid()), *self.args],
                env={**_inherited(), **self.env},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=ROOT,
                start_new_session=True,
            )
        self.starts += 1
        return self

    @property
    def pid(self) -> int:
        assert self._popen, f"{self.name} was never started"
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def output(self) -> bytes:
        """Everything on stdout, then everything on stderr, since the first start."""
        return b"".join(self._read(stream) for stream in self._paths)

    def lines(self, stream: str = "stderr") -> list[str]:
        """Return the lines of one stream since the first start."""
        return self._paths[stream].read_text(errors="replace").splitlines()

    def wait_ready(self, url: str, timeout: float = 60.0) -> Self:
        """Return once `url` answers 200; fail at once if the process ends first."""
        self._until(lambda: _answers(url), f"{url} to answer", timeout)
        return self

    def wait_line(self, pattern: str, timeout: float = 60.0) -> re.Match[str]:
        """Return the first match in what was printed since the last start."""

        def find() -> re.Match[str] | None:
            return re.search(pattern, self._recent())

        return self._until(find, f"a line like {pattern!r}", timeout)

    def kill(self) -> Self:
        """SIGKILL, and wait until it is gone."""
        return self._signal(signal.SIGKILL, 10)

    def stop(self, timeout: float = 20.0) -> int:
        """SIGTERM, and return the exit code; fail, after a SIGKILL, if it does not end in time."""
        try:
            self._signal(signal.SIGTERM, timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} ignored SIGTERM for {timeout:g} s:\n{self._tail()}") from None
        assert self._popen
        return self._popen.returncode

    def wait(self, timeout: float = 60.0) -> int:
        """Wait until it ends by itself, and return its exit code."""
        assert self._popen
        return self._popen.wait(timeout)

    def pause(self) -> None:
        """SIGSTOP: it stays, and does nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.running:
            self.kill()

    def _signal(self, number: signal.Signals, timeout: float) -> Self:
        assert self._popen
        with suppress(ProcessLookupError):
            self._popen.send_signal(number)
        self._popen.wait(timeout)
        return self

    def _until(self, look: Callable[[], T | None], what: str, timeout: float) -> T:
        give_up = time.monotonic() + timeout
        while not (found := look()):
            if not self.running:
                code = self._popen.returncode if self._popen else None
                raise AssertionError(f"{self.name} ended with {code} before {what}:\n{self._tail()}")
            if time.monotonic() > give_up:
                raise AssertionError(f"{self.name}: waited {timeout:g} s for {what}:\n{self._tail()}")
            time.sleep(0.02)  # another process: there is no event to wait for
        return found

    def _recent(self) -> str:
        return b"\n".join(self._read(stream)[skip:] for stream, skip in self._skip.items()).decode(errors="replace")

    def _read(self, stream: str) -> bytes:
        path = self._paths[stream]
        return path.read_bytes() if path.exists() else b""

    def _tail(self) -> str:
        return self.output.decode(errors="replace")[-4000:]


def start(module: str, env: Mapping[str, str], folder: Path, *args: str, name: str | None = None) -> Process:
    """Start `python -m module` with that environment; its output goes to files in `folder`."""
    return Process([sys.executable, "-m", module, *args], env, folder, name or module).restart()


def _inherited() -> dict[str, str]:
    ours = re.compile(r"COUNTERSIGN_|AWS_|PYTHON", re.IGNORECASE)
    return {name: value for name, value in os.environ.items() if not ours.match(name)}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
