"""Run a command with a credential that exists only while it runs: ask, wait, run, release.

Whatever ends this process short of SIGKILL, all its grants are released: in `finally`, and on SIGTERM, SIGINT and
SIGHUP, which COMMAND gets first. After a SIGKILL the heartbeat stops, and the grant ends by that. Interrupted while
waiting, the request is withdrawn. The secret goes into COMMAND's environment and nowhere else; with `extend`, to
whatever COMMAND starts as its AWS profile's helper (see `handing`).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from approvers.errors import CountersignError
from countersign.asking import Asking
from countersign.client import AsyncClient
from countersign.errors import CANCELLED, CannotOpen
from countersign.extending import Extending
from countersign.handing import IDENTITY, Handing
from countersign.lineage import Lineage
from countersign.models import Ask, Credential
from countersign.pulse import Pulse
from countersign.status import Status

BEFORE_COMMAND = 120
"""Added to an exit code when COMMAND was not started."""
ENDED_UNDER_IT = 127
GRACE_SECONDS = 5.0
"""How long COMMAND may clean up after a signal before its credential is taken away; it may go on without."""
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
    """One run of one command under one request, and with `extend` under those that go on with it."""

    client: AsyncClient
    ask: Ask
    command: Sequence[str]
    status: Status
    idempotency_key: str | None = None
    extend: bool = False
    _stopped_by: int | None = field(default=None, init=False)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _process: asyncio.subprocess.Process | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Prepare what the run holds."""
        self._asking = Asking(self.client, self.ask, self.status.show, self.idempotency_key)
        self._lineage = Lineage(self.client, self.status.say)
        self._pulse = Pulse(self.client, self._lineage, self.status.say, self.command[0], warns=not self.extend)
        self._extending = Extending(
            self.client, self.ask, self._lineage, self.status, key=self.idempotency_key, on_new=self._pulse.begin
        )
        self._handing = Handing(self._lineage.handed) if self.extend else None

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
            async with AsyncExitStack() as stack:
                if self._handing is not None:
                    try:
                        await stack.enter_async_context(self._handing)
                    except OSError as error:
                        self.status.say(f"--extend needs a private folder for a socket ({error.strerror or error}): "
                                        "set TMPDIR to one with a short path; nobody was asked")  # fmt: skip
                        return BEFORE_COMMAND + 1
                return await self._asked_and_run()
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    async def _asked_and_run(self) -> int:
        with self.status:
            credential, code = await self._unless_stopped()
        if code is None and self._stopped_by is not None:  # in the moment between the two
            code = await self._withdraw()
        return code if code is not None else await self._under_grant(credential)

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
            await self._lineage.release()
            raise

    async def _get_ready(self) -> Credential | None:
        request = await self._asking.settled()
        if (held := self._lineage.hold(request)) is None:
            await self.client.consume(request)
            return None
        held.credential = await self.client.credential(request)
        if self.extend and held.credential.environment is not None:
            raise CannotOpen(f"The credential of {request.label} is variables, which cannot be extended under a command"
                             " that runs: run it without --extend.")  # fmt: skip
        return held.credential

    async def _withdraw(self) -> int:
        """Take the ask back after a signal; if the approval was faster, give the grant back."""
        if not self._lineage.holds:
            self._lineage.hold(await self._asking.withdraw(self.status.say))
        await self._lineage.release()
        return BEFORE_COMMAND + CANCELLED

    async def _under_grant(self, credential: Credential | None) -> int:
        try:
            if credential is not None:
                await self._pulse.begin(self._lineage.newest)
                if self.extend:
                    self._extending.start()
            code = await self._run_command(child_environ(credential, handing=self._handing))
            if code != 0 and self._stopped_by is None and credential is not None:
                await self._pulse.stop()
                if await self._lineage.over(self.command[0]):
                    return ENDED_UNDER_IT
            return code
        except OSError as error:
            self.status.say(f"{self.command[0]} cannot be started: {error.strerror or error}")
            return BEFORE_COMMAND + 1
        finally:
            await self._give_back()

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
                await self._give_back()
        code = await exited
        return 128 - code if code < 0 else code

    async def _give_back(self) -> None:
        """Leave nothing live: no beat, no extension that is still asked for, no grant."""
        await self._pulse.stop()
        for failed in await asyncio.gather(self._extending.stop(), self._lineage.release(), return_exceptions=True):
            if failed is not None:
                raise failed


def child_environ(
    credential: Credential | None, environ: Mapping[str, str] = os.environ, handing: Handing | None = None
) -> dict[str, str]:
    """Return COMMAND's environment: ours, with the credential (or what hands it over) for any other AWS identity."""
    if credential is None or credential.environment is not None:  # the last is no AWS identity, and replaces none
        return {**environ, **(credential.environ() if credential else {})}
    kept = {name: value for name, value in environ.items() if name not in OTHER_IDENTITY}
    if handing is None:
        return {**kept, **credential.environ()}
    return {**{name: value for name, value in kept.items() if name not in IDENTITY}, **handing.environ()}


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
