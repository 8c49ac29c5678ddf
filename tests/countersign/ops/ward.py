"""An installation beside the strict Slack workspace, for the doctor: healthy until a test changes something."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from countersign.ops import slacklook
from countersign.ops.findings import Finding
from countersign.ops.fittings import demo_file
from countersign.ops.manifest import manifest
from tests.worlds.slack import SlackWorld
from workers.config import load
from workers.policies import Policies, Rulebook, apply
from workers.stores.memory import memory_store

ACCOUNTS = {"dana": "U01", "robin": "U02", "alex": "U03", "kim": "U04", "bob": "U05"}
SRE = 'people = ["dana", "robin", "alex", "kim"]'
PEOPLE = "".join(
    f'[person.{name}]\nemail = "{name}@example.com"\nslack = "{account}"\n' for name, account in ACCOUNTS.items()
)
ROSTER = f"""{PEOPLE}
[group.sre]
{SRE}

[group.duty]
people = ["kim"]
oncall = true

[place.console]
groups = ["sre"]

[place.prod]
slack = "C01"
groups = ["sre"]
"""
"""Bob is in no group; whatever is asked, two of sre at most have to answer."""


@dataclass
class Ward:
    """A workspace and an installation, healthy until a test changes something."""

    slack: SlackWorld
    settings: dict[str, str]
    roster: str = ROSTER

    def edit(self, old: str, new: str) -> None:
        assert old in self.roster
        self.roster = self.roster.replace(old, new)

    async def book(self) -> Rulebook:
        store = memory_store()
        await apply(store.records, policy=demo_file("policy.toml"), roster=self.roster, by="ops", why="test")
        policies = Policies(store.records, store.signals)
        await policies.refresh()
        return policies.current

    async def examine(self) -> list[Finding]:
        environ = {"redis_url": "redis://127.0.0.1:1/0", **self.settings}
        loaded = load({f"COUNTERSIGN_{name.upper()}": text for name, text in environ.items()})
        return await slacklook.examine(loaded, await self.book())

    async def troubles(self) -> list[str]:
        return [str(one) for one in await self.examine() if one.verdict != "ok"]

    async def trouble(self) -> str:
        """Return the one line that is not well; it must say what to do."""
        [line] = await self.troubles()
        assert "; " in line, "it names no remedy"
        return line


def settings_for(slack: SlackWorld) -> dict[str, str]:
    return {"slack_bot_token": slack.bot_token, "slack_app_token": slack.app_token, "slack_api_url": slack.api_url}


@pytest.fixture
async def ward() -> AsyncIterator[Ward]:
    async with SlackWorld.open(manifest=manifest(None)) as slack:
        for name, account in ACCOUNTS.items():
            slack.add_user(account, name=name, email=f"{name}@example.com")
        slack.add_channel("C01", members=ACCOUNTS.values(), name="prod-approvals")
        yield Ward(slack, settings_for(slack))
