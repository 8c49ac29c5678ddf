"""Spring faults at calls, and watch what each call does to whom; rules for the gates.

A trap waits on every gate of its name, so that it meets whichever worker makes the call. What it does is done while
the call is held at the gate, in a thread.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from tests.faults.ground import Ground
from tests.faults.plans import Fault
from tests.worlds.aws_gate import SERVER_ERROR, THROTTLED
from tests.worlds.gate import Call, Cut, Rule
from tests.worlds.processes import Process


class Trap:
    """One fault, armed on all gates of its name until it has sprung or is taken away."""

    def __init__(self, of: Ground, fault: Fault, request: str, while_down: Callable[[], None] | None = None) -> None:
        """`while_down` is called while the process is dead or stopped."""
        self.fault, self.sprung, self.state = fault, threading.Event(), ""
        self._of, self._request, self._while_down = of, request, while_down
        self._lock, self._seen = threading.Lock(), 0
        self._last = fault.nth + (fault.amount - 1 if fault.kind in ("throttle", "error") else 0)
        self._rules = [(gate, _Spring(self, process)) for process, gate in of.gates(fault.gate)]
        for gate, rule in self._rules:
            gate.obey(rule)

    def disarm(self) -> None:
        """Take it away; what has begun goes on."""
        for gate, rule in self._rules:
            gate.forgo(rule)

    def counts(self) -> bool:
        """Count one matching call, whichever worker's; tell whether it is the one."""
        with self._lock:
            self._seen += 1
            return self.fault.nth <= self._seen <= self._last

    def spring(self, process: Process) -> Any:
        """Do what the fault does, once or as often as it says; returns an answer to give instead, or raises Cut."""
        fault, of = self.fault, self._of
        if not self.sprung.is_set():
            self.state = of.state(self._request)
            self.sprung.set()
        match fault.kind:
            case "kill" | "kill all":
                self._kill(process)
                raise Cut
            case "stop":
                self._stop(process)
            case "restart redis":
                of.valkey.kill()
                of.valkey.start()
            case "shift":
                of.clocks.shift(fault.group, fault.amount)
            case "delay":
                time.sleep(fault.amount)
            case "lose answer" | "cut":
                raise Cut
            case "throttle":
                return THROTTLED
            case "error":
                return SERVER_ERROR
        return None

    def _kill(self, process: Process) -> None:
        every = [one for one, _ in self._of.gates(self.fault.gate)] if self.fault.kind == "kill all" else [process]
        for one in every:
            one.kill()
        if self._while_down:
            self._while_down()
        self._of.revive()

    def _stop(self, process: Process) -> None:
        """Stop it past its lease; the call goes on meanwhile, and its answer waits for the process."""
        process.pause()
        if self._while_down:
            self._while_down()

        def resume() -> None:
            with suppress(ProcessLookupError):
                process.resume()

        threading.Timer(self._of.lease_seconds + 1, resume).start()


class _Spring(Rule):
    def __init__(self, trap: Trap, process: Process) -> None:
        super().__init__(None, trap.fault.when, trap.fault.call)
        self._trap, self._process = trap, process

    def fires_at(self, call: Call) -> bool:
        return super().fires_at(call) and self._trap.counts()

    async def act(self, call: Call, gone: Callable[[], bool]) -> Any:
        return await asyncio.to_thread(self._trap.spring, self._process)


@dataclass(frozen=True)
class Sighting:
    """A call to AWS that changes something for one grant, with what the grant's record said when it came."""

    action: str
    grant: str
    state: str
    at_aws: datetime
    """What AWS's clock showed."""
    ttl_end: str
    """For AssumeRole: the moment after which its session policy denies everything, as sent; else ""."""
    monotonic: float


class Witness(Rule):
    """Note every call that mints, denies or removes a Deny, before it reaches AWS."""

    def __init__(self, of: Ground) -> None:
        super().__init__(None, "before", self._concerns)
        self._of, self.sightings = of, list[Sighting]()
        for _, gate in of.gates("worker→aws"):
            gate.obey(self)

    @staticmethod
    def _concerns(call: Call) -> bool:
        return call.name in ("sts:AssumeRole", "iam:PutRolePolicy", "iam:DeleteRolePolicy")

    async def act(self, call: Call, gone: Callable[[], bool]) -> None:
        form = {name: values[0] for name, values in parse_qs(call.request.decode()).items()}
        named = form.get("RoleSessionName") or form.get("PolicyName", "")
        found = re.fullmatch(r"(?:grant-|countersign-revoke-)(grt_[0-9A-Z]{26})", named)
        if found is None:
            return  # a probe's, or the reconciler's own
        state = await asyncio.to_thread(self._of.state, f"req_{found[1].removeprefix('grt_')}")
        stamp = re.search(r'"aws:CurrentTime": ?"([^"]+)"', form.get("Policy", ""))
        action = call.name.partition(":")[2]
        end = stamp[1] if stamp else ""
        self.sightings.append(Sighting(action, found[1], state, self._of.clocks.now("aws"), end, time.monotonic()))
