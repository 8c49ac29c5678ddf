"""240 clicks at once from several processes on 20 requests with quorum 2: one decision, one grant, one mint each."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from approvers.audit import check_chain
from tests.story.town import Town, grant_of, town
from workers.stores.redis import connect

REQUESTS, PROCESSES = 20, 4
PEOPLE = ("robin", "alex", "kim")
WRITE = {
    "action": "s3:PutObject",
    "access": {"role": "analytics", "actions": ["s3:PutObject"], "resources": ["arn:aws:s3:::customer-exports/2026/*"]},
}
"""The demo's policy wants two people for a write."""


def click_all(base_url: str, clicks: list[tuple[str, str]], ready: Any, answers: Any) -> None:
    """Be one process: wait for the others, then send every click at the same time."""

    async def clicks_at_once() -> list[tuple[str, str, int, str]]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def one(request: str, key: str) -> tuple[str, str, int, str]:
                url = f"{base_url}/v1/requests/{request}/reviews"
                headers = {"Authorization": f"Bearer {key}"}
                async with session.post(url, json={"verdict": "approve"}, headers=headers) as answer:
                    body = await answer.json()
                    return request, key, answer.status, body.get("code", "")

            return await asyncio.gather(*(one(*click) for click in clicks))

    ready.wait()
    answers.put(asyncio.run(clicks_at_once()))


def click_from_processes(of: Town, clicks: list[tuple[str, str]]) -> list[tuple[str, str, int, str]]:
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Barrier(PROCESSES), context.Queue()
    parts = [clicks[number::PROCESSES] for number in range(PROCESSES)]
    processes = [context.Process(target=click_all, args=(of.base_url, part, ready, answers)) for part in parts]
    for process in processes:
        process.start()
    said = [row for _ in processes for row in answers.get(timeout=60)]
    for process in processes:
        process.join(10)
    return said


async def chains(url: str, requests: list[str]) -> dict[str, list[dict[str, Any]]]:
    store = await connect(url)
    try:
        found = {}
        for request in requests:
            bodies = await store.log.chain(request)
            check_chain(request, bodies)
            found[request] = [json.loads(body) for body in bodies]
        return found
    finally:
        await store.aclose()


@pytest.mark.timeout(180)
def test_240_clicks_at_once(tmp_path: Path):
    with town(tmp_path, log_level="warning") as of:
        requests = [of.ask(**WRITE)["id"] for _ in range(REQUESTS)]
        clicks = [(request, of.keys[name]) for request in requests for name in PEOPLE for _ in range(4)]
        assert len(clicks) == 240
        said = click_from_processes(of, clicks)
        assert len(said) == 240
        won = Counter(request for request, _, status, _ in said if status == 200)
        assert won == dict.fromkeys(requests, 2)
        assert {code for _, _, status, code in said if status != 200} <= {"already_decided", "already_reviewed"}
        for request in requests:
            of.wait_grant(request, "ACTIVE")
        issued = of.issued()
        assert {grant: len(many) for grant, many in issued.items()} == {grant_of(one): 1 for one in requests}
        for request, records in asyncio.run(chains(of.valkey.url, requests)).items():
            kinds = Counter(record["type"] for record in records)
            once = ("request.approved", "grant.opened", "grant.minted")
            assert (kinds["review.recorded"], [kinds[kind] for kind in once]) == (2, [1, 1, 1])
            reviewers = [one["by"]["person"] for one in records if one["type"] == "review.recorded"]
            assert len(set(reviewers)) == 2
            assert kinds["review.refused"] == 10, request
