"""`run --extend` and the heartbeat of `run`: what COMMAND gets, what its user reads, and that nothing is left live."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from countersign import handed
from countersign.handing import Handing
from countersign.lineage import Lineage
from countersign.models import Ask, Credential
from countersign.pulse import Pulse
from countersign.run import Run, child_environ
from countersign.status import PlainStatus
from tests.countersign.conftest import ACCESS, ASK, GRANTED, OPTIONS, finish
from tests.countersign.test_beating import until
from tests.countersign.test_run import TRUE, python, wait_for_file
from tests.worlds.intake import IntakeWorld
from tests.worlds.intake_rows import SECRET

UNTIL_STOPPED = """
import os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
(folder / "environ").write_text("\\n".join(f"{k}={v}" for k, v in os.environ.items() if k.startswith("AWS_")))
(folder / "up").touch()
while not (folder / "stop").exists(): time.sleep(0.005)
sys.exit(int((folder / "stop").read_text() or 0))
"""


@dataclass
class Running:
    """A `run` in this process around a COMMAND that goes on until it is told to stop."""

    world: IntakeWorld
    folder: Path
    task: asyncio.Task[int]
    said: io.StringIO
    names: list[str] = field(default_factory=list)

    def stop(self, code: int = 0) -> None:
        (self.folder / "stop.part").write_text(str(code))
        (self.folder / "stop.part").rename(self.folder / "stop")

    async def until(self, check) -> None:
        async with asyncio.timeout(20):
            while not check():
                assert not self.task.done(), self.said.getvalue()
                await asyncio.sleep(0.005)

    async def up(self) -> dict[str, str]:
        await self.until((self.folder / "up").exists)
        return dict(line.split("=", 1) for line in (self.folder / "environ").read_text().splitlines())

    async def asked_for_more(self, count: int = 1) -> str:
        await self.until(lambda: len(self.world.rows.rows) > count)
        return self.world.rows.newest()

    def grants(self) -> list[str]:
        return [row["grant"]["state"] for row in self.world.rows.rows.values() if row["grant"]]


@pytest.fixture
async def running(world, client, tmp_path):
    """Start a run: `await running(extend=…, **fields of the ask)`."""
    started = []

    async def start(extend: bool = True, environ: dict[str, str] | None = None, **more) -> Running:
        world.rows.submit_as = "APPROVED"
        said = io.StringIO()
        command = [sys.executable, "-c", UNTIL_STOPPED, str(tmp_path)]
        ask = Ask.model_validate({**ASK, "access": ACCESS, **more})
        task = asyncio.create_task(Run(client, ask, command, PlainStatus(said), extend=extend).to_end())
        started.append(Running(world, tmp_path, task, said))
        await started[-1].up()
        world.rows.submit_as = "PENDING"
        return started[-1]

    yield start
    for one in started:
        one.stop()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(one.task, 20)


def config_of(environ: dict[str, str]) -> Path:
    return Path(environ["AWS_CONFIG_FILE"])


async def key_of_command(environ: dict[str, str]) -> tuple[int, str, str]:
    """Run COMMAND's helper as an SDK does; return its exit code, the key that it printed, what it said."""
    lines = config_of(environ).read_text().splitlines()
    helper = next(line.partition(" = ")[2] for line in lines if line.startswith("credential_process"))
    process = await asyncio.create_subprocess_exec(*shlex.split(helper), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = await process.communicate()
    return process.returncode, json.loads(out)["AccessKeyId"] if out else "", err.decode()


def secret(n: int) -> dict[str, str]:
    return {**SECRET, "access_key_id": f"ASIA{n}"}


def with_secrets(world: IntakeWorld) -> None:
    world.rows.secrets.update({f"grt_{n:026d}": secret(n) for n in range(4)})


async def test_an_extension_reaches_the_command_that_runs_and_both_are_given_back(world, running):
    with_secrets(world)
    run = await running()
    environ = await run.up()
    assert await key_of_command(environ) == (0, "ASIA0", "")
    world.warn()
    second = await run.asked_for_more()
    assert world.bodies[1] == {**world.bodies[0], "extends": world.row("req_" + "0" * 26)["grant"]["id"],
                               "public_key": world.bodies[1]["public_key"]}  # fmt: skip
    assert world.bodies[1]["public_key"] != world.bodies[0]["public_key"]
    assert await key_of_command(environ) == (0, "ASIA0", "")
    world.approve(second)
    await run.until(lambda: "goes on until" in run.said.getvalue())
    assert await key_of_command(environ) == (0, "ASIA1", "")
    assert run.grants() == ["ACTIVE", "ACTIVE"]
    world.end("ttl_elapsed", "clock", request=world.bodies[1]["extends"].replace("grt_", "req_"))
    assert await key_of_command(environ) == (0, "ASIA1", "")
    run.stop(3)
    assert await run.task == 3
    assert run.grants() == ["REVOKED", "REVOKED"]
    said = run.said.getvalue()
    for words in ("K700 ends at ", ": asking for an extension", "K701 waits for 1 of sre", "approved by user:robin",
                  "K701 goes on until ", "K700 ends by itself at ", "K701 is released"):  # fmt: skip
        assert words in said
    assert not config_of(environ).parent.exists()
    assert SECRET["secret_access_key"] not in said


async def test_several_in_a_row_never_two_at_once(world, running):
    with_secrets(world)
    run = await running()
    environ = await run.up()
    for n in (1, 2, 3):
        world.warn()
        asked = await run.asked_for_more(n)
        world.warn(f"req_{n - 1:026d}")
        assert len(world.rows.rows) == n + 1
        world.approve(asked)
        await run.until(lambda n=n: f"K70{n} goes on until" in run.said.getvalue())
        assert await key_of_command(environ) == (0, f"ASIA{n}", "")
    extended = [body.get("extends") for body in world.bodies]
    assert extended == [None, *(f"grt_{n:026d}" for n in range(3))]
    run.stop()
    assert await run.task == 0
    assert set(run.grants()) == {"REVOKED"}


async def test_a_share_of_the_ttl_is_enough_where_nobody_warns(world, running):
    run = await running(ttl_seconds=1)
    await run.asked_for_more()
    run.stop()
    assert await run.task == 0
    assert world.row()["state"] == "CANCELLED"


@pytest.mark.parametrize(
    ("play", "words"),
    [(IntakeWorld.deny, "not now"), (IntakeWorld.expire, "nobody said yes"), (IntakeWorld.withdraw, "Stop.")],
    ids=["denied", "not answered", "withdrawn"],
)
async def test_what_is_not_extended_goes_on_to_its_end_and_is_not_asked_again(world, running, play, words):
    run = await running()
    environ = await run.up()
    world.warn()
    await run.asked_for_more()
    play(world)
    await run.until(lambda: "K700 is not extended and ends at " in run.said.getvalue())
    assert words in run.said.getvalue()
    assert await key_of_command(environ) == (0, SECRET["access_key_id"], "")
    world.warn("req_" + "0" * 26)
    run.stop()
    assert await run.task == 0
    assert (len(world.rows.rows), run.grants()) == (2, ["REVOKED"])


async def test_an_extension_that_is_late_is_waited_for_and_said_to_the_tool(world, running):
    with_secrets(world)
    run = await running()
    environ = await run.up()
    world.warn()
    second = await run.asked_for_more()
    first = world.bodies[1]["extends"].replace("grt_", "req_")
    world.end("ttl_elapsed", "clock", request=first)
    await run.until(lambda: world.row(first)["grant"]["state"] == "REVOKED")
    world.approve(second)
    await run.until(lambda: "goes on until" in run.said.getvalue())
    assert await key_of_command(environ) == (0, "ASIA1", "")


async def test_a_grant_that_is_taken_away_is_not_extended_and_the_tool_hears_why(world, running):
    run = await running(heartbeat_seconds=10)
    environ = await run.up()
    world.end(reason="looks wrong")
    await run.until(lambda: not run.task.done() and world.row()["grant"]["state"] == "REVOKED")
    run.stop(9)
    assert await run.task == 127
    assert "(revoke by user:robin: looks wrong)" in run.said.getvalue()
    assert len(world.rows.rows) == 1
    assert run.said.getvalue().count("the credential ended") == 1
    assert not config_of(environ).exists()


@pytest.mark.parametrize("when", ["asked", "approved meanwhile", "answer lost"])
async def test_stopped_in_the_middle_of_an_extension_nothing_is_left_live(world, running, when):
    run = await running()
    if when == "answer lost":
        world.drop_next("/v1/requests")
    world.warn()
    second = await run.asked_for_more()
    if when == "approved meanwhile":
        world.rows.mints = False
        world.approve(second)
        run.stop()
        await run.until(lambda: any(call.endswith("/cancel") for call in world.calls))
        world.mint()
    else:
        run.stop()
    assert await run.task == 0
    assert "ACTIVE" not in run.grants()
    assert not [row for row in world.rows.rows.values() if row["state"] == "PENDING"]


async def test_trouble_with_an_extension_is_told_once_and_tried_on(world, running):
    run = await running()
    world.answer_next("/v1/requests", 500)
    world.warn()
    await run.until(lambda: "is tried on" in run.said.getvalue())
    assert run.said.getvalue().count("is tried on") == 1
    run.stop()
    assert await run.task == 0
    assert set(run.grants()) == {"REVOKED"}


async def test_what_a_reviewer_made_smaller_is_all_that_is_asked_for_again(world, running):
    asked = {"actions": ACCESS["actions"], "resources": ACCESS["resources"], "ttl_seconds": 900}
    granted = {**asked, "resources": ["arn:aws:s3:::customer-exports/2026/a"], "ttl_seconds": 60}
    world.rows.narrowed = {"by": "user:robin", "at": "2026-11-20T10:00:00.000Z", "asked": asked, "granted": granted}
    run = await running()
    world.warn()
    await run.asked_for_more()
    assert world.bodies[1]["ttl_seconds"] == 60
    assert world.bodies[1]["access"] == {**ACCESS, "resources": ["arn:aws:s3:::customer-exports/2026/a"]}


async def test_the_environment_leads_to_the_profile_and_to_nobody_else(tmp_path):
    (tmp_path / "config").write_text(
        "[default]\nregion = eu-west-1\ns3 =\n  addressing_style = path\naws_access_key_id = AKIAMINE\n"
        "credential_process = mine\nsso_account_id = 1\n[profile other]\nregion = us-east-1\n"
    )
    mine = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": "other", "AWS_ACCESS_KEY_ID": "AKIAMINE",
            "AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn:mine", "AWS_REGION": "eu-west-1",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1", "PATH": "/bin"}  # fmt: skip
    async with Handing(lambda: "nothing yet", mine) as handing:
        environ = child_environ(Credential(**SECRET), mine, handing)
        folder = config_of(environ).parent
        assert {name for name in environ if name.startswith("AWS_")} == {
            "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE", "AWS_REGION", "AWS_EC2_METADATA_DISABLED"
        }  # fmt: skip
        assert (environ["AWS_PROFILE"], environ["AWS_REGION"], environ["PATH"]) == ("countersign", "eu-west-1", "/bin")
        text = (folder / "config").read_text()
        assert "AKIAMINE" not in text and "sso" not in text and "mine" not in text
        assert "region = eu-west-1\ns3 = \n  addressing_style = path\n" in text
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for path in folder.iterdir():
            if path.is_file():
                assert SECRET["secret_access_key"] not in path.read_text()
        assert await key_of_command(environ) == (1, "", "countersign: nothing yet\n")
    assert not folder.exists()


async def test_the_helper_of_a_run_that_is_gone_says_so(tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", handed.__file__, str(tmp_path / "socket"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert err == b"countersign: `countersign run` has ended, and its credential with it.\n"


def test_ctrl_c_in_the_middle_of_an_extension_leaves_nothing_live(world, spawn, tmp_path):
    world.rows.submit_as = "APPROVED"
    process = spawn("run", "--extend", *GRANTED, *python(UNTIL_STOPPED, str(tmp_path)))
    wait_for_file(tmp_path / "up")
    world.rows.submit_as = "PENDING"
    world.warn()
    world.wait_until(lambda: len(world.rows.rows) == 2)
    os.killpg(process.pid, signal.SIGINT)
    assert finish(process, 20)[0] != 0
    assert world.row()["state"] == "CANCELLED"
    assert world.row("req_" + "0" * 26)["grant"]["state"] == "REVOKED"


def test_a_run_beats_unless_told_not_to(world, command):
    world.rows.submit_as = "APPROVED"
    for options, told in (([], 60), (["--heartbeat", "5m"], 300), (["--no-heartbeat"], None), (["--ttl", "60s"], None)):
        assert command("run", *GRANTED, *options, *TRUE)[0] == 0
        assert world.bodies[-1].get("heartbeat_seconds") == told
    assert sum(call.endswith("/heartbeat") for call in world.calls) <= 2


async def test_the_answers_to_heartbeats_tell_of_the_end(world, client):
    world.rows.submit_as = "APPROVED"
    request = await client.request(**ASK, access=ACCESS, heartbeat_seconds=60)
    said: list[str] = []
    lineage = Lineage(client, said.append)
    held = lineage.hold(request)
    held.grant = held.grant.model_copy(update={"heartbeat_seconds": 0.9})
    pulse = Pulse(client, lineage, said.append, "make", warns=True)
    await pulse.begin(held)
    await until(lambda: any(call.endswith("/heartbeat") for call in world.calls))
    world.warn()
    await until(lambda: said)
    world.answer_next("/heartbeat", 500)
    await until(lambda: len(said) == 2)
    world.end("kill", "monitoring", "probing")
    await until(lambda: len(said) == 3)
    assert await lineage.over("make")
    await pulse.stop()
    assert re.fullmatch(
        r"K700 ends at ..:..:.. UTC, in 15 min, and make loses its credential; `run --extend` .*", said[0]
    )
    assert "heartbeat of K700 does not get through" in said[1]
    assert said[2:] == ["the credential ended while make ran (kill by monitoring: probing)"]


async def test_an_older_grant_that_ended_is_told_as_what_it_is_and_the_newer_goes_on(world, client):
    world.rows.submit_as = "APPROVED"
    said: list[str] = []
    lineage = Lineage(client, said.append)
    pulse = Pulse(client, lineage, said.append, "make", warns=False)
    for extends in (None, "grt_" + "0" * 26):
        held = lineage.hold(await client.request(**ASK, access=ACCESS, heartbeat_seconds=60, extends=extends))
        held.grant = held.grant.model_copy(update={"heartbeat_seconds": 0.9})
        await pulse.begin(held)
    world.end("ttl_elapsed", "clock", request="req_" + "0" * 26)
    await until(lambda: said)
    assert said == ["K700 has ended; K701 goes on (ttl_elapsed by clock)"]
    assert not await lineage.over("make")
    await pulse.stop()
    await lineage.release()
    assert said[1:] == ["K701 is released"]


def problem(rule: str) -> str:
    return json.dumps({"code": "inadmissible", "status": 400, "detail": "not like this", "rule": rule})


@pytest.mark.parametrize(
    ("options", "rule", "code"),
    [
        ([], "heartbeat.ends_early", 0),
        (["--heartbeat", "60s"], "heartbeat.ends_early", 121),
        ([], "extends.role", 121),
    ],
    ids=["nobody asked for it", "it was asked for", "another fault"],
)
def test_a_role_whose_credentials_cannot_be_ended_early_has_no_heartbeat_of_ours(world, command, options, rule, code):
    world.rows.submit_as = "APPROVED"
    world.answer_next("/v1/requests", 400, body=problem(rule))
    assert command("run", *GRANTED, *options, *TRUE)[0] == code
    assert [body.get("heartbeat_seconds") for body in world.bodies] == ([None] if code == 0 else [])


def test_without_a_private_folder_nobody_is_asked(world, spawn, tmp_path):
    (long := tmp_path / ("x" * 100)).mkdir()
    code, _, err = finish(spawn("run", "--extend", *GRANTED, *TRUE, TMPDIR=str(long)))
    assert (code, world.calls) == (121, [])
    assert "set TMPDIR" in err
    assert not list(long.iterdir())


def test_variables_that_cannot_be_extended_under_a_command_are_given_back(world, command):
    world.rows.submit_as = "APPROVED"
    world.rows.secrets["grt_" + "0" * 26] = {"environment": {"PGPASSWORD": "canary"}}
    code, out, err = command("run", "--extend", *GRANTED, *TRUE)
    assert (code, out) == (121, "")
    assert "run it without --extend" in err
    assert "canary" not in err
    assert world.row()["grant"]["state"] == "REVOKED"


def test_variables_of_what_is_no_aws_session_reach_the_command(world, command):
    world.rows.submit_as = "APPROVED"
    world.rows.secrets["grt_" + "0" * 26] = {"environment": {"PGPASSWORD": "canary"}}
    code, out, err = command("run", *GRANTED, *python("import os; print(os.environ['PGPASSWORD'])"))
    assert (code, out) == (0, "canary\n"), err
    assert "canary" not in err


def test_what_is_no_credential_is_neither_kept_alive_nor_extended(world, command):
    for options in (["--extend"], ["--heartbeat", "60s"]):
        code, _, err = command("run", *OPTIONS, *options, *TRUE)
        assert (code, world.calls) == (121, [])
        assert "add --role" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--heartbeat", "5s"], ["--heartbeat", "10"]),
        (["--heartbeat", "2h"], ["--heartbeat", "3600"]),
        (["--heartbeat", "soon"], ["--heartbeat", "15m"]),
        (["--heartbeat", "60s", "--no-heartbeat"], ["exclude"]),
        (["--extend", "--break-glass"], ["--break-glass", "person"]),
        (["--extend", "--provider", "orders-db"], ["orders-db", "leave --extend out"]),
    ],
    ids=["too often", "too seldom", "no time", "both", "break-glass", "variables"],
)
def test_what_cannot_be_kept_alive_is_refused_before_anybody_is_asked(world, command, options, words):
    code, out, err = command("run", *GRANTED, *options, *TRUE)
    assert (code, out, world.calls) == (121, "", [])
    for word in words:
        assert word in err


async def test_what_is_granted_after_the_run_was_stopped_is_not_beaten_for(world, client):
    world.rows.submit_as = "APPROVED"
    lineage = Lineage(client, lambda text: None)
    pulse = Pulse(client, lineage, lambda text: None, "make", warns=False)
    await pulse.stop()
    await pulse.begin(lineage.hold(await client.request(**ASK, access=ACCESS, heartbeat_seconds=60)))
    await client.release(lineage.newest.request)
    assert not [call for call in world.calls if call.endswith("/heartbeat")]
