"""The world's failures: of the connector, the issuer and the token endpoint; rates, manners, and strangers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jwt
import pytest

from tests.worlds.teams import Clock, TeamsWorld
from tests.worlds.teams.echo import Echo, approval, echo, message
from tests.worlds.teams.issuer import ISSUER
from tests.worlds.teams.matrix import Strange

CHANNEL, OTHER = "19:c1@thread.tacv2", "19:c2@thread.tacv2"
BROKEN = aiohttp.ClientError


@pytest.fixture
async def teams() -> AsyncIterator[TeamsWorld]:
    async with TeamsWorld.open(Clock()) as world:
        world.add_person("robin")
        for channel in (CHANNEL, OTHER):
            world.add_channel(channel, members=["robin"])
            await world.install(channel)
        yield world


@pytest.fixture
async def app(teams: TeamsWorld) -> AsyncIterator[Echo]:
    async with echo(teams) as running:
        await running.fetch()
        yield running


def push(teams: TeamsWorld, seconds: float) -> None:
    assert isinstance(teams.clock, Clock)
    teams.clock.push(seconds)


# --- the connector


@pytest.mark.parametrize("status", [408, 412, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("retry_after", [None, 2])
@pytest.mark.parametrize("html", [False, True])
async def test_a_status(app: Echo, teams: TeamsWorld, status: int, retry_after: int | None, html: bool) -> None:
    root = (await app.create(CHANNEL)).json
    for verb in ("post", "put", "get"):
        teams.faults.status(verb, status, retry_after, html)  # type: ignore[arg-type]
    answers = [
        await app.post(CHANNEL, message(text="x")),
        await app.put(root["id"], root["activityId"], message(approval())),
        await app.member(CHANNEL, "29:1robin"),
    ]
    assert [it.status for it in answers] == [status] * 3
    assert {it.headers.get("Retry-After") for it in answers} == {None if retry_after is None else "2"}
    assert {isinstance(it.json, str) for it in answers} == {html}
    assert len(teams.messages(CHANNEL)) == 1 and teams.message(root["activityId"]).edited == 0
    assert (await app.member(CHANNEL, "29:1robin")).status == 200


async def test_what_was_done_although_no_answer_says_so(app: Echo, teams: TeamsWorld) -> None:
    teams.faults.status("create", 502, html=True, stored=True)
    assert (await app.create(CHANNEL)).status == 502
    teams.faults.drop_after("post")
    with pytest.raises(BROKEN):
        await app.create(CHANNEL)
    teams.faults.no_id()
    got = await app.create(CHANNEL)
    assert (got.status, got.json) == (201, {})
    assert len(teams.messages(CHANNEL)) == 3


async def test_a_truncated_answer(app: Echo, teams: TeamsWorld) -> None:
    teams.faults.truncated("post")
    with pytest.raises(ValueError, match="Unterminated"):
        await app.create(CHANNEL)
    assert len(teams.messages(CHANNEL)) == 1


async def test_away(app: Echo, teams: TeamsWorld) -> None:
    teams.faults.down()
    with pytest.raises(BROKEN):
        await app.create(CHANNEL)
    teams.faults.up()
    teams.faults.drop("put")
    root = (await app.create(CHANNEL)).json
    with pytest.raises(BROKEN):
        await app.put(root["id"], root["activityId"], message(approval()))
    assert teams.message(root["activityId"]).edited == 0


@pytest.mark.parametrize("kind", ["hang", "hold"])
async def test_an_answer_that_waits(app: Echo, teams: TeamsWorld, kind: str) -> None:
    getattr(teams.faults, kind)("post")
    asked = asyncio.create_task(app.create(CHANNEL))
    await teams.until(lambda: teams.faults.waiting == 1)
    assert len(teams.messages(CHANNEL)) == (kind == "hold")
    assert (await app.member(CHANNEL, "29:1robin")).status == 200
    teams.faults.release()
    if kind == "hold":
        assert (await asked).status == 201
    else:
        with pytest.raises(BROKEN):
            await asked


async def test_a_redirect_is_not_to_be_followed(app: Echo, teams: TeamsWorld) -> None:
    teams.faults.redirect("post")
    await app.create(CHANNEL)
    assert teams.violations == ["a redirect was followed, with our token"]
    assert teams.messages(CHANNEL) == []


# --- rates and manners


@pytest.mark.parametrize(
    ("groups", "pause", "most", "wait"),
    [([8], 0.0, 7, "1"), ([7, 2], 1.01, 8, "1"), ([1] * 61, 0.49, 60, "1"), ([1] * 1801, 1.9, 1800, "180")],
)
async def test_sends_per_conversation(teams: TeamsWorld, groups: list[int], pause: float, most: int, wait: str) -> None:
    answers = []
    for group in groups:
        answers += [teams.limits.wait_seconds("send", CHANNEL) for _ in range(group)]
        push(teams, pause)
    assert answers.count(0) == most
    assert str(answers[-1]) == wait
    assert teams.limits.wait_seconds("send", OTHER) == 0


async def test_the_answer_to_too_many(app: Echo, teams: TeamsWorld) -> None:
    for _ in range(7):
        assert (await app.create(CHANNEL)).status == 201
    root = teams.messages(CHANNEL)[0]
    got = await app.put(f"{CHANNEL};messageid={root.id}", root.id, message(approval()))
    assert (got.status, got.code, got.headers["Retry-After"]) == (429, "TooManyRequests", "1")
    assert (await app.create(OTHER)).status == 201
    push(teams, 2)
    assert (await app.put(CHANNEL, root.id, message(approval()))).status == 200
    teams.limits.off()
    assert {(await app.create(CHANNEL)).status for _ in range(9)} == {201}


async def test_reads_and_the_app_as_a_whole(teams: TeamsWorld) -> None:
    assert [teams.limits.wait_seconds("read", CHANNEL) for _ in range(15)] == [0] * 14 + [1]
    others = [teams.limits.wait_seconds("send", f"19:{number}") for number in range(17)]
    assert others == [0] * 16 + [1]


async def test_who_was_told_to_wait_waits(app: Echo, teams: TeamsWorld) -> None:
    teams.faults.status("post", 429, 5, times=2)
    await app.create(CHANNEL)
    push(teams, 4)
    await app.create(CHANNEL)
    assert len(teams.violations) == 1 and "1.00 s before Retry-After" in teams.violations[0]
    push(teams, 5)
    assert (await app.create(CHANNEL)).status == 201
    assert len(teams.violations) == 1


async def test_one_attempt_at_a_time(app: Echo, teams: TeamsWorld) -> None:
    root = (await app.create(CHANNEL)).json
    teams.faults.hold("put")
    first = asyncio.create_task(app.put(root["id"], root["activityId"], message(approval())))
    await teams.until(lambda: teams.faults.waiting)
    await app.put(root["id"], root["activityId"], message(approval()))
    assert len(teams.violations) == 1 and "two attempts at once" in teams.violations[0]
    teams.faults.up()
    assert (await first).status == 200


# --- issuer and token endpoint


async def keys(app: Echo) -> Any:
    async with app.session.get(app.teams.issuer_url) as answer:
        found = await answer.json()
    assert found["issuer"] == ISSUER
    async with app.session.get(found["jwks_uri"]) as answer:
        return (await answer.json())["keys"]


async def test_keys_rotate(app: Echo, teams: TeamsWorld) -> None:
    before = await keys(app)
    assert [(it["kid"], "msteams" in it["endorsements"]) for it in before] == [("key-1", True)]
    assert not before[0].keys() & {"d", "p", "q"}
    teams.issuer.rotate()
    assert [it["kid"] for it in await keys(app)] == ["key-1", "key-2"]
    teams.issuer.retire()
    assert [it["kid"] for it in await keys(app)] == ["key-2"]
    await teams.send_raw(teams.activity("robin", CHANNEL))
    assert jwt.get_unverified_header(app.tokens[0])["kid"] == "key-2"
    assert (await app.claims())["aud"] == teams.app_id
    teams.issuer.rotate(published=False)
    assert [it["kid"] for it in await keys(app)] == ["key-2"]
    teams.issuer.keys[1].endorsements = None
    assert "endorsements" not in (await keys(app))[0]
    assert (teams.issuer.reads, teams.issuer.metadata_reads) == (6, 6)


async def test_an_issuer_in_trouble(app: Echo, teams: TeamsWorld) -> None:
    teams.issuer.outage()
    with pytest.raises(BROKEN):
        await keys(app)
    teams.issuer.html()
    with pytest.raises(BROKEN):
        await keys(app)
    teams.issuer.hang()
    asked = asyncio.create_task(keys(app))
    await teams.until(lambda: teams.issuer.metadata_reads == 3)
    teams.issuer.up()
    with pytest.raises(BROKEN):
        await asked
    teams.issuer.status(503)
    async with app.session.get(teams.issuer_url) as answer:
        assert answer.status == 503
    teams.issuer.up()
    assert len(await keys(app)) == 1


async def test_a_token_endpoint_in_trouble(app: Echo, teams: TeamsWorld) -> None:
    teams.tokens.refuse(times=1)
    assert (await app.fetch()).json["error"] == "invalid_client"
    teams.tokens.status(503, times=1)
    async with app.session.post(teams.token_url) as answer:
        assert answer.status == 503
    teams.tokens.outage()
    with pytest.raises(BROKEN):
        await app.fetch()
    teams.tokens.hang()
    asked = asyncio.create_task(app.fetch())
    await teams.until(lambda: len(teams.tokens.requests) == 5)
    teams.tokens.up()
    assert (await asked).json["access_token"] == teams.tokens.current
    assert teams.tokens.good(app.token)


# --- strangers


def judged(call: Strange, teams: TeamsWorld) -> bool:
    """Return whether a plain reading of the rules lets this call in: a cross-check of the matrix."""
    scheme, _, token = (call.authorization or "").partition(" ")
    body = call.activity
    tenants = [body["channelData"].get("tenant", {}).get("id"), body["conversation"].get("tenantId")]
    try:
        head = jwt.get_unverified_header(token)
        key = next(it for it in teams.issuer.keys if it.published and it.kid == head.get("kid"))
        said = jwt.decode(
            token, key.private.public_key(), algorithms=["RS256"], audience=teams.app_id, issuer=ISSUER, leeway=300,
            options={"require": ["exp", "iss", "aud"]},
        )  # fmt: skip
    except (jwt.PyJWTError, StopIteration, ValueError):
        return False
    trusted = said.get("serviceurl") == body["serviceUrl"] == teams.service_url
    return scheme == "Bearer" and trusted and tenants == [teams.tenant] * 2 and body["channelId"] == "msteams"


async def test_the_matrix_of_strangers(app: Echo, teams: TeamsWorld) -> None:
    activity = teams.activity("robin", CHANNEL)
    calls = teams.strange(activity)
    assert len(calls) == len({it.name for it in calls}) >= 40
    assert [it.name for it in calls if judged(it, teams)] == []
    token = teams.issuer.sign(teams.issuer.claims(teams.app_id, teams.service_url))
    assert judged(Strange("good", activity, f"Bearer {token}"), teams)


async def test_anything_can_be_sent_raw(app: Echo, teams: TeamsWorld) -> None:
    activity = teams.activity("robin", CHANNEL, "list")
    assert (await teams.send_raw(activity)).status == 202
    assert (await app.claims())["serviceurl"] == teams.service_url
    await teams.send_raw(activity, claims={"aud": "x", "exp": None}, head={"kid": None})
    assert "kid" not in jwt.get_unverified_header(app.tokens[-1])
    said = jwt.decode(app.tokens[-1], options={"verify_signature": False})
    assert said["aud"] == "x" and "exp" not in said
    await teams.send_raw(activity, key=teams.issuer.foreign)
    with pytest.raises(jwt.InvalidSignatureError):
        await app.claims()
    assert (await teams.send_raw(activity, authorization=None)).status == 500  # the app looks for the header
    assert teams.log[-1].headers.keys() == {"Content-Type"}
    for body in teams.malformed(activity).values():
        await teams.send_raw(body)
        assert teams.log[-1].body == body
