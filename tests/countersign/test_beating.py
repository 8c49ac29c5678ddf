"""The heartbeat of the library: how often, what a lost beat costs, and that an end is told once."""

from __future__ import annotations

import asyncio
import time

import pytest

from countersign import BadSetting, Client, Conflict, CountersignError, Unreachable, requires_approval
from countersign.beating import BEATS, Beating
from countersign.models import Grant, Request
from tests.countersign.conftest import ACCESS, ASK

EVERY = 0.3
"""A beat has this long to be answered, on a busy machine too."""


async def live(world, client, **more) -> Request:
    world.rows.submit_as = "APPROVED"
    return await client.request(**ASK, access=ACCESS, heartbeat_seconds=60, **more)


def quick(request: Request) -> Grant:
    """The same grant, which wants to hear something every 900 ms."""
    return request.grant.model_copy(update={"heartbeat_seconds": EVERY * BEATS})


def beats(world) -> int:
    return sum(call.endswith("/heartbeat") for call in world.calls)


async def until(check, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


async def test_one_beat_returns_the_grant_as_it_stands(world, client):
    request = await live(world, client)
    assert request.grant.heartbeat_seconds == world.bodies[0]["heartbeat_seconds"] == 60
    world.warn()
    assert (await client.heartbeat(request)).warned_at is not None
    world.end()
    with pytest.raises(Conflict) as refused:
        await client.heartbeat(request.grant.id)
    assert refused.value.code == "grant_ended"


class Server:
    """Take beats without a network; `troubles` are raised first."""

    def __init__(self, *troubles: CountersignError | None) -> None:
        self.troubles, self.at = list(troubles), []

    async def __call__(self, grant: Grant, *, patience_seconds: float) -> Grant:
        self.at.append(time.monotonic())
        if self.troubles and (trouble := self.troubles.pop(0)):
            raise trouble
        return grant


def grant_of(seconds: float) -> Grant:
    return Grant(id="grt_1", state="ACTIVE").model_copy(update={"heartbeat_seconds": seconds})


async def test_it_beats_at_once_and_a_third_of_the_time_apart_and_stops_with_the_block():
    server, heard = Server(), []
    began = time.monotonic()
    async with Beating(server, grant_of(0.15), on_answer=heard.append) as beating:
        assert not server.at
        await until(lambda: len(heard) >= 4)
        assert time.monotonic() - began >= 3 * 0.05
        assert (beating.grant is heard[-1], beating.ended) == (True, False)
    seen = len(server.at)
    await asyncio.sleep(0.15)
    assert len(server.at) == seen


async def test_a_beat_that_fails_is_tried_on_sooner_and_told_once_in_a_row():
    lost = Unreachable("nobody there")
    server, troubles = Server(lost, lost, lost, None, lost), []
    async with Beating(server, grant_of(0.6), on_trouble=troubles.append):
        await until(lambda: len(server.at) >= 4)
        assert troubles == [lost]
        assert server.at[3] - server.at[0] < 3 * 0.2
        await until(lambda: len(troubles) == 2)


async def test_a_server_that_hangs_is_given_up_in_time_for_the_next_beat():
    troubles = []

    async def hang(grant, *, patience_seconds):
        await asyncio.Event().wait()

    async with Beating(hang, grant_of(0.1), on_trouble=troubles.append):
        await until(lambda: troubles)
    assert "heartbeat in time" in troubles[0].detail


async def test_an_end_is_told_once_and_nothing_is_sent_after_it(world, client):
    ends, grant = [], quick(await live(world, client))
    async with client.beating(grant, on_end=ends.append) as beating:
        await until(lambda: beats(world))
        world.end()
        await until(lambda: ends)
        seen = beats(world)
        await asyncio.sleep(1.5 * EVERY)
        assert (len(ends), beats(world), beating.ended) == (1, seen, True)


async def test_a_grant_without_a_heartbeat_says_what_to_ask_for(world, client):
    world.rows.submit_as = "APPROVED"
    for subject in (await client.request(**ASK, access=ACCESS), await client.request(**ASK)):
        with pytest.raises(BadSetting, match="heartbeat_seconds"):
            client.beating(subject)


def test_blocking_code_beats_too(world, blocking: Client):
    world.rows.submit_as = "APPROVED"
    request = blocking.request(**ASK, access=ACCESS, heartbeat_seconds=60)
    with blocking.beating(quick(request)) as beating:
        world.wait_until(lambda: beats(world) >= 2)
        assert not beating.ended
    assert blocking.heartbeat(request).active


def test_a_guarded_function_beats_while_it_runs(world, blocking: Client):
    world.rows.submit_as = "APPROVED"
    fields = {name: value for name, value in ASK.items() if name not in ("action", "resource", "reason")}

    @requires_approval(
        action=ASK["action"], resource=ASK["resource"], client=blocking, access=ACCESS, heartbeat_seconds=10, **fields
    )
    def work(credential):
        world.wait_for_call(f"POST /v1/grants/{world.row()['grant']['id']}/heartbeat")
        return credential.access_key_id

    assert work().startswith("ASIA")
    assert world.row()["grant"]["state"] == "REVOKED"
