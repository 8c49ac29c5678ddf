"""Teams away for long, or overwhelmed: nothing is lost, what waits comes once and in order, and never too fast."""

from __future__ import annotations

import json
from datetime import timedelta

from tests.bot.teams.town import CHANNEL, TeamsTown, open_town, rules

ALL_CARDS = {"cards_per_minute": "1000"}
"""No list stands in for them, however many come at once."""
ASKS = 6


async def arrived(town: TeamsTown, asked: list[str]) -> list[str]:
    """Return the requests of the channel's cards in the order of the cards, once there are as many as asks."""

    def look() -> list[str] | None:
        shown = [json.dumps(one.card) for one in town.teams.messages(CHANNEL) if one.ours and one.card]
        found = [request for card in shown for request in asked if request in card]
        return found if len(found) >= len(asked) else None

    found = await town.teams.until(look, 40, f"{len(asked)} cards")
    assert found is not None
    return found


async def test_after_an_hour_away_every_card_comes_once_in_order_at_teams_rate() -> None:
    async with open_town(**ALL_CARDS) as town:
        policy, _ = rules()
        assert 'expires_after = "30m"' in policy
        await town.apply(policy=policy.replace('expires_after = "30m"', 'expires_after = "3h"'))
        town.teams.faults.down()
        asked = [(await town.ask()).request.id for _ in range(ASKS)]
        await town.teams.until(lambda: len(town.teams.log) > 0, 8, "a try")
        town.ahead += timedelta(hours=1)
        assert not [one for one in town.teams.messages(CHANNEL) if one.card]
        town.teams.faults.up()
        assert await arrived(town, asked) == asked
        assert town.teams.violations == []


async def test_a_storm_of_429_costs_time_and_no_card() -> None:
    async with open_town(**ALL_CARDS) as town:
        town.teams.faults.status("post", 429, retry_after=1, times=2)
        town.teams.faults.status("post", 412, times=1)
        town.teams.faults.status("post", 429, times=1)
        asked = [(await town.ask()).request.id for _ in range(3)]
        assert await arrived(town, asked) == asked
        assert town.teams.violations == []
