"""Grants over HTTP: collect, sealed or opened; give back, take away, list. With a real worker and a small cloud."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from approvers.grant import Grant
from bot.wire import GrantAnswer, OpenCredential, OpenEnvironment, SealedCredential
from tests.worlds import samples
from tests.worlds.cloud import Cloud
from tests.worlds.web import DELIVERY, Web, make_key
from workers.leasing import advance
from workers.providers.port import Secret
from workers.stores.port import Store
from workers.tools import Seal, Tools
from workers.vault import DeliveryKey, open_credential, seal_credential

CALLERS_OWN = DeliveryKey.generate()


def seal(secret: Secret, grant: Grant) -> bytes:
    public = base64.b64decode(grant.public_key) if grant.public_key else DELIVERY.public
    return seal_credential(secret, public, grant.id, grant.principal)


async def work(web: Web, seal: Seal = seal) -> Cloud:
    """Carry out what is due for workers, once."""
    cloud = Cloud(lambda: datetime.now(UTC))
    tools = Tools(web.store, web.deps.policies, {"aws": cloud}, seal, web.alarm, timedelta(seconds=5))
    for item in (await web.store.due.claim("worker", most=10, lease=tools.lease)).items:
        await advance(tools, item)
    return cloud


async def live_grant(web: Web, key: str = "k1", **changes) -> str:
    asked = (await web.ask(key, **changes)).json["id"]
    assert (await web.review(asked)).json["state"] == "APPROVED"
    await work(web)
    return asked.replace("req_", "grt_")


async def collect(web: Web, grant: str, **more):
    return await web.call("POST", f"/v1/grants/{grant}/credential", **more)


async def test_a_caller_without_a_key_of_its_own_gets_it_opened(web: Web):
    grant = await live_grant(web)
    first, second = await collect(web, grant, json={}), await collect(web, grant)
    assert first.status == second.status == 200
    assert first.json == second.json
    OpenCredential.model_validate(first.json)
    assert first.json["secret_access_key"] == "very-secret"
    assert first.headers["Cache-Control"] == "no-store"
    kinds = [one["type"] for one in await web.records(grant.replace("grt_", "req_"))]
    assert kinds.count("credential.collected") == 2


async def test_a_caller_with_a_key_gets_what_only_it_can_open(web: Web):
    grant = await live_grant(web, public_key=CALLERS_OWN.public_text)
    got = (await collect(web, grant)).json
    SealedCredential.model_validate(got)
    sealed = base64.b64decode(got["sealed"])
    assert base64.b64decode(got["encapsulated_key"]) == sealed[:32]
    assert open_credential(CALLERS_OWN, sealed, grant, got["principal"])["secret_access_key"] == "very-secret"
    assert "very-secret" not in str(got)


async def test_of_what_is_no_aws_session_its_variables_are_handed_out(web: Web):
    def seal_variables(secret: Secret, grant: Grant) -> bytes:
        return seal(replace(secret, environment={"PGUSER": "cs_1", "PGPASSWORD": "hush-hush"}), grant)

    asked = (await web.ask()).json["id"]
    await web.review(asked)
    await work(web, seal_variables)
    got = (await collect(web, asked.replace("req_", "grt_"))).json
    OpenEnvironment.model_validate(got)
    assert got["environment"] == {"PGUSER": "cs_1", "PGPASSWORD": "hush-hush"}
    assert "hush" not in str(await web.records(asked))


async def test_before_and_after_its_life_there_is_no_credential(web: Web):
    asked = (await web.ask()).json["id"]
    grant = asked.replace("req_", "grt_")
    assert (await collect(web, grant)).code == "not_found"
    await web.review(asked)
    early = await collect(web, grant)
    assert (early.status, early.code) == (409, "not_ready")
    assert int(early.headers["Retry-After"]) > 0
    await work(web)
    assert (await collect(web, grant)).status == 200
    await web.call("POST", f"/v1/grants/{grant}/release")
    late = await collect(web, grant)
    assert (late.status, late.code) == (409, "grant_ended")


async def test_nobody_else_collects_or_releases(web: Web):
    grant = await live_grant(web)
    for path in ("credential", "release"):
        got = await web.call("POST", f"/v1/grants/{grant}/{path}", who="caller:other-bot")
        assert (got.status, got.code) == (403, "not_your_grant")
    tried = [one["data"]["code"] for one in await web.refusals()]
    assert tried == ["not_your_grant"] * 2
    assert (await collect(web, grant)).status == 200


async def test_release_ends_it_and_again_is_no_error(web: Web):
    grant = await live_grant(web)
    for _ in range(2):
        got = await web.call("POST", f"/v1/grants/{grant}/release", json={})
        assert (got.status, got.json["state"], got.json["ending"]["cause"]) == (200, "REVOKING", "release")
    GrantAnswer.model_validate(got.json)
    await work(web)
    final = (await web.call("GET", f"/v1/requests/{grant}")).json["grant"]
    assert (final["state"], final["proof"]["kind"], final["proof"]["refused"]) == ("REVOKED", "probe_denied", 3)


@pytest.mark.parametrize("who", ["user:robin", "user:dana", "user:kim"])
async def test_any_reviewer_or_operator_takes_it_away(web: Web, who: str):
    grant = await live_grant(web)
    got = await web.call("POST", f"/v1/grants/{grant}/revoke", who=who, json={"reason": "enough"})
    assert (got.status, got.json["state"], got.json["ending"]["by"]) == (200, "REVOKING", who)
    assert got.json["ending"]["reason"] == "enough"


async def test_a_grant_is_named_by_its_request_and_its_handle_too(web: Web):
    grant = await live_grant(web)
    request = (await web.call("GET", f"/v1/requests/{grant}")).json
    for name in (request["id"], request["handle"]):
        assert (await collect(web, name)).status == 200


async def test_the_list_shows_live_grants_to_whom_they_concern(web: Web):
    grant = await live_grant(web)
    mine = (await web.call("GET", "/v1/grants?state=ACTIVE")).json["grants"]
    assert [one["id"] for one in mine] == [grant]
    assert (await web.call("GET", "/v1/grants", who="caller:other-bot")).json == {"grants": []}
    query = "/v1/grants?actor=agent%3Areport-bot"
    assert len((await web.call("GET", query, who="user:robin")).json["grants"]) == 1
    assert (await web.call("GET", "/v1/grants?actor=agent%3Aother", who="user:robin")).json == {"grants": []}
    assert (await web.call("GET", "/v1/grants?state=PENDING")).json == {"grants": []}


async def test_without_a_delivery_key_it_says_what_to_do(store: Store):
    async with Web.over(store, delivery_key="") as web:
        grant = await live_grant(web)
        got = await collect(web, grant)
        assert (got.status, got.code) == (500, "no_delivery_key")
        assert "public_key" in got.json["detail"]


async def test_a_seal_that_does_not_open_is_our_fault_and_says_nothing(store: Store):
    async with Web.over(store, delivery_key=DeliveryKey.generate().text) as web:
        grant = await live_grant(web)
        got = await collect(web, grant)
        assert (got.status, got.code) == (500, "seal_broken")


async def test_a_person_who_asked_collects_too(web: Web):
    web.keys["dana asks"] = await make_key(web.store, "user:dana", "request")
    asked = (await web.ask(who="dana asks", actor={"id": "user:dana"})).json["id"]
    await web.review(asked)
    await work(web)
    got = await web.call("POST", f"/v1/grants/{asked}/credential", who="dana asks")
    assert got.json["principal"] == "user:dana"
    assert samples.CALLER not in got.body.decode()


async def test_a_heartbeat_answers_how_the_grant_stands_and_changes_no_version(web: Web):
    grant = await live_grant(web, heartbeat_seconds=30)
    await collect(web, grant)
    before = (await web.call("GET", f"/v1/requests/{grant}")).json
    assert before["grant"]["heartbeat_seconds"] == 30
    size = len(await web.records(grant.replace("grt_", "req_")))
    for body in ({}, None):
        got = await web.call("POST", f"/v1/grants/{grant}/heartbeat", json=body)
        GrantAnswer.model_validate(got.json)
        assert (got.status, got.json["state"], got.json["collect_by"]) == (200, "ACTIVE", None)
    assert (await web.call("GET", f"/v1/requests/{grant}")).json["version"] == before["version"]
    assert len(await web.records(grant.replace("grt_", "req_"))) == size
    assert await web.refusals() == []


async def test_a_heartbeat_is_its_own_callers_and_only_while_it_lives(web: Web):
    grant = await live_grant(web, heartbeat_seconds=30)
    other = await web.call("POST", f"/v1/grants/{grant}/heartbeat", who="caller:other-bot")
    assert (other.status, other.code) == (403, "not_your_grant")
    reviewer = await web.call("POST", f"/v1/grants/{grant}/heartbeat", who="user:robin")
    assert (reviewer.status, reviewer.code) == (403, "missing_scope")
    await web.call("POST", f"/v1/grants/{grant}/release")
    late = await web.call("POST", f"/v1/grants/{grant}/heartbeat")
    assert (late.status, late.code) == (409, "grant_ended")
    extra = await web.call("POST", f"/v1/grants/{grant}/heartbeat", json={"at": "now"})
    assert (extra.status, extra.json["field"]) == (400, "at")


async def test_a_heartbeat_without_a_credential_is_refused_at_the_ask(web: Web):
    got = await web.ask("k9", access=None, heartbeat_seconds=30)
    assert (got.status, got.json["field"], got.json["rule"]) == (400, "heartbeat_seconds", "heartbeat.access")
