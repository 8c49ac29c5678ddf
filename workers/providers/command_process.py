"""Run one executable: what it is asked goes in, what it says comes out, within a time and a size.

It gets no environment of ours, no shell, and a process group of its own, which is ended whole. Nothing it prints is
kept anywhere but in the answer; of stderr the last line is told, without what stood on stdout.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workers.logs import WITHHELD, scrub

ENVIRONMENT: Mapping[str, str] = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
"""All that an executable gets. Its folder is its working directory: what it needs to know lies in a file there."""
MOST_BYTES = 64 * 1024
LONGEST_WORDS = 300
_GLANCE_SECONDS = 0.02
_NAMED_SECRET = re.compile(r"(?i)((?:pass\w*|secret|token|key|pwd)\s*[=:]\s*)\S+")
_WORD = re.compile(r'[^\s"\\]{6,}')


class CannotStart(OSError):
    """The executable could not be started; nothing was done."""


@dataclass(frozen=True)
class Ran:
    """Hold what came of it: the exit code (None: it was ended, and `words` says why), what it said, and its words."""

    code: int | None
    out: bytes = field(repr=False)
    words: str


def run(program: Path, asked: bytes, seconds: float, folder: Path) -> Ran:
    """Run it with `asked` as its stdin. Raises CannotStart."""
    until = time.monotonic() + seconds
    try:
        process = _start(program, asked, folder)
    except OSError as error:
        raise CannotStart(error.errno, error.strerror or "it cannot be started") from None
    with process:
        try:
            out, said, why = _read(process, until)
            ended = why is None and _exits(process, until)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # not waited for yet: the group is its own
                os.killpg(process.pid, signal.SIGKILL)
    if not ended:
        return Ran(None, b"", why or f"it did not end within {seconds:.0f} s")
    return Ran(process.returncode, out, words(said, out))


def _start(program: Path, asked: bytes, folder: Path) -> subprocess.Popen[bytes]:
    with tempfile.TemporaryFile() as stdin:
        stdin.write(asked)
        stdin.seek(0)
        return subprocess.Popen(  # noqa: S603 the operator's own file, checked by `command_files`
            [str(program)],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=dict(ENVIRONMENT),
            start_new_session=True,
        )


def words(said: bytes, out: bytes) -> str:
    """Return the last line of stderr on one plain line, without secrets: nothing that stood on stdout, or is named."""
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    line = lines[-1].strip() if lines else ""
    for secret in sorted(set(_WORD.findall(out.decode(errors="replace"))), key=len, reverse=True):
        line = line.replace(secret, WITHHELD)
    line = scrub(_NAMED_SECRET.sub(rf"\1{WITHHELD}", line))
    return "".join(char if char.isprintable() else "?" for char in line)[:LONGEST_WORDS]


def _read(process: subprocess.Popen[bytes], until: float) -> tuple[bytes, bytes, str | None]:
    """Read both streams to their end; say why not, if it takes too long or says too much."""
    assert process.stdout is not None
    assert process.stderr is not None
    held = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    out, said = held.values()
    why = None
    with selectors.DefaultSelector() as selector:
        for stream in held:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map() and why is None:
            if time.monotonic() > until:
                why = "it did not answer in time"
            ready = selector.select(_GLANCE_SECONDS)
            for key, _ in ready:
                if not (part := os.read(key.fd, MOST_BYTES)):
                    selector.unregister(key.fd)
                held[key.fd] += part
            if len(out) > MOST_BYTES:
                why = f"it said more than {MOST_BYTES} bytes"
            del said[:-MOST_BYTES]
            if not ready and _has_exited(process):  # what it left running holds the streams open; that is ended, too
                break
    return bytes(out), bytes(said), why


def _exits(process: subprocess.Popen[bytes], until: float) -> bool:
    """Wait for the process, without taking its id from it: its group is still to be ended."""
    while not _has_exited(process):
        if time.monotonic() > until:
            return False
        time.sleep(_GLANCE_SECONDS / 4)
    return True


def _has_exited(process: subprocess.Popen[bytes]) -> bool:
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
