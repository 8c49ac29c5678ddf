"""The doctor's look at people and groups in Slack: whoever cannot answer is named, with what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from countersign.ops.manifest import manifest
from tests.countersign.ops.ward import ACCOUNTS, SRE, Ward, settings_for, ward
from tests.worlds.slack import SlackWorld

__all__ = ["ward"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"is_restricted": True}, "Guests of this Slack workspace"),
        ({"is_ultra_restricted": True}, "Guests of this Slack workspace"),
        ({"deleted": True}, "deactivated"),
        ({"is_bot": True}, "Bots decide nothing"),
        ({"is_stranger": True}, "another organisation"),
        ({"team_id": "T99"}, "another organisation"),
        ({"is_email_confirmed": False}, "not confirmed"),
    ],
    ids=["guest", "one-channel-guest", "deactivated", "bot", "stranger", "other-team", "unconfirmed"],
)
async def test_an_account_that_may_not_decide(ward: Ward, flags: Mapping[str, Any], words: str) -> None:
    ward.slack.change_user(ACCOUNTS["robin"], **flags)
    line = await ward.trouble()
    assert line.startswith("fail  slack people  robin (U02): ")
    assert words in line


async def test_an_id_that_nobody_has(ward: Ward) -> None:
    ward.edit('"U02"', '"U0TYPO"')
    assert "robin (U0TYPO): this workspace has no such account; write slack" in await ward.trouble()


async def test_an_id_of_another_workspace(ward: Ward) -> None:
    ward.edit('"U02"', '"T09:U02"')
    assert "robin (T09:U02): the account belongs to T01, and countersign.toml says T09" in await ward.trouble()


async def test_people_of_the_same_organisation_are_its_people() -> None:
    async with SlackWorld.open(manifest=manifest(None), enterprise_id="E01") as slack:
        for name, account in ACCOUNTS.items():
            slack.add_user(account, name=name, team_id="T77", enterprise_user={"enterprise_id": "E01"})
        slack.add_channel("C01")
        assert await Ward(slack, settings_for(slack)).troubles() == []


async def test_somebody_with_a_seat_and_no_account(ward: Ward) -> None:
    ward.edit('slack = "U02"\n', "")
    assert "robin has no Slack account here; write slack" in (line := await ward.trouble())
    assert line.startswith("warn")


async def test_somebody_without_a_seat_needs_no_account(ward: Ward) -> None:
    ward.edit('slack = "U05"\n', "")
    assert await ward.troubles() == []


async def test_too_few_for_the_seats(ward: Ward) -> None:
    for account in ("U02", "U03", "U04"):
        ward.edit(f'slack = "{account}"\n', "")
    lines = await ward.troubles()
    assert "fail  slack seats   sre: 1 can answer in Slack, and 2 must be able to; see the lines above" in "".join(
        lines
    )
    assert "fail  slack seats   duty (on call): 0 can answer" in "".join(lines)
    assert len([line for line in lines if line.startswith("warn  slack people")]) == 3


# --- told apart by address


@pytest.fixture
def by_mail(ward: Ward) -> Ward:
    for account in ACCOUNTS.values():
        ward.edit(f'slack = "{account}"\n', "")
    ward.roster += "\n[slack]\nmatch_email = true\n"
    ward.slack.rescope(*manifest(None, match_email=True)["oauth_config"]["scopes"]["bot"])
    return ward


async def test_addresses_tell_people_apart(by_mail: Ward) -> None:
    assert await by_mail.troubles() == []


async def test_an_address_that_nobody_has(by_mail: Ward) -> None:
    by_mail.slack.change_user("U02", email="rob@example.com")
    assert "robin: no account of this workspace has robin@example.com; write slack" in await by_mail.trouble()


async def test_an_address_that_is_not_confirmed(by_mail: Ward) -> None:
    by_mail.slack.change_user("U02", is_email_confirmed=False)
    assert "robin (robin@example.com): The e-mail address of this Slack account is not confirmed" in (
        await by_mail.trouble()
    )


# --- user groups, on call


@pytest.fixture
def grouped(ward: Ward) -> Ward:
    ward.slack.add_usergroup("S01", members=["U02", "U03"], handle="sre-oncall")
    ward.edit(SRE, 'slack = "S01"')
    return ward


async def test_a_user_group_fills_the_seats(grouped: Ward) -> None:
    found = [str(one) for one in await grouped.examine()]
    assert "ok    slack group   sre is @sre-oncall, with 2 members" in found
    assert "ok    slack seats   sre: 2 can answer in Slack, and 2 must be able to" in found


async def test_a_member_whom_nobody_knows(grouped: Ward) -> None:
    grouped.slack.add_user("U77", name="newcomer")
    grouped.slack.add_usergroup("S01", members=["U02", "U03", "U77"], handle="sre-oncall")
    line = await grouped.trouble()
    assert line.startswith("warn  slack group")
    assert "countersign.toml does not know newcomer (U77); add a [person.…]" in line


async def test_members_are_known_by_address_too(grouped: Ward) -> None:
    grouped.slack.rescope(*manifest(None, match_email=True)["oauth_config"]["scopes"]["bot"])
    grouped.roster += "\n[slack]\nmatch_email = true\n"
    grouped.edit('slack = "U02"\n', "")
    assert await grouped.troubles() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"members": []}, "which has no members; add some"),
        ({"members": ["U02", "U03"], "disabled": True}, "which is disabled; enable it"),
    ],
    ids=["empty", "disabled"],
)
async def test_a_user_group_that_is_of_no_use(grouped: Ward, change: Mapping[str, Any], words: str) -> None:
    grouped.slack.add_usergroup("S01", handle="sre-oncall", **change)
    lines = await grouped.troubles()
    assert words in lines[0]
    assert "sre: 0 can answer in Slack, and 2 must be able to" in lines[1]


async def test_a_user_group_that_there_is_not(grouped: Ward) -> None:
    grouped.edit('"S01"', '"S09"')
    assert "sre: this workspace has no user group S09; there are @sre-oncall S01" in (await grouped.troubles())[0]


async def test_a_plan_without_user_groups(grouped: Ward) -> None:
    grouped.slack.board.free_plan = True
    assert "plan_upgrade_required; user groups need a paid plan" in (await grouped.troubles())[0]


async def test_nobody_is_on_call(ward: Ward) -> None:
    ward.edit("oncall = true\n", "")
    assert "no group is on call; write oncall = true" in (line := await ward.trouble())
    assert line.startswith("warn")
