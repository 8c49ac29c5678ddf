"""The caller's side against the product itself: its web process over HTTP, a real worker, and a small cloud."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from approvers.grant import Grant
from countersign import AsyncClient, Conflict, helper
from countersign.models import Ask
from countersign.run import Run
from countersign.status import PlainStatus
from tests.countersign.test_beating import until
from tests.countersign.test_extending import UNTIL_STOPPED, key_of_command
from tests.worlds import samples
from tests.worlds.cloud import Cloud
from tests.worlds.web import DELIVERY, Web
from workers.leasing import advance
from workers.providers.port import Secret
from workers.stores.memory import memory_store
from workers.tools import Tools
from workers.vault import seal_credential

ASK = {name: value for name, value in samples.BODY.items() if name != "ttl_seconds"}


def seal(secret: Secret, grant: Grant) -> bytes:
    public = base64.b64decode(grant.public_key) if grant.public_key else DELIVERY.public
    return seal_credential(secret, public, grant.id, grant.principal)


async def work(tools: Tools) -> None:
    """Be the worker and its clock."""
    while True:
        for item in (await tools.store.due.claim("worker", most=10, lease=tools.lease)).items:
            await advance(tools, item)
        await asyncio.sleep(0.01)


class Time:
    """The store's and the cloud's clock, which a test moves on."""

    ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
async def product(clock: Time) -> AsyncIterator[Web]:
    async with Web.over(memory_store(clock)) as web:
        providers = {"aws": Cloud(clock)}
        tools = Tools(web.store, web.deps.policies, providers, seal, web.alarm, timedelta(seconds=5))
        working = asyncio.create_task(work(tools))
        yield web
        assert not working.done(), "the worker fell over"
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working


@pytest.fixture
async def caller(product: Web) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(product.base, product.keys[samples.CALLER]) as client:
        yield client


async def approved(product: Web, caller: AsyncClient, **more):
    asked = await caller.request(**ASK, **more)
    await product.review(asked.id)
    return await caller.wait(asked)


async def test_a_heartbeat_is_taken_while_it_lives_and_an_end_is_told(product, caller):
    request = await approved(product, caller, heartbeat_seconds=60, ttl_seconds=900)
    assert (request.grant.heartbeat_seconds, request.grant.extended_by, request.grant.warned_at) == (60, None, None)
    assert request.grant.collect_by is not None
    await caller.credential(request)
    assert (await caller.heartbeat(request)).active
    assert (await caller.get(request)).grant.collect_by is None
    ended = asyncio.Event()
    await caller.release(request)
    async with caller.beating(request, on_end=lambda grant: ended.set()):
        await asyncio.wait_for(ended.wait(), 10)
    with pytest.raises(Conflict):
        await caller.heartbeat(request)


async def test_run_goes_on_from_one_grant_to_the_next_and_gives_both_back(product, caller, clock, tmp_path):
    said = io.StringIO()
    command = [sys.executable, "-c", UNTIL_STOPPED, str(tmp_path)]
    ask = Ask.model_validate({**ASK, "ttl_seconds": 900, "heartbeat_seconds": 3600})
    running = asyncio.create_task(Run(caller, ask, command, PlainStatus(said), extend=True).to_end())
    await until(lambda: "waits for" in said.getvalue())
    [first] = await caller.requests()
    await product.review(first.id)
    await until((tmp_path / "up").exists)
    environ = dict(line.split("=", 1) for line in (tmp_path / "environ").read_text().splitlines())
    assert await key_of_command(environ) == (0, "ASIAEXAMPLE", "")
    clock.ahead = timedelta(minutes=13, seconds=30)  # the end is warned of
    await until(lambda: said.getvalue().count("waits for") == 2)
    [second] = await caller.requests()
    await product.review(second.id)
    await until(lambda: f"{second.handle} goes on until" in said.getvalue())
    assert (await caller.get(first)).grant.extended_by == second.id.replace("req_", "grt_")
    assert (await caller.get(second)).grant.extends == first.id.replace("req_", "grt_")
    assert {one.handle for one in await caller.grants()} == {first.handle, second.handle}
    assert await key_of_command(environ) == (0, "ASIAEXAMPLE", "")
    (tmp_path / "stop").touch()
    assert await running == 0, said.getvalue()
    assert await caller.grants() == []


async def test_the_helper_prints_follows_and_says_that_it_is_over(product, caller):
    first = await approved(product, caller, ttl_seconds=900, sealed=False)
    environ = {"COUNTERSIGN_URL": product.base, "COUNTERSIGN_API_KEY": product.keys[samples.CALLER]}

    async def helped(*words: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "countersign", helper.COMMAND, *words, env=environ,
            cwd=Path(helper.__file__).parents[1], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    code, out, _ = await helped(first.handle)
    assert (code, json.loads(out)["AccessKeyId"], "Expiration" in out) == (0, "ASIAEXAMPLE", False)
    second = await approved(product, caller, ttl_seconds=900, extends=first.grant.id, sealed=False)
    await caller.release(first)
    code, out, err = await helped(first.grant.id, "--follow")
    assert (code, "Expiration" in out) == (0, True), err
    assert datetime.fromisoformat(json.loads(out)["Expiration"]) <= second.grant.ends_at - timedelta(seconds=29)
    code, out, err = await helped(first.grant.id)
    assert (code, out) == (1, "")
    assert f"The credential of {first.handle} was ended at 20" in err
    assert "(release by caller:report-bot: done)" in err
