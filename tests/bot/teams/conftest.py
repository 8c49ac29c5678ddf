"""Give these tests a town: the web process with Teams over HTTP, beside a strict Teams world."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.bot.teams.town import TeamsTown, open_town


@pytest.fixture
async def town() -> AsyncIterator[TeamsTown]:
    async with open_town() as opened:
        yield opened
