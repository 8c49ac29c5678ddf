"""A guarded function runs exactly when this very call was approved, and never otherwise."""

from __future__ import annotations

import asyncio
import threading

import pytest

import countersign
from countersign import Actor, Credential, key_for, requires_approval
from tests.countersign.conftest import ACCESS
from tests.worlds.intake import IntakeWorld
from tests.worlds.intake_rows import SECRET

FIELDS = {"environment": "prod", "actor": Actor(id="agent:report-bot", on_behalf_of="user:dana")}


def refund(client, **more):
    """Return a guarded async function and the list of what it really did."""
    done: list[tuple[str, int]] = []

    @requires_approval(
        client=client,
        action="payments:Refund",
        resource=lambda call: f"order:{call['order']}",
        reason="Refund {amount} for {order}",
        **FIELDS,
        **more,
    )
    async def guarded(order: str, amount: int = 5) -> str:
        done.append((order, amount))
        return f"refunded {order}"

    return guarded, done


async def when_asked(world: IntakeWorld, play) -> None:
    await asyncio.to_thread(world.wait_for_call, "GET /v1/requests/")
    play(world)


async def test_it_runs_once_approved_and_the_approval_is_consumed(world, client):
    guarded, done = refund(client)
    call = asyncio.create_task(guarded("A7", amount=9))
    await when_asked(world, IntakeWorld.approve)
    assert await call == "refunded A7"
    assert done == [("A7", 9)]
    assert world.row()["consumed_at"]


async def test_words_and_payload_are_made_of_the_arguments_defaults_included(world, client):
    guarded, _ = refund(client)
    call = asyncio.create_task(guarded("A7"))
    await when_asked(world, IntakeWorld.approve)
    await call
    body = world.bodies[0]
    assert (body["resource"], body["reason"]) == ("order:A7", "Refund 5 for A7")
    assert body["parameters"] == {"order": "A7", "amount": 5}


@pytest.mark.parametrize(
    ("play", "error"),
    [
        (IntakeWorld.deny, countersign.Denied),
        (IntakeWorld.expire, countersign.Expired),
        (IntakeWorld.withdraw, countersign.Cancelled),
    ],
)
async def test_it_does_not_run_otherwise(world, client, play, error):
    guarded, done = refund(client)
    call = asyncio.create_task(guarded("A7"))
    await when_asked(world, play)
    with pytest.raises(error):
        await call
    assert done == []


async def test_it_does_not_run_when_the_answer_to_consume_is_lost(world, client):
    guarded, done = refund(client)
    world.drop_next("/consume")
    call = asyncio.create_task(guarded("A7"))
    await when_asked(world, IntakeWorld.approve)
    with pytest.raises(countersign.Unreachable):
        await call
    assert done == []


async def test_giving_up_withdraws_the_request(world, client):
    guarded, done = refund(client, timeout_seconds=0.2)
    with pytest.raises(countersign.StillPending):
        await guarded("A7")
    assert (world.row()["state"], done) == ("CANCELLED", [])


async def test_being_cancelled_withdraws_the_request(world, client):
    guarded, _ = refund(client)
    call = asyncio.create_task(guarded("A7"))
    await asyncio.to_thread(world.wait_for_call, "GET /v1/requests/")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert world.row()["state"] == "CANCELLED"


async def test_with_a_key_giving_up_leaves_the_request_for_the_next_process(world, client):
    guarded, done = refund(client, key=lambda call: key_for("run-1", call["order"]), timeout_seconds=0.2)
    with pytest.raises(countersign.StillPending):
        await guarded("A7")
    world.approve()
    assert await guarded("A7") == "refunded A7"
    assert (len(world.rows.rows), len(done)) == (1, 1)
    with pytest.raises(countersign.Conflict):
        await guarded("A7")
    assert len(done) == 1


async def test_arguments_changed_during_the_wait_are_not_what_was_approved(world, client):
    done = []

    @requires_approval(client=client, action="mail:Send", resource="list", **FIELDS)
    async def send(to: list[str]) -> None:
        done.append(to)

    people = ["dana"]
    call = asyncio.create_task(send(people))
    await asyncio.to_thread(world.wait_for_call, "GET /v1/requests/")
    people.append("everyone")
    world.approve()
    with pytest.raises(countersign.ArgumentsChanged):
        await call
    assert done == []


async def test_a_credential_is_lent_for_the_call_and_released_after_even_when_it_fails(world, client):
    world.rows.submit_as = "APPROVED"
    seen = []

    @requires_approval(client=client, action="s3:GetObject", resource="arn:aws:s3:::b/{name}", access=ACCESS, **FIELDS)
    async def read(name: str, credential: Credential | None = None) -> None:
        seen.append((credential.secret_access_key, world.row()["grant"]["state"]))
        raise KeyError(name)

    with pytest.raises(KeyError):
        await read("x")
    assert seen == [(SECRET["secret_access_key"], "ACTIVE")]
    assert world.row()["grant"]["state"] == "REVOKED"
    assert "credential" not in world.bodies[0].get("parameters", {})


def test_a_blocking_function_and_a_client_from_the_environment(world, monkeypatch):
    for name, value in world.environ.items():
        monkeypatch.setenv(name, value)

    class Shop:
        @requires_approval(action="payments:Refund", resource="order:{order}", **FIELDS)
        def refund(self, order: str) -> str:
            return f"refunded {order}"

    def approve() -> None:
        world.wait_for_call("GET /v1/requests/")
        world.approve()

    threading.Thread(target=approve).start()
    assert Shop().refund("A7") == "refunded A7"
    assert world.bodies[0]["parameters"] == {"order": "A7"}


def test_a_blocking_function_releases_its_credential(world, blocking):
    world.rows.submit_as = "APPROVED"

    @requires_approval(client=blocking, action="s3:GetObject", resource="arn:aws:s3:::b/x", access=ACCESS, **FIELDS)
    def read(credential: Credential | None = None) -> str:
        return world.row()["grant"]["state"]

    assert read() == "ACTIVE"
    assert world.row()["grant"]["state"] == "REVOKED"


async def test_an_argument_without_json_form_is_refused_before_asking(world, client):
    guarded, done = refund(client)
    with pytest.raises(TypeError, match="parameters="):
        await guarded(object())
    assert (world.calls, done) == ([], [])


async def test_parameters_may_be_chosen(world, client):
    world.rows.submit_as = "APPROVED"
    guarded, done = refund(client, parameters=lambda call: {"order": call["order"]})
    await guarded("A7", amount=3)
    assert world.bodies[0]["parameters"] == {"order": "A7"}
    assert done == [("A7", 3)]


def test_mistakes_are_told_when_decorating(blocking):
    with pytest.raises(TypeError, match="no field tickets"):
        requires_approval(action="a:b", resource="r", tickets="INC-1")
    with pytest.raises(TypeError, match="AsyncClient"):
        refund(blocking)


def test_a_key_is_the_same_for_the_same_call_and_else_another():
    assert key_for("run", "call") == key_for("run", "call")
    assert len({key_for("a", "bc"), key_for("ab", "c"), key_for("a", "b"), key_for("b", "a")}) == 4
    assert len(key_for("r" * 9999, "c")) < 64
