"""Measure the end of everything: 500 live grants over ten base roles, revoked together, on one worker.

    python -m bench revoke_all [--grants 500] [--roles 10]

Real Valkey, clock and one worker; a local AWS, in which all roles are of one account. From the first request for an end
to the first and the last proof; each grant's own time is from its request to the first of its three refusals. The floor
is the same writes and proofs by the product's provider alone, in as many threads as one account has turns, on as many
further grants and roles of the same AWS: no store, no queue, no record.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from approvers.grant import Plan, ProofKind
from approvers.ids import ulid
from bench.live import Ground, Live, ground, live, working
from bench.mint import plan
from bench.stage import at, each, table
from workers.lanes import MOST
from workers.providers.port import Handle, ProofOutcome


@dataclass(frozen=True)
class Ended:
    """Seconds from the first request to each proof, in order; `own`: from each request to its first refusal."""

    proofs: Sequence[float]
    own: Sequence[float] = ()

    def cells(self) -> tuple[str, ...]:
        """Return the first, the median, the last."""
        return tuple(f"{one:.2f}" for one in (self.proofs[0], at(self.proofs, 0.5), self.proofs[-1]))


async def product(of: Ground, count: int, seconds: float) -> Ended:
    """Revoke every grant at once; wait for each proof."""
    async with live(of, count) as found:
        with working(of):
            store = found.store
            began = await store.records.now()
            await each(found.grants, found.revoke)
            ended = await _all_ended(found, seconds)
            bodies = [record for grant in ended for record in await store.log.chain(grant.request_id)]
            times = sorted((one - began).total_seconds() for one in _revoked_at(bodies))
            assert len(times) == count, f"{count - len(times)} of {count} are not proven"
            return Ended(times, [float(grant.proof.seconds) for grant in ended if grant.proof])


async def _all_ended(found: Live, seconds: float):
    return await each(found.grants, lambda one: found.ended(one, seconds), at_once=len(found.grants))


def _revoked_at(bodies: Sequence[bytes]) -> list[datetime]:
    read = [json.loads(body) for body in bodies]
    return [datetime.fromisoformat(one["at"]) for one in read if one["type"] == "grant.revoked"]


def bare(of: Ground, plans: Sequence[Plan]) -> Ended:
    """Write and prove for as many new grant ids, in threads, and collect again."""
    provider, began = of.provider(), time.perf_counter()
    handles = [Handle(f"grt_{ulid(datetime.now(UTC), secrets.token_bytes(10))}", plan) for plan in plans]

    def end(handle: Handle) -> float:
        provider.revoke(handle)
        assert provider.verify(handle, ProofKind.PROBE_DENIED).outcome is ProofOutcome.PROVEN
        return time.perf_counter() - began

    with ThreadPoolExecutor(MOST) as pool:
        times = sorted(pool.map(end, handles))
        list(pool.map(provider.collect, handles))
    return Ended(times)


def plans_of(of: Ground, count: int) -> list[Plan]:
    """Return a plan for each grant of the floor, spread over the same roles."""
    arns = list(of.roles.values())
    return [plan().model_copy(update={"role_arn": arns[number % len(arns)]}) for number in range(count)]


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench revoke_all", description=__doc__.splitlines()[0])
    parser.add_argument("--grants", type=int, default=500)
    parser.add_argument("--roles", type=int, default=10)
    options = parser.parse_args(argv)
    patience = 30 + options.grants / 2
    with ground(options.roles) as of:
        floor = bare(of, plans_of(of, options.grants))
        ended = asyncio.run(product(of, options.grants, patience))
    head = (f"{options.grants} grants over {options.roles} roles", "first proof s", "half of them s", "last proof s")
    pairs = zip(ended.cells(), floor.cells(), strict=True)
    ratios = [f"**{float(mine) / float(other):.2f}**" for mine, other in pairs]
    rows = [("floor: the provider alone", *floor.cells()), ("revoke all → REVOKED with proof", *ended.cells()),
            ("**ratio**", *ratios)]  # fmt: skip
    print(table(head, rows))
    own = [f"{at(ended.own, part):.2f}" for part in (0.5, 0.99)]
    print(f"\nA grant's own seconds from its request to the first refusal: p50 {own[0]}, p99 {own[1]}.")


if __name__ == "__main__":
    main()
