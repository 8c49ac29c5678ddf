"""The other commands as real processes: what they print, for people and for scripts, and their exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from countersign.commands.common import say
from tests.countersign.conftest import GRANTED, OPTIONS, clean_environ, finish
from tests.worlds.intake import IntakeWorld

COMMANDS = [
    *("run", "request", "wait", "grants", "release", "revoke", "credential-process", "freeze", "after-review", "audit"),
    "report",
    *("demo", "apply", "aws", "keys", "doctor", "console", "policy", "receipt", "slack", "teams"),
]


def active_grant(world: IntakeWorld, command, *options: str) -> str:
    world.rows.submit_as = "APPROVED"
    got, out, err = command("request", *GRANTED, *options, "--wait")
    assert got == 0, err
    return out.strip()


def test_request_prints_the_id_and_how_it_stands(world, command):
    got, out, err = command("request", *OPTIONS)
    assert (got, out) == (0, f"{world.row()['id']}\n")
    assert "waits for 1 of sre" in err
    assert world.row()["agent_message"] in err


@pytest.mark.parametrize(
    ("play", "exit_code"),
    [
        (IntakeWorld.approve, 0),
        (IntakeWorld.deny, 3),
        (IntakeWorld.expire, 4),
        (IntakeWorld.withdraw, 5),
        (lambda world: world.expire("nobody_reached"), 6),
    ],
)
@pytest.mark.parametrize("how", ["request --wait", "wait ID"])
def test_waiting_ends_with_the_code_of_the_outcome(world, spawn, command, play, exit_code, how):
    if how == "wait ID":
        asked = command("request", *GRANTED)[1].strip()
        process = spawn("wait", asked.replace("req_", "grt_"))
    else:
        process = spawn("request", *GRANTED, "--wait")
    world.wait_for_call("GET /v1/requests/")
    play(world)
    assert finish(process)[0] == exit_code


def test_a_denial_by_policy_is_3_without_waiting(world, command):
    world.rows.submit_as = "DENIED"
    assert command("request", *GRANTED)[0] == 3


def test_waiting_no_longer_than_asked_is_1(world, command):
    got, out, _ = command("request", *OPTIONS, "--wait", "--timeout", "1s")
    assert (got, out) == (1, f"{world.row()['id']}\n")
    assert world.row()["state"] == "PENDING"


def test_json_is_the_whole_answer_and_errors_are_json_too(world, command):
    got, out, _ = command("request", *OPTIONS, "--json")
    answer = json.loads(out)
    assert (got, answer["state"], answer["waiting_for"]) == (0, "PENDING", {"sre": 1})
    got, out, err = command("wait", "req_nosuch", "--json")
    assert (got, json.loads(out)["error"]["code"], json.loads(out)["error"]["status"]) == (1, "not_found", 404)
    assert err == ""
    got, out, _ = command("request", *OPTIONS, "--ttl", "x", "--json")
    assert (got, json.loads(out)["error"]["field"]) == (1, "--ttl")


def test_the_same_key_finds_the_same_request(world, command):
    first = command("request", *OPTIONS, "--key", "run-1")[1]
    world.deny()
    got, second, _ = command("request", *OPTIONS, "--key", "run-1")
    assert (got, second) == (3, first)


def test_grants_release_and_revoke(world, command):
    request = active_grant(world, command)
    grant = world.row()["grant"]["id"]
    got, out, _ = command("grants")
    assert got == 0
    assert out.split()[:4] == [grant, world.row()["handle"], "ACTIVE", "agent:report-bot"]
    assert json.loads(command("grants", "--json")[1])[0]["id"] == grant
    got, out, _ = command("revoke", request, "--reason", "enough", "--json")
    assert (got, json.loads(out)["grants"][0]["ending"]["reason"]) == (0, "enough")
    got, out, _ = command("release", grant)
    assert (got, "REVOKED" in out) == (0, True)
    got, out, err = command("grants")
    assert (got, out) == (0, "")
    assert "no grant is ACTIVE" in err
    got, _, err = command("grants", "--state", "revoked")
    assert got == 1
    assert "yet (--state)" in err


def test_grants_shows_a_line_of_extensions_what_keeps_one_alive_and_the_end_that_was_warned_of(world, command):
    first = active_grant(world, command)
    old = world.row()["grant"]["id"]
    world.rows.set_grant(world.row(), heartbeat_seconds=90, collect_by="2026-11-20T10:10:00.000Z")
    world.warn()
    command("request", *GRANTED, "--extends", old)
    new = world.row()["grant"]["id"]
    lines = command("grants")[1].splitlines()
    assert "(warned)  collect by 2026-11-20T10:10:00.000Z  heartbeat 1 min 30 s  extended by " + new in lines[0]
    assert lines[1].endswith(f"  extends {old}")
    got, out, err = command("release", first)
    assert (got, "warned" in out, "heartbeat" in out) == (0, False, False)
    assert f"{new} goes on with its work" in err
    assert world.row()["grant"]["state"] == "ACTIVE"


def test_release_ends_it(world, command):
    request = active_grant(world, command)
    got, out, _ = command("release", request)
    assert got == 0
    assert "proof probe_denied in 1.2 s" in out
    assert world.row()["grant"]["ending"]["cause"] == "release"


BROKEN = ("--break-glass", "--ticket", "INC-42")


def test_break_glass_and_the_grant_it_goes_on_with_are_sent_and_said(world, command):
    old = "grt_01ARYZ6S410000000000000000"
    got, out, err = command("request", *GRANTED, *BROKEN, "--extends", old)
    assert (got, out) == (0, f"{world.row()['id']}\n")
    assert "is granted by break-glass; its after-review is due " in err
    body = world.bodies[0]
    assert (body["break_glass"], body["ticket"], body["extends"]) == (True, "INC-42", old)
    plain = command("request", *GRANTED, "--key", "plain")
    assert plain[0] == 0
    assert not {"break_glass", "extends"} & world.bodies[1].keys()


def test_break_glass_that_is_refused_is_a_denial(world, command):
    world.rows.breaks_glass, world.rows.submit_as = False, "DENIED"
    got, _, err = command("request", *GRANTED, *BROKEN, "--wait")
    assert got == 3
    assert "Denied. Agents never do this." in err


def test_an_after_review_is_given_once_and_needs_words_where_it_was_not_justified(world, command):
    taken = command("request", *GRANTED, *BROKEN)[1].strip()
    got, _, err = command("after-review", taken, "unjustified")
    assert (got, "(--reason)" in err) == (1, True)
    got, out, _ = command("after-review", taken.replace("req_", "grt_"), "unjustified", "--reason", "Nothing was down.")
    said = f"{world.row()['handle']}, taken by caller:report-bot, was unjustified, says user:robin: Nothing was down."
    assert (got, out) == (0, f"{said}\n")
    got, out, _ = command("after-review", taken, "justified", "--json")
    assert (got, json.loads(out)["error"]["code"]) == (1, "already_decided")


def test_what_was_no_use_and_what_is_no_verdict_is_refused(world, command):
    asked = command("request", *OPTIONS)[1].strip()
    got, out, err = command("after-review", asked, "justified")
    assert (got, out, "no use of break-glass" in err) == (1, "", True)
    calls = len(world.calls)
    got, _, err = command("after-review", asked, "fine")
    assert (got, len(world.calls)) == (1, calls)
    assert "justified or unjustified, not 'fine'" in err


def test_audit_show(world, command):
    command("request", *OPTIONS)
    got, out, _ = command("audit", "show", world.row()["id"])
    assert got == 0
    assert "request submitted" in out
    assert "1 record, checked here" in out
    assert json.loads(command("audit", "show", world.row()["id"], "--json")[1])[0]["n"] == 1


def test_a_feature_that_the_server_has_not_built_is_told_by_name(command):
    got, _, err = command("grants", "--state", "revoked")
    assert got == 1
    assert "yet" in err


def test_ctrl_c_is_clean_and_leaves_the_request_for_later(world, spawn):
    process = spawn("request", *OPTIONS, "--wait")
    world.wait_for_call("GET /v1/requests/")
    process.send_signal(signal.SIGINT)
    got, _, err = finish(process, 10)
    assert got == 1
    assert "Traceback" not in err
    assert world.row()["state"] == "PENDING"


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], *([name, "--help"] for name in COMMANDS[:10]), ["audit", "show", "--help"]]
)
def test_help_needs_neither_server_nor_key(command, arguments):
    got, out, err = command(*arguments, COUNTERSIGN_URL="", COUNTERSIGN_API_KEY="")
    assert (got, err) == (0, "")
    assert "Usage: countersign" in out


def test_help_lists_every_command_with_a_line(command):
    listed = [line.split()[0] for line in command()[1].partition("Commands:")[2].splitlines() if line.strip()]
    assert sorted(listed) == sorted(COMMANDS)


def test_a_list_of_faults_stays_a_list_and_harmless(capsys):
    say("two faults:\nfirst\x1b[2J\nsecond")
    assert capsys.readouterr().err == "countersign: two faults:\n  first [2J\n  second\n"


def test_a_misspelt_command_gets_a_hint(command):
    got, _, err = command("gronts")
    assert got == 1
    assert "'grants'" in err


@pytest.mark.parametrize(
    ("arguments", "loaded"),
    [
        ("import countersign; countersign.Client", "countersign.client"),
        ("import sys; sys.argv = ['countersign', 'run', '--help']; import countersign.__main__", "countersign.run"),
    ],
)
def test_a_fresh_interpreter_loads_nothing_of_the_server(arguments, loaded):
    code = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print('LOADED', json.dumps(sorted(sys.modules)), file=sys.stderr))\n" + arguments
    )
    done = subprocess.run([sys.executable, "-c", code], env=clean_environ(), capture_output=True, text=True, timeout=60)
    modules = json.loads(done.stderr.partition("LOADED ")[2])
    assert loaded in modules
    roots = {name.partition(".")[0] for name in modules}
    assert not roots & {"redis", "boto3", "botocore", "bot", "workers", "rq", "ministack"}
    assert not [name for name in modules if name.startswith("countersign.ops")]


def test_an_operator_command_is_loaded_when_asked_for_and_only_then(tmp_path: Path):
    code = """
import sys, types, typer
import countersign.cli as cli
def command(folder: str, once: bool = False) -> None: print("demo", folder, once)
sys.modules["countersign.ops.demo"] = types.SimpleNamespace(command=command)
keys = typer.Typer()
@keys.command()
def new(name: str) -> None: print("key for", name)
@keys.command("list")
def list_() -> None: pass
sys.modules["countersign.ops.keys"] = types.SimpleNamespace(app=keys)
cli.main(sys.argv[1:])
"""
    for arguments, printed in (
        (["demo", "here", "--once"], "demo here True\n"),
        (["keys", "new", "bot"], "key for bot\n"),
    ):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, printed), done.stderr


@pytest.mark.parametrize(
    ("asked", "code"), [(("audit", "verify"), 2), (("receipt", "verify"), 2), (("audit", "show"), 1)]
)
def test_an_answer_that_cannot_be_written_is_told_and_is_no_verdict(asked: tuple[str, str], code: int):
    command = [sys.executable, "-m", "countersign", *asked, "--help"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert done.stderr.startswith("countersign: no space left where stdout goes")
    assert "Traceback" not in done.stderr
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as nobody:
        assert nobody.stdout and nobody.stderr
        nobody.stdout.close()
        assert (nobody.stderr.read(), nobody.wait(timeout=60)) == ("", code)
