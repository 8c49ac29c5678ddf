"""The web process itself: what it loads, prints, logs and alerts, and how it starts and stops."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from bot.watch import ClockWatch
from tests.worlds.processes import Process, start
from tests.worlds.samples import NOW
from tests.worlds.stopwatch import own_time
from tests.worlds.valkey import Valkey, free_port
from tests.worlds.web import DELIVERY, Alarm, Web
from workers.stores.memory import memory_store

ROOT = Path(__file__).parents[2]
LISTENING = r"listening on (http://127\.0\.0\.1:\d+)"


@pytest.fixture
def environ(empty_valkey: Valkey) -> dict[str, str]:
    return {
        "COUNTERSIGN_REDIS_URL": empty_valkey.url,
        "COUNTERSIGN_PORT": "0",
        "COUNTERSIGN_DELIVERY_KEY": DELIVERY.text,
    }


def begin(environ: dict[str, str], tmp_path: Path, *args: str, name: str = "web") -> tuple[Process, str]:
    process = start("bot", environ, tmp_path, *args, name=name)
    return process, process.wait_line(LISTENING)[1]


def test_a_fresh_interpreter_loads_no_aws_sdk():
    code = "import sys, bot.app, bot.__main__; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    loaded = set(json.loads(out.replace("'", '"')))
    assert {"bot", "workers", "approvers", "aiohttp"} <= loaded
    assert not loaded & {"boto3", "botocore", "rq", "countersign", "ministack"}


async def test_it_says_one_line_where_it_listens_and_stops_cleanly(environ, tmp_path):
    process, url = begin(environ, tmp_path)
    with process:
        async with aiohttp.ClientSession() as client, client.get(f"{url}/healthz") as got:
            assert (await got.json())["status"] == "up"
        assert process.lines("stdout") == [f"listening on {url}"]
        assert process.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_under_a_hundred_polls_at_once(redis_store, environ, tmp_path, number):
    async with Web.over(redis_store) as web:
        asked = (await web.ask()).json
        key = web.keys["caller:report-bot"]
    process, url = begin(environ, tmp_path)
    with process:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, headers={"Authorization": f"Bearer {key}"}) as client:

            async def poll() -> dict:
                async with client.get(f"{url}/v1/requests/{asked['id']}?wait=50&after={asked['version']}") as got:
                    return await got.json()

            polls = [asyncio.create_task(poll()) for _ in range(100)]
            done, _ = await asyncio.wait(polls, timeout=1.0)
            assert not done
            began = own_time()
            os.kill(process.pid, number)
            answers = await asyncio.gather(*polls)
            assert process.wait() == 0
            assert own_time() - began < 15  # of the 50 s that each poll would wait; another process, which has load too
        assert answers == [asked] * 100


def test_two_processes_share_a_port_when_told_to(environ, tmp_path):
    environ["COUNTERSIGN_PORT"] = str(free_port())
    one, url = begin(environ, tmp_path, "--reuse-port", name="one")
    two, same = begin(environ, tmp_path, "--reuse-port", name="two")
    with one, two:
        assert url == same
        assert (one.stop(), two.stop()) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"COUNTERSIGN_PORTT": "1"}, 2, "COUNTERSIGN_PORTT is not a setting: did you mean COUNTERSIGN_PORT"),
        ({"COUNTERSIGN_DELIVERY_KEY": ""}, 2, "COUNTERSIGN_DELIVERY_KEY"),
        ({"COUNTERSIGN_REDIS_URL": "redis://:topsecret@127.0.0.1:1/0"}, 1, "the store did not answer"),
    ],
)
def test_what_keeps_it_from_starting_is_said_without_a_traceback(environ, tmp_path, changes, code, words):
    process = start("bot", {**environ, **changes}, tmp_path)
    with process:
        assert process.wait() == code
    said = process.output.decode()
    assert words in said
    assert "Traceback" not in said
    assert "topsecret" not in said


async def test_a_store_that_forgets_is_refused_at_start(tmp_path):
    with Valkey(tmp_path / "forgetful", appendonly="no") as forgetful:
        environ = {
            "COUNTERSIGN_REDIS_URL": forgetful.url,
            "COUNTERSIGN_DELIVERY_KEY": DELIVERY.text,
            "COUNTERSIGN_PORT": "0",
        }
        with start("bot", environ, tmp_path) as process:
            assert process.wait() == 1
        assert "appendonly yes" in process.output.decode()


async def test_each_answer_is_one_line_of_json_without_secrets(redis_store, environ, tmp_path):
    async with Web.over(redis_store) as web:
        key, asked = web.keys["caller:report-bot"], (await web.ask()).json["id"]
    process, url = begin(environ, tmp_path)
    with process:
        headers = {"Authorization": f"Bearer {key}", "X-Request-Id": "mine-1"}
        async with aiohttp.ClientSession(headers=headers) as client:
            async with client.get(f"{url}/v1/requests/{asked}?wait=0") as got:
                assert got.headers["X-Request-Id"] == "mine-1"
            async with client.get(f"{url}/v1/requests/{asked}", headers={"X-Request-Id": key}) as got:
                assert got.headers["X-Request-Id"] != key
            async with client.get(f"{url}/console/sign-in/csl_{'a' * 43}", headers={"X-Request-Id": 'a "b"'}) as got:
                assert re.fullmatch(r"[0-9a-f]{16}", got.headers["X-Request-Id"])
        assert process.stop() == 0
    lines = [json.loads(line) for line in process.lines() if '"request.answered"' in line]
    assert len(lines) == 3
    first = {
        name: lines[0][name] for name in ("method", "route", "status", "principal", "request_id", "level", "process")
    }
    assert first == {
        "method": "GET", "route": "/v1/requests/{id}", "status": 200, "principal": "caller:report-bot",
        "request_id": "mine-1", "level": "info", "process": "web",
    }  # fmt: skip
    assert lines[0]["ms"] >= 0
    assert key.encode() not in process.output
    assert b"csl_" not in process.output
    assert b"wait=0" not in process.output


class TestClockWatch:
    """The web process notices that no clock lives."""

    @pytest.fixture
    def now(self) -> list:
        return [NOW]

    def watch(self, now: list) -> tuple[ClockWatch, Alarm]:
        self.store, alarm = memory_store(lambda: now[0]), Alarm()
        return ClockWatch(self.store, alarm, silent_after=timedelta(seconds=30)), alarm

    async def test_a_clock_that_never_came_is_missed_after_a_while(self, now):
        watch, alarm = self.watch(now)
        await watch.look()
        now[0] += timedelta(seconds=29)
        await watch.look()
        assert alarm.sent == []
        now[0] += timedelta(seconds=1)
        await watch.look()
        assert [(one.key, one.severity, one.cleared) for one in alarm.sent] == [("clock.silent", "critical", False)]
        assert (await self.store.signals.counts())["alerts:clock.silent"] == 1

    async def test_a_clock_that_fell_silent_is_told_and_its_return_clears_it(self, now):
        watch, alarm = self.watch(now)
        await self.store.signals.beat("clock")
        now[0] += timedelta(seconds=31)
        await watch.look()
        await watch.look()
        assert (await self.store.signals.counts())["alerts:clock.silent"] == 1
        await self.store.signals.beat("clock")
        await watch.look()
        await watch.look()
        assert [one.cleared for one in alarm.sent] == [False, False, True]
        assert f"{NOW:%H:%M:%S}" in alarm.sent[0].summary

    async def test_a_store_whose_time_goes_back_is_told_until_it_has_caught_up(self, now):
        watch, alarm = self.watch(now)
        await watch.look()
        now[0] -= timedelta(seconds=1)  # as readings may differ
        await watch.look()
        assert alarm.sent == []
        now[0] -= timedelta(minutes=5)
        await watch.look()
        now[0] += timedelta(minutes=1)
        await watch.look()
        told = [(one.key, one.severity, one.cleared) for one in alarm.sent]
        assert told == [("store.time_back", "critical", False)] * 2
        now[0] += timedelta(minutes=5)
        await watch.look()
        await watch.look()
        assert [one.cleared for one in alarm.sent if one.key == "store.time_back"] == [False, False, True]
