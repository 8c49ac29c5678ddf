"""Run a command with a credential that exists only while it runs: ask, wait, run, release.

Whatever ends this process short of SIGKILL, the grant is released: in `finally`, and on SIGTERM, SIGINT and SIGHUP,
which COMMAND gets first. Interrupted while waiting, the request is withdrawn. The secret goes into COMMAND's
environment and nowhere else.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from approvers.errors import CountersignError
from countersign.client import AsyncClient
from countersign.errors import CANCELLED, Conflict, outcome
from countersign.models import Ask, Credential, Request
from countersign.status import Status

BEFORE_COMMAND = 120
"""Added to an exit code when COMMAND was not started."""
ENDED_UNDER_IT = 127
GRACE_SECONDS = 5.0
"""How long COMMAND may clean up after a signal before its credential is taken away; it may go on without."""
GOODBYE_SECONDS = 10.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OTHER_IDENTITY = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SECURITY_TOKEN",
    # Set, it would make an SDK refresh from these same variables ten minutes before the end, and fail.
    "AWS_CREDENTIAL_EXPIRATION",
)


@dataclass
class Run:
    """One run of one command under one request."""

    client: AsyncClient
    ask: Ask
    command: Sequence[str]
    status: Status
    idempotency_key: str | None = None
    _request: Request | None = field(default=None, init=False)
    _posting: asyncio.Task[Request] | None = field(default=None, init=False)
    _stopped_by: int | None = field(default=None, init=False)
    _released: bool = field(default=False, init=False)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _process: asyncio.subprocess.Process | None = field(default=None, init=False)

    async def to_end(self) -> int:
        """Return the exit code: COMMAND's own, or 127 if the credential ended under it; 121 or 125 if it never started.

        Raises:
            CountersignError: COMMAND never started, because this stood in the way.
        """
        loop = asyncio.get_running_loop()
        handled = [number for number in SIGNALS if not _ignored(number)]
        for number in handled:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            if shutil.which(self.command[0]) is None:
                self.status.say(f"there is no command {self.command[0]!r}; nobody was asked")
                return BEFORE_COMMAND + 1
            with self.status:
                credential, code = await self._unless_stopped()
            if code is None and self._stopped_by is not None:  # in the moment between the two
                code = await self._withdraw()
            return code if code is not None else await self._under_grant(credential)
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: int) -> None:
        self._stopped_by = number
        self._arrived.set()
        if self._process is not None and self._process.returncode is None and not _sent_by_terminal(number):
            self._process.send_signal(number)

    async def _unless_stopped(self) -> tuple[Credential | None, int | None]:
        """Ask and wait; return what COMMAND needs, or the exit code with which it is not started."""
        getting = asyncio.ensure_future(self._get_ready())
        stopping = asyncio.ensure_future(self._arrived.wait())
        await asyncio.wait({getting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._stopped_by is not None:
            getting.cancel()
            await asyncio.wait({getting})
            return None, await self._withdraw()
        try:
            return getting.result(), None
        except CountersignError:
            if self._request is not None and self._request.approved:
                await self._release()
            raise

    async def _get_ready(self) -> Credential | None:
        self._posting = asyncio.ensure_future(self.client.request(self.ask, idempotency_key=self.idempotency_key))
        self._note(await asyncio.shield(self._posting))
        assert self._request is not None
        self._note(await self.client.wait(self._request, on_answer=self._note))
        if (trouble := outcome(self._request)) is not None:
            raise trouble
        if self._request.grant is None:
            await self.client.consume(self._request)
            return None
        return await self.client.credential(self._request)

    def _note(self, request: Request) -> None:
        self._request = request
        self.status.show(request)

    async def _withdraw(self) -> int:
        """Take the ask back after a signal; if the approval was faster, give the grant back."""
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                if self._request is None and self._posting is not None:
                    self._request = await self._posting
                if self._request is None:
                    return BEFORE_COMMAND + CANCELLED
                try:
                    self._request = await self.client.cancel(self._request)
                    self.status.say(f"{self._request.label} is withdrawn; nothing was run")
                except Conflict:
                    self._request = await self.client.wait(self._request)
                    await self._release()
        except (CountersignError, TimeoutError):
            if self._posting is not None:
                self._posting.cancel()
            self.status.say("stopped, but the request could not be withdrawn; it expires by itself")
        return BEFORE_COMMAND + CANCELLED

    async def _under_grant(self, credential: Credential | None) -> int:
        try:
            code = await self._run_command(child_environ(credential))
            if code != 0 and self._stopped_by is None and credential is not None and await self._ended():
                return ENDED_UNDER_IT
            return code
        except OSError as error:
            self.status.say(f"{self.command[0]} cannot be started: {error.strerror or error}")
            return BEFORE_COMMAND + 1
        finally:
            if credential is not None:
                await self._release()

    async def _run_command(self, environ: Mapping[str, str]) -> int:
        self._process = await asyncio.create_subprocess_exec(*self.command, env=environ)
        exited = asyncio.ensure_future(self._process.wait())
        if self._stopped_by is not None:  # it came in the moment before COMMAND was there to get it
            self._on_signal(self._stopped_by)
        arrived = asyncio.ensure_future(self._arrived.wait())
        await asyncio.wait({exited, arrived}, return_when=asyncio.FIRST_COMPLETED)
        arrived.cancel()
        if not exited.done():
            await asyncio.wait({exited}, timeout=GRACE_SECONDS)
            if not exited.done():
                await self._release()
        code = await exited
        return 128 - code if code < 0 else code

    async def _ended(self) -> bool:
        """Tell whether the grant ended while COMMAND ran, and say why."""
        assert self._request is not None
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                now = await self.client.get(self._request)
                if _at_its_end(now):  # the worker may be a moment behind the clock
                    now = await self.client.get(now, wait=3, after=now.version)
        except (CountersignError, TimeoutError):
            return False
        if now.grant is None or now.grant.active:
            return False
        self._released = True
        ending = now.grant.ending or {}
        words = ": ".join(str(ending[name]) for name in ("by", "reason") if ending.get(name))
        why = f"{ending.get('cause', now.grant.state)}" + (f" by {words}" if words else "")
        self.status.say(f"the credential ended while {self.command[0]} ran ({why})")
        return True

    async def _release(self) -> None:
        """Give the grant back, once; if that fails, say when it ends by itself."""
        if self._released or self._request is None or self._request.grant is None or self._request.grant.over:
            return
        self._released = True
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self.client.release(self._request)
            self.status.say(f"{self._request.label} is released")
        except Conflict:
            pass  # it has ended already, which is what was wanted
        except (CountersignError, TimeoutError) as error:
            ends = self._request.grant.ends_at
            until = f" at {ends.astimezone(UTC):%H:%M:%S} UTC" if ends else ""
            self.status.say(f"could not release ({error or 'timeout'}); the credential ends by itself{until}")


def child_environ(credential: Credential | None, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return COMMAND's environment: ours, with the credential in place of any other AWS identity."""
    if credential is None:
        return dict(environ)
    kept = {name: value for name, value in environ.items() if name not in OTHER_IDENTITY}
    return {**kept, **credential.environ()}


def _at_its_end(request: Request) -> bool:
    grant = request.grant
    if grant is None or not grant.active or grant.ends_at is None:
        return False
    return (grant.ends_at - datetime.now(UTC)).total_seconds() < 3


def _ignored(number: int) -> bool:
    """Tell whether whoever started us (nohup) wants us to outlive the terminal."""
    return number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


def _sent_by_terminal(number: int) -> bool:
    """Tell whether the terminal sent this signal, which then reached COMMAND as well, being in the same group."""
    if number != signal.SIGINT:
        return False
    try:
        return os.isatty(sys.stdin.fileno()) and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False
