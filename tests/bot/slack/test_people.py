"""Who clicked is asked of Slack, and whoever is not clearly one person of this organisation is nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from approvers.audit import By
from bot.directory import NotKnown
from bot.surfaces.slack_api import SlackApi
from bot.surfaces.slack_people import KEPT_SECONDS, People, Stranger
from tests.worlds import samples
from tests.worlds.slack import SlackWorld
from workers.policies import Policies, apply
from workers.stores.memory import memory_store
from workers.stores.port import Store

ACCOUNTS = {"dana": "T01:U02", "robin": "U03", "alex": None, "kim": "E09:U05"}
BY_MAIL = "\n[slack]\nmatch_email = true\n"


def roster(accounts: dict[str, str | None], more: str = "") -> str:
    """The demo's roster, with Slack accounts and a user group."""
    text = samples.ROSTER_TEXT
    for name, account in accounts.items():
        if account:
            text = text.replace(f"[person.{name}]", f'[person.{name}]\nslack = "{account}"')
    return text.replace("[group.sre]", '[group.sre]\nslack = "S01"') + more


@dataclass
class Town:
    """A workspace, and our People looking at it."""

    slack: SlackWorld
    people: People
    store: Store
    policies: Policies
    seconds: float = 0.0

    async def rules(self, text: str) -> None:
        await apply(self.store.records, policy=samples.POLICY_TEXT, roster=text, by="user:kim", why="test")
        await self.policies.refresh()

    async def code(self, user: str) -> str:
        """Return why this account is nobody."""
        with pytest.raises(Stranger) as stranger:
            await self.people.identify(user)
        return stranger.value.code


@pytest.fixture
async def town(request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    store = memory_store()
    policies = Policies(store.records, store.signals)
    async with SlackWorld.open(enterprise_id=getattr(request, "param", None)) as slack:
        api = SlackApi(slack.bot_token, slack.api_url)
        people = People(api, policies, store.records, clock=lambda: running.seconds)
        running = Town(slack, people, store, policies)
        await running.rules(roster(ACCOUNTS))
        yield running
        await api.aclose()


async def test_a_named_account_is_that_person(town: Town) -> None:
    town.slack.add_user("U02", name="who cares", email="other@example.com", is_email_confirmed=None)
    who = await town.people.identify("U02")
    assert (who.principal, who.via, dict(who.proof)) == ("user:dana", "slack", {})
    assert who.by == By("user:dana", "slack", "T01/U02")
    assert who.scopes == {"review", "read", "request"}


@pytest.mark.parametrize(
    ("code", "flags"),
    [
        pytest.param("deactivated", {"deleted": True}, id="deleted"),
        pytest.param("bot", {"is_bot": True}, id="bot"),
        pytest.param("bot", {"is_workflow_bot": True}, id="workflow"),
        pytest.param("bot", {"is_connector_bot": True}, id="connector"),
        pytest.param("guest", {"is_restricted": True}, id="guest"),
        pytest.param("guest", {"is_ultra_restricted": True}, id="single-channel-guest"),
        pytest.param("guest", {"is_invited_user": True}, id="invited"),
        pytest.param("guest", {"guest_invited_by": "U09"}, id="invited-by-somebody"),
        pytest.param("external", {"is_stranger": True}, id="stranger"),
        pytest.param("external", {"is_stranger": False, "team_id": "T66"}, id="other-team-no-stranger"),
        pytest.param("external", {"team_id": "T66", "enterprise_user": {"enterprise_id": ""}}, id="no-enterprise"),
        pytest.param("external", {"team_id": ""}, id="no-team"),
        pytest.param("unconfirmed", {"is_email_confirmed": False}, id="unconfirmed"),
    ],
)
@pytest.mark.parametrize("by_mail", [False, True], ids=["named", "by-mail"])
async def test_who_may_not_decide_may_not_whoever_names_them(
    town: Town, code: str, flags: dict[str, Any], by_mail: bool
) -> None:
    if by_mail:
        await town.rules(roster({}, BY_MAIL))
    town.slack.add_user("U02", email="dana@example.com", is_email_confirmed=True)
    assert (await town.people.identify("U02")).principal == "user:dana"
    town.people.forget("U02")
    town.slack.change_user("U02", **flags)
    assert await town.code("U02") == code


@pytest.mark.parametrize("town", ["E09"], indirect=True, ids=["grid"])
async def test_on_enterprise_grid_the_organisation_counts_not_the_workspace(town: Town) -> None:
    ours, theirs = {"enterprise_id": "E09"}, {"enterprise_id": "E66"}
    town.slack.add_user("U03", team_id="T77", enterprise_user=ours, payload_team_id="E09")
    town.slack.add_user("U05", team_id="T77", enterprise_user=ours)
    town.slack.add_user("U02", team_id="T77", enterprise_user=ours)
    town.slack.add_user("U04", team_id="T66", enterprise_user=theirs, email="alex@example.com")
    assert (await town.people.identify("U03")).by.sub == "T77/U03"
    assert (await town.people.identify("U05")).principal == "user:kim"  # named as E09:U05
    assert await town.code("U02") == "unknown_person"  # named as T01:U02, and this is T77's
    assert await town.code("U04") == "external"


class TestByMail:
    """A mail address counts only where that is switched on, and only a confirmed one."""

    async def test_it_is_off_unless_switched_on(self, town: Town) -> None:
        town.slack.add_user("U04", email="alex@example.com")
        assert await town.code("U04") == "unknown_person"
        await town.rules(roster(ACCOUNTS, BY_MAIL))
        who = await town.people.identify("U04")
        assert who.by == By("user:alex", "slack-email", "T01/U04")

    async def test_what_slack_does_not_call_confirmed_is_not(self, town: Town) -> None:
        await town.rules(roster(ACCOUNTS, BY_MAIL))
        town.slack.add_user("U04", email="alex@example.com", is_email_confirmed=None)
        assert await town.code("U04") == "unconfirmed"

    async def test_a_second_account_with_the_mail_of_a_named_person_is_not_that_person(self, town: Town) -> None:
        await town.rules(roster(ACCOUNTS, BY_MAIL))
        town.slack.add_user("U99", email="dana@example.com")
        assert await town.code("U99") == "unknown_person"

    async def test_the_named_account_counts_before_the_mail(self, town: Town) -> None:
        await town.rules(roster(ACCOUNTS, BY_MAIL))
        town.slack.add_user("U02", email="robin@example.com")
        assert (await town.people.identify("U02")).principal == "user:dana"


async def test_nobody_and_somebody_elses_accounts_are_nobody(town: Town) -> None:
    town.slack.add_user("U42", email="eve@example.com")
    town.slack.add_user("U03", hidden=True)
    assert await town.code("U42") == "unknown_person"
    assert await town.code("U41") == "unknown_person"
    assert await town.code("U03") == "unknown_person"
    with pytest.raises(Stranger, match='slack = "U42"'):
        await town.people.identify("U42")


@pytest.mark.parametrize("fault", ["down", "limited", "scope", "workspace"])
async def test_what_slack_does_not_say_is_a_refusal(town: Town, fault: str) -> None:
    town.slack.add_user("U02")
    match fault:
        case "down":
            town.slack.faults.down()
        case "limited":
            town.slack.faults.rate_limit("users.info")
        case "scope":
            town.slack.rescope("chat:write")
        case "workspace":
            town.slack.faults.status("auth.test", 503)
    assert await town.code("U02") == "not_checked"
    town.slack.faults.up()
    town.slack.rescope("users:read", "chat:write")
    assert (await town.people.identify("U02")).principal == "user:dana"  # nothing of it was kept


async def test_an_account_is_asked_again_after_a_minute_or_a_change(town: Town) -> None:
    town.slack.add_user("U02")
    for _ in range(3):
        await town.people.identify("U02")
    assert len(town.slack.calls("users.info")) == 1
    town.slack.change_user("U02", is_restricted=True)
    town.seconds = KEPT_SECONDS - 0.1
    await town.people.identify("U02")
    town.seconds = KEPT_SECONDS
    assert await town.code("U02") == "guest"
    town.slack.change_user("U02", is_restricted=False)
    town.people.forget("U02")
    assert (await town.people.identify("U02")).principal == "user:dana"


async def test_what_changes_while_it_is_asked_is_not_kept(town: Town) -> None:
    town.slack.add_user("U02")
    age, began = town.people._accounts.age, 0.0
    account = await town.people._account("U02")
    town.people.forget("U02")  # the event overtakes the answer
    town.people._accounts.keep("U02", account, age, began)
    assert town.people._accounts.fresh("U02") is None


class TestGroups:
    """Members of a user group are people of the roster, asked for at most once a minute."""

    async def test_members_are_people_and_evidence(self, town: Town) -> None:
        town.slack.add_usergroup("S01", members=["U03", "U02", "U77"])
        found = await town.people.members("S01")
        assert (found.source, found.people, found.accounts) == ("slack:S01", {"dana", "robin"}, ("U02", "U03", "U77"))
        assert found.at <= await town.store.records.now()

    async def test_it_is_kept_a_minute_and_dropped_on_a_change(self, town: Town) -> None:
        town.slack.add_usergroup("S01", members=["U03"])
        await town.people.members("S01")
        town.slack.add_usergroup("S01", members=["U02"])
        town.seconds = KEPT_SECONDS - 0.1
        assert (await town.people.members("S01")).people == {"robin"}
        town.people.forget_groups()
        assert (await town.people.members("S01")).people == {"dana"}
        town.slack.add_usergroup("S01", members=[])
        town.seconds += KEPT_SECONDS
        assert (await town.people.members("S01")).people == frozenset()
        assert len(town.slack.calls("usergroups.users.list")) == 3

    async def test_by_mail_members_are_looked_up_too_where_that_is_on(self, town: Town) -> None:
        town.slack.add_usergroup("S01", members=["U03", "U04", "U06", "U99"])
        town.slack.add_user("U04", email="alex@example.com")
        town.slack.add_user("U06", email="kim@example.com", is_restricted=True)
        assert (await town.people.members("S01")).people == {"robin"}
        await town.rules(roster({"robin": "U03"}, BY_MAIL))
        town.people.forget_groups()
        assert (await town.people.members("S01")).people == {"robin", "alex"}

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            ("no_such_subteam", "does not exist"),
            ("plan_upgrade_required", "paid plans"),
            ("missing_scope", "usergroups:read"),
            ("internal_error", "internal_error"),
        ],
    )
    async def test_what_cannot_be_learnt_is_not_known(self, town: Town, error: str, words: str) -> None:
        town.slack.add_usergroup("S01", members=["U03"])
        town.slack.faults.error("usergroups.users.list", error)
        with pytest.raises(NotKnown, match=words) as unknown:
            await town.people.members("S01")
        assert unknown.value.code == "membership_unknown"
        assert (await town.people.members("S01")).people == {"robin"}
