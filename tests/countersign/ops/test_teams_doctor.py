"""The doctor's look at Teams: the app, its keys, channels, people; what is well, and every trouble with its remedy."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bot.surfaces.teams_routes import Route, Routes
from countersign.ops import teamscheck
from countersign.ops.connect import settings_of
from countersign.ops.fittings import demo_file
from countersign.ops.folder import DEMO_JSON, write_private
from tests.bot.teams.town import CHANNEL as TOWN_CHANNEL
from tests.bot.teams.town import open_town
from tests.countersign.ops.conftest import Command
from tests.countersign.ops.test_doctor import healthy, on_store
from tests.worlds.teams import TeamsWorld, running_teams
from tests.worlds.teams.state import OTHER_TENANT, TENANT, object_id
from tests.worlds.valkey import Valkey
from workers.config import load
from workers.policies import apply
from workers.stores.memory import memory_store
from workers.stores.port import Store

CHANNEL = "19:prod@thread.tacv2"
NAMES = ("dana", "robin", "alex", "kim", "bob")
PEOPLE = "".join(
    f'[person.{name}]\nemail = "{name}@example.com"\nteams = "{TENANT}:{object_id(name)}"\n' for name in NAMES
)
ROSTER = f"""{PEOPLE}
[group.sre]
people = ["dana", "robin", "alex", "kim"]

[group.duty]
people = ["kim"]
oncall = true

[place.console]
groups = ["sre"]

[place.prod]
teams = "{CHANNEL}"
groups = ["sre"]
"""
"""Bob is in no group; whatever is asked, two of sre at most have to answer."""
URL = "https://cs.example.com"


def environ(teams: TeamsWorld) -> dict[str, str]:
    return {**teams.settings(), "COUNTERSIGN_REDIS_URL": "redis://127.0.0.1:1/0", "COUNTERSIGN_PUBLIC_URL": URL}


@dataclass
class Ward:
    """A tenant and an installation, healthy until a test changes something."""

    teams: TeamsWorld
    settings: dict[str, str]
    roster: str = ROSTER
    store: Store = field(default_factory=memory_store)

    def edit(self, old: str, new: str) -> None:
        assert old in self.roster
        self.roster = self.roster.replace(old, new)

    def person(self, name: str, **changes: str | None) -> None:
        self.teams.change_person(name, **changes)

    async def hear(self, **changes: Any) -> None:
        """Learn a route as web does when something is heard."""
        route = {"service_url": self.teams.service_url, "tenant_id": TENANT, "bot_id": self.teams.bot_id,
                 "kind": "channel", "conversation_id": CHANNEL, "channel_id": CHANNEL}  # fmt: skip
        await Routes(self.store.records, TENANT).learn(Route(**{**route, **changes}))

    async def lines(self) -> list[str]:
        policy = demo_file("policy.toml")
        await apply(self.store.records, policy=policy, roster=self.roster, by="ops", why="test")
        return [str(one) for one in await teamscheck.examine(load(self.settings), self.store)]

    async def troubles(self) -> list[str]:
        return [line for line in await self.lines() if not line.startswith("ok ")]

    async def trouble(self) -> str:
        """Return the one line that is not well; it must say what to do."""
        [line] = await self.troubles()
        assert "; " in line, "it names no remedy"
        return line


@pytest.fixture
async def ward() -> AsyncIterator[Ward]:
    async with TeamsWorld.open() as teams:
        for name in NAMES:
            teams.add_person(name)
        teams.add_channel(CHANNEL, members=NAMES).installed = True
        ward = Ward(teams, environ(teams))
        await ward.hear()
        bob = {"user_id": "29:1bob", "object_id": object_id("bob")}
        chat = teams.board.personal("bob")
        chat.installed = True
        await ward.hear(kind="personal", conversation_id=chat.id, channel_id=None, **bob)
        yield ward


async def test_all_is_well(ward: Ward) -> None:
    assert await ward.lines() == [
        f"ok    teams token   app {ward.teams.app_id} in tenant {TENANT}",
        "ok    teams keys    read from 127.0.0.1",
        f"ok    teams calls   come in over HTTP, at {URL}/api/messages, from your own tenant alone",
        f"ok    teams place   prod ({CHANNEL}): the app is there",
        "ok    teams people  5 of 5 people of the roster can answer in Teams",
        "ok    teams seats   sre: 4 can answer in Teams, and 2 must be able to",
        "ok    teams seats   duty (on call): 1 can answer in Teams, and 1 must be able to",
    ]
    assert ward.teams.violations == []
    calls = [one.method for one in ward.teams.calls()]
    assert calls == ["member"] * 6  # it reads, and changes nothing; each is asked about once
    assert len(ward.teams.tokens.requests) == 1


async def test_what_web_has_learnt_by_itself_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    async with open_town() as town:
        found = await teamscheck.examine(town.deps.settings, town.store)
    told = {f"{one.verdict} {one.what}" for one in found if one.what in ("teams token", "teams keys", "teams place")}
    assert told == {"ok teams token", "ok teams keys", "ok teams place"}
    assert TOWN_CHANNEL in "".join(str(one) for one in found)
    assert [one.words for one in found if one.what == "teams people"] == [
        "5 of 5 people of the roster can answer in Teams"
    ]


# --- the app


async def test_teams_is_not_set_up(ward: Ward) -> None:
    ward.settings = {"COUNTERSIGN_REDIS_URL": "redis://127.0.0.1:1/0"}
    assert "COUNTERSIGN_TEAMS_APP_ID is missing; docs/teams.md" in await ward.trouble()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("APP_SECRET", "another-secret-than-it-was", "refuses to sign it in: invalid_client; make a new client secret"),
        ("APP_ID", "33333333-bbbb-4bbb-8bbb-333333333333", "unauthorized_client; compare COUNTERSIGN_TEAMS_APP_ID"),
    ],
)
async def test_the_app_cannot_sign_in(ward: Ward, name: str, value: str, words: str) -> None:
    ward.settings[f"COUNTERSIGN_TEAMS_{name}"] = value
    line = await ward.trouble()  # and nothing after it is looked at
    assert words in line
    assert "another-secret" not in line


async def test_a_tenant_that_there_is_not(ward: Ward) -> None:
    ward.settings["COUNTERSIGN_TEAMS_TOKEN_URL"] = ward.teams.token_url.replace(TENANT, OTHER_TENANT)
    assert "invalid_request; compare COUNTERSIGN_TEAMS_TENANT_ID" in await ward.trouble()


@pytest.mark.parametrize("trouble", ["outage", "html"])
async def test_no_token_is_to_be_had(ward: Ward, trouble: str, capsys: pytest.CaptureFixture[str]) -> None:
    if trouble == "outage":
        ward.teams.tokens.outage()
    else:
        ward.teams.tokens.status(502)
    assert "no token from 127.0.0.1 (" in (line := await ward.trouble())
    assert "way out to it" in line
    assert capsys.readouterr() == ("", "")  # no log line among the findings


@pytest.mark.parametrize("trouble", ["outage", "html"])
async def test_the_keys_cannot_be_read(ward: Ward, trouble: str, capsys: pytest.CaptureFixture[str]) -> None:
    getattr(ward.teams.issuer, trouble)()
    assert "fail  teams keys    no keys from 127.0.0.1; check this machine's way out" in await ward.trouble()
    assert capsys.readouterr() == ("", "")


async def test_an_address_that_teams_cannot_call(ward: Ward) -> None:
    del ward.settings["COUNTERSIGN_PUBLIC_URL"]
    line = await ward.trouble()
    assert line.startswith("warn  teams calls")
    assert "Teams calls https only; set" in line.replace("only: set", "only; set")


async def test_several_tenants_are_named(ward: Ward) -> None:
    ward.settings["COUNTERSIGN_TEAMS_TENANTS"] = f"{TENANT},{OTHER_TENANT}"
    assert f"from the tenants {TENANT}, {OTHER_TENANT}" in "".join(await ward.lines())


async def test_the_playground_is_never_told_as_well(ward: Ward) -> None:
    del ward.settings["COUNTERSIGN_PUBLIC_URL"]
    ward.settings |= {"COUNTERSIGN_TEAMS_PLAYGROUND": "true", "COUNTERSIGN_DEMO": "true"}
    assert "UNPROVEN; unset COUNTERSIGN_TEAMS_PLAYGROUND" in await ward.trouble()


# --- channels


async def test_nothing_was_ever_heard_from_a_channel(ward: Ward) -> None:
    ward.store = memory_store()
    line = (await ward.troubles())[0]
    assert line.startswith(f"fail  teams place   prod ({CHANNEL}): nothing has been heard from Teams there yet; add")


async def test_a_channel_never_heard_of_is_reached_by_the_tenants_way(ward: Ward) -> None:
    other = "19:other@thread.tacv2"
    ward.teams.add_channel(other, members=NAMES).installed = True
    ward.edit(CHANNEL, other)
    assert await ward.troubles() == []


async def test_the_app_was_taken_out_of_a_channel(ward: Ward) -> None:
    ward.teams.board.places[CHANNEL].installed = False
    line = (await ward.troubles())[0]
    assert f"prod ({CHANNEL}): the app is not there (BotNotInConversationRoster); add the app to the team" in line
    assert len([one for one in ward.teams.calls() if CHANNEL in one.path]) == 1  # nobody is looked for there


async def test_a_channel_that_there_is_not(ward: Ward) -> None:
    ward.edit(CHANNEL, "19:typo@thread.tacv2")
    line = (await ward.troubles())[0]
    assert "404 ConversationNotFound; copy the channel's id" in line


async def test_a_service_that_our_token_may_not_go_to(ward: Ward) -> None:
    await ward.hear(service_url="https://smba.evil.example/emea/")
    line = (await ward.troubles())[0]
    assert "not on the list of COUNTERSIGN_TEAMS_SERVICE_HOSTS; if that host is Microsoft's, add it" in line
    assert not [one for one in ward.teams.calls() if CHANNEL in one.path]


async def test_no_channel_at_all_is_a_warning(ward: Ward) -> None:
    ward.edit(f'teams = "{CHANNEL}"\n', "")
    for name in NAMES:
        chat = ward.teams.board.personal(name)
        chat.installed = True
        ids = {"user_id": f"29:1{name}", "object_id": object_id(name), "channel_id": None}
        await ward.hear(kind="personal", conversation_id=chat.id, **ids)
    line = await ward.trouble()
    assert line.startswith("warn  teams place   no place has a channel: cards go to each person directly")


async def test_teams_is_down(ward: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    ward.teams.faults.status("get", 500, times=100)
    assert "500 ServiceError; try again when Teams answers" in await ward.trouble()  # and nobody is told to be nowhere
    assert capsys.readouterr() == ("", "")


async def test_a_rate_limit_is_waited_for(ward: Ward) -> None:
    ward.teams.faults.status("get", 429, times=1, retry_after=1)
    assert await ward.troubles() == []
    assert ward.teams.violations == []


# --- people


async def test_somebody_with_a_seat_has_no_account(ward: Ward) -> None:
    ward.edit(f'teams = "{TENANT}:{object_id("robin")}"\n', "")
    assert 'robin has no Teams account here; write teams = "TENANT:OBJECT" under [person.robin]' in await ward.trouble()


async def test_somebody_without_a_seat_needs_none(ward: Ward) -> None:
    ward.edit(f'teams = "{TENANT}:{object_id("bob")}"\n', "")
    assert await ward.troubles() == []


async def test_somebody_of_a_tenant_that_is_not_let_in(ward: Ward) -> None:
    ward.edit(f"{TENANT}:{object_id('robin')}", f"{OTHER_TENANT}:{object_id('robin')}")
    assert f"robin: nobody of tenant {OTHER_TENANT} is let in; correct it, or add" in await ward.trouble()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"role": "guest"}, "Guests of this organisation decide nothing here"),
        ({"upn": "robin_corp.example#EXT#@acme.example"}, "Guests of this organisation decide nothing here"),
        ({"tenant": OTHER_TENANT}, "Your account belongs to another organisation"),
        ({"role": None}, "Teams did not say who you are just now"),
    ],
    ids=["guest", "invited", "elsewhere", "no-role"],
)
async def test_somebody_who_would_be_refused_at_a_click(ward: Ward, changes: dict[str, str], words: str) -> None:
    ward.person("robin", **changes)
    line = await ward.trouble()
    assert line.startswith(f"fail  teams people  robin ({TENANT}:{object_id('robin')}): ")
    assert words in line


async def test_somebody_who_is_nowhere(ward: Ward) -> None:
    ward.teams.leave("robin", CHANNEL)
    line = await ward.trouble()
    assert "warn  teams people  robin: in no channel that gets their cards, and has not written to the app; ma" in line


async def test_somebody_who_is_only_where_their_cards_are_not(ward: Ward) -> None:
    other = "19:other@thread.tacv2"
    ward.teams.add_channel(other, members=NAMES).installed = True
    ward.roster += f'\n[place.other]\nteams = "{other}"\ngroups = ["duty"]\n'
    ward.teams.leave("robin", CHANNEL)
    assert "robin: in no channel that gets their cards" in await ward.trouble()


async def test_too_few_can_fill_a_groups_seats(ward: Ward) -> None:
    for name in ("dana", "robin", "alex"):
        ward.teams.leave(name, CHANNEL)
    assert "fail  teams seats   sre: 1 can answer in Teams, and 2 must be able to; see the lines above" in "\n".join(
        await ward.troubles()
    )


# --- the command itself


async def test_without_rules_only_the_app_is_looked_at(ward: Ward) -> None:
    found = await teamscheck.examine(load(ward.settings), memory_store())
    assert [one.what for one in found] == ["teams token", "teams keys", "teams calls"]


def test_the_command_looks_only_when_asked(
    command: Command, empty_valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_store(empty_valkey, healthy)
    with running_teams() as teams:
        for name, text in teams.settings().items():
            monkeypatch.setenv(name, text)
        assert command("doctor").code == 0
        assert teams.log == []
        told = command("doctor", "--teams", "--json")
    assert told.code == 1  # the demo's roster names no account
    found = {one["what"]: one for one in json.loads(told.out)}
    assert found["teams token"]["verdict"] == "ok"
    assert found["teams people"]["verdict"] == "warn"
    assert teams.app_secret not in told.out + told.err


def test_half_a_teams_is_told_by_the_settings(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_TEAMS_APP_ID", TENANT)
    told = command("doctor", "--teams")
    assert told.code == 1
    assert "COUNTERSIGN_TEAMS_APP_SECRET is missing" in told.out


def test_a_demo_keeps_no_secret_of_teams_but_takes_the_environments(tmp_path: Path) -> None:
    write_private(tmp_path / DEMO_JSON, json.dumps({"redis_url": "redis://127.0.0.1:1/0"}))
    given = {f"COUNTERSIGN_TEAMS_{name}": TENANT for name in ("APP_ID", "APP_SECRET", "TENANT_ID")}
    assert settings_of(tmp_path, given).teams_app_id is None
    assert settings_of(tmp_path, given, slack=True).teams_app_id is None
    assert settings_of(tmp_path, given, teams=True).teams_app_id == TENANT
