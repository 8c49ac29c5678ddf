"""`countersign revoke` and `freeze`: what is hit, progress to the proof, exit codes; and the client's methods."""

import json

import pytest

import countersign
from approvers.errors import Malformed
from countersign.commands.stopping import proof, standing, table
from countersign.models import Freeze, Grant
from tests.countersign.conftest import ACCESS, ASK, finish
from tests.worlds.intake import IntakeWorld


@pytest.fixture
def three(world: IntakeWorld, blocking: countersign.Client) -> list[str]:
    """Three live grants; the worker proves nothing by itself."""
    world.rows.submit_as, world.rows.proves = "APPROVED", False
    asks = [{**ASK, "access": ACCESS, "resource": f"arn:aws:s3:::bucket/{number}"} for number in range(3)]
    return [blocking.request(**ask).id for ask in asks]


def test_a_dry_run_shows_what_would_be_hit(world, command, three):
    got, out, err = command("revoke", "role:analytics", "--dry-run")
    assert (got, len(out.splitlines())) == (0, 3)
    assert "role:analytics would hit 3 live grants" in err
    assert "Freeze first" in err
    assert all(world.row(one)["grant"]["state"] == "ACTIVE" for one in three)


def test_it_goes_on_until_every_end_is_proven(world, spawn, three):
    process = spawn("revoke", "actor:agent:report-bot", "--reason", "went wild")
    world.wait_until(lambda: world.row(three[2])["grant"]["state"] == "REVOKING")
    for one in reversed(three):
        assert process.poll() is None
        world.prove(one)
    got, out, err = finish(process)
    assert got == 0, err
    assert out.count("REVOKING") == 3
    assert "actor:agent:report-bot hits 3 live grants" in err
    assert [line for line in err.splitlines() if "proven" in line][-1].startswith("countersign: proven 3 of 3: ")
    assert err.count("has ended: refused 3 of 3 probes, 1.2 s after the request") == 3
    assert {world.row(one)["grant"]["ending"]["reason"] for one in three} == {"went wild"}


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["words", "json"])
def test_what_is_not_proven_in_time_is_no_success(world, command, three, options):
    got, out, err = command("revoke", "all", "--timeout", "1s", *options)
    assert got == 6
    assert "3 of 3 not proven ended after 1s; take them as alive" in err
    if options:
        assert [one["state"] for one in json.loads(out)["grants"]] == ["REVOKING"] * 3


def test_what_keeps_it_from_ending_is_said(world, command, three):
    world._do(lambda: world.rows.set_grant(world.row(three[0]), trouble="AWS is throttling", state="REVOKING"))
    got, _, err = command("revoke", three[0], "--timeout", "1s")
    assert got == 6
    assert f"{world.row(three[0])['handle']} is REVOKING: AWS is throttling" in err


def test_one_by_handle_proven_at_once(world, command, three):
    world.rows.proves = True
    handle = "K7QF"
    world.row(three[1])["handle"] = world.row(three[1])["grant"]["handle"] = handle
    got, out, err = command("revoke", handle)
    assert (got, out.split()[0]) == (0, handle)
    assert f"proven 1 of 1: {handle} has ended" in err
    assert "Freeze" not in err


def test_nothing_live_is_no_error_and_says_so(world, command):
    got, out, err = command("revoke", "role:gone")
    assert (got, out) == (0, "")
    assert "role:gone hits no live grants" in err
    got, out, _ = command("revoke", "all", "--json")
    assert (got, json.loads(out)["grants"]) == (0, [])


@pytest.mark.parametrize("target", ["everything", "role:", ""])
def test_a_target_that_names_nothing_never_leaves_this_machine(world, command, target):
    got, out, err = command("revoke", target)
    assert (got, out) == (1, "")
    assert "role:NAME" in err
    assert world.calls == []


def test_what_is_unknown_or_out_of_reach_is_told_with_its_code(world, command):
    got, _, err = command("revoke", "grt_" + "0" * 26)
    assert (got, "is unknown" in err) == (1, True)
    world.answer_next("/v1/revocations", 500, times=1)
    assert command("revoke", "all")[0] == 6


def test_freeze_and_off(world, command):
    got, out, _ = command("freeze", "incident 7")
    assert (got, world.rows.frozen["why"]) == (0, "incident 7")
    assert out.startswith("approvals and mints are stopped (by caller:report-bot at ")
    got, out, _ = command("freeze", "incident 8")
    assert (got, "already stopped" in out, out.rstrip().endswith(": incident 7")) == (0, True, True)
    assert "Freeze first" not in command("revoke", "all")[2]
    got, out, _ = command("freeze", "--off", "--json")
    assert (got, json.loads(out)["on"], world.rows.frozen["on"]) == (0, False, False)
    assert "already go on" in command("freeze", "--off", "again")[1]


def test_a_freeze_says_why(world, command):
    got, _, err = command("freeze", "  ")
    assert (got, "countersign freeze REASON" in err) == (1, True)
    assert world.calls == []


async def test_the_clients_methods(world, client):
    world.rows.submit_as = "APPROVED"
    request = await client.request(**ASK, access=ACCESS)
    would = await client.revocations("agent:report-bot", dry_run=True)
    assert ([one.id for one in would.grants], would.grants[0].active) == ([request.grant.id], True)
    hit = await client.revocations("all", reason="enough")
    assert (hit.target, hit.grants[0].over, hit.grants[0].proof.asked) == ({"kind": "all", "name": ""}, True, 3)
    with pytest.raises(Malformed):
        await client.revocations("everything")
    assert (await client.freeze("x")).on
    assert (await client.unfreeze()).changed


async def test_a_lost_answer_is_asked_for_again_for_each_is_idempotent(world, client):
    world.drop_next("/v1/freeze")
    assert (await client.freeze("x")).on
    world.drop_next("/v1/revocations")
    assert (await client.revocations("all")).frozen


def test_lines_are_aligned_and_say_what_there_is_to_say():
    rows = [
        Grant(id="grt_1", state="ACTIVE", handle="K7QF", actor="agent:a", role="analytics"),
        Grant(id="grt_22", state="MINTING", actor="agent:long"),
    ]
    assert table(rows) == [
        "K7QF  grt_1   ACTIVE   agent:a     analytics",
        "      grt_22  MINTING  agent:long",
    ]
    assert table([]) == []
    assert proof(Grant(id="grt_1", state="FAILED")) == "nothing was issued"
    ended = {"id": "grt_1", "state": "REVOKED"}
    assert proof(Grant(**ended, proof={"kind": "never_issued", "seconds": 0.0, "asked": 0})) == "never issued"
    assert proof(Grant(**ended, proof={"kind": "expired", "seconds": 2.0})) == "expired, 2.0 s after the request"
    assert standing(Freeze(on=False, changed=True)) == "approvals and mints go on"
