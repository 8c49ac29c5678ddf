"""The whole product on one machine: three real processes, a real Valkey, a local AWS, and gates between them.

The web process speaks to Valkey directly; worker and clock go through gates of their own, so that each of their calls
can be counted, held, and survived. Everything a test does to it goes over HTTP, as callers and reviewers do.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from countersign.ops.keyring import make_key
from countersign.ops.ministack import local_aws, set_up
from tests.worlds import samples
from tests.worlds.aws_gate import AwsGate, Issued
from tests.worlds.gate import Gate
from tests.worlds.ministack import Ministack
from tests.worlds.processes import Process, start
from tests.worlds.redis_gate import QUIET, RedisGate
from tests.worlds.signing import CLOCK_ENV
from tests.worlds.valkey import Valkey, free_port
from workers.policies import apply
from workers.providers.port import Secret
from workers.stores.redis import connect
from workers.vault import DeliveryKey

LUA = Path(__file__).parents[2] / "workers" / "stores"
LEASE_SECONDS = 4
"""Short, so that what a dead process held comes back soon; the product's default is 20."""
PEOPLE = ("dana", "robin", "alex", "kim")
SCOPES: dict[str, Any] = {"report-bot": ("request", "read"), "operator": ("operate", "read")}


class Refused(AssertionError):
    """The API answered with an error where the story wanted a yes."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after: str | None) -> None:
        super().__init__(f"{status}: {problem}")
        self.status, self.problem, self.retry_after = status, problem, retry_after


class Api:
    """Speak to the web process as callers and reviewers do."""

    base_url: str
    keys: dict[str, str]

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self.bodies: list[bytes] = []
        """Every body that the API ever answered, to be searched later."""

    def call(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """Ask the API as somebody; raises Refused for anything but a 2xx."""
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.base_url + path, data, method=method)
        asked.add_header("Authorization", f"Bearer {self.keys[who]}")
        asked.add_header("Content-Type", "application/json")
        for name, value in headers.items():
            asked.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(asked, timeout=70) as answer:
                self.bodies.append(answer.read())
                return json.loads(self.bodies[-1])
        except urllib.error.HTTPError as error:
            self.bodies.append(error.read())
            raise Refused(error.code, json.loads(self.bodies[-1]), error.headers["Retry-After"]) from None

    def pages(self, *paths: str) -> list[bytes]:
        """Return pages of the console as a signed-in person sees them."""
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        form = urllib.request.Request(f"{self.base_url}/console/sign-in/as", b"person=user:robin&next=/console/")
        form.add_header("Origin", self.base_url)
        with opener.open(form) as first:
            found = [first.read()]
        for path in paths:
            with opener.open(self.base_url + path) as answer:
                found.append(answer.read())
        return found

    def ask(self, **changes: Any) -> dict[str, Any]:
        """Make a new ask, different from every other."""
        number = next(self._numbers)
        body = {**samples.BODY, "parameters": {"ask": number}, **changes}
        return self.call("report-bot", "POST", "/v1/requests", body, Idempotency_Key=f"ask-{number}")

    def review(self, who: str, request: str, verdict: str = "approve") -> dict[str, Any]:
        """Answer a request as a person."""
        return self.call(who, "POST", f"/v1/requests/{request}/reviews", {"verdict": verdict})


@dataclass
class Town(Api):
    """What a story can touch."""

    folder: Path
    valkey: Valkey
    aws: Ministack
    worker_gate: RedisGate
    clock_gate: RedisGate
    aws_gate: AwsGate
    web: Process
    worker: Process
    clock: Process
    base_url: str
    keys: dict[str, str]
    delivery: DeliveryKey

    def approved(self, **changes: Any) -> str:
        """Ask, approve, and return the request's id."""
        request = self.ask(**changes)["id"]
        self.review("robin", request)
        return request

    def revoke(self, request: str) -> dict[str, Any]:
        """Take its grant away as on-call."""
        return self.call("kim", "POST", f"/v1/grants/{grant_of(request)}/revoke", {"reason": "story"})

    def grant(self, request: str) -> dict[str, Any]:
        """Return the grant as the API tells it."""
        return self.call("report-bot", "GET", f"/v1/requests/{request}")["grant"]

    def wait_grant(self, request: str, *states: str, seconds: float = 40) -> dict[str, Any]:
        """Return the grant once it is in one of the states."""
        give_up = time.monotonic() + seconds
        view = self.call("report-bot", "GET", f"/v1/requests/{request}")
        while view["grant"]["state"] not in states:
            assert time.monotonic() < give_up, f"{request} is still {view['grant']}"
            view = self.call("report-bot", "GET", f"/v1/requests/{request}?wait=5&after={view['version']}")
        return view["grant"]

    def alive(self, issued: Issued) -> bool:
        """Try a credential at AWS itself, not through any gate."""
        secret = Secret(issued.access_key_id, issued.secret_access_key, issued.session_token, issued.expiration)
        return self.aws.read(secret) == "allow"

    def issued(self) -> dict[str, list[Issued]]:
        """Return every caller credential that AWS ever gave out, by grant id; probe sessions apart."""
        found: dict[str, list[Issued]] = {}
        for one in self.aws_gate.issued:
            if one.session.startswith("grant-grt_"):
                found.setdefault(one.session.removeprefix("grant-"), []).append(one)
        return found


def grant_of(request: str) -> str:
    """Return the id of a request's grant."""
    return f"grt_{request.removeprefix('req_')}"


@contextmanager
def town(
    folder: Path,
    *,
    enforce_iam: bool = True,
    worker_module: str = "workers",
    log_level: str = "debug",
    roster: str = samples.ROSTER_TEXT,
    web: Mapping[str, str] | None = None,
) -> Iterator[Town]:
    """Build everything, start the three processes, and end them again; `web` is more of its environment."""
    with ExitStack() as stack:
        valkey = stack.enter_context(Valkey(folder / "valkey"))
        server = stack.enter_context(local_aws(folder / "aws", enforce_iam=enforce_iam))
        aws = Ministack(server.endpoint, set_up(server.endpoint))
        scripts = {path.stem: path.read_text() for path in LUA.glob("*.lua")}
        worker_gate = stack.enter_context(RedisGate(valkey.url, scripts=scripts, ignore=QUIET))
        clock_gate = stack.enter_context(RedisGate(valkey.url, scripts=scripts, ignore=QUIET))
        aws_gate = stack.enter_context(AwsGate(server.endpoint))
        delivery = DeliveryKey.generate()
        keys = asyncio.run(prepare(valkey.url, roster))
        port = free_port()
        common = {"COUNTERSIGN_LEASE_SECONDS": str(LEASE_SECONDS), "COUNTERSIGN_LOG_LEVEL": log_level}
        web_env = {**common, "COUNTERSIGN_REDIS_URL": valkey.url, "COUNTERSIGN_PORT": str(port),
                   "COUNTERSIGN_DELIVERY_KEY": delivery.text, "COUNTERSIGN_DEMO": "true", **(web or {})}  # fmt: skip
        worker_env = {**common, **_aws(aws, aws_gate), "COUNTERSIGN_REDIS_URL": worker_gate.url,
                      "COUNTERSIGN_DELIVERY_PUBLIC_KEY": delivery.public_text}  # fmt: skip
        clock_env = {**common, **CLOCK_ENV, "COUNTERSIGN_REDIS_URL": clock_gate.url}
        bot = stack.enter_context(start("bot", web_env, folder / "out"))
        worker = stack.enter_context(start(worker_module, worker_env, folder / "out", name="worker"))
        clock = stack.enter_context(start("workers.clock", clock_env, folder / "out", name="clock"))
        base_url = f"http://127.0.0.1:{port}"
        bot.wait_ready(f"{base_url}/readyz")  # worker and clock need no wait: what is due waits for them
        yield Town(folder, valkey, aws, worker_gate, clock_gate, aws_gate, bot, worker, clock, base_url, keys, delivery)


def gates(of: Town) -> dict[str, tuple[Gate, Process]]:
    """Return each gate with the process whose calls it sees."""
    return {
        "worker→aws": (of.aws_gate, of.worker),
        "worker→redis": (of.worker_gate, of.worker),
        "clock→redis": (of.clock_gate, of.clock),
    }


async def prepare(url: str, roster: str = samples.ROSTER_TEXT) -> dict[str, str]:
    """Apply the demo's policy and this roster, and make a key for everybody."""
    store = await connect(url)
    try:
        await apply(store.records, policy=samples.POLICY_TEXT, roster=roster, by="user:dana", why="story")
        keys = {}
        for name in ("report-bot", "operator", *PEOPLE):
            principal = f"user:{name}" if name in PEOPLE else f"caller:{name}"
            keys[name], _ = await make_key(
                store.records, principal=principal, scopes=SCOPES.get(name, ("review", "read")), by="user:dana"
            )
        return keys
    finally:
        await store.aclose()


def _aws(aws: Ministack, gate: AwsGate) -> dict[str, str]:
    env = {"COUNTERSIGN_AWS_ENDPOINT_URL": gate.url, "COUNTERSIGN_AWS_REGION": "us-east-1"}
    for who in ("minter", "revoker"):
        keys = getattr(aws.prepared, who).keys
        env[f"COUNTERSIGN_AWS_{who.upper()}_ACCESS_KEY_ID"] = keys.access_key_id
        env[f"COUNTERSIGN_AWS_{who.upper()}_SECRET_ACCESS_KEY"] = keys.secret_access_key
    return env
