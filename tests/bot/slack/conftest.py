"""Give these tests a town: the web process with Slack over HTTP, beside a strict Slack world."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.bot.slack.town import SlackTown, open_town


@pytest.fixture
async def town() -> AsyncIterator[SlackTown]:
    async with open_town() as opened:
        yield opened
