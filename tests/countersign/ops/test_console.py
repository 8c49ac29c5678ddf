import asyncio
import json
import re

import pytest

from bot.sessions import Sessions
from countersign.ops.fittings import demo_file
from tests.countersign.ops.conftest import Command
from tests.worlds.valkey import Valkey
from workers.stores.redis import connect


@pytest.fixture
def applied(command: Command, tmp_path) -> Command:
    for name in ("policy.toml", "countersign.toml"):
        (tmp_path / name).write_text(demo_file(name))
    assert command("apply", tmp_path / "policy.toml", tmp_path / "countersign.toml").code == 0
    return command


def test_the_link_is_alone_on_stdout_and_its_secret_nowhere_else(applied: Command) -> None:
    told = applied("console", "link", "--person", "dana")
    assert told.code == 0
    assert re.fullmatch(r"http://127\.0\.0\.1:8080/console/sign-in/csl_[\w-]{43}\n", told.out)
    assert "user:dana" in told.err
    assert "csl_" not in told.err


def test_the_link_leads_to_the_address_that_people_use(applied: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_PUBLIC_URL", "https://approve.example.com")
    assert applied("console", "link", "--person", "dana").out.startswith("https://approve.example.com/console/sign-in/")
    told = applied("console", "link", "--person", "user:dana", "--url", "http://127.0.0.1:9/", "--json")
    assert json.loads(told.out)["link"].startswith("http://127.0.0.1:9/console/sign-in/csl_")


def test_the_link_signs_that_person_in(applied: Command, empty_valkey: Valkey) -> None:
    token = applied("console", "link", "--person", "robin", "--by", "ops").out.strip().rpartition("/")[2]

    async def use() -> tuple[str, str]:
        store = await connect(empty_valkey.url)
        try:
            sessions = Sessions(store.records)
            return (await sessions.peek(token)).made_by, (await sessions.enter(token)).principal
        finally:
            await store.aclose()

    assert asyncio.run(use()) == ("ops", "user:robin")


def test_an_unknown_person_gets_none(applied: Command) -> None:
    told = applied("console", "link", "--person", "robyn")
    assert told.code != 0
    assert "--person" in told.err
    assert "robin" in told.err
    assert told.out == ""
