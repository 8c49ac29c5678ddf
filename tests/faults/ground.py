"""The ground that plans are played on: web, two workers, a clock, a real Valkey and a local AWS, on three clocks.

Each worker has gates of its own to Redis and to AWS, and so has the clock to Redis; the web process speaks to Valkey
directly. Callers and reviewers use the API, and nothing else of the product is touched from here.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from countersign.ops.ministack import Prepared, set_up
from tests.faults.clocks import Clocks
from tests.story.town import LUA, Api, Refused, grant_of, prepare
from tests.worlds.aws_gate import AwsGate
from tests.worlds.gate import Gate
from tests.worlds.processes import Process
from tests.worlds.redis_gate import QUIET, RedisGate
from tests.worlds.signing import CLOCK_ENV
from tests.worlds.valkey import Valkey, free_port
from workers.vault import DeliveryKey

SHORTEST_LEASE, LONGEST_LEASE = 4, 16
"""Short, so that what a dead process held comes back soon; the product's default is 20. Longer on a busy machine."""
WORKERS = 2
QUIET_LIFE_SECONDS = 1.5
"""What a mint and a proven revoke take together on a machine with nothing else to do, and a bit."""
WARM_UPS = 8
AWAY_SECONDS = 20.0
"""How long a caller goes on asking a web process whose Redis is being restarted."""
_sdk = threading.Lock()  # making SDK clients is not thread-safe, and grounds are built side by side


@dataclass
class Hand:
    """One process of ours behind its gates."""

    process: Process
    gates: dict[str, Gate]


@dataclass
class Ground(Api):
    """What a plan can touch."""

    folder: Path
    clocks: Clocks
    valkey: Valkey
    aws_url: str
    hands: list[Hand]
    web: Process
    base_url: str
    keys: dict[str, str]
    lease_seconds: int
    slowness: float = 1.0
    """How many times slower than a quiet machine this one is now; every patience is as many times longer."""
    warmed: set[str] = field(default_factory=set)
    """The grants of the lives that warmed it up."""

    def call(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """Ask the API; a server that says "later", or is away, is asked again for a while."""
        give_up = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                return super().call(who, method, path, body, **headers)
            except Refused as refused:
                if refused.status != 503 or time.monotonic() > give_up:
                    raise
            except (urllib.error.URLError, HTTPException, OSError):
                if time.monotonic() > give_up:
                    raise
            time.sleep(0.1)  # another process: there is no event to wait for

    def grant(self, request: str) -> dict[str, Any] | None:
        """Return the grant as the API tells it, once."""
        return super().call("report-bot", "GET", f"/v1/requests/{request}")["grant"]

    def grant_again(self, request: str) -> dict[str, Any] | None:
        """Return the grant, however long the server says "later"."""
        return self.call("report-bot", "GET", f"/v1/requests/{request}")["grant"]

    def story(self, request: str) -> list[str]:
        """Return the exact records of the request's chain."""
        return self.call("operator", "GET", f"/v1/audit/{request}?bodies=1")["bodies"]

    def state(self, request: str) -> str:
        """Return where the grant stands; "" if nobody can say now."""
        with suppress(Refused, OSError, HTTPException):
            return (self.grant(request) or {"state": "none"})["state"]
        return ""

    def wait_state(self, request: str, *states: str, seconds: float) -> str:
        """Return the state once it is one of these, or when time is up."""
        give_up = time.monotonic() + seconds
        while (state := self.state(request)) not in states and time.monotonic() < give_up:
            time.sleep(0.04)  # a state is seen over the API alone
        return state

    def warm_up(self) -> None:
        """Live lives without faults, which loads scripts and opens connections, and measure the second that passes."""
        passed = 0
        for _ in range(WARM_UPS):
            began = time.monotonic()
            request = self.ask()["id"]
            self.warmed.add(grant_of(request))
            self.review("robin", request)
            if self.wait_state(request, "ACTIVE", "REVOKED", "FAILED", seconds=90) != "ACTIVE":
                continue  # on a busy machine the first ones outlast their lease
            body = {"reason": "warming up"}
            self.call("kim", "POST", f"/v1/grants/{grant_of(request)}/revoke", body)
            assert self.wait_state(request, "REVOKED", seconds=90) == "REVOKED", self.grant(request)
            self.slowness = max(1.0, (time.monotonic() - began) / QUIET_LIFE_SECONDS)
            if (passed := passed + 1) == 2:
                return
        raise AssertionError(f"{WARM_UPS} lives without faults, and only {passed} passed")

    def gates(self, name: str) -> list[tuple[Process, Gate]]:
        """Return the gates of this name, each with the process behind it."""
        return [(hand.process, hand.gates[name]) for hand in self.hands if name in hand.gates]

    def revive(self) -> None:
        """Start whatever is not running."""
        for hand in self.hands:
            if not hand.process.running:
                hand.process.restart()


@contextmanager
def ground(folder: Path, *, worker: str = "workers", clock: str = "workers.clock") -> Iterator[Ground]:
    """Build everything, and end it again; `worker` and `clock` are the modules that run as such."""
    with ExitStack() as stack:
        clocks = Clocks(folder / "clocks")
        valkey = stack.enter_context(Valkey(folder / "valkey", env=clocks.env("redis")))
        aws_url = stack.enter_context(_local_aws(folder / "aws", clocks))
        with _sdk:
            prepared = set_up(aws_url)
        delivery, port = DeliveryKey.generate(), free_port()
        keys = asyncio.run(prepare(valkey.url))
        busy = os.getloadavg()[0] / (2 * (os.cpu_count() or 1))
        lease = min(LONGEST_LEASE, int(SHORTEST_LEASE * max(1.0, busy)))
        common = {**clocks.env("host"), "COUNTERSIGN_LEASE_SECONDS": str(lease),
                  "COUNTERSIGN_LOG_LEVEL": "warning"}  # fmt: skip
        web = _process(stack, "bot", {
            **common, "COUNTERSIGN_REDIS_URL": valkey.url, "COUNTERSIGN_PORT": str(port),
            "COUNTERSIGN_DELIVERY_KEY": delivery.text, "COUNTERSIGN_DEMO": "true",
        }, folder, "web")  # fmt: skip
        hands = []
        for number in range(WORKERS):
            gates = {"worker→redis": _redis_gate(stack, valkey),
                     "worker→aws": stack.enter_context(AwsGate(aws_url, record=True))}  # fmt: skip
            env = {**common, **_aws(prepared, gates["worker→aws"].url),
                   "COUNTERSIGN_REDIS_URL": gates["worker→redis"].url,
                   "COUNTERSIGN_DELIVERY_PUBLIC_KEY": delivery.public_text}  # fmt: skip
            hands.append(Hand(_process(stack, worker, env, folder, f"worker-{number}"), gates))
        gate = _redis_gate(stack, valkey)
        env = {**common, **CLOCK_ENV, "COUNTERSIGN_REDIS_URL": gate.url}
        hands.append(Hand(_process(stack, clock, env, folder, "clock"), {"clock→redis": gate}))
        base_url = f"http://127.0.0.1:{port}"
        web.wait_ready(f"{base_url}/readyz", timeout=90)
        built = Ground(folder, clocks, valkey, aws_url, hands, web, base_url, keys, lease)
        built.warm_up()
        yield built


def _process(stack: ExitStack, module: str, env: Mapping[str, str], folder: Path, name: str) -> Process:
    args = [sys.executable, "-m", "tests.faults.boot", module]
    return stack.enter_context(Process(args, env, folder / "out", name).restart())


def _redis_gate(stack: ExitStack, valkey: Valkey) -> RedisGate:
    scripts = {path.stem: path.read_text() for path in LUA.glob("*.lua")}
    return stack.enter_context(RedisGate(valkey.url, scripts=scripts, ignore=QUIET))


def _aws(prepared: Prepared, url: str) -> dict[str, str]:
    env = {"COUNTERSIGN_AWS_ENDPOINT_URL": url, "COUNTERSIGN_AWS_REGION": "us-east-1"}
    for who in ("minter", "revoker"):
        keys = getattr(prepared, who).keys
        env[f"COUNTERSIGN_AWS_{who.upper()}_ACCESS_KEY_ID"] = keys.access_key_id
        env[f"COUNTERSIGN_AWS_{who.upper()}_SECRET_ACCESS_KEY"] = keys.secret_access_key
    return env


@contextmanager
def _local_aws(folder: Path, clocks: Clocks) -> Iterator[str]:
    """Start the local AWS on its own clock. It keeps nothing between runs, and must say that it enforces IAM."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    folder.mkdir(parents=True, exist_ok=True)
    env = {
        **clocks.env("aws"), "HOME": str(folder), "TMPDIR": str(folder), "AUTH": "true", "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port), "PERSIST_STATE": "0", "S3_PERSIST": "0", "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0", "DOCKER_HOST": "tcp://127.0.0.1:1", "LOG_LEVEL": "WARNING",
    }  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    args = [sys.executable, "-m", "tests.faults.boot", "ministack.app:main"]
    with Process(args, env, folder, "aws") as process:
        process.restart().wait_ready(f"{url}/_ministack/health", timeout=90)
        with urllib.request.urlopen(f"{url}/_ministack/health") as answer:
            assert b"enabled" in answer.read(), "the local AWS does not enforce IAM"
        yield url
