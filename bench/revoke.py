"""Measure a revocation: from the request for the end to the proof, against the bare calls.

    python -m bench revoke [--revokes 20]

Real Valkey, clock and one worker; a local AWS. The floor does what no proven revocation can do without, with the SDK
alone, in turn with it: one PutRolePolicy, one twin and one control session, and three readings of both, 0.3 s apart.
The pauses between the readings are most of both; the second table is what is left without them.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from approvers.ids import ulid
from bench.live import Ground, ground, live, working
from bench.stage import at, table, took_ms
from countersign.ops.ministack import ROLE, ROLE_ARN, client
from workers.providers import documents
from workers.providers.access import Keys
from workers.providers.probing import Pace

WARM = 2
PACE = Pace()
PAUSES_MS = (PACE.in_a_row - 1) * PACE.pause_seconds * 1000


class Floor:
    """Revoke and prove with the SDK alone."""

    def __init__(self, of: Ground) -> None:
        self._endpoint = of.endpoint
        self._iam = client("iam", of.endpoint, of.prepared.revoker.keys)  # type: ignore[arg-type]
        self._sts = client("sts", of.endpoint, of.prepared.minter.keys)  # type: ignore[arg-type]

    def revoke(self) -> float:
        """Return the milliseconds of one write and its proof."""
        grant = f"grt_{ulid(datetime.now(UTC), secrets.token_bytes(10))}"
        began = time.perf_counter()
        self._iam.put_role_policy(
            RoleName=ROLE, PolicyName=documents.revoke_name(grant), PolicyDocument=documents.revoke_policy(grant)
        )
        fresh = f"control-{secrets.token_hex(13)}"
        twin = self._session(documents.probe_name(grant), grant)
        control = self._session(documents.control_name(fresh), fresh)
        for reading in range(PACE.in_a_row):
            if reading:
                time.sleep(PACE.pause_seconds)
            assert _refused(twin)
            assert not _refused(control)
        took = took_ms(began)
        self._iam.delete_role_policy(RoleName=ROLE, PolicyName=documents.revoke_name(grant))
        return took

    def _session(self, name: str, tag: str):
        answer = self._sts.assume_role(
            RoleArn=ROLE_ARN,
            RoleSessionName=name,
            SourceIdentity=name,
            Tags=[{"Key": documents.GRANT_TAG, "Value": tag}],
            Policy=documents.probe_policy(),
            DurationSeconds=900,
        )["Credentials"]
        keys = Keys(answer["AccessKeyId"], answer["SecretAccessKey"])
        return client("ec2", self._endpoint, keys, answer["SessionToken"])


def _refused(ec2) -> bool:
    try:
        ec2.describe_regions()
    except ec2.exceptions.ClientError as error:
        return "explicit deny" in str(error)
    return False


async def measure(of: Ground, revokes: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds of each revocation, and of each floor, taken in turn."""
    took, bare, floor = [], [], Floor(of)
    async with live(of, WARM + revokes) as found:
        with working(of):
            for number, grant in enumerate(found.grants):
                began = time.perf_counter()
                await found.revoke(grant)
                ended = await found.ended(grant)
                mine = took_ms(began)
                assert ended.proof and ended.proof.kind == "probe_denied", ended.proof
                other = await asyncio.to_thread(floor.revoke)
                if number >= WARM:
                    took.append(mine)
                    bare.append(other)
    return took, bare


def main(argv: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m bench revoke", description=__doc__.splitlines()[0])
    parser.add_argument("--revokes", type=int, default=20)
    options = parser.parse_args(argv)
    with ground() as of:
        took, bare = asyncio.run(measure(of, options.revokes))
    for name, off in ((f"{options.revokes} revocations", 0.0), ("the same without the pauses", PAUSES_MS)):
        mine, floor = ([one - off for one in values] for values in (took, bare))
        rows = [("floor: PutRolePolicy, twin, control, three readings", floor), ("request → REVOKED with proof", mine)]
        cells = [(what, f"{at(values, 0.5):.1f}", f"{at(values, 0.99):.1f}") for what, values in rows]
        ratios = [f"**{at(mine, part) / at(floor, part):.2f}**" for part in (0.5, 0.99)]
        print(table((name, "p50 ms", "p99 ms"), [*cells, ("**ratio**", *ratios)]) + "\n")


if __name__ == "__main__":
    main()
