"""Stand between one process and Redis or AWS: count its calls, hold one before or after it is done, spoil one.

A gate belongs to one process (give each process a gate of its own), so its counts are that process's. It runs in a
thread of the test; everything here may be called from a plain synchronous test.

    with RedisGate(valkey.url) as gate:                # or AwsGate(endpoint)
        held = gate.hold(2, "before", only="EVALSHA*")   # the 2nd such call from now on
        ... start the process with gate.url ...
        held.wait()                                    # it is at the gate: not done yet
        process.kill(); held.drop()                    # dead before the call; or held.release() to let it pass

`before`: the call has not reached the other side. `after`: it is done there, and the process has no answer yet.
"""

from __future__ import annotations

import asyncio
import fnmatch
import os
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from tests.worlds.background import Background

When = Literal["before", "after"]


@dataclass
class Call:
    """One call that came to the gate. `n` counts from 1; the answer is kept while the gate records."""

    n: int
    name: str
    client: int
    request: Any = field(repr=False)
    answer: bytes | None = field(default=None, repr=False)
    status: int | None = None
    rules: list[Rule] = field(default_factory=list, repr=False)


Only = str | Callable[[Call], bool] | None


class Cut(Exception):
    """Close this client's connection without an answer."""


class Rule:
    """Act on the nth matching call from now on (None: on every one)."""

    def __init__(self, nth: int | None, when: When, only: Only) -> None:
        self.nth, self.when, self._only, self._seen = nth, when, only, 0

    def fires_at(self, call: Call) -> bool:
        """Count the call if it matches; the gate asks once per call, when it arrives."""
        if isinstance(self._only, str):
            matches = fnmatch.fnmatchcase(call.name, self._only)
        else:
            matches = self._only is None or self._only(call)
        self._seen += matches
        return matches and self.nth in (None, self._seen)

    async def act(self, call: Call, gone: Callable[[], bool]) -> Any:
        """Let it pass (None), raise Cut, or return the answer to give in the other side's place."""


class Hold(Rule):
    """Keep calls at the gate until told what to do with them."""

    def __init__(self, nth: int | None, when: When, only: Only, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(nth, when, only)
        self._loop, self._open, self._drop = loop, asyncio.Event(), False
        self._held = threading.Event()
        self.call: Call | None = None

    def wait(self, timeout: float = 20.0) -> Call:
        """Return the held call once there is one."""
        if not self._held.wait(timeout):
            raise AssertionError(f"nothing came to be held within {timeout:g} s")
        assert self.call is not None
        return self.call

    @property
    def held(self) -> bool:
        return self._held.is_set()

    def release(self) -> None:
        """Let the call go on. A call held before it was done whose process has died meanwhile is dropped."""
        self._loop.call_soon_threadsafe(self._open.set)

    def drop(self) -> None:
        """Forget the call and close its connection: held before, it never happens; held after, its answer is lost."""
        self._drop = True
        self.release()

    async def act(self, call: Call, gone: Callable[[], bool]) -> Any:
        self.call = self.call or call
        self._held.set()
        await self._open.wait()
        if self._drop or gone():
            raise Cut


class Spoil(Rule):
    """Delay a call, cut its connection, or answer it without the other side."""

    def __init__(
        self, nth: int | None, when: When, only: Only, *, cut: bool = False, seconds: float = 0.0, answer: Any = None
    ) -> None:
        super().__init__(nth, when, only)
        self._cut, self._seconds, self._answer = cut, seconds, answer

    async def act(self, call: Call, gone: Callable[[], bool]) -> Any:
        await asyncio.sleep(self._seconds)
        if self._cut:
            raise Cut
        return self._answer


class Gate(ABC):
    """What both gates share: the count, the rules, the thread. A context manager."""

    def __init__(self, *, ignore: Sequence[str] = (), record: bool = False) -> None:
        """`ignore` are patterns of names that are passed on uncounted; `record` keeps every answer."""
        self._ignore, self._record = tuple(ignore), record
        self._lock = threading.Condition()
        self._log: list[Call] = []
        self._rules: list[Rule] = []
        self._holds: list[Hold] = []
        self._background = Background(type(self).__name__)
        self.port: int = self._background.run(self._start())

    @property
    @abstractmethod
    def url(self) -> str:
        """The address to give to the process."""

    @property
    def log(self) -> list[Call]:
        """Every counted call, in the order of arrival."""
        with self._lock:
            return list(self._log)

    @property
    def calls(self) -> list[str]:
        """The names of the counted calls."""
        return [call.name for call in self.log]

    def wait_for_calls(self, count: int, only: str = "*", timeout: float = 20.0) -> list[str]:
        """Return the names that match once there are that many."""

        def matching() -> list[str]:
            return [call.name for call in self._log if fnmatch.fnmatchcase(call.name, only)]

        with self._lock:
            if not self._lock.wait_for(lambda: len(matching()) >= count, timeout):
                raise AssertionError(f"{len(matching())} calls {only!r} within {timeout:g} s, expected {count}")
            return matching()

    def hold(self, nth: int | None, when: When, only: Only = None) -> Hold:
        """Hold the nth matching call from now on, before or after it is done."""
        hold = Hold(nth, when, only, self._background.loop)
        self._holds.append(hold)
        return self._add(hold)

    def wait_held(self, timeout: float = 20.0) -> Call:
        """Wait for the newest hold."""
        return self._holds[-1].wait(timeout)

    def release(self) -> None:
        """Release every hold."""
        for hold in self._holds:
            hold.release()
        self._holds.clear()

    def drop(self) -> None:
        """Drop whatever the holds hold."""
        for hold in self._holds:
            hold.drop()
        self._holds.clear()

    def cut(self, nth: int | None, when: When, only: Only = None) -> None:
        """Close the connection: before, so that the call never happens; after, so that its answer is lost."""
        self._add(Spoil(nth, when, only, cut=True))

    def delay(self, nth: int | None, seconds: float, only: Only = None, when: When = "before") -> None:
        """Make calls slow."""
        self._add(Spoil(nth, when, only, seconds=seconds))

    def answer(self, nth: int | None, answer: Any, only: Only = None) -> None:
        """Answer in the other side's place; the call never gets there."""
        self._add(Spoil(nth, "before", only, answer=answer))

    def obey(self, rule: Rule) -> None:
        """Follow a rule of the test's own making; one rule may serve several gates."""
        self._add(rule)

    def forgo(self, rule: Rule) -> None:
        """Follow it no longer."""
        with self._lock:
            self._rules = [one for one in self._rules if one is not rule]

    def reset(self) -> None:
        """Forget calls and rules; what is held is released."""
        self.release()
        with self._lock:
            self._rules.clear()
            self._log.clear()

    def close(self) -> None:
        self._background.close(self._stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _add(self, rule: Any) -> Any:
        with self._lock:
            self._rules.append(rule)
        return rule

    def _arrive(self, name: str, client: int, request: Any) -> Call:
        """Count a call and decide which rules it meets."""
        with self._lock:
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in self._ignore):
                return Call(0, name, client, request)
            call = Call(len(self._log) + 1, name, client, request)
            self._log.append(call)
            call.rules = [rule for rule in self._rules if rule.fires_at(call)]
            self._lock.notify_all()
            return call

    async def _meet(self, call: Call, when: When, gone: Callable[[], bool]) -> Any:
        """Apply the call's rules for this side; returns an answer to give instead, if one says so."""
        for rule in call.rules:
            if rule.when == when and (answer := await rule.act(call, gone)) is not None:
                return answer
        return None

    @abstractmethod
    async def _start(self) -> int:
        """Listen on loopback; return the port."""

    @abstractmethod
    async def _stop(self) -> None:
        """Stop listening and close every connection."""


def has_gone(transport: asyncio.BaseTransport | None) -> bool:
    """Tell whether the peer has closed its end, asking the kernel: a killed process may not have been noticed yet."""
    if transport is None or transport.is_closing():
        return True
    with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as twin:
        try:
            return twin.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
