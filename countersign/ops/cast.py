"""Give the demo's scenes their players: people and a caller over real HTTP, an agent with a real AWS client."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from botocore.exceptions import ClientError

from countersign.ops.agent import LetThrough, refusals, words
from countersign.ops.fittings import ACTOR, BEHIND, DATABASE, ROLE, TABLE, TABLE_ROLE
from countersign.ops.ministack import client
from countersign.ops.staging import Stage
from workers.providers.access import Keys

LONGEST_POLL_SECONDS = 5
Json = dict[str, Any]


class NotAsTold(Exception):
    """A scene went otherwise than the story says."""


def expect(what: str, found: object, wanted: object) -> None:
    """Raise NotAsTold unless what was found is what the story says."""
    if found != wanted:
        raise NotAsTold(f"{what} is {found!r}, and should be {wanted!r}")


@dataclass(frozen=True)
class Reply:
    """One HTTP answer: its status, headers and JSON."""

    status: int
    headers: Mapping[str, str]
    body: Json


class Callers:
    """Speak to the web process as any of its callers and people."""

    def __init__(self, stage: Stage) -> None:
        """Take the stage with its address and tokens."""
        self._base, self._tokens = stage.ground.base_url, stage.tokens
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the connections."""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        if self._http:
            await self._http.close()

    async def call(
        self, who: str, method: str, path: str, body: Json | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Make one call as `agent`, `operator` or a person, and return the answer, whatever it is."""
        assert self._http is not None
        tokens = {"agent": self._tokens.api_key, "operator": self._tokens.operator, **self._tokens.reviewers}
        allowed = {"Authorization": f"Bearer {tokens[who]}", **(headers or {})}
        async with self._http.request(method, self._base + path, json=body, headers=allowed) as answer:
            return Reply(answer.status, dict(answer.headers), await answer.json(content_type=None))

    async def ask(self, body: Json) -> Reply:
        """Ask as the agent, under a new key."""
        key = {"Idempotency-Key": secrets.token_urlsafe(16)}
        return await self.call("agent", "POST", "/v1/requests", body, key)

    async def review(self, who: str, request: str, verdict: str, reason: str = "") -> Reply:
        """Answer a request as a person."""
        return await self.call(who, "POST", f"/v1/requests/{request}/reviews", {"verdict": verdict, "reason": reason})

    async def until(self, request: str, told: Callable[[Json], bool], seconds: float) -> Json:
        """Poll a request until it is as told, and return it. Raises NotAsTold, with how it stands, when it is not."""
        until = time.monotonic() + seconds
        path = f"/v1/requests/{request}"
        now = (await self.call("agent", "GET", path)).body
        while not told(now):
            left = until - time.monotonic()
            if left <= 0:
                raise NotAsTold(f"after {seconds:.0f} s it still stands at {standing(now)}")
            wait = max(1, min(LONGEST_POLL_SECONDS, round(left)))
            now = (await self.call("agent", "GET", f"{path}?wait={wait}&after={now['version']}")).body
        return now


@dataclass(frozen=True)
class Aws:
    """Hold an AWS client with one credential, as an agent has it; every call returns AWS's refusal, or None."""

    endpoint: str
    bucket: str
    credential: Mapping[str, str] = field(repr=False)

    async def read(self, key: str) -> tuple[list[str], str | None]:
        """Read a file; its rows, or AWS's refusal, word for word."""
        return await asyncio.to_thread(self._call, "get_object", {"Key": key})

    async def write(self, key: str) -> str | None:
        """Try to write a file."""
        return (await asyncio.to_thread(self._call, "put_object", {"Key": key, "Body": b"must be refused"}))[1]

    async def until_refused(self, key: str, seconds: float) -> str:
        """Read twice a second until AWS refuses, and return its words. Raises NotAsTold when it goes on reading."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            _, refusal = await self.read(key)
            if refusal:
                return refusal
            await asyncio.sleep(0.2)  # AWS tells nobody that a credential has ended: it must be asked
        raise NotAsTold(f"the credential still reads {key} after {seconds:.0f} s")

    async def go_astray(self) -> list[str]:
        """Make calls that nobody was granted, and return AWS's refusals. Raises NotAsTold when one went through."""
        try:
            return [words(error) for _, error in await asyncio.to_thread(lambda: list(refusals(self._client)))]
        except LetThrough as error:
            raise NotAsTold(f"AWS let it through: {error}") from error

    def _client(self, service: str) -> Any:
        keys = Keys(self.credential["access_key_id"], self.credential["secret_access_key"])
        return client(service, self.endpoint, keys, self.credential["session_token"])

    def _call(self, name: str, arguments: Json) -> tuple[list[str], str | None]:
        try:
            answer = getattr(self._client("s3"), name)(Bucket=self.bucket, **arguments)
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            expect("AWS's code", code, "AccessDenied")
            return [], str(message)
        return answer["Body"].read().decode().splitlines() if "Body" in answer else [], None


def report_ask(bucket: str, run: str, **fields: Any) -> Json:
    """Return the body of the demo's ask: read this year's reports. `run` keeps it apart from every other ask."""
    resource = f"arn:aws:s3:::{bucket}/2026/*"
    return {
        "action": "s3:GetObject",
        "resource": resource,
        "environment": "prod",
        "reason": "Rebuild the weekly report, the job failed at 02:10",
        "ttl_seconds": 900,
        "undo": "none needed, read only",
        "actor": {"id": ACTOR, "on_behalf_of": BEHIND, "run": run},
        "parameters": {"run": run},
        "access": {"provider": "aws", "role": ROLE, "actions": ["s3:GetObject"], "resources": [resource]},
        **fields,
    }


def table_ask(run: str, **fields: Any) -> Json:
    """Return the body of an ask for one table of the database."""
    return report_ask("", run) | {
        "action": "db:select",
        "resource": TABLE,
        "reason": "Order 4711 is wrong, see who ordered",
        "access": {"provider": DATABASE, "role": TABLE_ROLE, "actions": ["db:select"], "resources": [TABLE]},
        **fields,
    }


def standing(request: Json) -> str:
    """Say in a word or two how a request and its grant stand."""
    grant = request.get("grant")
    return f"{request.get('state')}/{grant['state']}" if grant else str(request.get("state", request))
