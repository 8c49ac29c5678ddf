"""Give each account its turns at its provider, so that a throttled or broken one holds up no other.

At most `MOST` calls at a time go to one account, each in a thread of the account's own. After a few answers in a row
that say "later", time out or never come, the account counts as troubled: whoever wants a turn is sent away with a time
to come again, but for one now and then who tries. The first real answer, also a no, ends that.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, ParamSpec, TypeVar

from approvers.grant import Plan
from workers import logs
from workers.providers.port import NotSent, OutcomeUnknown, ProviderError, Reading

P = ParamSpec("P")
T = TypeVar("T")
MOST = 16
"""Calls at a time to one account: IAM takes a few writes a second, and most of a call is waiting."""
TRIPS = 3
"""So many missing answers in a row make an account troubled: one alone is an accident."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""How long a troubled account is left alone between two tries; doubles with each that fails."""
WAIT_SECONDS = 2.0
"""Whoever would wait longer for a turn comes again later, and holds nothing meanwhile."""
TYPICAL_SECONDS = 0.02
"""What a turn is thought to take until some were seen."""
_log = logs.get_logger(__name__)


class Later(Exception):
    """There is no turn now; nothing was done. Come again after `delay`."""

    def __init__(self, delay: timedelta) -> None:
        super().__init__(f"no turn now; again in {delay.total_seconds():.1f} s")
        self.delay = delay


class Lane:
    """Keep the turns of one account."""

    def __init__(
        self, name: str, most: int = MOST, *, clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:  # fmt: skip
        """Take its name (for people), its calls at a time, a clock in seconds, and what draws between two numbers."""
        self.name = name
        self.told = False
        """Whether on-call has been told that it is troubled."""
        self.looked_up = False
        """Whether it has been looked up what another process told of it."""
        self._most, self._clock, self._jitter = most, clock, jitter
        self._turns = asyncio.Semaphore(most)
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="lane")
        self._waiting, self._typical = 0, TYPICAL_SECONDS
        self._begun: dict[object, float] = {}
        self._missing, self._pause = 0, 0.0
        self._tripped_at = self._again_at = float("-inf")

    @property
    def troubled(self) -> bool:
        """Tell whether the account has not answered for a while."""
        return self._missing >= TRIPS

    @property
    def well(self) -> bool:
        """Tell whether the last call was answered."""
        return not self._missing

    @asynccontextmanager
    async def turn(self, within: timedelta | None = None) -> AsyncIterator[None]:
        """Wait for a turn and hold it. Raises Later, with at most `within`; if that is over, no turn is needed."""
        if within is not None and within <= timedelta():
            yield
            return
        tries = self._admit(within)
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        mark = object()
        self._begun[mark] = began = self._clock()
        try:
            if self.troubled and not tries:  # it became so while this one waited
                raise self._later(self._again_at - began, within)
            yield
        finally:
            del self._begun[mark]
            self._typical += (self._clock() - began - self._typical) / 8
            self._turns.release()

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the provider in a thread of this account, and note whether it answered."""
        began = self._clock()
        try:
            answer = await self.run(partial(function, *args, **kwargs))
        except (NotSent, OutcomeUnknown, asyncio.CancelledError):  # cancelled: its attempt's time is over
            self._missed(began)
            raise
        except ProviderError:  # a no is an answer
            self._answered()
            raise
        if isinstance(answer, Reading) and answer.unanswered:
            self._missed(began)
        else:
            self._answered()
        return answer

    async def run(self, function: Callable[[], T]) -> T:
        """Do something slow in a thread of this account, whether it is answered or not."""
        run: Callable[[], T] = partial(contextvars.copy_context().run, function)
        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    def close(self) -> None:
        """Begin no further call."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _admit(self, within: timedelta | None) -> bool:
        """Raise Later, or return whether this one tries a troubled account."""
        now = self._clock()
        if self.troubled:
            if now < self._again_at:
                raise self._later(self._again_at - now, within)
            self._again_at = now + self._pause  # the next one to try, should this one never call
            return True
        oldest = now - next(iter(self._begun.values()), now)
        expected = self._waiting / self._most * max(self._typical, oldest)
        if expected > WAIT_SECONDS:
            raise self._later(expected, within)
        return False

    def _later(self, seconds: float, within: timedelta | None) -> Later:
        """Spread those who come again, so that they do not all come at once."""
        least = min(max(seconds, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        delay = timedelta(seconds=least * self._jitter(1.0, 1.5))
        return Later(delay if within is None else min(delay, within))

    def _missed(self, began: float) -> None:
        self._missing += 1
        if self.troubled and began >= self._tripped_at:  # not those that were on their way when it became troubled
            self._pause = min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, 2 * self._pause))
            self._tripped_at = self._clock()
            self._again_at = self._tripped_at + self._pause

    def _answered(self) -> None:
        self._missing, self._pause = 0, 0.0
        self._tripped_at = self._again_at = float("-inf")


class Lanes:
    """Hold the lane of each account; they belong to one event loop."""

    def __init__(self, make: Callable[[str], Lane] = Lane) -> None:
        """Take what makes a lane of a name."""
        self._make = make
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._aside: set[asyncio.Task[None]] = set()

    def of(self, plan: Plan) -> Lane:
        """Return the lane of the account that a plan is for, or of its provider where it has no accounts."""
        return self._lane((plan.provider, plan.account_id), plan.account or plan.provider)

    def log_of(self, plan: Plan) -> Lane:
        """Return the lane in which the log of an account's calls is read: slow, and in nobody's way."""
        return self._lane(("log", plan.account_id), plan.account)

    def aside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for: what on-call is told must not hold up an outcome."""
        task = asyncio.get_running_loop().create_task(work)
        self._aside.add(task)
        task.add_done_callback(self._settled)

    async def settle(self) -> None:
        """Wait for what is done aside, and begin no further call."""
        await asyncio.gather(*self._aside, return_exceptions=True)
        for lane in self._lanes.values():
            lane.close()

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._aside.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.warning("aside.failed", why=type(error).__name__)

    def _lane(self, key: tuple[str, str], name: str) -> Lane:
        if key not in self._lanes:
            self._lanes[key] = self._make(name)
        return self._lanes[key]
