"""Hold docs/callers.md to the code: its examples run, its times are the times."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from pathlib import Path

import countersign
from countersign import extending, helper, run
from countersign.commands import living
from tests.countersign.conftest import ACCESS
from tests.countersign.test_helper import granted
from tests.worlds.intake import IntakeWorld

PAGE = (Path(__file__).parents[2] / "docs" / "callers.md").read_text()
TEXT = " ".join(PAGE.split())


async def test_the_python_example_asks_for_a_heartbeat_collects_and_releases(world: IntakeWorld, client, capsys):
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict = {}
    exec(compile(example, "docs/callers.md", "exec"), names)
    world.rows.submit_as = "APPROVED"
    await names["report"](client, countersign.Access(**ACCESS))
    key, ended = capsys.readouterr().out.split()
    assert key.startswith("ASIA")
    assert ended == "False"
    [asked] = [body for body in world.bodies if body.get("action")]
    assert (asked["heartbeat_seconds"], asked["ttl_seconds"]) == (60, 900)
    for end in ("/credential", "/release"):  # its work is over before the first beat is due to have arrived
        assert any(call.endswith(end) for call in world.calls), end


def test_the_profile_is_one_that_prints_a_credential(world: IntakeWorld, blocking, command):
    [example] = re.findall(r"```ini\n(.*?)```", PAGE, re.DOTALL)
    profile = configparser.ConfigParser()
    profile.read_string(example)
    program, name, grant, *rest = shlex.split(profile["profile report"]["credential_process"])
    assert (program, name, grant[:4]) == ("countersign", helper.COMMAND, "grt_")
    code, out, _ = command(name, granted(world, blocking), *rest)
    assert (code, json.loads(out)["Version"]) == (0, 1)


def test_its_times_are_the_times():
    assert f"has been missing for {living.HEARTBEAT_SECONDS} s" in TEXT
    assert f"has {run.GRACE_SECONDS:g} s to clean up" in TEXT
    assert f"| {helper.MARGIN.total_seconds():g} s before the end" in TEXT
    assert f"({extending.MOST_SECONDS / 60:g} minutes of a long one)" in TEXT
    assert extending.SHARE == 3
    assert "When a third of the TTL is left" in TEXT
