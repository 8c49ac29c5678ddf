"""`countersign run` as a real process around real processes: exit codes, signals, and where the secret may be."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.countersign.conftest import GRANTED, OPTIONS, clean_environ, finish
from tests.worlds.intake import API_KEY, IntakeWorld
from tests.worlds.intake_rows import SECRET

TRUE = ["--", sys.executable, "-c", "print('ran')"]
MARK = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('started')"
SLEEP = f"{MARK}; import time; time.sleep(60)"


def python(code: str, *arguments: str) -> list[str]:
    return ["--", sys.executable, "-c", code, *arguments]


def wait_for_file(path: Path, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.01)


def when_asked(world: IntakeWorld, play) -> None:
    world.wait_for_call("GET /v1/requests/")
    play(world)


def released(world: IntakeWorld) -> bool:
    grant = world.row()["grant"]
    return grant["state"] == "REVOKED" and grant["ending"]["cause"] == "release"


def test_it_waits_runs_with_the_credential_and_releases(world, spawn):
    code = "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('AWS_')}))"
    process = spawn(
        "run",
        *GRANTED,
        *python(code),
        AWS_REGION="eu-west-1",
        AWS_ENDPOINT_URL="http://127.0.0.1:9",
        AWS_PROFILE="mine",
    )
    when_asked(world, IntakeWorld.approve)
    exit_code, out, err = finish(process)
    assert exit_code == 0, err
    assert json.loads(out) == {
        "AWS_ACCESS_KEY_ID": SECRET["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": SECRET["secret_access_key"],
        "AWS_SESSION_TOKEN": SECRET["session_token"],
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    }
    assert released(world)
    body = world.bodies[0]
    assert (body["ttl_seconds"], body["actor"]) == (900, {"id": "agent:report-bot", "on_behalf_of": "user:dana"})
    assert body["access"] == {"role": "analytics", "actions": [body["action"]], "resources": [body["resource"]]}


@pytest.mark.parametrize(
    ("play", "exit_code"),
    [
        (IntakeWorld.deny, 123),
        (IntakeWorld.expire, 124),
        (IntakeWorld.withdraw, 125),
        (lambda world: world.expire("nobody_reached"), 126),
        (lambda world: (world.approve(), world.fail()), 126),
        (lambda world: (world.approve(), world.end()), 121),
    ],
    ids=["denied", "expired", "cancelled", "nobody reached", "mint failed", "revoked before the start"],
)
def test_what_is_not_approved_does_not_run_and_has_its_own_code(world, spawn, play, exit_code):
    world.rows.mints = False
    process = spawn("run", *GRANTED, *TRUE)
    when_asked(world, play)
    got, out, err = finish(process)
    assert (got, out) == (exit_code, ""), err
    assert world.row()["agent_message"] in err


@pytest.mark.parametrize(("submit_as", "exit_code"), [("DENIED", 123), ("NOT_EVALUATED", 126)])
def test_policy_answers_at_once(world, spawn, submit_as, exit_code):
    world.rows.submit_as = submit_as
    got, out, _ = finish(spawn("run", *GRANTED, *TRUE))
    assert (got, out) == (exit_code, "")


@pytest.mark.parametrize("own", [0, 1, 2, 3, 42, 123, 255])
def test_the_commands_own_code_is_passed_on(world, spawn, own):
    world.rows.submit_as = "APPROVED"
    got, _, err = finish(spawn("run", *GRANTED, *python(f"raise SystemExit({own})")))
    assert got == own, err
    assert released(world)


def test_a_command_killed_by_a_signal_has_the_shells_code(world, spawn):
    world.rows.submit_as = "APPROVED"
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert finish(spawn("run", *GRANTED, *python(code)))[0] == 128 + signal.SIGKILL
    assert released(world)


def test_a_failure_after_the_credential_was_taken_away_is_127(world, spawn, tmp_path):
    world.rows.submit_as = "APPROVED"
    code = f"{MARK}; import time\nwhile not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.01)\nraise SystemExit(9)"
    process = spawn("run", *GRANTED, *python(code, str(tmp_path / "up"), str(tmp_path / "go")))
    wait_for_file(tmp_path / "up")
    world.end(reason="looks wrong\x1b[2J")
    (tmp_path / "go").touch()
    got, _, err = finish(process)
    assert got == 127
    assert "revoke by user:robin: looks wrong" in err
    assert "\x1b" not in err


def test_a_success_after_the_credential_ended_stays_a_success(world, spawn, tmp_path):
    world.rows.submit_as = "APPROVED"
    code = f"{MARK}; import time\nwhile not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.01)"
    process = spawn("run", *GRANTED, *python(code, str(tmp_path / "up"), str(tmp_path / "go")))
    wait_for_file(tmp_path / "up")
    world.end()
    (tmp_path / "go").touch()
    assert finish(process)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_command_and_the_grant_is_released(world, spawn, tmp_path, number):
    world.rows.submit_as = "APPROVED"
    process = spawn(
        "run",
        *GRANTED,
        *python(f"import signal; signal.signal({int(number)}, signal.SIG_DFL); {SLEEP}", str(tmp_path / "up")),
    )
    wait_for_file(tmp_path / "up")
    process.send_signal(number)
    got, _, err = finish(process, 10)
    assert got == 128 + number, err
    assert released(world)
    assert "Traceback" not in err


def test_under_nohup_a_hangup_changes_nothing(world, spawn, tmp_path):
    world.rows.submit_as = "APPROVED"
    code = f"{MARK}; import time\nwhile not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.01)"
    process = spawn("run", *GRANTED, *python(code, str(tmp_path / "up"), str(tmp_path / "go")), nohup=True)
    wait_for_file(tmp_path / "up")
    process.send_signal(signal.SIGHUP)
    (tmp_path / "go").touch()
    assert finish(process)[0] == 0
    assert released(world)


def test_a_command_that_goes_on_after_sigterm_loses_its_credential_but_not_its_life(world, spawn, tmp_path):
    world.rows.submit_as = "APPROVED"
    code = f"import signal; signal.signal(15, signal.SIG_IGN); {MARK}; import time\n" + (
        "while not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.01)\nraise SystemExit(7)"
    )
    process = spawn("run", *GRANTED, *python(code, str(tmp_path / "up"), str(tmp_path / "go")))
    wait_for_file(tmp_path / "up")
    process.send_signal(signal.SIGTERM)
    world.wait_until(lambda: released(world))
    assert process.poll() is None
    (tmp_path / "go").touch()
    assert finish(process)[0] == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_waiting_withdraws_the_request(world, spawn, number):
    process = spawn("run", *GRANTED, *TRUE)
    world.wait_for_call("GET /v1/requests/")
    process.send_signal(number)
    got, out, err = finish(process, 10)
    assert (got, out) == (125, ""), err
    assert world.row()["state"] == "CANCELLED"
    assert "withdrawn" in err
    assert "Traceback" not in err


def test_a_signal_while_the_credential_is_being_made_gives_the_grant_back(world, spawn):
    world.rows.mints = False
    process = spawn("run", *GRANTED, *TRUE)
    when_asked(world, IntakeWorld.approve)
    world.wait_for_call("GET /v1/requests/", 2)
    process.send_signal(signal.SIGTERM)
    world.wait_for_call(f"POST /v1/requests/{world.row()['id']}/cancel")
    world.mint()
    got, out, err = finish(process, 10)
    assert (got, out) == (125, ""), err
    assert released(world)


def test_a_command_that_does_not_exist_asks_nobody(world, spawn):
    got, _, err = finish(spawn("run", *GRANTED, "--", "no-such-command-here"))
    assert (got, world.calls) == (121, [])
    assert "no-such-command-here" in err


def test_a_command_that_cannot_start_releases(world, spawn, tmp_path):
    world.rows.submit_as = "APPROVED"
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nothing")
    broken.chmod(0o755)
    got, _, err = finish(spawn("run", *GRANTED, "--", str(broken)))
    assert got == 121
    assert "cannot be started" in err
    assert released(world)


def test_a_credential_that_cannot_be_collected_is_given_back(world, command):
    world.rows.submit_as = "APPROVED"
    world.answer_next("/credential", 500)
    got, out, _ = command("run", *GRANTED, *TRUE)
    assert (got, out) == (126, "")
    assert released(world)


def test_an_absent_server_is_126(world, spawn):
    world.stop()
    got, out, err = finish(spawn("run", *GRANTED, "--patience", "1s", *TRUE))
    assert (got, out) == (126, "")
    assert "does not answer" in err
    assert "Traceback" not in err


def test_a_server_that_went_away_and_came_back_costs_only_time(world, spawn):
    process = spawn("run", *GRANTED, *TRUE)
    world.wait_for_call("GET /v1/requests/")
    world.stop()
    world.start()
    world.approve()
    assert finish(process)[:2] == (0, "ran\n")


def test_a_failed_release_says_when_the_credential_ends_and_keeps_the_commands_code(world, spawn):
    world.rows.submit_as = "APPROVED"
    world.answer_next("/release", 500)
    got, _, err = finish(spawn("run", *GRANTED, *python("raise SystemExit(3)")))
    assert got == 3
    assert "ends by itself at" in err


def test_without_a_role_the_approval_is_consumed_and_no_credential_is_there(world, spawn):
    world.rows.submit_as = "APPROVED"
    got, out, _ = finish(spawn("run", *OPTIONS, *python("import os; print('AWS_ACCESS_KEY_ID' in os.environ)")))
    assert (got, out) == (0, "False\n")
    assert world.row()["consumed_at"]


def test_what_break_glass_took_runs_and_says_that_it_is_reviewed_afterwards(world, spawn):
    got, out, err = finish(spawn("run", *GRANTED, "--break-glass", "--ticket", "INC-42", *TRUE))
    assert (got, out) == (0, "ran\n"), err
    assert "is granted by break-glass; its after-review is due " in err
    assert released(world)


def test_an_approval_whose_consumption_is_unknown_does_not_run(world, spawn):
    world.rows.submit_as = "APPROVED"
    world.drop_next("/consume")
    got, out, _ = finish(spawn("run", *OPTIONS, *TRUE))
    assert (got, out) == (126, "")


def test_ci_gets_plain_lines_that_say_who_is_asked_and_for_how_long(world, spawn):
    process = spawn("run", *GRANTED, *TRUE, CI="true")
    when_asked(world, IntakeWorld.approve)
    _, out, err = finish(process)
    lines = err.splitlines()
    assert out == "ran\n"
    assert all(line.startswith("countersign: ") for line in lines), err
    assert "waits for 1 of sre until" in lines[0]
    assert "left)" in lines[0]
    assert "approved by user:robin" in err
    assert "released" in lines[-1]
    assert "\x1b" not in err


def test_a_terminal_gets_one_line_that_lives(world):
    master, slave = pty.openpty()
    environ = {**clean_environ(), **world.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        [sys.executable, "-m", "countersign", "run", *GRANTED, *TRUE],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
    )
    os.close(slave)
    seen = b""
    while b"left" not in seen:
        seen += os.read(master, 4096)
    assert b"waits for 1 of sre until" in seen
    world.approve()
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "ran\n")
    os.close(master)


COUNT = """
import pathlib, signal, sys, time
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(1))
pathlib.Path(sys.argv[1]).write_text("started")
while not seen: time.sleep(0.01)
time.sleep(0.5)
sys.exit(40 + len(seen))
"""


def test_ctrl_c_at_a_terminal_reaches_the_command_once_not_twice(world, tmp_path):
    world.rows.submit_as = "APPROVED"
    arguments = [sys.executable, "-m", "countersign", "run", *GRANTED, *python(COUNT, str(tmp_path / "up"))]
    pid, master = pty.fork()  # a terminal of its own, with the new process in its foreground
    if pid == 0:
        os.execve(sys.executable, arguments, {**clean_environ(), **world.environ})
    wait_for_file(tmp_path / "up")
    os.write(master, b"\x03")
    _, state = os.waitpid(pid, 0)
    os.close(master)
    assert os.waitstatus_to_exitcode(state) == 41
    assert released(world)


def test_the_secret_is_in_the_environment_of_the_command_and_nowhere_else(world, spawn, tmp_path):
    process = spawn("run", *GRANTED, *python(SLEEP, str(tmp_path / "up")))
    when_asked(world, IntakeWorld.approve)
    wait_for_file(tmp_path / "up")
    own = Path(f"/proc/{process.pid}")
    child = next(
        path for path in Path("/proc").glob("[0-9]*") if f"PPid:\t{process.pid}\n" in (path / "status").read_text()
    )
    assert SECRET["secret_access_key"].encode() in (child / "environ").read_bytes()
    lines = (own / "cmdline").read_bytes() + (child / "cmdline").read_bytes()
    told = lines + (own / "environ").read_bytes()
    process.terminate()
    _, out, err = finish(process)
    told += out.encode() + err.encode()
    for secret in (SECRET["secret_access_key"], SECRET["session_token"]):
        assert secret.encode() not in told
    assert API_KEY.encode() not in lines + out.encode() + err.encode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--ttl", "15x"], ["--ttl", "15m"]),
        (["--ttl", "0s"], ["--ttl", "15m"]),
        (["--ttl", "2d"], ["--ttl"]),
        (["--action", "everything"], ["--action", "service:Action"]),
        (["--risk", "huge"], ["--risk", "low"]),
        (["--actor", "bot"], ["--actor", "kind:name"]),
        (["--access-action", "*"], ["--access-action", "service:Action"]),
        (["--extends", "K7QF"], ["--extends", "grt_"]),
        (["--parameters", "{"], ["--parameters", "JSON"]),
        (["--parameters", "[1]"], ["--parameters", "object"]),
        (["--patience", "long"], ["--patience"]),
        (["--url", "example.com"], ["https://"]),
        (["--nonsense"], ["--nonsense", "--help"]),
    ],
)
def test_wrong_input_names_the_option_and_the_remedy_and_asks_nobody(world, command, change, words):
    got, out, err = command("run", *GRANTED, *change, *TRUE)
    assert (got, out, world.rows.rows) == (121, "", {})
    for word in words:
        assert word in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1


def test_what_only_the_server_can_refuse_names_the_option_too(world, command):
    got, _, err = command("run", *GRANTED[:4], *TRUE)
    assert got == 121
    assert "(--" in err
    assert world.rows.rows == {}


def test_missing_settings_say_what_to_export(world, command):
    got, _, err = command("run", *GRANTED, *TRUE, COUNTERSIGN_API_KEY="")
    assert got == 121
    assert "COUNTERSIGN_API_KEY is not set" in err
    got, _, err = command("run", *GRANTED, *TRUE, COUNTERSIGN_URL="")
    assert got == 121
    assert "COUNTERSIGN_URL is not set" in err


def test_a_refused_key_is_told_with_the_servers_words(world, command):
    got, _, err = command("run", *GRANTED, *TRUE, COUNTERSIGN_API_KEY="cs_other")
    assert got == 121
    assert "unknown" in err
    assert "cs_other" not in err
