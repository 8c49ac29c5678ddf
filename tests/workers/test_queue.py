"""Items reach workers through RQ; whatever else stands in a job's hash does nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from tests.worlds.fixtures import empty_valkey, valkey
from tests.worlds.valkey import Valkey
from workers.queue import FUNCTION, NAME, AllowedJob, Queue, job_id, make_worker, shared_out
from workers.stores.port import Attempt, Unavailable

__all__ = ["empty_valkey", "valkey"]
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
async def queue(empty_valkey: Valkey) -> AsyncIterator[Queue]:
    opened = Queue(empty_valkey.url, room=3)
    yield opened
    await opened.aclose()


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A folder with a `workers.jobs.run` that notes what it was given, in place of the product's."""
    (tmp_path / "stage.py").write_text(STAGE)
    return tmp_path


STAGE = """
import os, sys, types, pathlib, time
from workers import queue

notes = pathlib.Path(__file__).parent / "notes"

def run(items):
    with notes.open("a") as file:
        for member, fence in items:
            file.write(f"{member} {fence} {os.getpid()}\\n")
    if items[0][0] == "grant:slow":
        time.sleep(1)
        with notes.open("a") as file:
            file.write("slow done\\n")

jobs = types.ModuleType("workers.jobs")
jobs.run = run
sys.modules["workers.jobs"] = jobs
sys.modules["workers"].jobs = jobs
queue.work(sys.argv[1], burst="burst" in sys.argv)
(notes.parent / "ended").touch()
"""


def start(scene: Path, url: str, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(scene / "stage.py"), url, *words]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, stderr=subprocess.PIPE)


def notes(scene: Path) -> list[str]:
    path = scene / "notes"
    return path.read_text().splitlines() if path.exists() else []


def wait_until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "waited too long"
        time.sleep(0.01)


def forge(server: Valkey, name: str, call: list[object], **fields: str) -> None:
    """Write a job as somebody would who can write to RQ's server."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    data = {"data": json.dumps(call), "origin": NAME, "status": "queued", "created_at": now, "enqueued_at": now}
    with server.client() as client:
        client.hset(f"rq:job:{name}", mapping=data | fields)
        client.rpush(f"rq:queue:{NAME}", name)


async def test_items_become_jobs_with_their_fences(queue: Queue, empty_valkey: Valkey) -> None:
    assert await queue.room() == 3
    await queue.push([Attempt("grant:grt_1", 5), Attempt("sweep:aws", 6)])
    assert await queue.room() == 1
    await queue.push([Attempt(f"grant:{n}", n) for n in range(7, 10)])
    assert await queue.room() == 0, "never below"
    with empty_valkey.client() as client:
        waiting = client.lrange(f"rq:queue:{NAME}", 0, -1)
        assert waiting[:2] == [b"grant-grt_1-5", b"sweep-aws-6"]
        job = Job.fetch("grant-grt_1-5", connection=client, serializer=JSONSerializer)
        assert (job.func_name, list(job.args), job.kwargs) == (FUNCTION, [[["grant:grt_1", 5]]], {})
        assert (job.timeout, job.result_ttl, job.failure_ttl) == (15, 60, 86_400)
        assert 0 < client.ttl("rq:job:grant-grt_1-5") <= 86_400, "RQ's rubbish dies by itself"


async def test_nothing_to_push_pushes_nothing(queue: Queue, empty_valkey: Valkey) -> None:
    await queue.push([])
    with empty_valkey.client() as client:
        assert client.dbsize() == 0


def test_a_job_id_has_only_what_rq_runs() -> None:
    assert job_id([Attempt("grant:a.b/c:ü", 7)]) == "grant-a-b-c---7"
    assert job_id([Attempt("grant:a", 7), Attempt("grant:b", 8)]) == "grant-a-7-of-2"


@pytest.mark.parametrize(
    ("items", "sizes"),
    [(1, [1]), (8, [1] * 8), (9, [2, 2, 2, 2, 1]), (100, [13] * 7 + [9]), (800, [100] * 8), (850, [100] * 8 + [50])],
    ids=str,
)
def test_few_items_are_a_job_each_and_many_share_jobs(items: int, sizes: list[int]) -> None:
    asked = [Attempt(f"grant:{number}", number) for number in range(items)]
    shared = shared_out(asked)
    assert [len(some) for some in shared] == sizes
    assert [item for some in shared for item in some] == asked


async def test_a_burst_shares_jobs_and_each_item_is_run_with_its_own_fence(
    empty_valkey: Valkey, queue: Queue, scene: Path
) -> None:
    await queue.push([Attempt(f"grant:{number}", 1000 + number) for number in range(80)])
    with empty_valkey.client() as client:
        assert client.llen(f"rq:queue:{NAME}") == 8
        job = Job.fetch("grant-0-1000-of-10", connection=client, serializer=JSONSerializer)
        assert job.description == "10 items"
    worker = start(scene, empty_valkey.url, "burst")
    _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 0, errors
    assert [line.split()[:2] for line in notes(scene)] == [[f"grant:{n}", str(1000 + n)] for n in range(80)]


async def test_a_queue_that_is_away_is_unavailable(tmp_path: Path) -> None:
    queue = Queue(Valkey(tmp_path).url)
    with pytest.raises(Unavailable):
        await queue.push([Attempt("grant:a", 1)])
    with pytest.raises(Unavailable):
        await queue.room()
    await queue.aclose()


async def test_a_worker_runs_each_item_with_its_fence(queue: Queue, empty_valkey: Valkey, scene: Path) -> None:
    await queue.push([Attempt("grant:a", 1), Attempt("sweep:aws", 2)])
    worker = start(scene, empty_valkey.url, "burst")
    _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 0, errors
    assert notes(scene) == [f"grant:a 1 {worker.pid}", f"sweep:aws 2 {worker.pid}"], "in the worker's own process"
    with empty_valkey.client() as client:
        assert client.zcard(f"rq:failed:{NAME}") == 0
        assert 0 < client.ttl("rq:job:grant-a-1") <= 60


CALL: list[object] = [FUNCTION, None, [[["grant:a", 1]]], {}]


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        (["os.system", None, ["touch {owned}"], {}], {}),
        ([FUNCTION, "workers.jobs", [[["grant:a", 1]]], {}], {}),
        (["workers.jobs.run.__init__", None, [], {}], {}),
        (["subprocess.call", None, [["touch", "{owned}"]], {}], {}),
    ],
    ids=["os.system", "instance", "attribute", "subprocess"],
)
def test_a_forged_job_fails_and_runs_nothing(
    empty_valkey: Valkey, scene: Path, call: list[object], fields: Mapping[str, str]
) -> None:
    owned = scene / "owned"
    forge(empty_valkey, "forged", json.loads(json.dumps(call).replace("{owned}", str(owned))), **fields)
    forge(empty_valkey, "honest", CALL)
    worker = start(scene, empty_valkey.url, "burst")
    worker.communicate(timeout=60)
    assert not owned.exists()
    assert [line.rsplit(" ", 1)[0] for line in notes(scene)] == ["grant:a 1"], "the next job runs"
    with empty_valkey.client() as client:
        forged = Job.fetch("forged", connection=client, serializer=JSONSerializer)
        assert forged.get_status() == JobStatus.FAILED
        assert Job.fetch("honest", connection=client, serializer=JSONSerializer).get_status() == JobStatus.FINISHED


@pytest.mark.parametrize("outcome", ["success", "failure", "stopped"])
def test_a_forged_callback_is_never_called(empty_valkey: Valkey, scene: Path, outcome: str) -> None:
    (scene / "trap.py").write_text(f"import pathlib\npathlib.Path({str(scene / 'owned')!r}).touch()\ndef call(*_): ...")
    call = CALL if outcome == "success" else ["os.system", None, ["true"], {}]
    forge(empty_valkey, "forged", call, **{f"{outcome}_callback_name": "trap.call"})
    worker = start(scene, empty_valkey.url, "burst")
    worker.communicate(timeout=60)
    assert not (scene / "owned").exists()


def test_a_forged_webhook_is_never_fetched(empty_valkey: Valkey, scene: Path, tmp_path: Path) -> None:
    with Valkey(tmp_path / "trap") as trap:  # any server that counts its connections is a good ear
        hooks = json.dumps([{"url": f"http://127.0.0.1:{trap.port}/", "job_status": "finished", "timeout": 1}])
        forge(empty_valkey, "forged", CALL, webhooks=hooks)
        with trap.client() as client:
            before = client.info("stats")["total_connections_received"]
            worker = start(scene, empty_valkey.url, "burst")
            worker.communicate(timeout=60)
            assert client.info("stats")["total_connections_received"] == before
    assert len(notes(scene)) == 1


def test_a_restored_job_keeps_nothing_that_would_be_imported_fetched_or_repeated(empty_valkey: Valkey) -> None:
    hooks = json.dumps([{"url": "http://127.0.0.1:1/", "job_status": "finished"}])
    names = {f"{outcome}_callback_name": "os.system" for outcome in ("success", "failure", "stopped")}
    forge(empty_valkey, "forged", CALL, webhooks=hooks, retries_left="9", repeats_left="9", **names)
    with empty_valkey.client() as client:
        plain = Job.fetch("forged", connection=client, serializer=JSONSerializer)
        assert (len(plain.webhooks), plain.retries_left, plain.repeats_left) == (1, 9, 9), "RQ itself takes them"
        job = AllowedJob.fetch("forged", connection=client, serializer=JSONSerializer)
        assert (job.webhooks, job.retries_left, job.repeats_left) == ([], None, None)
        assert (job.success_callback, job.failure_callback, job.stopped_callback) == (None, None, None)


def test_the_worker_reads_json_only_and_has_no_scheduler(empty_valkey: Valkey) -> None:
    worker = make_worker(empty_valkey.url)
    assert worker.serializer is JSONSerializer
    assert worker.queue_names() == [NAME]
    assert worker.scheduler is None
    worker.connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_worker_stops_at_once_and_cleanly(empty_valkey: Valkey, scene: Path, number: signal.Signals) -> None:
    worker = start(scene, empty_valkey.url)
    forge(empty_valkey, "first", CALL)
    wait_until(lambda: notes(scene))
    with empty_valkey.client() as client:
        wait_until(lambda: client.hget(client.smembers("rq:workers").pop(), "state") == b"idle")
        worker.send_signal(number)
        _, errors = worker.communicate(timeout=60)
        assert worker.returncode == 0, errors
        assert client.smembers("rq:workers") == set(), "and leaves RQ's books"
    assert (scene / "ended").exists()


async def test_a_busy_worker_finishes_its_job_first(queue: Queue, empty_valkey: Valkey, scene: Path) -> None:
    await queue.push([Attempt("grant:slow", 1), Attempt("grant:next", 2)])
    worker = start(scene, empty_valkey.url)
    wait_until(lambda: notes(scene))
    worker.terminate()
    _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 0, errors
    assert notes(scene)[1:] == ["slow done"]
    with empty_valkey.client() as client:
        assert client.lrange(f"rq:queue:{NAME}", 0, -1) == [b"grant-next-2"], "the next one stays for others"
