"""The surface `slack`: not among strangers, not faster than Slack takes it, and never without the buttons' truth."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from approvers.card import render
from bot.surfaces.port import MessageRef, OutcomeUnknown, Refused, Unreachable
from bot.surfaces.slack_api import SlackApi
from bot.surfaces.slack_channels import KEPT_SECONDS, Channels, Pace
from bot.surfaces.slack_surface import SlackSurface, plain_blocks
from tests.bot.slack.town import CHANNEL, rules
from tests.worlds import samples
from tests.worlds.slack import SlackWorld
from workers.policies import Policies, apply
from workers.stores.memory import memory_store


@dataclass
class Wall:
    """A channel, and our surface posting to it."""

    slack: SlackWorld
    surface: SlackSurface
    channels: Channels
    policies: Policies
    records: object
    seconds: float = 0.0

    async def roster(self, old: str, new: str) -> None:
        _, roster = rules()
        assert old in roster
        await apply(self.records, policy=None, roster=roster.replace(old, new), by="ops", why="test")  # type: ignore[arg-type]
        await self.policies.refresh()


@pytest.fixture
async def wall() -> AsyncIterator[Wall]:
    store = memory_store()
    policy, roster = rules()
    await apply(store.records, policy=policy, roster=roster, by="ops", why="test")
    policies = Policies(store.records, store.signals)
    await policies.refresh()
    async with SlackWorld.open() as slack:
        slack.add_user("U01", name="dana")
        slack.add_channel(CHANNEL, members=["U01"])
        api = SlackApi(slack.bot_token, slack.api_url)
        channels = Channels(api, clock=lambda: running.seconds)
        surface = SlackSurface(api, policies, channels, Pace(clock=lambda: running.seconds), "http://127.0.0.1:8080")
        running = Wall(slack, surface, channels, policies, store.records)
        yield running
        await api.aclose()


CARD = render(samples.request(), None)


async def test_a_card_is_posted_edited_and_commented(wall: Wall) -> None:
    ref = await wall.surface.post(CHANNEL, CARD)
    assert ref == MessageRef("slack", CHANNEL, wall.slack.messages(CHANNEL)[0].ts)
    ended = samples.request().model_copy(update={"state": "EXPIRED", "decided_at": samples.NOW})
    await wall.surface.update(ref, render(ended, None))
    (shown,) = wall.slack.messages(CHANNEL)
    assert "cs_approve" not in {button.action_id for button in shown.buttons()}
    await wall.surface.reply(ref, "denied by *robin* <!channel> &amp;")
    (line,) = wall.slack.replies(CHANNEL, ref.message)
    assert line.visible_text() == "denied by *robin* <!channel> &amp;"
    assert "<!channel>" not in line.text
    assert wall.surface.name == "slack"


@pytest.mark.parametrize("account", ["U01", "T01:U01"])
async def test_one_person_is_told_directly(wall: Wall, account: str) -> None:
    await wall.surface.tell(account, "psst")
    ref = await wall.surface.post(account, CARD)
    await wall.surface.update(ref, CARD)
    assert ref.channel.startswith("D")
    assert next(iter(wall.slack.dms("U01"))).visible_text() == "psst"
    assert wall.slack.calls("conversations.info") == []


class TestShared:
    """Cards do not go where people of other organisations read along, unless the place says so."""

    @pytest.mark.parametrize("flag", ["is_ext_shared", "is_pending_ext_shared"])
    async def test_a_channel_with_outsiders_is_refused(self, wall: Wall, flag: str) -> None:
        wall.slack.change_channel(CHANNEL, **{flag: True})
        with pytest.raises(Refused, match="shared = true"):
            await wall.surface.post(CHANNEL, CARD)
        assert wall.slack.messages(CHANNEL) == []
        await wall.roster(f'slack  = "{CHANNEL}"', f'slack  = "{CHANNEL}"\nshared = true')
        await wall.surface.post(CHANNEL, CARD)
        assert len(wall.slack.messages(CHANNEL)) == 1

    async def test_a_channel_of_the_whole_organisation_is_not_outside(self, wall: Wall) -> None:
        wall.slack.change_channel(CHANNEL, is_org_shared=True)
        await wall.surface.post(CHANNEL, CARD)

    async def test_it_is_asked_once_a_minute_and_after_a_change(self, wall: Wall) -> None:
        await wall.surface.post(CHANNEL, CARD)
        wall.slack.change_channel(CHANNEL, is_ext_shared=True)
        wall.seconds = KEPT_SECONDS - 0.1
        await wall.surface.post(CHANNEL, CARD)
        wall.channels.forget(CHANNEL)
        with pytest.raises(Refused):
            await wall.surface.post(CHANNEL, CARD)
        wall.slack.change_channel(CHANNEL, is_ext_shared=False)
        wall.seconds += KEPT_SECONDS
        await wall.surface.post(CHANNEL, CARD)

    async def test_what_cannot_be_asked_is_not_posted(self, wall: Wall) -> None:
        wall.slack.faults.status("conversations.info", 503)
        with pytest.raises(Unreachable):
            await wall.surface.post(CHANNEL, CARD)
        wall.slack.rescope("chat:write")
        with pytest.raises(Refused, match="missing_scope"):
            await wall.surface.post(CHANNEL, CARD)
        assert wall.slack.messages(CHANNEL) == []


class TestUndrawn:
    """What Slack will not draw is shown plainer, once; any other refusal stands."""

    async def test_a_card_comes_plainer(self, wall: Wall) -> None:
        wall.slack.faults.error("chat.postMessage", "invalid_blocks")
        ref = await wall.surface.post(CHANNEL, CARD)
        (shown,) = wall.slack.messages(CHANNEL)
        assert "rich_text" not in json.dumps(shown.blocks)
        assert {"cs_deny", "cs_details"} <= {button.action_id for button in shown.buttons()}
        assert "Rebuild the weekly report" in shown.visible_text()
        wall.slack.faults.error("chat.update", "invalid_blocks")
        await wall.surface.update(ref, CARD)
        assert len(wall.slack.messages(CHANNEL)) == 1

    async def test_twice_is_a_refusal_and_so_is_anything_else(self, wall: Wall) -> None:
        wall.slack.faults.error("chat.postMessage", "invalid_blocks", times=2)
        with pytest.raises(Refused):
            await wall.surface.post(CHANNEL, CARD)
        wall.slack.faults.error("chat.postMessage", "not_in_channel")
        with pytest.raises(Refused, match="not_in_channel"):
            await wall.surface.post(CHANNEL, CARD)
        assert len(wall.slack.calls("chat.postMessage")) == 3

    def test_every_kind_of_rich_text_has_a_plainer_form(self) -> None:
        said = {"type": "text", "text": "*a*"}
        lists = {"type": "rich_text_list", "elements": [{"type": "rich_text_section", "elements": [said, said]}]}
        block = {
            "type": "rich_text",
            "block_id": "b",
            "elements": [lists, {"type": "rich_text_quote", "elements": [said]}],
        }
        header = {"type": "header", "text": {"type": "plain_text", "text": "h"}}
        assert plain_blocks([header, block]) == [
            header,
            {"type": "section", "block_id": "b", "text": {"type": "plain_text", "text": "*a**a*\n*a*", "emoji": False}},
        ]


async def test_a_channel_is_not_posted_to_faster_than_slack_takes_it() -> None:
    seconds = [100.0]
    pace = Pace(clock=lambda: seconds[0])
    for _ in range(3):
        await pace.turn("C1")
    seconds[0] += 0.995
    await pace.turn("C1")  # waits the rest of its second
    with pytest.raises(Unreachable) as wait:
        await pace.turn("C1")
    assert wait.value.after_seconds == pytest.approx(1.005)
    await pace.turn("C2")
    seconds[0] += 10
    for _ in range(3):
        await pace.turn("C1")


async def test_after_an_unanswered_post_no_other_is_spent_on_a_slack_that_does_not_answer(wall: Wall) -> None:
    wall.slack.faults.drop_after("chat.postMessage", 1)
    with pytest.raises(OutcomeUnknown):
        await wall.surface.post(CHANNEL, CARD)
    wall.slack.faults.status("auth.test", 503, 1)
    with pytest.raises(Unreachable):
        await wall.surface.post(CHANNEL, CARD)
    assert len(wall.slack.messages(CHANNEL)) == 1
    await wall.surface.post(CHANNEL, CARD)
    assert len(wall.slack.messages(CHANNEL)) == 2
    await wall.surface.post(CHANNEL, CARD)
    assert len(wall.slack.calls("auth.test")) == 2  # asked only while in doubt
