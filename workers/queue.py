"""Carry claimed items to worker processes by RQ, which is trusted with nothing else.

A job holds the names and fences of due items. Whatever RQ loses, the items' leases bring back; so its Redis may be
another one than the store's, and may forget everything. Whoever can write there can write jobs: `AllowedJob` runs one
function.
"""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Self

import redis
from redis.client import Pipeline
from rq import SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer

from workers import logs
from workers.stores.link import Link, Script
from workers.stores.port import Attempt

NAME = "countersign"
FUNCTION = "workers.jobs.run"
ROOM = 16
"""How many jobs may wait: about twice the workers of a large installation. What is over stays in the due set."""
MOST_IN_A_JOB = 100
JOBS_AT_ONCE = 8
"""Into how many jobs one push is spread: a few items are a job each, so that every worker gets some at once."""
MOST_AT_ONCE = MOST_IN_A_JOB * JOBS_AT_ONCE
JOB_SECONDS = 15
"""When RQ ends an attempt: below the lease, so that no two attempts run at once, and above the slowest honest call."""
KEPT_SECONDS = 86_400
AGAIN_SECONDS = 0.5
RESULT_SECONDS = 60
QUIET_SECONDS = 15.0
"""How long a worker says nothing to RQ's listings: with a blocking wait of 45 s, less than the 75 s they allow."""


PUSH = Script("push")
_log = logs.get_logger(__name__)


class Queue:
    """Push claimed items to the workers."""

    def __init__(self, url: str, *, room: int = ROOM, job_seconds: int = JOB_SECONDS) -> None:
        """Take the address of RQ's server (the store's own, or a second one) and how many jobs may wait there."""
        self._link, self._most, self._job_seconds = Link(url, "rq:"), room, job_seconds

    async def push(self, items: Sequence[Attempt]) -> None:
        """Write jobs that hold the items, all or none. Raises Unavailable: the items come back when their lease ends.

        Up to `JOBS_AT_ONCE` items are a job each; more share as many jobs, up to `MOST_IN_A_JOB` in one.
        """
        if not items:
            return
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # for RQ's listings; decides nothing
        jobs = [(job_id(some), _job(some, moment, self._job_seconds)) for some in shared_out(items)]
        fields = [word for name, job in jobs for word in (name, *(part for pair in job.items() for part in pair))]
        await self._link.run(PUSH, [NAME, KEPT_SECONDS, len(jobs[0][1]), *fields])

    async def room(self) -> int:
        """Return how many more jobs may wait. Raises Unavailable."""
        return max(0, self._most - int(await self._link.call("LLEN", f"rq:queue:{NAME}")))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._link.aclose()


def shared_out(items: Sequence[Attempt]) -> list[Sequence[Attempt]]:
    """Return the items in as many equal parts as there are jobs to be, in their order."""
    size = min(MOST_IN_A_JOB, -(-len(items) // JOBS_AT_ONCE))
    return [items[at : at + size] for at in range(0, len(items), size)]


def job_id(items: Sequence[Attempt]) -> str:
    """Return `<kind>-<id>-<fence>` of the first item, and how many there are; a fence never comes back.

    RQ takes letters, digits, `_` and `-`, and never runs an id with anything else.
    """
    first = items[0]
    more = f"-of-{len(items)}" if len(items) > 1 else ""
    return f"{re.sub(r'[^A-Za-z0-9_-]', '-', first.member)}-{first.fence}{more}"


def _job(items: Sequence[Attempt], moment: str, seconds: int) -> Mapping[str, str | int]:
    return {
        "data": json.dumps([FUNCTION, None, [[[item.member, item.fence] for item in items]], {}]),
        "origin": NAME,
        "status": "queued",
        "description": items[0].member if len(items) == 1 else f"{len(items)} items",
        "timeout": seconds,
        "created_at": moment,
        "enqueued_at": moment,
        "result_ttl": RESULT_SECONDS,
        "failure_ttl": KEPT_SECONDS,
    }


class AllowedJob(Job):
    """Run one function by name, and nothing else that a job's hash can name: whoever writes to Redis wrote it."""

    def restore(self, raw_data: Mapping[str, bytes]) -> None:
        """Drop what else would be imported, fetched or repeated: callbacks, webhooks, retries, repeats."""
        super().restore(raw_data)
        self._success_callback_name = self._failure_callback_name = self._stopped_callback_name = None
        self.webhooks = []
        self.retries_left = self.repeats_left = None

    @property
    def func(self) -> Callable[..., object]:
        """Import the function, if it is the allowed one. Raises PermissionError, which fails the job."""
        if self.func_name != FUNCTION or self.instance:
            raise PermissionError(f"not an allowed job: {str(self.func_name)[:100]!r}")
        function: Callable[..., object] = super().func
        return function

    def perform(self) -> object:
        """Run it, without RQ's write before that lifts the hash's expiry: a lost job's hash would stay for ever."""
        self._result = self._execute()
        return self._result


class QuietWorker(SimpleWorker):
    """Tell RQ's listings less often that it lives: two round trips each time, of which RQ would spend five on a job.

    They decide nothing, and stand between an approval and its credential. What rides in a pipeline stays.
    """

    asked_to_stop = False
    _told_at = float("-inf")

    def request_stop(self, signum: int, frame: object) -> None:
        """Hear SIGTERM or SIGINT, and remember it: the job in hand is finished, then no other worker is begun."""
        self.asked_to_stop = True
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Keep this worker in RQ's listings: at once in a pipeline, else if it was not told for a while."""
        if pipeline is None and time.monotonic() - self._told_at < QUIET_SECONDS:
            return
        self._told_at = time.monotonic()
        super().heartbeat(timeout, pipeline)


def make_worker(url: str) -> QuietWorker:
    """Make a worker that runs jobs in this process, one after the other."""
    return QuietWorker(
        [NAME],
        connection=redis.Redis.from_url(url),  # its own, and in bytes: RQ changes the pool's timeouts
        serializer=JSONSerializer,
        job_class=AllowedJob,
        worker_ttl=60,  # hygiene, not recovery: dead workers leave RQ's books after a minute
        maintenance_interval=30,
        log_job_description=False,
    )


def work(url: str, *, burst: bool = False) -> None:
    """Work until SIGTERM or SIGINT (the job in hand is finished first), or with `burst` until the queue is empty.

    Without RQ's scheduler: what is due is in the due set. RQ's worker ends when its Redis is away; another is begun
    then, so that this process outlives the outage as every other does.
    """
    stopped = Stopped()
    while not stopped.is_set():
        try:
            worker = make_worker(url)
            worker.work(burst=burst, logging_level="WARNING", with_scheduler=False)
            if burst or worker.asked_to_stop:
                return
        except redis.RedisError as error:
            _log.warning("queue.lost", why=type(error).__name__)
        with stopped:
            stopped.wait(AGAIN_SECONDS)


class Stopped(threading.Event):
    """Hear SIGTERM and SIGINT while no worker of RQ does: its own handlers belong to a worker that has ended."""

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.set())
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the handlers: the next worker sets its own."""
