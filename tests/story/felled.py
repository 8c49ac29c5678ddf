"""Be `countersign …`, and be struck by a signal just before a change of anything in a folder.

    python -m tests.story.felled FOLDER SIGKILL 3 audit export FOLDER
    python -m tests.story.felled FOLDER SIGKILL "os.rename manifest.json" audit export FOLDER

A change is a file opened for writing, renamed or removed, or a folder made. Each is told on stderr with its number. The
command runs as it is; the interpreter's own audit events say what it is about to do.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from countersign.cli import main

CHANGES = {"os.rename": 1, "os.remove": 0, "os.mkdir": 0}
"""Which of an event's arguments names what comes to be, or is no more."""


def changed(event: str, args: tuple[Any, ...]) -> str | None:
    """Return the path that is about to be changed."""
    if event == "open":
        path, mode, flags = args
        writes = mode is not None and flags & (os.O_WRONLY | os.O_RDWR)
        return os.fspath(path) if writes and isinstance(path, str | os.PathLike) else None
    if event not in CHANGES or (event == "os.mkdir" and os.path.isdir(args[0])):
        return None
    return os.fspath(args[CHANGES[event]])


def watch(folder: str, number: signal.Signals, at: str) -> None:
    """Count the changes below the folder; strike at the one of that number or words, before it is done (0: never)."""
    count = 0

    def seen(event: str, args: tuple[Any, ...]) -> None:
        nonlocal count
        path = changed(event, args)
        if path is None or not path.startswith(folder):
            return
        count += 1
        change = f"{event} {path[len(folder) + 1 :]}"
        os.write(2, f"change {count}: {change}\n".encode())
        if at in (str(count), change):
            os.kill(os.getpid(), number)

    sys.addaudithook(seen)


if __name__ == "__main__":
    folder, name, at, *words = sys.argv[1:]
    watch(folder, signal.Signals[name], at)
    main(words)
