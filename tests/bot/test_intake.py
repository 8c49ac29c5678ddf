"""The intake API over real HTTP: ask, replay, fold, read, wait in line, withdraw, consume, list; over both stores."""

import asyncio
import json

import pytest

from approvers.answer import answer
from approvers.audit import check_chain
from approvers.texts import restore
from bot.commits import MAX_WAITING
from bot.wire import GrantAnswer, RequestAnswer
from tests.worlds import samples
from tests.worlds.notaries import notary, opened
from tests.worlds.web import Web
from workers.stores.layout import idem_name

FREE = {"action": "s3:ListAllMyBuckets", "resource": "arn:aws:s3:::*", "access": None, "data_classes": None}
ACTION_ONLY = {"action": "deploy:Service", "resource": "payments", "access": None}


async def test_an_ask_for_people_is_202_with_its_place_and_pause(web: Web):
    got = await web.ask()
    body = got.json
    assert (got.status, body["state"], body["because"], body["retry"]) == (202, "PENDING", "waiting", "same_key")
    assert got.headers["Location"] == f"/v1/requests/{body['id']}"
    assert got.headers["Retry-After"] == "5"
    assert got.headers["Cache-Control"] == "no-store"
    assert body["waiting_for"] == {"sre": 1}
    assert "Do not act" in body["agent_message"]
    RequestAnswer.model_validate(body)


async def test_a_denial_by_policy_is_a_decision_and_therefore_200(web: Web):
    got = await web.ask(reason="")
    assert (got.status, got.json["state"], got.json["because"]) == (200, "DENIED", "rule")
    assert "Location" not in got.headers
    assert not got.json["human_decision"]


async def test_the_same_key_finds_the_same_request_and_another_body_is_422(web: Web):
    first, again = await web.ask("once"), await web.ask("once")
    assert again.status == 202
    assert again.json == first.json
    other = await web.ask("once", reason="Something else")
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    assert len((await web.call("GET", "/v1/requests?mine")).json["requests"]) == 1


async def test_a_key_belongs_to_its_principal(web: Web):
    mine = await web.ask("once")
    body = {"actor": {"id": "agent:other"}, "data_classes": ["pii"]}
    theirs = await web.ask("once", who="caller:other-bot", **body)
    assert theirs.status == 202
    assert theirs.json["id"] != mine.json["id"]


async def test_a_replay_tells_how_it_stands_now(web: Web):
    asked = await web.ask("once")
    await web.review(asked.json["id"], verdict="deny", reason="too broad")
    again = await web.ask("once")
    assert (again.status, again.json["state"]) == (200, "DENIED")
    assert "too broad" in again.json["agent_message"]


async def test_identical_waiting_asks_fold_into_one(web: Web):
    first, second = await web.ask("k1"), await web.ask("k2")
    assert second.json["id"] == first.json["id"]
    assert (await web.ask("k2")).json["id"] == first.json["id"]  # the second key is a name of it, too
    kinds = [record["type"] for record in await web.records(first.json["id"])]
    assert kinds == ["request.submitted", "request.folded"]


async def test_two_processes_with_one_key_make_one_request(redis_store, empty_valkey):
    from workers.stores.redis import connect  # noqa: PLC0415

    second_store = await connect(empty_valkey.url)
    async with Web.over(redis_store) as one, Web.over(second_store, policy="") as two:
        two.keys = one.keys
        answers = await asyncio.gather(*(web.ask("same") for web in (one, two) for _ in range(10)))
        assert {got.status for got in answers} == {202}
        assert len({got.json["id"] for got in answers}) == 1
        assert await one.store.records.find(idem_name(samples.CALLER, "same"))
        kinds = [record["type"] for record in await one.records(answers[0].json["id"])]
        assert kinds == ["request.submitted"]
    await second_store.aclose()


async def test_a_hundred_may_wait_and_the_next_is_429(quick_web: Web):
    answers = [await quick_web.ask(f"k{number}", parameters={"n": number}) for number in range(MAX_WAITING)]
    assert {got.status for got in answers} == {202}
    refused = await quick_web.ask("one too many", parameters={"n": -1})
    assert (refused.status, refused.code) == (429, "too_many_waiting")
    assert int(refused.headers["Retry-After"]) > 0
    assert (await quick_web.ask("k7", parameters={"n": 7})).status == 202  # a replay takes no new place
    await quick_web.call("POST", f"/v1/requests/{answers[0].json['id']}/cancel")
    assert (await quick_web.ask("now", parameters={"n": -1})).status == 202


async def test_a_request_is_read_by_id_by_its_grants_id_and_by_handle(web: Web):
    asked = (await web.ask()).json
    for name in (asked["id"], asked["id"].replace("req_", "grt_"), asked["handle"], asked["handle"].lower()):
        got = await web.call("GET", f"/v1/requests/{name}")
        assert got.json == asked


async def test_only_its_own_people_and_overseers_read_a_request(web: Web):
    asked = (await web.ask(who="caller:other-bot", actor={"id": "agent:other"})).json
    for who in ("caller:other-bot", "user:robin", "user:kim", "caller:auditor"):
        assert (await web.call("GET", f"/v1/requests/{asked['id']}", who=who)).status == 200, who
    for path in (asked["id"], asked["handle"], f"{asked['id']}?wait=1"):
        stranger = await web.call("GET", f"/v1/requests/{path}", who=samples.CALLER)
        assert (stranger.status, stranger.code) == (404, "not_found")
    unknown = await web.call("GET", f"/v1/requests/{asked['id'][:-4]}0000")
    assert unknown.code == "not_found"


async def test_the_human_behind_and_the_owners_read_it_without_any_overseeing_scope(web: Web):
    from tests.worlds.web import make_key  # noqa: PLC0415

    for name in ("user:dana", "user:alex"):
        web.keys[f"plain {name}"] = await make_key(web.store, name, "request")
    mine = (await web.ask()).json["id"]
    groups = (await web.ask(who="caller:other-bot", actor={"id": "agent:other"})).json["id"]
    assert (await web.call("GET", f"/v1/requests/{mine}", who="plain user:dana")).status == 200
    assert (await web.call("GET", f"/v1/requests/{mine}", who="plain user:alex")).status == 404
    assert (await web.call("GET", f"/v1/requests/{groups}", who="plain user:alex")).status == 200  # of group:bots


async def test_lists_show_what_is_ones_own(web: Web):
    mine = (await web.ask()).json
    theirs = (await web.ask(who="caller:other-bot", actor={"id": "agent:other"})).json
    own = await web.call("GET", "/v1/requests?mine&state=PENDING")
    assert [one["id"] for one in own.json["requests"]] == [mine["id"]]
    every = await web.call("GET", "/v1/requests", who="user:robin")
    assert {one["id"] for one in every.json["requests"]} == {mine["id"], theirs["id"]}
    refused = await web.call("GET", "/v1/requests")
    assert (refused.status, refused.code) == (403, "missing_scope")
    assert "mine" in refused.json["detail"]


async def test_long_lists_are_whole(quick_web: Web):
    for number in range(MAX_WAITING):
        await quick_web.ask(f"a{number}", parameters={"n": number})
    for number in range(MAX_WAITING):
        await quick_web.ask(f"b{number}", who="user:dana", actor={"id": "user:dana"}, parameters={"n": number})
    for number in range(30):
        await quick_web.ask(f"c{number}", who="caller:other-bot", actor={"id": "agent:other"}, parameters={"n": number})
    listed = (await quick_web.call("GET", "/v1/requests", who="user:robin")).json["requests"]
    assert len({one["id"] for one in listed}) == len(listed) == 2 * MAX_WAITING + 30


async def test_a_person_may_ask_for_themselves(web: Web):
    got = await web.ask(who="user:dana", actor={"id": "user:dana"})
    assert (got.status, got.json["principal"]) == (202, "user:dana")


async def test_reviews_decide_and_each_refusal_says_why(web: Web):
    asked = (await web.ask()).json["id"]
    own = await web.review(asked, "dana")
    assert (own.status, own.code) == (403, "four_eyes")
    assert "human behind" in own.json["detail"]
    approved = await web.review(asked, "robin", reason="fine")
    assert (approved.status, approved.json["state"], approved.json["human_decision"]) == (200, "APPROVED", True)
    assert approved.json["reviews"] == [
        {"reviewer": "user:robin", "verdict": "approve", "reason": "fine", "at": approved.json["reviews"][0]["at"]}
    ]
    GrantAnswer.model_validate(approved.json["grant"])
    late = await web.review(asked, "alex", "deny")
    assert (late.status, late.code) == (409, "already_decided")
    assert "robin" in late.json["detail"]
    kinds = [record["type"] for record in await web.records(asked)]
    assert kinds == ["request.submitted", "review.refused", "review.recorded", "request.approved", "grant.opened",
                     "review.refused"]  # fmt: skip


async def test_one_review_each_and_a_stale_card_is_refused(web: Web):
    two = {
        "access": {"role": "analytics", "actions": ["s3:PutObject"], "resources": ["arn:aws:s3:::customer-exports/x"]}
    }
    asked = (await web.ask(action="s3:PutObject", resource="arn:aws:s3:::customer-exports/x", **two)).json
    assert asked["waiting_for"] == {"sre": 2}
    stale = await web.review(asked["id"], shown="sha256:0")
    assert (stale.status, stale.code) == (409, "outdated_card")
    assert (await web.review(asked["id"])).json["waiting_for"] == {"sre": 1}
    twice = await web.review(asked["id"])
    assert (twice.status, twice.code) == (409, "already_reviewed")
    assert (await web.review(asked["id"], "kim")).code == "missing_scope"
    assert (await web.review(asked["id"], "alex")).json["state"] == "APPROVED"


async def test_reviews_are_for_people(web: Web):
    from tests.worlds.web import make_key  # noqa: PLC0415

    web.keys["eager"] = await make_key(web.store, samples.CALLER, "review", "request")
    asked = (await web.ask()).json["id"]
    got = await web.call("POST", f"/v1/requests/{asked}/reviews", who="eager", json={"verdict": "approve"})
    assert (got.status, got.code) == (403, "people_only")


async def test_a_withdrawn_request_is_cancelled_once(web: Web):
    asked = (await web.ask()).json["id"]
    stranger = await web.call("POST", f"/v1/requests/{asked}/cancel", who="caller:other-bot")
    assert stranger.status == 404
    robin = await web.call("POST", f"/v1/requests/{asked}/cancel", who="user:robin")
    assert (robin.status, robin.code) == (403, "forbidden")
    done = await web.call("POST", f"/v1/requests/{asked}/cancel", json={})
    assert (done.status, done.json["state"], done.json["because"]) == (200, "CANCELLED", "withdrawn")
    again = await web.call("POST", f"/v1/requests/{asked}/cancel")
    assert (again.status, again.code) == (409, "already_decided")


async def test_an_action_approval_is_consumed_once_by_its_digest(web: Web):
    asked = (await web.ask(**ACTION_ONLY)).json
    path = f"/v1/requests/{asked['id']}/consume"
    body = {"action_digest": asked["action_digest"]}
    early = await web.call("POST", path, json=body)
    assert (early.status, early.code) == (403, "not_approved")
    approvers = iter(("robin", "alex"))
    while (await web.call("GET", f"/v1/requests/{asked['id']}")).json["state"] == "PENDING":
        await web.review(asked["id"], next(approvers))
    wrong = await web.call("POST", path, json={"action_digest": f"sha256:{'0' * 64}"})
    assert (wrong.status, wrong.code, wrong.json["field"]) == (403, "other_action", "action_digest")
    answers = await asyncio.gather(*(web.call("POST", path, json=body) for _ in range(8)))
    assert sorted(got.status for got in answers) == [200] + [409] * 7
    refusals = [one["data"] for one in await web.refusals()]
    assert [one["code"] for one in refusals] == ["not_approved", "other_action"]


async def test_what_is_not_built_is_refused_by_name(web: Web):
    for method, path, who in (
        ("GET", "/v1/requests?state=DENIED", "user:robin"),
        ("GET", "/v1/grants?state=REVOKED", "user:robin"),
    ):
        got = await web.call(method, path, who=who)
        assert (got.status, got.code) == (400, "not_built"), path
        assert "not built yet" in got.json["detail"] or "yet" in got.json["detail"]


async def test_the_chain_is_read_as_it_is_stored(web: Web):
    asked = (await web.ask()).json["id"]
    await web.review(asked)
    got = (await web.call("GET", f"/v1/audit/{asked}?bodies=1")).json
    assert got["subject"] == asked
    assert [restore(json.loads(body), got["texts"]) for body in got["bodies"]] == got["records"]
    assert got["records"][0]["data"]["action"]["reason"] not in got["bodies"][0]
    check_chain(asked, [body.encode() for body in got["bodies"]])
    assert [body.encode() for body in got["bodies"]] == await web.store.log.chain(asked)
    assert "bodies" not in (await web.call("GET", f"/v1/audit/{asked}", who="caller:auditor")).json
    assert (await web.call("GET", f"/v1/audit/{asked}", who="caller:other-bot")).code == "not_found"


async def test_the_newest_checkpoint_is_read_by_anyone_with_a_key(web: Web):
    none = await web.call("GET", "/v1/audit/checkpoint", who="caller:auditor")
    assert (none.status, none.code) == (404, "not_found")
    await web.ask()
    covered = await notary(web.store).cover(1)
    for who in ("caller:auditor", "user:robin"):
        got = (await web.call("GET", "/v1/audit/checkpoint", who=who)).json
        assert opened(got["note"]) == covered.text()
        assert (got["origin"], got["size"], got["root"]) == (covered.origin, covered.size, covered.root.hex())
        assert got["at"].endswith("Z")
    assert (await web.call("GET", "/v1/audit/checkpoint", who=None)).status == 401


async def test_the_system_chain_takes_the_scope_read(web: Web):
    assert (await web.call("GET", "/v1/audit/sys")).code == "missing_scope"
    kinds = [one["type"] for one in (await web.call("GET", "/v1/audit/sys", who="caller:auditor")).json["records"]]
    assert kinds[:2] == ["policy.applied", "roster.applied"]


@pytest.mark.parametrize(
    ("state", "moves"),
    [("PENDING", {}), ("DENIED", {"reason": ""}), ("APPROVED", FREE)],
)
async def test_every_answer_fits_its_model(quick_web: Web, state: str, moves: dict):
    got = await quick_web.ask(**moves)
    if got.json["state"] == "PENDING" and state == "APPROVED":
        await quick_web.review(got.json["id"], "robin")
        got = await quick_web.call("GET", f"/v1/requests/{got.json['id']}")
    RequestAnswer.model_validate(got.json)


@pytest.mark.parametrize("state", ["PENDING", "MINTING", "ACTIVE", "REVOKING", "REVOKED", "FAILED"])
def test_every_grant_fits_its_model(state: str):
    request = samples.request()
    body = json.loads(json.dumps(answer(request, samples.grant(state), 3)))
    RequestAnswer.model_validate(body)
    assert body["grant"]["state"] == state
