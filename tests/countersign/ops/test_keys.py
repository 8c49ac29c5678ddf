import json

import pytest

from countersign.ops.fittings import demo_file
from tests.countersign.ops.conftest import Command

BOT = "caller:report-bot"


@pytest.fixture
def applied(command: Command, tmp_path) -> Command:
    for name in ("policy.toml", "countersign.toml"):
        (tmp_path / name).write_text(demo_file(name))
    assert command("apply", tmp_path / "policy.toml", tmp_path / "countersign.toml").code == 0
    return command


def test_a_key_is_printed_once_alone_on_stdout(applied: Command) -> None:
    told = applied("keys", "new", "--principal", BOT, "--scope", "request", "--scope", "read", "--expires", "90d")
    assert told.code == 0
    assert told.out.startswith("cs_")
    assert len(told.out.splitlines()) == 1
    assert "not shown again" in told.err
    listed = applied("keys", "list")
    assert BOT in listed.out
    assert "request,read" in listed.out
    assert told.out.strip() not in listed.out + listed.err


def test_json_for_scripts(applied: Command) -> None:
    made = json.loads(applied("keys", "new", "--principal", BOT, "--scope", "request", "--json").out)
    assert made["principal"] == BOT
    [listed] = json.loads(applied("keys", "list", "--json").out)
    assert listed["id"] == made["id"]
    assert "key" not in listed


def test_revoked_keys_are_listed_only_on_demand(applied: Command) -> None:
    applied("keys", "new", "--principal", BOT, "--scope", "request")
    key_id = applied("keys", "list").out.split()[0]
    assert applied("keys", "revoke", key_id).code == 0
    told = applied("keys", "list")
    assert told.out == ""
    assert "there is no key" in told.err
    assert "revoked" in applied("keys", "list", "--all").out


@pytest.mark.parametrize(
    ("words", "told_of"),
    [
        (["--principal", "caller:report-bt", "--scope", "request"], "did you mean 'caller:report-bot'?"),
        (["--principal", BOT, "--scope", "reqest"], "did you mean 'request'?"),
        (["--principal", BOT, "--scope", "review"], "only people review"),
        (["--principal", BOT, "--scope", "request", "--expires", "soon"], "write 90s, 15m, 2h or 1d"),
    ],
)
def test_wrong_input_is_told_with_the_option_and_a_remedy(applied: Command, words: list[str], told_of: str) -> None:
    told = applied("keys", "new", *words)
    assert told.code == 1
    assert told_of in told.err
    assert "--" in told.err
    assert "Traceback" not in told.err
    assert applied("keys", "list", "--all").out == ""


def test_before_the_first_apply_nobody_can_have_a_key(command: Command) -> None:
    told = command("keys", "new", "--principal", BOT, "--scope", "request")
    assert told.code == 1
    assert "no policy is applied yet" in told.err


def test_the_third_live_key_is_refused(applied: Command) -> None:
    new = ("keys", "new", "--principal", BOT, "--scope", "request")
    assert [applied(*new).code for _ in range(3)] == [0, 0, 1]
