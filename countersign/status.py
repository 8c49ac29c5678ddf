"""Tell a person at a terminal, or a CI log, how a request stands: who is asked, and how much time is left.

A terminal gets one line that lives; anything else (and `CI=true`) gets plain lines, one for each thing that changed,
and one a minute, since many CI systems end a job that says nothing. All goes to stderr; stdout belongs to COMMAND.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from approvers.narrowing import difference
from approvers.times import spell
from countersign.address import harmless
from countersign.models import AfterReview, Grant, Request

HEARTBEAT_SECONDS = 55.0
OFF = ("", "0", "false", "no")


class Status(Protocol):
    """Show how one request stands."""

    def say(self, text: str) -> None:
        """Print one line that stays."""

    def show(self, request: Request) -> None:
        """Show the newest answer."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def status(stream: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> Status:
    """Return the kind of status that fits where it is shown (default: stderr)."""
    stream = stream or sys.stderr
    plain = environ.get("CI", "").lower() not in OFF or environ.get("TERM") == "dumb" or not stream.isatty()
    return PlainStatus(stream) if plain else LiveStatus(stream)


class PlainStatus:
    """Print lines."""

    def __init__(self, stream: TextIO) -> None:
        """Write to this stream."""
        self._stream = stream
        self._last = ""
        self._last_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Have nothing to put away."""

    def say(self, text: str) -> None:
        """Print one line."""
        print(f"countersign: {harmless(text)}", file=self._stream, flush=True)

    def show(self, request: Request) -> None:
        """Print a line when what it says has changed, or a minute has passed."""
        line, now = standing(request), time.monotonic()
        if line == self._last and now - self._last_at < HEARTBEAT_SECONDS:
            return
        self._last, self._last_at = line, now
        left = time_left(request)
        self.say(f"{line} ({left} left)" if left and request.pending else line)


class LiveStatus:
    """Keep one line alive, with the time left counting down."""

    def __init__(self, stream: TextIO) -> None:
        """Write to this terminal."""
        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._spinner = Spinner("dots", "asking")
        self._request: Request | None = None
        self._last = ""
        self._over = False
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
        )

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the line, so that COMMAND has the terminal to itself."""
        self._live.__exit__(kind, error, trace)
        self._over = True

    def say(self, text: str) -> None:
        """Print a line above the one that lives."""
        self._console.print(Text(f"countersign: {harmless(text)}"))

    def show(self, request: Request) -> None:
        """Let the line show this answer from now on; the last one stays when the line goes.

        Once the line is gone, COMMAND has the terminal: then what changes is a line that stays.
        """
        self._request = request
        if (request.settled or self._over) and (line := standing(request)) != self._last:
            self._last = line
            self.say(line)

    def _render(self) -> Spinner:
        if self._request is not None:
            line, left = standing(self._request), time_left(self._request)
            self._spinner.update(text=Text(f"{line} · {left} left" if left and self._request.pending else line))
        return self._spinner


def standing(request: Request) -> str:
    """Say in one line how the request stands: `K7QF waits for 1 of sre until 10:20:31 UTC`."""
    label = harmless(request.label)
    if request.pending:
        return f"{label} waits for {_asked(request)}{_until(request.expires_at)}"
    if not request.settled:
        return f"{label} is {_approved(request)}; the credential is being made"
    if request.approved:
        return f"{label} is {_approved(request)}{_credential(request.grant)}"
    return f"{label} is {harmless(request.state)}{_by(request, 'deny')}"


def time_left(request: Request, now: datetime | None = None) -> str:
    """Spell how long the request still waits; by this machine's clock, for show only."""
    if request.expires_at is None:
        return ""
    left = request.expires_at - (now or datetime.now(UTC))
    return spell(left) if left.total_seconds() > 0 else "no time"


def _asked(request: Request) -> str:
    if not request.waiting_for:
        return "an answer"
    answered = [one.reviewer for one in request.reviews if one.verdict == "approve"]
    missing = " and ".join(f"{count} of {group}" for group, count in sorted(request.waiting_for.items()))
    return harmless(missing + (f" (approved by {', '.join(answered)})" if answered else ""))


def _approved(request: Request) -> str:
    """Say how it came to a yes: by whom, how much of it, and that nobody was asked where break-glass took it."""
    if request.because == "break_glass":
        return f"granted by break-glass; {_owed(request.after_review)}"
    return f"approved{_by(request, 'approve')}{_smaller(request)}"


def _owed(after: AfterReview | None) -> str:
    if after is None or after.due_at is None:
        return "somebody reviews it afterwards"
    if after.verdict is None:
        return f"its after-review is due {after.due_at.astimezone(UTC):%-d %b %H:%M} UTC"
    return harmless(f"found {after.verdict} by {after.by}")


def _by(request: Request, verdict: str) -> str:
    people = [one.reviewer for one in request.reviews if one.verdict == verdict]
    return harmless(f" by {', '.join(people)}") if people else " by policy" if request.because == "rule" else ""


def _smaller(request: Request) -> str:
    """Say what a reviewer has left out of what was asked: COMMAND will miss it."""
    said = request.narrowed
    if not said:
        return ""
    try:
        return harmless(f", narrowed: {difference(said['asked'], said['granted'])}")
    except (KeyError, TypeError):  # a server that is newer than this command
        return ", narrowed"


def _credential(grant: Grant | None) -> str:
    if grant is None:
        return ""
    return f"; the credential lives{_until(grant.ends_at)}" if grant.active else f"; its credential is {grant.state}"


def _until(moment: datetime | None) -> str:
    return f" until {moment.astimezone(UTC):%H:%M:%S} UTC" if moment else ""
