"""`countersign policy check` and `explain`: with files only, with the store, for people and for CI."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from approvers.audit import By
from bot.deps import make_desk
from bot.directory import Directory
from bot.identity import Identity
from bot.reading import Reader
from countersign.ops.fittings import demo_file
from tests.countersign.ops.conftest import Command
from tests.worlds import samples
from tests.worlds.valkey import Valkey
from workers.policies import Policies
from workers.stores.redis import connect

POLICY, ROSTER = demo_file("policy.toml"), demo_file("countersign.toml")
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def writing(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return writing


@pytest.fixture
def both(write: Write) -> tuple[Path, Path]:
    return write("policy.toml", POLICY), write("countersign.toml", ROSTER)


def line_with(text: str, words: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if words in line)


def test_two_files_are_checked_without_a_store(command: Command, both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COUNTERSIGN_REDIS_URL")
    told = command("policy", "check", *both)
    assert told.code == 0
    assert told.err.strip() == "countersign: no mistakes, 1 warning"
    assert "warning: rule.review-knock.when.action[0]: AWS has no service 'demo'" in told.out


def test_every_mistake_of_both_files_is_json_for_ci(command: Command, write: Write) -> None:
    policy = POLICY.replace('default_quorum = "one"', 'default_quorum = "on"').replace('"*:Delete*"', '"s3:Deleet*"')
    roster = ROSTER.replace('"dana", "robin"', '"dana", "robn"')
    files = write("policy.toml", policy), write("countersign.toml", roster)
    told = command("policy", "check", *files, "--json")
    assert told.code == 1
    found = json.loads(told.out)
    assert [set(one) for one in found] == [{"file", "line", "field", "detail", "remedy", "severity"}] * len(found)
    assert [(Path(one["file"]).name, one["line"], one["field"], one["severity"]) for one in found] == [
        ("countersign.toml", line_with(roster, "robn"), "group.sre.people[1]", "error"),
        ("policy.toml", line_with(policy, "default_quorum"), "default_quorum", "error"),
    ]
    assert found[1]["remedy"] == "did you mean 'one'?"
    told = command("policy", "check", write("policy.toml", policy.replace('"on"', '"one"')), write("c.toml", ROSTER))
    assert f"policy.toml:{line_with(policy, 's3:Deleet*')}: rule." in told.out
    assert told.code == 1


def test_a_file_that_is_no_toml_is_told_with_line_and_column(command: Command, write: Write, both) -> None:
    told = command("policy", "check", write("policy.toml", POLICY.replace("[limits]", "[limits")), both[1], "--json")
    (found,) = json.loads(told.out)
    assert (found["line"], found["severity"]) == (line_with(POLICY, "[limits]"), "error")
    assert found["field"].startswith(f"line {found['line']}, column ")


def test_one_file_is_checked_with_the_other_in_force(command: Command, both, write: Write) -> None:
    told = command("policy", "check", both[0])
    assert (told.code, "give countersign.toml, too" in told.err) == (1, True)
    command("apply", *both)
    assert command("policy", "check", both[0]).code == 0
    told = command("policy", "check", write("policy.toml", POLICY.replace("sre = 2", "sra = 2")))
    assert told.code == 1
    assert "did you mean 'sre'?" in told.out
    told = command("policy", "check", "nothing.toml", "--json")
    assert (told.code, json.loads(told.out)[0]["severity"]) == (1, "error")


def test_a_body_is_explained_by_files_alone(
    command: Command, both, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COUNTERSIGN_REDIS_URL")
    body = write("request.json", json.dumps(samples.BODY))
    files = "--policy", both[0], "--roster", both[1]
    told = command("policy", "explain", body, *files)
    assert told.code == 0
    lines = told.out.splitlines()
    assert lines[0] == "PEOPLE ARE ASKED: 1 of sre"
    assert "• data_class: the rule wants pii, the request has pii" in lines
    assert "• not dana: the human behind the agent" in lines
    assert "TTL 15 min of at most 1 h (prod); wider: 2 h (default)" in lines
    found = json.loads(command("policy", "explain", body, *files, "--json").out)
    assert (found["effect"], found["evaluated"], found["now"]) == ("review", True, None)
    assert found["seats"] == [{"group": "sre", "needed": 1, "filled": []}]


def test_a_body_that_nobody_could_send_is_refused_as_the_server_would(command: Command, both, write: Write) -> None:
    files = "--policy", both[0], "--roster", both[1]
    for change, words in (
        ({"ttl_seconds": 9000, "access": None}, "longer than the 1 h"),
        ({"actor": {"id": "agent:other"}}, "who asks? no caller may speak for agent:other"),
        ({"colour": 1}, "colour is not a field"),
    ):
        body = write("request.json", json.dumps({**samples.BODY, **change}))
        told = command("policy", "explain", body, *files)
        assert told.code == 1
        assert words in told.err
    body = write("request.json", json.dumps(samples.BODY))
    assert "is not in countersign.toml" in command("policy", "explain", body, *files, "--caller", "caller:x").err
    assert "proves nothing" in command("policy", "explain", body, *files, "--proof", "colour=red").err


async def _asked(url: str) -> str:
    store = await connect(url, durability="attested")
    try:
        policies, reader = Policies(store.records, store.signals), Reader(store)
        await policies.refresh()
        desk = make_desk(store, policies, reader, Directory(policies))
        who = Identity(samples.CALLER, frozenset({"request"}), By(samples.CALLER, "api-key", "k"), "api")
        return (await desk.submit(who, samples.action(), "k1")).request.handle
    finally:
        await store.aclose()


def test_a_stored_request_is_explained_beside_the_policy_in_force(
    command: Command, both, write: Write, empty_valkey: Valkey
) -> None:
    command("apply", *both)
    handle = asyncio.run(_asked(empty_valkey.url))
    told = command("policy", "explain", handle)
    assert told.code == 0, told.err
    assert told.out.splitlines()[0] == "PEOPLE ARE ASKED: 1 of sre"
    assert "in force now" not in told.out
    stricter = write("new.toml", POLICY.replace("seats  = { sre = 1 }", "seats = { sre = 2 }"))
    assert "sre = 2" in stricter.read_text() and stricter.read_text() != POLICY
    told = command("policy", "explain", handle, "--policy", stricter)
    assert f"Under {stricter}: review (2 of sre)" in told.out
    assert command("policy", "explain", "ZZZZ").code == 1
