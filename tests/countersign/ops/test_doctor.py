import asyncio
import json
from datetime import timedelta

import pytest

from countersign.ops.fittings import apply_rules
from countersign.ops.keyring import make_key
from countersign.ops.tokens import DEMO
from tests.countersign.ops.conftest import Command, Told
from tests.worlds.valkey import Valkey
from workers.stores.port import Commit, Store
from workers.stores.redis import connect


def on_store(valkey: Valkey, work) -> None:
    async def session() -> None:
        store = await connect(valkey.url)
        try:
            await work(store)
        finally:
            await store.aclose()

    asyncio.run(session())


async def healthy(store: Store) -> None:
    await apply_rules(store.records)
    await make_key(store.records, principal="caller:report-bot", scopes=("request",), by=DEMO)
    for process in ("worker", "clock"):
        await store.signals.beat(process)


def verdicts(told: Told) -> dict[str, str]:
    return {line[6:18].strip(): line[:4].strip() for line in told.out.splitlines()}


def test_an_empty_store_is_told_line_by_line_with_remedies(command: Command) -> None:
    told = command("doctor")
    assert told.code == 1
    found = verdicts(told)
    assert found["store"] == "ok"
    assert found["rules"] == found["clock"] == found["worker"] == "fail"
    assert found["keys"] == "warn"
    assert "countersign apply" in told.out
    assert "countersign keys new" in told.out
    assert "python -m workers.clock" in told.out


def test_all_is_well(command: Command, empty_valkey: Valkey) -> None:
    on_store(empty_valkey, healthy)
    told = command("doctor")
    assert told.code == 0, told.out
    assert set(verdicts(told).values()) <= {"ok", "warn"}
    assert verdicts(told)["clock"] == "ok"
    assert "COUNTERSIGN_DELIVERY_KEY is missing" in told.out  # this environment is enough for a command, not for web


def test_what_ends_soon_or_is_late_is_a_warning(command: Command, empty_valkey: Valkey) -> None:
    async def troubled(store: Store) -> None:
        await healthy(store)
        await make_key(
            store.records, principal="caller:report-bot", scopes=("request",), by=DEMO, lifetime=timedelta(days=1)
        )
        now = await store.records.now()
        await store.records.commit(Commit(at=now, due={"grant:grt_X": now - timedelta(seconds=30)}))

    on_store(empty_valkey, troubled)
    told = command("doctor")
    assert told.code == 0
    assert verdicts(told)["due set"] == "warn"
    assert "two may live at once" in told.out


def test_a_frozen_store_is_a_warning(command: Command, empty_valkey: Valkey) -> None:
    async def frozen(store: Store) -> None:
        await healthy(store)
        now = await store.records.now()
        body = json.dumps({"v": 1, "on": True, "why": "incident"})
        await store.records.commit(Commit(at=now, expects={"config:freeze": 0}, puts={"config:freeze": body}))

    on_store(empty_valkey, frozen)
    assert verdicts(command("doctor"))["freeze"] == "warn"


def test_json_for_scripts(command: Command) -> None:
    told = command("doctor", "--json")
    assert told.code == 1
    assert {one["verdict"] for one in json.loads(told.out)} >= {"ok", "fail"}


def test_an_absent_store(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_REDIS_URL", "redis://127.0.0.1:1/0")
    told = command("doctor")
    assert told.code == 1
    assert verdicts(told)["store"] == "fail"


def test_a_typing_error_in_the_environment(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_REDIS_URLL", "redis://127.0.0.1:1/0")
    told = command("doctor")
    assert told.code == 1
    assert "COUNTERSIGN_REDIS_URLL is not a setting" in told.out


def test_aws_that_nobody_answers_for_fails(command: Command, empty_valkey: Valkey, monkeypatch) -> None:
    on_store(empty_valkey, healthy)
    monkeypatch.setenv("COUNTERSIGN_AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    for who in ("MINTER", "REVOKER"):
        monkeypatch.setenv(f"COUNTERSIGN_AWS_{who}_ACCESS_KEY_ID", f"AKID{who}")
        monkeypatch.setenv(f"COUNTERSIGN_AWS_{who}_SECRET_ACCESS_KEY", "secret-of-nobody")
    told = command("doctor")
    assert told.code == 1
    assert verdicts(told)["aws"] == "fail"
    assert "secret-of-nobody" not in told.out + told.err
