"""Measure intake: asks per second and latency at 64 connections, as a ratio to the floor of the same run.

    python -m bench.intake [--asks 12000] [--rounds 3]

Real processes, a real Valkey with `appendfsync always`. Each ask is new, waits for people, and is one commit: request,
ruling, audit record, event, due time, names. Rounds alternate between the servers, and the median of the ratios counts,
because on a shared machine the rounds differ more than the servers do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from approvers.action import Action
from approvers.answer import answer
from approvers.audit import By
from approvers.times import to_ms
from bench.common import Measured, cpu_seconds, load, post, serving
from bench.floor_server import AT, ID
from bot.commits import MAX_WAITING
from bot.deps import make_desk
from bot.directory import Directory
from bot.identity import ApiKey, Identity
from bot.reading import Reader
from countersign.ops.valkey import embedded_valkey
from workers.policies import Policies, apply
from workers.stores import layout
from workers.stores.encoding import arguments
from workers.stores.memory import memory_store
from workers.stores.port import Commit
from workers.stores.redis import connect
from workers.vault import DeliveryKey, hash_key, new_api_key

CONNECTIONS = 64
SERVERS = {
    "intake": ("bot", ""),
    "floor: one Lua call": ("bench.floor_server", "plain"),
    "floor: the calls gathered": ("bench.floor_server", "gathered"),
}
"""Row → module and, for a floor, who makes its call. Ours gathers calls, too: the second floor is the stricter one."""
WAITING_EACH = 90
"""Below the limit of 100 waiting requests per principal."""
RULES = Path(__file__).parents[1] / "countersign/ops/data/demo"
CALLER = """
[caller.{name}]
kind = "agent"
owners = ["user:dana"]
actors = ["agent:report-bot"]
on_behalf_of = "required"
"""
BODY = {
    "action": "s3:GetObject",
    "resource": "arn:aws:s3:::customer-exports/2026/*",
    "environment": "prod",
    "reason": "Rebuild the weekly report, the job failed at 02:10",
    "ttl_seconds": 900,
    "risk": "medium",
    "project": "reports",
    "stage": "inference",
    "ticket": "INC-42",
    "data_classes": ["pii"],
    "undo": "none needed, read only",
    "actor": {"id": "agent:report-bot", "on_behalf_of": "user:dana", "run": "run-7"},
    "access": {
        "provider": "aws",
        "role": "analytics",
        "actions": ["s3:GetObject"],
        "resources": ["arn:aws:s3:::customer-exports/2026/*"],
    },
}


def body(number: int) -> bytes:
    """Return one ask that folds into no other."""
    return json.dumps(BODY | {"parameters": {"number": number}}).encode()


async def prepare(url: str, callers: int) -> list[str]:
    """Empty the store, apply the rules with that many callers, and return their keys."""
    store = await connect(url)
    roster = (RULES / "countersign.toml").read_text() + "".join(CALLER.format(name=f"bot-{n}") for n in range(callers))
    await apply(store.records, policy=(RULES / "policy.toml").read_text(), roster=roster, by="bench", why="bench")
    now, keys = await store.records.now(), [new_api_key() for _ in range(callers)]
    for number, key in enumerate(keys):
        name = f"key:{hash_key(key)}"
        row = ApiKey(id=f"k{number}", principal=f"caller:bot-{number}", scopes=("request",), made_at=now)
        await store.records.commit(Commit(at=now, expects={name: 0}, puts={name: row.model_dump_json()}))
    await store.aclose()
    return keys


async def record_call() -> str:
    """Return, as JSON, the arguments of a real ask's commit, and a real answer, with marks where ids and times go."""
    store = memory_store()
    roster = (RULES / "countersign.toml").read_text()
    await apply(store.records, policy=(RULES / "policy.toml").read_text(), roster=roster, by="bench", why="bench")
    policies, reader, seen = Policies(store.records, store.signals), Reader(store), list[Commit]()
    await policies.refresh()
    commit = store.records.commit

    async def keep(one: Commit) -> None:
        seen.append(one)
        await commit(one)

    store.records.commit = keep  # type: ignore[method-assign]
    desk = make_desk(store, policies, reader, Directory(policies))
    who = Identity("caller:report-bot", frozenset({"request"}), By("caller:report-bot", "api-key", "k1"), "api",
                   {f"key:{hash_key('')}": 0})  # fmt: skip
    key = "a" * 16
    view = await desk.submit(who, Action.model_validate(BODY | {"parameters": '{"number":1}'}), key)
    at, request = to_ms(view.request.submitted_at), view.request.id
    row = [_marked(value, (request[-16:], seen[0].id, key, view.request.handle, view.request.action_digest,
                           layout.history_key(who.principal)), at)
           for value in arguments(seen[0])]  # fmt: skip
    row[2] = 10**9  # a pause of this machine must not end the floor: it knows no second try
    return json.dumps({"arguments": row, "answer": json.dumps(answer(view.request, view.grant, 1))})


def _marked(value: object, ids: tuple[str, ...], at: int) -> object:
    if value == at:
        return AT
    if value == MAX_WAITING:
        return 10**9  # the floor asks in one name only
    text = value.decode() if isinstance(value, bytes) else value
    if isinstance(text, str):
        for one in ids:
            text = text.replace(one, ID)
    return text


@dataclass(frozen=True)
class Run:
    """One server, measured, and its processor time for each answer in microseconds."""

    found: Measured
    cpu_us: float


def measure(port: int, pid: int, requests: list[bytes]) -> Run:
    """Send every request once; each must be taken."""
    before = cpu_seconds(pid)
    found = asyncio.run(load(port, requests, CONNECTIONS))
    assert set(found.statuses) == {202}, found.statuses
    return Run(found, (cpu_seconds(pid) - before) / len(requests) * 1e6)


def one_round(url: str, call: Path, asks: int) -> list[Run]:
    """Measure each server in turn, on one store."""
    total = asks + CONNECTIONS * 20
    keys = asyncio.run(prepare(url, -(-total // WAITING_EACH)))
    asked = []
    for number in range(total):
        key = keys[number % len(keys)]
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"run-{number:012d}"}
        asked.append(post("/v1/requests", body(number), headers))
    runs = []
    for module, client in SERVERS.values():
        env = {"COUNTERSIGN_REDIS_URL": url, "FLOOR_CALL": str(call), "FLOOR_CLIENT": client, "COUNTERSIGN_PORT": "0"}
        if module == "bot":
            env["COUNTERSIGN_DELIVERY_KEY"] = DeliveryKey.generate().text
        with serving(module, env) as (port, pid):
            measure(port, pid, asked[:-asks])
            runs.append(measure(port, pid, asked[-asks:]))
    return runs


def main(argv: Sequence[str] | None = None) -> None:
    """Print one Markdown row for each server, and the ratios of intake to both floors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--asks", type=int, default=12_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(argv)
    rounds = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder, embedded_valkey(Path(folder) / "valkey") as server:
            call = Path(folder) / "call.json"
            call.write_text(asyncio.run(record_call()))
            rounds.append(one_round(server.url, call, options.asks))
    print(f"| {CONNECTIONS} connections | asks/s | p50 ms | p99 ms | processor µs |\n|---|---|---|---|---|")
    for number, name in enumerate(SERVERS):
        runs = [one[number] for one in rounds]
        parts = ("per_second", "p50_ms", "p99_ms")
        figures = [statistics.median(getattr(run.found, part) for run in runs) for part in parts]
        cpu = statistics.median(run.cpu_us for run in runs)
        print(f"| {name} | {figures[0]:.0f} | {figures[1]:.1f} | {figures[2]:.1f} | {cpu:.0f} |")
    for number, name in enumerate(list(SERVERS)[1:], 1):
        ratio = statistics.median(one[0].found.per_second / one[number].found.per_second for one in rounds)
        print(f"| **ratio** | **{ratio:.2f}** | to {name} | | |")


if __name__ == "__main__":
    main()
