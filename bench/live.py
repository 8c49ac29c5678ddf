"""Open live grants at a local AWS for the benches that end them: base roles, roster, mints, and waiting for a proof."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from approvers.audit import By
from approvers.grant import Grant
from approvers.ids import grant_of
from approvers.upgrades import read
from bench.stage import House, callers_for, drain, each, open_house, opened, start_clock, start_worker, valkey
from bot.custody import Custody
from bot.identity import Identity
from bot.reading import Reader
from countersign.ops.ministack import BOUNDARY_ARN, ROLE, ROLE_ARN, Prepared, client, local_aws, set_up
from workers.providers import documents
from workers.providers.access import Keys
from workers.providers.aws import AwsProvider
from workers.stores import layout
from workers.stores.port import Store

ROOT = Keys("test", "test")
ON_CALL = Identity("user:kim", frozenset({"review"}), By("user:kim", "api-key", "bench"), "api", {"key:bench": 0})
ENTRY = """
[role.{name}]
account = "prod-payments"
arn     = "{arn}"
ceiling = ["s3:GetObject*"]
"""


@dataclass(frozen=True)
class Ground:
    """What runs: the store, the local AWS, and the base roles there (name in the roster → ARN)."""

    url: str
    out: Path
    endpoint: str
    prepared: Prepared
    roles: dict[str, str]

    @property
    def roster(self) -> str:
        """Return the roster's entries for the roles that the demo's does not have."""
        return "".join(ENTRY.format(name=name, arn=arn) for name, arn in self.roles.items() if arn != ROLE_ARN)

    def worker_env(self) -> dict[str, str]:
        """Return the settings of a worker that mints and revokes there."""
        env = {"COUNTERSIGN_PROVIDERS": "aws", "COUNTERSIGN_AWS_ENDPOINT_URL": self.endpoint}
        for who in ("minter", "revoker"):
            keys = getattr(self.prepared, who).keys
            env[f"COUNTERSIGN_AWS_{who.upper()}_ACCESS_KEY_ID"] = keys.access_key_id
            env[f"COUNTERSIGN_AWS_{who.upper()}_SECRET_ACCESS_KEY"] = keys.secret_access_key
        return env

    def provider(self) -> AwsProvider:
        """Return the product's provider there."""
        return AwsProvider(self.prepared.access(self.endpoint))


@contextmanager
def ground(roles: int = 1) -> Iterator[Ground]:
    """Run a real Valkey and a local AWS with that many base roles, all alike."""
    with ExitStack() as stack:
        server, out = stack.enter_context(valkey())
        aws = stack.enter_context(local_aws(out.parent / "aws"))
        prepared = set_up(aws.endpoint)
        yield Ground(server.url, out, aws.endpoint, prepared, _roles(aws.endpoint, roles))


def _roles(endpoint: str, count: int) -> dict[str, str]:
    """Make more base roles like the first; the minter may assume each."""
    iam = client("iam", endpoint, ROOT)
    trust = documents.trust_policy(ROLE_ARN.partition(":role/")[0] + ":user/countersign-minter")
    made = {"analytics": ROLE_ARN}
    for number in range(1, count):
        iam.create_role(RoleName=f"{ROLE}-{number}", PermissionsBoundary=BOUNDARY_ARN, AssumeRolePolicyDocument=trust)
        iam.attach_role_policy(RoleName=f"{ROLE}-{number}", PolicyArn=f"{ROLE_ARN.replace(':role/', ':policy/')}")
        made[f"analytics-{number}"] = f"{ROLE_ARN}-{number}"
    may = documents.minter_policy(f"{ROLE_ARN}*")
    iam.put_user_policy(UserName="countersign-minter", PolicyName="countersign", PolicyDocument=may)
    return made


@dataclass
class Live:
    """Hold a store with live grants, and who ends them."""

    house: House
    grants: Sequence[str]
    custody: Custody

    @property
    def store(self) -> Store:
        """Return the store."""
        return self.house.store

    async def revoke(self, grant: str) -> None:
        """Ask for the early end of one grant, as on-call does."""
        await self.custody.revoke(ON_CALL, grant, "bench")

    async def grant(self, grant_id: str) -> tuple[Grant, int]:
        """Return a grant as it is, and its version."""
        key = layout.grant_key(grant_id)
        record = (await self.store.records.read([key])).records[key]
        return read(Grant, record.json), record.version

    async def ended(self, grant_id: str, seconds: float = 60) -> Grant:
        """Return a grant once its end is proven."""
        async with asyncio.timeout(seconds):
            while True:
                grant, version = await self.grant(grant_id)
                if grant.proof:
                    return grant
                key = layout.grant_key(grant_id)
                await self.store.signals.changed(key, timedelta(seconds=1), seen=version)


@asynccontextmanager
async def live(of: Ground, count: int) -> AsyncIterator[Live]:
    """Mint so many grants, spread over the roles, by the product's own desk and worker in this process."""
    names = list(of.roles)
    async with opened(of.url) as store:
        house = await open_house(store, callers_for(count), more=of.roster, aws=of.provider())

        def ask(number: int) -> Any:
            return house.ask(number, provider="aws", role=names[number % len(names)])

        requests = await each(range(count), ask)
        await each(requests, house.approve)
        while await house.work():
            pass
        await drain(store)
        found = Live(house, [grant_of(request) for request in requests], Custody(store, Reader(store)))
        yield found


@contextmanager
def working(of: Ground, workers: int = 1) -> Iterator[None]:
    """Run a clock and workers."""
    with ExitStack() as stack:
        names = [f"worker-{number}" for number in range(1, workers + 1)]
        started = [start_worker(of.url, of.out, name, **of.worker_env()) for name in names]
        started.append(start_clock(of.url, of.out))
        for process in started:
            stack.enter_context(process)
        for process in started:
            process.wait_line("started")
        yield
