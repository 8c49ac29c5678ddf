"""Whoever calls has to be Teams: every row of the token table is 401 or 400, and keys may rotate, rest or vanish."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.surfaces.teams_keys import GAP_SECONDS, RENEW_SECONDS, STALE_SECONDS, KeySet, KeysUnavailable
from bot.surfaces.teams_proof import NotProven, StrictProof, UnprovenPlayground, served_by
from tests.bot.teams.town import CHANNEL, TeamsTown
from tests.worlds.stopwatch import own_time
from tests.worlds.teams import TeamsWorld
from tests.worlds.teams.state import OTHER_TENANT, TENANT


@pytest.fixture
async def teams() -> AsyncIterator[TeamsWorld]:
    async with TeamsWorld.open() as world:
        world.add_person("robin")
        yield world


class Clock:
    """Count seconds, as a test says."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def keys(teams: TeamsWorld, clock: Clock) -> AsyncIterator[KeySet]:
    keys = KeySet(teams.issuer_url, clock=clock)
    yield keys
    await keys.aclose()


def proof(teams: TeamsWorld, keys: KeySet) -> StrictProof:
    return StrictProof(teams.app_id, keys, [TENANT], served_by(["127.0.0.1"]))


async def passes(teams: TeamsWorld, keys: KeySet, **head: Any) -> bool:
    activity = teams.activity("robin")
    token = teams.issuer.sign(teams.issuer.claims(teams.app_id, teams.service_url), **head)
    try:
        await proof(teams, keys).check(activity, f"Bearer {token}")
    except NotProven:
        return False
    return True


async def test_every_stranger_is_turned_away_with_401_and_nothing_runs(town: TeamsTown) -> None:
    activity = town.teams.activity("robin", CHANNEL, "<at>Countersign</at> freeze never")
    rows = town.teams.strange(activity)
    assert len(rows) > 40
    for row in rows:
        headers = {"Content-Type": "application/json"}
        if row.authorization is not None:
            headers["Authorization"] = row.authorization
        answer = await town.teams.courier.send(json.dumps(row.activity).encode(), headers, row.activity)
        assert answer.status == 401, (row.name, answer.status)
        assert answer.json == {"error": "request refused"}
    assert not town.teams.chat("robin")
    assert (await town.teams.send_raw(activity)).status == 202  # the very same with a good token
    await town.teams.wait_for_chat("robin")


async def test_every_malformed_body_is_400(town: TeamsTown) -> None:
    for name, body in town.teams.malformed(town.teams.activity("robin", CHANNEL)).items():
        assert (await town.teams.send_raw(body)).status == 400, name
    activity = town.teams.activity("robin", CHANNEL)
    for field in ("id", "channelId"):
        assert (await town.teams.send_raw({**activity, field: 7})).status == 400, field
    assert (await town.teams.send_raw(b"x" * 300_000)).status == 413
    assert (await town.teams.send_raw(b"{}", content_type="text/plain")).status == 415


@pytest.mark.parametrize("address", ["https://evil.example/", "http://localhost:1/", "https://127.0.0.1@evil.example/"])
async def test_a_good_token_for_an_address_that_is_not_listed_is_no_good(town: TeamsTown, address: str) -> None:
    moved = {**town.teams.activity("robin", CHANNEL), "serviceUrl": address}
    assert (await town.teams.send_raw(moved)).status == 401  # its claim agrees with the activity


async def test_without_any_token_the_body_is_not_even_read(town: TeamsTown) -> None:
    answer = await town.teams.send_raw(b"x" * 300_000, authorization=None)
    assert answer.status == 401


async def test_a_rotated_key_is_taken_at_once_and_a_retired_one_after_the_next_reading(
    teams: TeamsWorld, keys: KeySet, clock: Clock
) -> None:
    assert await passes(teams, keys)
    old = teams.issuer.signing
    clock.seconds += GAP_SECONDS
    teams.issuer.rotate()
    assert await passes(teams, keys)
    assert teams.issuer.reads == 2
    teams.issuer.retire(old.kid)
    clock.seconds += RENEW_SECONDS + 1
    assert await passes(teams, keys)  # this one's key is known: it is served while the keys are renewed behind it
    await keys.renew()
    assert not await passes(teams, keys, key=old)


async def test_made_up_keys_cost_one_reading_a_minute(teams: TeamsWorld, keys: KeySet, clock: Clock) -> None:
    assert await passes(teams, keys)
    for number in range(20):
        assert not await passes(teams, keys, head={"kid": f"junk-{number}"})
    assert teams.issuer.reads == 1
    clock.seconds += GAP_SECONDS
    done = await asyncio.gather(*(passes(teams, keys, head={"kid": f"more-{n}"}) for n in range(20)))
    assert (any(done), teams.issuer.reads) == (False, 2)


async def test_many_at_once_wait_for_one_reading(teams: TeamsWorld, keys: KeySet) -> None:
    assert all(await asyncio.gather(*(passes(teams, keys) for _ in range(20))))
    assert teams.issuer.reads == 1


@pytest.mark.parametrize("trouble", ["outage", "html"])
async def test_while_the_issuer_is_away_the_last_copy_serves_for_a_day(
    teams: TeamsWorld, keys: KeySet, clock: Clock, trouble: str
) -> None:
    assert await passes(teams, keys)
    getattr(teams.issuer, trouble)()
    clock.seconds += STALE_SECONDS - 1
    assert await passes(teams, keys)
    clock.seconds += 2
    with pytest.raises(KeysUnavailable):
        await passes(teams, keys)
    teams.issuer.up()
    clock.seconds += GAP_SECONDS
    assert await passes(teams, keys)


async def test_a_hanging_issuer_holds_up_nobody_whose_key_is_known(
    teams: TeamsWorld, keys: KeySet, clock: Clock
) -> None:
    assert await passes(teams, keys)
    teams.issuer.hang()
    clock.seconds += RENEW_SECONDS + 1
    began = own_time()
    assert await passes(teams, keys)
    assert own_time() - began < 1
    teams.issuer.up()


async def test_without_keys_nobody_can_judge_and_503_says_so(teams: TeamsWorld, clock: Clock) -> None:
    teams.issuer.status(500)
    keys = KeySet(teams.issuer_url, clock=clock)
    with pytest.raises(KeysUnavailable):
        await passes(teams, keys)
    await keys.aclose()


async def test_an_issuer_away_from_the_start_is_503_and_back_soon(town: TeamsTown) -> None:
    town.teams.issuer.outage()
    await town.restart()
    activity = town.teams.activity("robin", CHANNEL)
    answer = await town.teams.send_raw(activity)
    assert (answer.status, answer.answer_headers["Retry-After"]) == (503, "5")


async def test_a_key_that_may_not_sign_for_teams_signs_for_nobody(teams: TeamsWorld, keys: KeySet) -> None:
    teams.issuer.signing.endorsements = ["webchat"]
    assert not await passes(teams, keys)


async def test_a_key_without_endorsements_signs_for_nobody(teams: TeamsWorld, keys: KeySet) -> None:
    teams.issuer.signing.endorsements = None
    assert not await passes(teams, keys)


async def test_metadata_of_another_issuer_are_not_believed(teams: TeamsWorld, keys: KeySet) -> None:
    teams.issuer.issuer = "https://evil.example"
    with pytest.raises(KeysUnavailable):
        await passes(teams, keys)


@pytest.mark.parametrize(
    ("url", "served"),
    [
        ("https://smba.trafficmanager.net/emea/", True),
        ("https://SMBA.trafficmanager.net:443/emea/", True),
        ("http://smba.trafficmanager.net/emea/", False),
        ("https://smba.trafficmanager.net:8443/", False),
        ("https://x@smba.trafficmanager.net/", False),
        ("https://x:y@smba.trafficmanager.net/", False),
        ("https://smba.trafficmanager.net.evil.example/", False),
        ("https://evil.example/smba.trafficmanager.net", False),
        ("https://smba.trafficmanager.net:port/", False),
        ("http://127.0.0.1:3978/", False),  # only where the operator has listed it
        ("https://[::1", False),
        ("", False),
    ],
)
def test_tokens_go_to_listed_hosts_alone(url: str, served: bool) -> None:
    assert served_by(["smba.trafficmanager.net"])(url) is served


def test_a_listed_loopback_is_served_plainly_and_nothing_beside_it() -> None:
    here = served_by(["127.0.0.1"])
    assert here("http://127.0.0.1:3978/emea/")
    assert not here("http://localhost:3978/")
    assert not here("ftp://127.0.0.1/")
    assert not here("https://smba.trafficmanager.net/")


def test_without_app_or_tenant_there_is_no_proof() -> None:
    keys = KeySet("http://127.0.0.1:1/")
    for app_id, tenants in (("", [TENANT]), ("app", [])):
        with pytest.raises(ValueError, match="everybody"):
            StrictProof(app_id, keys, tenants, served_by(["x.example"]))


async def test_the_playground_is_let_in_from_this_machine_and_for_its_tenant_only(teams: TeamsWorld) -> None:
    activity = teams.activity("robin")
    await UnprovenPlayground([TENANT]).check(activity, "")
    for tenants, changes in (
        ([OTHER_TENANT], {}),
        ([TENANT], {"serviceUrl": "https://smba.trafficmanager.net/emea/"}),
    ):
        with pytest.raises(NotProven):
            await UnprovenPlayground(tenants).check({**activity, **changes}, "")


async def test_the_playground_is_not_reached_through_a_proxy_a_page_or_another_name(town: TeamsTown) -> None:
    town.settings["COUNTERSIGN_TEAMS_PLAYGROUND"] = "true"
    await town.restart()
    activity = town.teams.activity("robin")
    for headers in (
        {"X-Forwarded-For": "203.0.113.7"},
        {"Forwarded": "for=203.0.113.7"},
        {"Origin": "https://evil.example"},
        {"Host": "rebound.example"},
    ):
        assert (await town.teams.send_raw(activity, authorization=None, headers=headers)).status == 401, headers
    assert (await town.teams.send_raw(activity, authorization=None)).status == 202
