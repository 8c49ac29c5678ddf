"""App Home: what waits for me, what is live, what I decided; and the answer to what is clicked there."""

import json
from datetime import timedelta

import pytest

from tests.bot.slack.town import ACCOUNTS, GUEST, SlackTown, person, rules

NOTHING = "Waits for you\nNothing."


async def opened(town: SlackTown, name: str, words: str) -> str:
    assert (await town.slack.open_home(ACCOUNTS.get(name, name))).ok
    return await town.home(name, words)


async def test_it_shows_what_waits_for_me_and_nothing_that_does_not(town: SlackTown):
    view = await town.ask()
    assert view.request.handle in await opened(town, "robin", "Waits for you (1)")
    for name in ("dana", "bob"):  # the human behind it; somebody without a seat
        assert view.request.handle not in await opened(town, name, NOTHING)


async def test_what_i_have_answered_waits_for_others(town: SlackTown):
    view = await town.ask_two()
    await town.click("robin", await town.card(view), "cs_approve")
    await town.heard("robin")
    text = await opened(town, "robin", NOTHING)
    assert view.request.handle in text.partition("You decided")[2]
    assert view.request.handle in await opened(town, "alex", "Waits for you (1)")


async def test_lent_seats_wait_for_who_stands_in(town: SlackTown):
    view = await town.ask()
    until = await town.deps.store.records.now() + timedelta(days=2)
    await town.deps.away.lend(person("kim"), "bob", until)
    await town.deps.policies.refresh()
    assert view.request.handle in await opened(town, "bob", "Waits for you (1)")


async def test_seats_of_a_slack_user_group_wait_for_its_members(town: SlackTown):
    policy, roster = rules()
    town.slack.add_usergroup("S01", members=[ACCOUNTS["bob"]])
    seats = policy.replace("[quorum.one]\nseats  = { sre = 1 }", "[quorum.one]\nseats  = { dba = 1 }")
    await town.apply(seats, roster + '\n[group.dba]\nslack = "S01"\n')
    view = await town.ask()
    assert view.request.handle in await opened(town, "bob", "Waits for you (1)")
    await opened(town, "robin", NOTHING)


async def test_review_from_home_decides_and_home_moves_on(town: SlackTown):
    view = await town.ask()
    await opened(town, "robin", "Waits for you (1)")
    await town.click("robin", town.slack.home(ACCOUNTS["robin"]), "cs_review")
    await town.click("robin", await town.dialog("robin", "cs_review_view"), "cs_approve")
    text = await town.home("robin", NOTHING)
    assert view.request.handle in text.partition("You decided")[2]


async def test_revoke_from_home_ends_in_its_note(town: SlackTown):
    view = await town.ask()
    await town.click("alex", await town.card(view), "cs_approve")
    await town.card(view, "live")
    await opened(town, "robin", "Live (1)")
    await town.click("robin", town.slack.home(ACCOUNTS["robin"]), "cs_revoke")
    text = await town.home("robin", "refused 3 of 3 probes")
    assert "No credential is alive." in text
    assert town.slack.dms(ACCOUNTS["robin"]) == []


async def test_who_may_not_revoke_reads_why_in_home(town: SlackTown):
    view = await town.ask()
    await town.click("alex", await town.card(view), "cs_approve")
    await town.card(view, "live")
    await opened(town, "bob", "Live (1)")
    await town.click("bob", town.slack.home(ACCOUNTS["bob"]), "cs_revoke")
    await town.home("bob", "Only reviewers may revoke")
    assert await town.refusals(view) == ["not_a_reviewer"]


async def test_refresh_shows_the_present_and_drops_the_note(town: SlackTown):
    await opened(town, "robin", NOTHING)
    view = await town.ask()
    await town.click("robin", town.slack.home(ACCOUNTS["robin"]), "cs_home_refresh")
    assert view.request.handle in await town.home("robin", "Waits for you (1)")


async def test_a_freeze_stands_on_top(town: SlackTown):
    await town.deps.stops.freeze(person("kim"), "strange traffic")
    await town.deps.policies.refresh()
    assert "strange traffic" in await opened(town, "robin", "Approvals are stopped.")


async def test_a_stranger_sees_why_and_no_list(town: SlackTown):
    view = await town.ask()
    text = await opened(town, GUEST, "Guests")
    assert view.request.handle not in text
    assert NOTHING not in text


async def test_without_the_store_no_list_is_shown_as_empty(town: SlackTown):
    await town.ask()
    await opened(town, "robin", "Waits for you (1)")
    town.door.shut("reads")
    await town.click("robin", town.slack.home(ACCOUNTS["robin"]), "cs_home_refresh")
    assert NOTHING not in await town.home("robin", "store does not answer")


@pytest.mark.parametrize("tab", ["messages", "home"])
async def test_only_the_home_tab_has_a_page(town: SlackTown, tab: str):
    assert (await town.slack.open_home(ACCOUNTS["robin"], tab=tab)).ok
    await town.slack.open_home(ACCOUNTS["alex"])
    await town.home("alex", NOTHING)
    if tab == "home":
        await town.home("robin", NOTHING)
    asked = [json.dumps(call.args) for call in town.slack.calls("views.publish")]
    assert any(ACCOUNTS["robin"] in one for one in asked) is (tab == "home")
