"""Hold docs/callers.md to the code: its examples run, its times are the times."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import countersign
from approvers import consuming
from approvers.action import action_digest
from countersign import extending, helper, run
from countersign.commands import living
from tests.countersign.conftest import ACCESS
from tests.countersign.test_helper import granted
from tests.worlds import samples
from tests.worlds.intake import IntakeWorld
from tests.worlds.receipts import KEY, OTHER, claims

PAGE = (Path(__file__).parents[2] / "docs" / "callers.md").read_text()
TEXT = " ".join(PAGE.split())


def example(defines: str) -> dict[str, Any]:
    """Run the one example that defines this, and return its names."""
    [found] = [one for one in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if defines in one]
    names: dict[str, Any] = {}
    exec(compile(found, "docs/callers.md", "exec"), names)
    return names


async def test_the_python_example_asks_for_a_heartbeat_collects_and_releases(world: IntakeWorld, client, capsys):
    names = example("async def report")
    world.rows.submit_as = "APPROVED"
    await names["report"](client, countersign.Access(**ACCESS))
    key, ended = capsys.readouterr().out.split()
    assert key.startswith("ASIA")
    assert ended == "False"
    [asked] = [body for body in world.bodies if body.get("action")]
    assert (asked["heartbeat_seconds"], asked["ttl_seconds"]) == (60, 900)
    for end in ("/credential", "/release"):  # its work is over before the first beat is due to have arrived
        assert any(call.endswith(end) for call in world.calls), end


def test_the_receipts_example_acts_on_this_very_refund_and_on_no_other():
    refund = example("def refund")["refund"]
    asked = samples.action(
        action="payments:Refund", resource="order/4711", parameters={"cents": 995}, access=None, data_classes=None
    )  # fmt: skip
    good = KEY.jws(claims(action_digest=action_digest(samples.CALLER, asked)))
    assert refund("4711", 995, receipt=good, key=KEY.verifier).endswith("approved by user:robin")
    for order, cents in (("4711", 99_500), ("4712", 995)):
        with pytest.raises(countersign.BadReceipt, match="another action"):
            refund(order, cents, receipt=good, key=KEY.verifier)


def test_the_shells_example_gates_on_the_exit_code(world: IntakeWorld, command, tmp_path):
    [lines] = [one for one in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "receipt verify" in one]
    ask, check = lines.replace("\\\n", " ").strip().splitlines()
    world.rows.submit_as = "APPROVED"
    world.rows.receipt = lambda row: {"jws": KEY.jws(claims(sub=row["id"]))}
    code, out, _ = command(*shlex.split(ask.partition(" > ")[0])[1:])
    assert code == 0
    (tmp_path / "answer.json").write_text(out)
    words = shlex.split(check.replace("$COUNTERSIGN_VERIFY_KEY", KEY.verifier))[1:]
    words[words.index("answer.json")] = str(tmp_path / "answer.json")
    assert command(*words)[0] == 0
    assert command(*[OTHER.verifier if word == KEY.verifier else word for word in words])[0] == 1


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
    assert consuming.USE_WITHIN.total_seconds() == 3_600
    assert "its TTL from the decision, at most an hour" in TEXT
    assert "When a third of the TTL is left" in TEXT
