"""Measure a mint: from the approval over HTTP to the caller's long poll that says the credential is ready.

    python -m bench mint [--mints 100]

Three real processes, a real Valkey, a local AWS. The floor is measured in turn with it: an RQ job that does nothing,
from enqueueing to its result, plus one bare AssumeRole with a session policy at the same AWS.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from approvers.grant import Plan
from bench.common import Connection, post, serving
from bench.stage import (
    DELIVERY,
    apply_rules,
    at,
    body,
    make_key,
    opened,
    start_clock,
    start_worker,
    table,
    took_ms,
    valkey,
)
from countersign.ops.ministack import ACCOUNT, ROLE_ARN, Prepared, client, local_aws, set_up
from tests.worlds.processes import start
from workers.providers.documents import GRANT_TAG, session_name, session_policy

WARM = 5
PATH = "/v1/requests"
FLOOR_QUEUE = "floor"
GRANT = f"grt_{'0' * 26}"
"""In whose name the floor assumes the role."""
SETTLED_WITHIN = 30


@dataclass
class Took:
    """Milliseconds of each mint, and of both halves of the floor."""

    mint: list[float] = field(default_factory=list)
    job: list[float] = field(default_factory=list)
    assume: list[float] = field(default_factory=list)

    @property
    def floor(self) -> list[float]:
        """Return the floor: one job and one call."""
        return [sum(pair) for pair in zip(self.job, self.assume, strict=True)]


@dataclass(frozen=True)
class Town:
    """What runs: where the web process listens, the store, the local AWS."""

    port: int
    url: str
    endpoint: str
    prepared: Prepared


@contextmanager
def town() -> Iterator[Town]:
    """Run web, worker and clock on a real Valkey and a local AWS; and RQ's idle worker for the floor."""
    with ExitStack() as stack:
        server, out = stack.enter_context(valkey())
        aws = stack.enter_context(local_aws(out.parent / "aws"))
        prepared = set_up(aws.endpoint)
        worker_env = {"COUNTERSIGN_PROVIDERS": "aws", "COUNTERSIGN_AWS_ENDPOINT_URL": aws.endpoint}
        for who in ("minter", "revoker"):
            keys = getattr(prepared, who).keys
            worker_env[f"COUNTERSIGN_AWS_{who.upper()}_ACCESS_KEY_ID"] = keys.access_key_id
            worker_env[f"COUNTERSIGN_AWS_{who.upper()}_SECRET_ACCESS_KEY"] = keys.secret_access_key
        web_env = {"COUNTERSIGN_REDIS_URL": server.url, "COUNTERSIGN_PORT": "0"}
        port, _ = stack.enter_context(serving("bot", {**web_env, "COUNTERSIGN_DELIVERY_KEY": DELIVERY.text}))
        started = [start_worker(server.url, out, **worker_env), start_clock(server.url, out)]
        started.append(start("bench.rq_worker", {}, out, server.url, FLOOR_QUEUE, name="floor"))
        for process in started:
            stack.enter_context(process)
        for process in started:
            process.wait_line("started")
        yield Town(port, server.url, aws.endpoint, prepared)


@dataclass
class Product:
    """Ask and approve over HTTP: one connection of the caller, one of the reviewer."""

    caller: Connection
    reviewer: Connection
    keys: dict[str, str]

    async def mint(self, number: int) -> float:
        """Return the milliseconds from sending the approval to the long poll's answer."""
        asked = {**self._who("bot"), "Idempotency-Key": f"mint-{number}"}
        request = (await self.caller.call(post(PATH, json.dumps(body(number, provider="aws")).encode(), asked)))["id"]
        approval = post(f"{PATH}/{request}/reviews", b'{"verdict":"approve"}', self._who("robin"))
        self.caller.send(_get(f"{PATH}/{request}?wait={SETTLED_WITHIN}", self._who("bot")))
        await asyncio.sleep(0.03)  # until the poll waits: nothing tells when it does
        began = time.perf_counter()
        self.reviewer.send(approval)
        status, answer = await self.caller.answer()
        took = took_ms(began)
        assert status == 200, answer
        assert json.loads(answer)["grant"]["state"] == "ACTIVE", answer
        assert (await self.reviewer.answer())[0] == 200
        return took

    def _who(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[name]}"}


def _get(path: str, headers: dict[str, str]) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


class Floor:
    """Do the two things that no mint through RQ can do without."""

    def __init__(self, of: Town) -> None:
        self._queue = Queue(FLOOR_QUEUE, connection=redis.Redis.from_url(of.url), serializer=JSONSerializer)
        self._sts = client("sts", of.endpoint, of.prepared.minter.keys)  # type: ignore[arg-type]
        self._policy = session_policy(plan(), datetime.now(UTC) + timedelta(minutes=15))

    def job(self) -> float:
        """Return the milliseconds from enqueueing a no-op job to its result."""
        began = time.perf_counter()
        result = self._queue.enqueue("bench.rq_worker.noop").latest_result(timeout=10)
        assert result and result.return_value == "done"
        return took_ms(began)

    def assume(self) -> float:
        """Return the milliseconds of one AssumeRole with a session policy."""
        began = time.perf_counter()
        self._sts.assume_role(
            RoleArn=ROLE_ARN,
            RoleSessionName=session_name(GRANT),
            SourceIdentity=session_name(GRANT),
            Tags=[{"Key": GRANT_TAG, "Value": GRANT}],
            Policy=self._policy,
            DurationSeconds=900,
        )
        return took_ms(began)


def plan() -> Plan:
    """Return the plan of the floor: what an ask of `body` is minted as."""
    access = body(0)["access"]
    fields = {"provider": "aws", "role": "analytics", "role_arn": ROLE_ARN, "external_id": None}
    place = {"account": "prod-payments", "account_id": ACCOUNT, "environment": "prod", "ttl_seconds": 900}
    return Plan.model_validate({**fields, **place, "actions": access["actions"], "resources": access["resources"]})


@asynccontextmanager
async def product(of: Town) -> AsyncIterator[Product]:
    """Apply the rules, make the keys, and open the connections."""
    async with opened(of.url) as store:
        await apply_rules(store, 1)
        bot = await make_key(store, "caller:bot-0", "request")
        robin = await make_key(store, "user:robin", "review", "read")
    connections = [Connection(*await asyncio.open_connection("127.0.0.1", of.port)) for _ in range(2)]
    try:
        yield Product(*connections, {"bot": bot, "robin": robin})
    finally:
        for connection in connections:
            connection.close()


async def measure(of: Town, mints: int) -> Took:
    """Measure mint and floor in turn, so that what else the machine does meets both alike."""
    took, floor = Took(), Floor(of)
    async with product(of) as made:
        for number in range(WARM + mints):
            row = (await made.mint(number), await asyncio.to_thread(floor.job), await asyncio.to_thread(floor.assume))
            if number >= WARM:
                for values, value in zip((took.mint, took.job, took.assume), row, strict=True):
                    values.append(value)
    return took


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench mint", description=__doc__.splitlines()[0])
    parser.add_argument("--mints", type=int, default=100)
    options = parser.parse_args(argv)
    with town() as of:
        took = asyncio.run(measure(of, options.mints))
    rows = [("RQ job that does nothing", took.job), ("bare AssumeRole", took.assume), ("floor: both", took.floor),
            ("decision → credential ready", took.mint)]  # fmt: skip
    cells = [(name, f"{at(values, 0.5):.1f}", f"{at(values, 0.99):.1f}") for name, values in rows]
    ratios = [f"**{at(took.mint, part) / at(took.floor, part):.2f}**" for part in (0.5, 0.99)]
    print(table((f"{options.mints} mints", "p50 ms", "p99 ms"), [*cells, ("**ratio**", *ratios)]))


if __name__ == "__main__":
    main()
