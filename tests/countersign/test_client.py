"""The typed client against a strict server over real HTTP: each answer, each refusal, each way to lose an answer."""

from __future__ import annotations

import ast
import asyncio
import inspect
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

import approvers.answer
import countersign
from approvers.errors import Malformed
from countersign import Ask, AsyncClient, outcome
from countersign.models import Request
from tests.countersign.conftest import ACCESS, ASK
from tests.worlds.intake import API_KEY, IntakeWorld
from tests.worlds.intake_rows import SECRET


async def approved(world: IntakeWorld, client: AsyncClient, **fields: object) -> Request:
    request = await client.request(**{**ASK, "access": ACCESS, **fields})
    world.approve(request.id)
    return await client.wait(request, timeout_seconds=10)


def keys_returned_by(function: object) -> set[str]:
    """Return the keys of the one dict literal that a function returns, without calling it."""
    tree = ast.parse(inspect.getsource(function))
    found = next(node.value for node in ast.walk(tree) if isinstance(node, ast.Return))
    return {key.value for key in found.keys}


async def test_the_world_answers_in_the_shapes_of_the_product(world, client):
    request = await approved(world, client)
    assert set(request.raw()) == keys_returned_by(approvers.answer.answer)
    assert set(request.grant.raw()) == keys_returned_by(approvers.answer.grant_answer)


async def test_a_request_waits_then_is_approved_and_its_credential_opens(world, client):
    asked = await client.request(**ASK, access=ACCESS)
    assert (asked.pending, asked.settled, asked.waiting_for) == (True, False, {"sre": 1})
    world.approve(asked.id)
    request = await client.wait(asked)
    assert outcome(request) is None
    assert request.reviews[0].reviewer == "user:robin"
    credential = await client.credential(request)
    assert credential.environ() == {
        "AWS_ACCESS_KEY_ID": SECRET["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": SECRET["secret_access_key"],
        "AWS_SESSION_TOKEN": SECRET["session_token"],
    }
    assert SECRET["secret_access_key"] not in repr(credential) + credential.model_dump_json() + str(credential.raw())
    ended = await client.release(request)
    assert (ended.state, ended.over, ended.proof.kind) == ("REVOKED", True, "probe_denied")


async def test_the_secret_travels_sealed_unless_another_process_may_collect_it(world, client):
    await client.request(**ASK, access=ACCESS)
    await client.request(**ASK | {"resource": "arn:aws:s3:::b/2"}, access=ACCESS, idempotency_key="run-7")
    await client.request(**ASK | {"resource": "arn:aws:s3:::b/3"})
    assert ["public_key" in body for body in world.bodies] == [True, False, False]
    lasting = AsyncClient(world.url, API_KEY, delivery_key=bytes(range(32)))
    async with lasting:
        await lasting.request(**ASK | {"resource": "arn:aws:s3:::b/4"}, access=ACCESS, idempotency_key="run-8")
    assert "public_key" in world.bodies[-1]


async def test_a_restarted_process_finds_its_request_and_opens_what_was_sealed_to_a_lasting_key(world):
    key = bytes(range(32))
    async with AsyncClient(world.url, API_KEY, delivery_key=key) as first:
        asked = await first.request(**ASK, access=ACCESS, idempotency_key=countersign.key_for("run", "call"))
    world.approve()
    async with AsyncClient(world.url, API_KEY, delivery_key=key) as second:
        again = await second.request(**ASK, access=ACCESS, idempotency_key=countersign.key_for("run", "call"), wait=5)
        assert again.id == asked.id
        assert (await second.credential(again.grant)).secret_access_key == SECRET["secret_access_key"]


async def test_a_credential_sealed_to_another_process_says_so(world, client):
    request = await approved(world, client)
    async with AsyncClient(world.url, API_KEY) as stranger:
        with pytest.raises(countersign.CannotOpen, match="another process"):
            await stranger.credential(request.id)
    async with AsyncClient(world.url, API_KEY, delivery_key=bytes(32)) as stranger:
        with pytest.raises(countersign.CannotOpen, match="another key"):
            await stranger.credential(request.grant)


async def test_waiting_with_a_timeout_returns_the_request_as_it_is(client):
    request = await client.request(**ASK, wait=0.2)
    assert request.pending
    assert isinstance(outcome(request), countersign.StillPending)


async def test_waiting_goes_on_past_approval_until_the_grant_is_minted(world, client):
    world.rows.mints = False
    asked = await client.request(**ASK, access=ACCESS)
    waiting = asyncio.create_task(client.wait(asked))
    await asyncio.to_thread(world.wait_for_call, "GET /v1/requests/")
    world.approve()
    await asyncio.to_thread(world.wait_for_call, "GET /v1/requests/", 2)
    assert not waiting.done()
    world.mint()
    assert (await asyncio.wait_for(waiting, 10)).grant.active


@pytest.mark.parametrize(
    ("play", "error", "exit_code"),
    [
        (lambda world: world.deny(), countersign.Denied, 3),
        (lambda world: world.expire(), countersign.Expired, 4),
        (lambda world: world.expire("nobody_reached"), countersign.NotJudged, 6),
        (lambda world: world.withdraw(), countersign.Cancelled, 5),
        (lambda world: (world.approve(), world.fail()), countersign.NotJudged, 6),
        (lambda world: (world.approve(), world.end()), countersign.GrantEnded, 1),
    ],
)
async def test_every_other_outcome_has_its_own_class_and_carries_the_request(world, client, play, error, exit_code):
    asked = await client.request(**ASK, access=ACCESS)
    play(world)
    found = outcome(await client.wait(asked, timeout_seconds=5))
    assert type(found) is error
    assert found.exit_code == exit_code
    assert found.request.id == asked.id
    assert found.detail == world.row()["agent_message"]


async def test_a_ruling_that_could_not_be_computed_is_not_told_as_a_denial(world, client):
    world.rows.submit_as = "NOT_EVALUATED"
    assert type(outcome(await client.request(**ASK))) is countersign.NotJudged


def test_a_state_or_grant_state_of_a_newer_server_is_never_a_yes():
    request = Request(id="req_1", version=1, state="HALFWAY", agent_message="go on!")
    assert outcome(request) is not None
    grant = {"id": "grt_1", "state": "DOZING"}
    assert outcome(Request(id="req_1", version=1, state="APPROVED", grant=grant)) is not None


def test_an_unknown_field_of_a_newer_server_is_kept():
    assert Request(id="req_1", version=1, state="PENDING", mood="calm").raw()["mood"] == "calm"


async def test_an_approval_without_access_is_consumed_once(world, client):
    asked = await client.request(**ASK)
    world.approve()
    request = await client.wait(asked, timeout_seconds=5)
    assert (await client.consume(request)).raw()["consumed_at"]
    with pytest.raises(countersign.Conflict):
        await client.consume(request)


async def test_an_approval_of_one_digest_never_serves_another(world, client):
    asked = await client.request(**ASK)
    world.approve()
    with pytest.raises(countersign.NotAllowed):
        await client.consume(asked.id, "sha256:" + "0" * 64)


async def test_a_lost_answer_to_consume_is_unreachable_and_not_resent(world, client):
    asked = await client.request(**ASK)
    world.approve()
    world.drop_next("/consume")
    with pytest.raises(countersign.Unreachable, match="take it as a no"):
        await client.consume(await client.get(asked))
    assert sum(call.endswith("/consume") for call in world.calls) == 1


async def test_a_lost_answer_to_a_request_is_resent_and_finds_the_first(world, client):
    world.drop_next("/v1/requests", times=2)
    request = await client.request(**ASK, access=ACCESS)
    assert world.calls.count("POST /v1/requests") == 3
    assert list(world.rows.rows) == [request.id]
    assert len({body["public_key"] for body in world.bodies}) == 1


async def test_a_lost_answer_to_cancel_still_reads_as_cancelled(world, client):
    asked = await client.request(**ASK)
    world.drop_next("/cancel")
    assert (await client.cancel(asked)).state == "CANCELLED"


async def test_cancelling_what_is_decided_is_a_conflict(world, client):
    asked = await client.request(**ASK)
    world.deny()
    with pytest.raises(countersign.Conflict):
        await client.cancel(asked)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_busy_server_is_asked_again_after_the_pause_it_wants(world, client, status):
    world.answer_next("/v1/requests", status, times=2, Retry_After="0")
    assert (await client.request(**ASK)).pending
    assert world.calls.count("POST /v1/requests") == 3


async def test_a_pause_longer_than_our_patience_fails_at_once(world, client):
    world.answer_next("/v1/requests", 503, Retry_After="3600")
    with pytest.raises(countersign.ServerTrouble) as caught:
        await asyncio.wait_for(client.request(**ASK), 3)
    assert (caught.value.status, caught.value.exit_code) == (503, 6)


async def test_the_same_key_still_running_elsewhere_is_waited_for(world, client):
    world.answer_next("/v1/requests", 409, Retry_After="0")
    assert (await client.request(**ASK)).pending


async def test_waiting_lives_through_a_restart_of_the_server(world, client):
    asked = await client.request(**ASK, access=ACCESS)
    waiting = asyncio.create_task(client.wait(asked))
    await asyncio.to_thread(world.wait_for_call, "GET /v1/requests/")
    await asyncio.to_thread(world.stop)
    await asyncio.sleep(0.5)  # long enough for at least one refused connection
    assert not waiting.done()
    await asyncio.to_thread(world.start)
    world.approve()
    assert (await asyncio.wait_for(waiting, 20)).grant.active


async def test_an_absent_server_is_unreachable(world):
    await asyncio.to_thread(world.stop)
    async with AsyncClient(world.url, API_KEY, patience_seconds=0.3) as client:
        with pytest.raises(countersign.Unreachable, match="COUNTERSIGN_URL"):
            await client.get("req_1")


async def test_a_poll_that_returns_at_once_with_nothing_new_is_not_a_tight_loop(world, client):
    asked = await client.request(**ASK)
    body = __import__("json").dumps(asked.raw())
    world.answer_next(asked.id, 200, times=1000, body=body, Content_Type="application/json")
    await client.wait(asked, timeout_seconds=1.5)
    assert sum(call.startswith("GET") for call in world.calls) <= 4


@pytest.mark.parametrize(
    "body", ["<html>OK</html>", "[]", "null", '{"id": "req_1"}', '{"id": 1, "version": 1, "state": "x"}']
)
async def test_a_success_that_is_not_our_json_is_a_bad_answer(world, client, body):
    world.answer_next("/v1/requests", 200, body=body)
    with pytest.raises(countersign.BadAnswer):
        await client.request(**ASK)


async def test_a_redirect_is_not_followed_with_the_key(world, client):
    world.answer_next("/v1/requests", 302, Location="http://127.0.0.1:1/")
    with pytest.raises(countersign.BadAnswer, match="302"):
        await client.request(**ASK)


async def test_an_error_without_a_problem_document_keeps_its_status(world, client):
    world.answer_next("/v1/requests", 500)
    with pytest.raises(countersign.ServerTrouble) as caught:
        await client.request(**ASK)
    assert (caught.value.status, caught.value.code) == (500, "no_problem_document")


async def test_refusals_carry_code_and_field(world, client):
    with pytest.raises(countersign.NotFound):
        await client.get("req_nosuch")
    wrong = Ask(**ASK).model_copy(update={"action": "everything"})
    with pytest.raises(countersign.InvalidRequest, match="service:Action") as caught:
        await client.request(wrong)
    assert (caught.value.status, caught.value.code, caught.value.field) == (400, "malformed", "action")


async def test_another_body_under_the_same_key_is_refused(client):
    await client.request(**ASK, idempotency_key="one")
    with pytest.raises(countersign.InvalidRequest) as caught:
        await client.request(**{**ASK, "reason": "another"}, idempotency_key="one")
    assert (caught.value.status, caught.value.code, caught.value.field) == (422, "key_reused", "Idempotency-Key")


async def test_a_feature_that_is_not_built_is_refused_by_name(client):
    with pytest.raises(countersign.NotBuiltYet, match="yet"):
        await client.grants(state="REVOKED")


async def test_a_wrong_key_is_unauthenticated(world):
    async with AsyncClient(world.url, "cs_wrong") as client:
        with pytest.raises(countersign.Unauthenticated):
            await client.requests()


async def test_lists_and_records(world, client):
    asked = await client.request(**ASK)
    request = await approved(world, client)
    assert [one.id for one in await client.requests()] == [asked.id]
    assert [one.id for one in await client.grants(actor="agent:report-bot")] == [request.grant.id]
    assert await client.grants(actor="agent:other") == []
    assert (await client.audit(request.grant))[0]["subject"] == request.id
    assert (await client.review(asked, "deny", "no")).state == "DENIED"
    assert (await client.revoke(request, "enough")).ending["reason"] == "enough"


async def test_a_use_of_break_glass_owes_an_after_review_which_is_given_once(client):
    taken = await client.request(**ASK, break_glass=True, ticket="INC-42")
    assert (taken.approved, taken.because, taken.after_review.verdict) == (True, "break_glass", None)
    found = (await client.after_review(taken, "unjustified", "Nothing was down.")).after_review
    assert (found.verdict, found.by, found.reason) == ("unjustified", "user:robin", "Nothing was down.")
    with pytest.raises(countersign.Conflict, match="reviewed already"):
        await client.after_review(taken.id, "justified")


@pytest.mark.parametrize(
    "url", ["", "example.com", "ftp://example.com", "http://", "http://dana:pw@example.com", "http://x/?a=1"]
)
def test_an_address_that_cannot_be_used_is_refused_with_the_remedy(url):
    with pytest.raises(countersign.BadSetting):
        AsyncClient(url, API_KEY)


@pytest.mark.parametrize("key", ["", "cs_with space", "cs_line\r\nX-Evil: 1", "cs_ü"])
def test_a_key_that_cannot_be_one_is_refused_without_repeating_it(key):
    with pytest.raises(countersign.BadSetting) as caught:
        AsyncClient("http://127.0.0.1:1", key)
    assert not key or key not in str(caught.value)


async def test_what_has_no_json_form_is_refused_before_it_is_sent(world, client):
    for payload in ({"amount": float("nan")}, {"when": datetime.now(UTC)}, {"who": {"dana"}}):
        with pytest.raises(ValidationError, match="must be JSON"):
            await client.request(**ASK, parameters=payload)
    with pytest.raises(Malformed):
        await client.request(**ASK, parameters={"note": "\ud800"})
    assert world.calls == []


def test_a_misspelt_field_is_refused():
    with pytest.raises(ValidationError):
        Ask(**ASK, reasons="typo")


def test_only_what_was_said_is_sent():
    assert Ask(action="a:b", resource="r").body() == {"action": "a:b", "resource": "r"}


def test_the_payload_is_sent_exactly_nothing_left_out():
    payload = {"a": None, "b": [1, None, {"c": None, "d": ""}], "e": False}
    assert Ask(action="a:b", resource="r", parameters=payload).body()["parameters"] == payload


async def test_no_answer_with_a_secret_is_quoted_in_an_error(world, client):
    request = await approved(world, client, public_key=None)
    body = '{"access_key_id": 7, "secret_access_key": "CANARY", "session_token": "CANARY"}'
    world.answer_next("/credential", 200, body=body)
    with pytest.raises(countersign.BadAnswer) as caught:
        await client.credential(request)
    assert "CANARY" not in repr(caught.value)
    assert caught.value.__cause__ is None
