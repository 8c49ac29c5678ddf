"""Tell every story on every surface. A new surface is one line in `SURFACES`."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from tests.bot.surfaces.console_world import open_console
from tests.bot.surfaces.driver import World
from tests.bot.surfaces.scenarios import SCENARIOS
from tests.bot.surfaces.slack_world import open_slack
from tests.bot.surfaces.teams_world import open_teams

SURFACES: dict[str, Callable[[], AbstractAsyncContextManager[World]]] = {
    "slack": open_slack,
    "teams": open_teams,
    "console": open_console,
}


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_story(scenario: str, surface: str):
    async with SURFACES[surface]() as world:
        await SCENARIOS[scenario](world)
