"""Five hundred asks through the API, people's answers included, then tried under other policies.

What must differ is worked out from how the asks were made, not by asking the rules again.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from approvers.request import Request
from countersign.ops.simreport import Told
from countersign.ops.simulate import Wanted, over_store
from tests.approvers.rules_world import edited
from tests.worlds.samples import ROSTER_TEXT
from tests.worlds.web import Web
from workers.policies import apply
from workers.stores import layout
from workers.stores.memory import MemoryStore, memory_store
from workers.stores.port import Store

ASKS = 500
BEGAN = datetime(2026, 8, 3, 6, 0, tzinfo=UTC)
BUCKET = "arn:aws:s3:::customer-exports"
POLICY = """
version = 1
default = "review"
default_quorum = "one"
timezone = "Europe/Berlin"
environments = ["dev", "staging", "prod"]
[quorum.one]
seats = { sre = 1 }
ladder = "work"
[quorum.two]
seats = { sre = 2 }
ladder = "work"
[ladder.work]
expires_after = "30m"
levels = [{ after = "0m", ask = ["group:sre"] }]
[limits]
ttl_max = { default = "2h", prod = "1h" }
[rule.allow-lists]
effect = "allow"
until = 2027-05-31
owner = "sre"
note = "Listing exports for a while."
when = { action = ["s3:ListBucket"], account = ["prod-payments"], ttl_at_most = "15m" }
[rule.deny-deletes]
effect = "deny"
owner = "sre"
note = "Nobody deletes exports."
when = { action = ["s3:DeleteObject"] }
[rule.review-long]
effect = "review"
quorum = "two"
owner = "sre"
note = "For long."
when = { ttl_over = "40m" }
[rule.review-night]
effect = "review"
quorum = "two"
owner = "sre"
note = "At night."
when = { outside_hours = "07:00-20:00" }
[rule.review-pii]
effect = "review"
quorum = "one"
owner = "sre"
note = "Personal data."
when = { data_class = ["pii"] }
"""


@dataclass
class Made:
    """How one ask was made, and what people did with it."""

    action: str
    pii: bool
    ttl: int
    at: datetime
    id: str = ""
    denied_by: str | None = None

    @property
    def night(self) -> bool:
        """Tell whether it was outside 07:00–20:00 in Berlin, which is two hours ahead of UTC in August."""
        return not 5 <= self.at.hour < 18

    @property
    def plain_list(self) -> bool:
        return self.action == "s3:ListBucket" and not self.pii and not self.night


def made() -> Iterator[Made]:
    """Yield how each ask is made, spread over some eight days."""
    chance, at = random.Random(11), BEGAN
    for _ in range(ASKS):
        at += timedelta(minutes=chance.randrange(1, 45))
        action = chance.choice(["s3:ListBucket", "s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"])
        yield Made(action, chance.random() < 0.2, chance.choice([600, 900, 1200, 1800, 2400, 3000, 3600]), at)


class Town:
    """A web process over a store whose time is set by hand, and what was asked there."""

    def __init__(self) -> None:
        self.time = BEGAN
        self.store: Store = memory_store(lambda: self.time)
        self.asks = list(made())

    @classmethod
    @asynccontextmanager
    async def with_history(cls) -> AsyncIterator[Town]:
        town = cls()
        await apply(town.store.records, policy=POLICY, roster=ROSTER_TEXT, by="user:kim", why="the first")
        async with Web.over(town.store, policy="") as web:
            for number, one in enumerate(town.asks):
                town.time = one.at
                await town.ask(web, number, one)
            yield town

    async def ask(self, web: Web, number: int, one: Made) -> None:
        access = {"role": "analytics", "actions": [one.action], "resources": [f"{BUCKET}/2026/*"]}
        body = {"action": one.action, "resource": f"{BUCKET}/2026/*", "ttl_seconds": one.ttl, "access": access}
        more = {"data_classes": ["pii"] if one.pii else None, "parameters": {"n": number}}
        got = await web.ask(f"k{number}", **body, **more)
        assert got.status in (200, 202), got.body
        one.id = got.json["id"]
        if got.json["state"] != "PENDING" or number % 23 == 0:
            return
        if number % 7 == 3:
            one.denied_by = ("user:alex", "user:robin")[number % 2]
            await web.review(one.id, one.denied_by[5:], "deny", reason=f"not {one.action}")
            return
        for name in ("robin", "alex")[: got.json["waiting_for"]["sre"]]:
            assert (await web.review(one.id, name)).status == 200

    async def simulate(self, folder: Path, text: str, against: str = "recorded") -> Told:
        path = folder / "new.toml"
        path.write_text(text)
        return await over_store(Wanted(path, None, "400d", None, against, None), self.store)

    async def denied_in_store(self, ids: set[str]) -> dict[str, str]:
        """Return who denied which of these requests, by the reviews in their records."""
        seen = await self.store.records.read([layout.request_key(one) for one in ids])
        requests = [Request.model_validate_json(record.json) for record in seen.records.values()]
        return {one.id: review.reviewer for one in requests for review in one.reviews if review.verdict == "deny"}


def moved(told: Told) -> dict[str, set[str]]:
    """Return the listed ids by change."""
    return {group.change.name: {row.id for row in group.listed} for group in told.report.groups}


async def test_the_same_policy_differs_in_nothing_and_a_moved_threshold_in_exactly_these(tmp_path: Path):
    async with Town.with_history() as town:
        await the_present_changes(town)
        for against in ("recorded", "in-force"):
            same = await town.simulate(tmp_path, POLICY, against)
            assert (same.report.replayed, same.report.same, same.report.groups) == (ASKS, ASKS, ())
        denied = {one.id: one.denied_by for one in town.asks if one.denied_by}
        assert same.report.denied == len(denied) > 30

        longer = await town.simulate(tmp_path, edited(POLICY, 'ttl_at_most = "15m"', 'ttl_at_most = "35m"'))
        wanted = {one.id for one in town.asks if one.plain_list and 900 < one.ttl <= 2100}
        assert moved(longer) == {"review→allow": wanted}
        (group,) = longer.report.groups
        stored = await town.denied_in_store(wanted)
        assert stored
        assert {row.id: row.denied_by for row in group.people_denied} == stored
        assert stored == {name: who for name, who in denied.items() if name in wanted}
        assert longer.report.unasked == (len(wanted), len(stored))
        assert [row.denied_by is not None for row in group.listed] == [True] * len(stored) + [False] * (
            len(wanted) - len(stored)
        )
        assert all(row.handle for row in group.listed)
        assert all("allow-lists" in row.why for row in group.listed)

        sooner = await town.simulate(tmp_path, edited(POLICY, 'ttl_over = "40m"', 'ttl_over = "25m"'))
        wanted = {one.id for one in town.asks if 1500 < one.ttl <= 2400 and not one.night}
        wanted -= {one.id for one in town.asks if one.action == "s3:DeleteObject"}
        assert moved(sooner) == {"more seats": wanted}
        assert sooner.report.looser == 0

        tighter = await town.simulate(tmp_path, edited(POLICY, 'prod = "1h"', 'prod = "50m"'))
        found = {one.action == "s3:DeleteObject": set[str]() for one in town.asks}
        for one in town.asks:
            if one.ttl > 3000:
                found[one.action == "s3:DeleteObject"].add(one.id)
        assert moved(tighter) == {"deny→refused": found[True], "review→refused": found[False]}


async def the_present_changes(town: Town) -> None:
    """Let half a year pass, give the account and the groups to others, and forget what was counted."""
    town.time += timedelta(days=180)
    roster = edited(ROSTER_TEXT, '0"\nenvironment = "prod"', '0"\nenvironment = "dev"')
    roster = edited(roster, 'people = ["dana", "robin", "alex", "kim"]', 'people = ["alex", "kim"]')
    await apply(town.store.records, policy=None, roster=roster, by="user:kim", why="everything is new")
    memory = town.store.records
    assert isinstance(memory, MemoryStore)
    for key in [key for key in memory._state.records if key.startswith("history:")]:
        del memory._state.records[key]
