"""`countersign audit export` and `anchor` as an operator types them: on a real store, to a folder and to a bucket."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from countersign.ops import ministack
from tests.countersign.conftest import clean_environ
from tests.countersign.ops.conftest import Command
from tests.countersign.ops.export_world import World, check, held
from tests.worlds.ministack import Ministack, aws
from tests.worlds.valkey import Valkey
from workers.signing import SigningKey
from workers.stores.redis import connect

__all__ = ["aws"]
KEY = SigningKey.generate("export.countersign.invalid/log")
On = Callable[[Callable[[World], Awaitable[Any]]], Any]


@pytest.fixture
def on(empty_valkey: Valkey) -> On:
    """Work on the store that the command uses."""

    def run(work: Callable[[World], Awaitable[Any]]) -> Any:
        async def session() -> Any:
            store = await connect(empty_valkey.url)
            try:
                return await work(World(store, key=KEY))
            finally:
                await store.aclose()

        return asyncio.run(session())

    return run


@pytest.fixture
def signed(on: On) -> int:
    """The size of a log with some records, signed."""

    async def work(world: World) -> int:
        await world.rules()
        asked = await world.ask(2)
        await world.sign()
        await world.receipt(*asked)
        await world.ask(2)
        return (await world.sign()).size

    return int(on(work))


async def last(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((await world.bodies())[-1])
    return found


def test_it_prints_size_and_root_and_is_recorded_and_in_the_next_one(
    signed: int, on: On, command: Command, tmp_path: Path
) -> None:
    told = command("audit", "export", tmp_path / "e", "--by", "user:dana")
    assert told.code == 0, told.err
    manifest = check(tmp_path / "e")
    assert told.out == f"{signed} {manifest['log']['root']}\n"
    assert f"countersign audit verify {tmp_path / 'e'} --key KEY" in told.err
    record = on(last)
    assert (record["type"], record["subject"], record["by"]["person"]) == ("export.made", "sys", "user:dana")
    assert record["data"] == {"root": manifest["log"]["root"], "size": signed, "to": "folder"}
    on(World.sign)
    told = command("audit", "export", tmp_path / "e", "--json")
    answer = json.loads(told.out)
    assert (answer["size"], answer["records"], answer["where"]) == (signed + 1, signed + 1, str(tmp_path / "e"))
    assert b'"type":"export.made"' in held(tmp_path / "e")["records.jsonl"]


def test_what_is_signed_by_now_or_was_signed_before_can_be_had(
    signed: int, on: On, command: Command, tmp_path: Path
) -> None:
    on(World.ask)
    told = command("audit", "export", tmp_path / "e", "--no-wait")
    assert (told.code, told.out.split()[0]) == (0, str(signed))
    on(World.sign)
    told = command("audit", "export", tmp_path / "f", "--upto", signed)
    assert (told.code, told.out.split()[0]) == (0, str(signed))
    left, right = held(tmp_path / "e"), held(tmp_path / "f")
    assert left == right
    told = command("audit", "export", tmp_path / "g", "--upto", signed - 1)
    assert (told.code, "--upto" in told.err) == (1, True)
    assert not (tmp_path / "g").exists()


def test_no_key_and_no_secret_leaves(signed: int, command: Command, tmp_path: Path, empty_valkey: Valkey) -> None:
    command("audit", "export", tmp_path / "e")
    everything = b"".join(held(tmp_path / "e").values())
    for secret in (KEY.text, KEY.text.rpartition("+")[2], empty_valkey.url):
        assert secret.encode() not in everything


def test_without_a_clock_it_waits_and_ctrl_c_says_how_to_go_on(on: On, empty_valkey: Valkey, tmp_path: Path) -> None:
    on(World.ask)
    process = subprocess.Popen(
        [sys.executable, "-m", "countersign", "audit", "export", str(tmp_path / "e")],
        env={**clean_environ(), "COUNTERSIGN_REDIS_URL": empty_valkey.url},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )  # fmt: skip
    assert process.stderr
    assert "waiting for the clock to sign the log up to size 3" in process.stderr.readline()
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "run the same command again, and it goes on" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("verb", ["export", "anchor"])
def test_a_place_or_a_time_that_is_none_is_told_before_anybody_waits(on: On, command: Command, verb: str) -> None:
    on(World.ask)  # signed by nobody: it would wait for half a minute
    for words, why in ((["s3://evidence//x"], "s3://bucket/prefix"), (["s3://evidence", "--retain", "7"], "--retain")):
        told = command("audit", verb, *words)
        assert (told.code, why in told.err, "waiting" in told.err) == (1, True, False)


def test_an_anchor_need_not_wait_for_the_clock(signed: int, on: On, command: Command, tmp_path: Path) -> None:
    on(World.ask)
    told = command("audit", "anchor", tmp_path / "anchor.txt", "--no-wait")
    assert (told.code, told.out.split()[0]) == (0, str(signed))


def test_nothing_signed_at_all_says_what_to_do(on: On, command: Command, tmp_path: Path) -> None:
    on(World.ask)
    told = command("audit", "export", tmp_path / "e", "--no-wait")
    assert told.code == 1
    assert "none of 3 records is under a signed checkpoint: does a clock run" in told.err


@pytest.fixture
def bucket(aws: Ministack, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"evidence-{secrets.token_hex(6)}"
    aws.root("s3").create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", ministack.REGION)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return name


def test_to_a_bucket_it_is_a_folder_for_each_size_that_verify_reads(
    signed: int, on: On, command: Command, aws: Ministack, bucket: str, tmp_path: Path
) -> None:
    place = f"s3://{bucket}/logs"
    told = command("audit", "export", place, "--retain", "90d", "--work", tmp_path / "work")
    assert told.code == 0, told.err
    again = command("audit", "export", place, "--upto", signed)
    assert (again.code, "was there already, whole" in again.err) == (0, True)
    assert on(last)["data"]["to"] == "s3"
    on(World.sign)
    assert command("audit", "export", place).code == 0

    s3, prefix = aws.root("s3"), f"logs/size-{signed:012}/"
    down = tmp_path / "down"
    for one in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
        path = down / one["Key"].removeprefix(prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read())
    check(down)
    assert held(down) == held(tmp_path / "work")
    looked = command("audit", "export", "--check", place)
    assert (looked.code, looked.out) == (0, "")
    s3.delete_object(Bucket=bucket, Key=f"{prefix}records.jsonl")
    looked = command("audit", "export", "--check", place, "--json")
    assert looked.code == 1
    assert "hidden by a delete marker" in json.loads(looked.out)["faults"][0]


def test_a_bucket_that_has_another_log_of_that_size_is_told(
    signed: int, command: Command, aws: Ministack, bucket: str
) -> None:
    key = f"logs/size-{signed:012}/manifest.json"
    aws.root("s3").put_object(Bucket=bucket, Key=key, Body=b'{"log":{"root":"ab"}}')
    told = command("audit", "export", f"s3://{bucket}/logs")
    assert (told.code, "two exports that disagree" in told.err) == (1, True)


def test_an_anchor_is_the_newest_checkpoint(
    signed: int, on: On, command: Command, aws: Ministack, bucket: str, tmp_path: Path
) -> None:
    told = command("audit", "anchor", f"s3://{bucket}/daily", "--retain", "1y")
    assert told.code == 0, told.err
    kept = aws.root("s3").get_object(Bucket=bucket, Key=f"daily/checkpoint-{signed:012}.txt")["Body"].read().decode()
    assert kept.startswith(f"{KEY.name}\n{signed}\n")
    path = tmp_path / "witness.txt"
    assert command("audit", "anchor", path).code == 0
    assert path.read_text() == kept
    on(World.ask)
    on(World.sign)
    assert command("audit", "anchor", path).code == 0
    later = path.read_text()
    assert later.startswith(f"{KEY.name}\n{signed + 3}\n")


def test_a_bucket_with_anchors_of_another_log_is_told(
    signed: int, on: On, command: Command, empty_valkey: Valkey, bucket: str
) -> None:
    place = f"s3://{bucket}/daily"
    assert command("audit", "anchor", place).code == 0
    assert command("audit", "anchor", place).code == 0, "the same one is there already"
    with empty_valkey.client() as client:
        client.flushall()
    on(World.ask)
    on(World.sign)
    told = command("audit", "anchor", place)
    assert told.code == 1
    assert f"{place}/checkpoint-{signed:012}.txt says that the log had the root" in told.err


def test_an_anchor_that_knows_another_log_is_kept_and_told(
    signed: int, on: On, command: Command, empty_valkey: Valkey, tmp_path: Path
) -> None:
    path = tmp_path / "witness.txt"
    command("audit", "anchor", path)
    before = path.read_text()
    with empty_valkey.client() as client:
        client.flushall()
    on(World.ask)
    on(World.sign)
    told = command("audit", "anchor", path)
    assert (told.code, path.read_text()) == (1, before)
    assert f"at size {signed}" in told.err
    path.write_text("a letter\n")
    told = command("audit", "anchor", path)
    assert (told.code, "holds no checkpoint" in told.err, path.read_text()) == (1, True, "a letter\n")
