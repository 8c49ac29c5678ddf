"""The reading of tags over the in-memory store: who is asked for what, what is kept, and what on-call hears."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from approvers.tagging import TagSheet
from tests.bot.test_desk import World
from tests.worlds import samples
from tests.worlds.tagged import REGION, TaggedCloud
from workers.alerts import Alert
from workers.clock.due import Clock
from workers.config import load
from workers.jobs import SWEEPS
from workers.providers.port import NotSent, Refused
from workers.stores import layout
from workers.stores.port import Commit, lane_of
from workers.tagging import KEY, MOST, sweep_tags
from workers.tools import Tools
from workers.wiring import tagged

PROD, DEV = "123456789012", "210987654321"
ROLES = {one: f"arn:aws:iam::{one}:role/countersign-tags" for one in (PROD, DEV)}
BUCKET = "arn:aws:s3:::customer-exports"
ROSTER = (
    samples.ROSTER_TEXT
    + "".join(
        f'\n[account.{name}]\nid = "{one}"\nenvironment = "prod"\ntags = "{ROLES[one]}"\n'
        for name, one in (("shop", PROD), ("lab", DEV))
    )
    + '\n[account.bare]\nid = "333333333333"\nenvironment = "prod"\n'
)


def tagged_rule(condition: str = 'tags_any = ["data=pii"]') -> str:
    return f'\n[rule.tagged]\neffect = "review"\nowner = "sre"\nnote = "Tagged."\nwhen = {{ {condition} }}\n'


class Pager:
    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    async def send(self, alert: Alert) -> None:
        self.alerts.append(alert)

    def told(self) -> list[tuple[str, bool]]:
        told = [(one.key, one.cleared) for one in self.alerts]
        self.alerts.clear()
        return told


class Farm(World):
    """The desk's world with a worker that reads tags."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud, self.pager = TaggedCloud(buckets={"customer-exports": REGION}), Pager()
        self.cloud.found[PROD] = {BUCKET: {"data": "pii", "team": "x"}, "arn:aws:s3:::other": {"team": "y"}}
        self.tools = Tools(
            self.store, self.policies, {}, lambda *_: b"", self.pager, timedelta(seconds=20), tagged=self.cloud
        )

    async def sweep(self, tools: Tools | None = None) -> str:
        await self.store.records.commit(Commit(at=self.time, due={layout.TAG_SWEEP: self.time}))
        items = (await self.store.due.claim("worker", most=99, lease=self.tools.lease)).items
        return await sweep_tags(tools or self.tools, next(one for one in items if one.member == layout.TAG_SWEEP))

    async def sheet(self, account: str = "shop") -> TagSheet | None:
        key = layout.tags_key(account)
        record = (await self.store.records.read([key])).records[key]
        return TagSheet.model_validate_json(record.json) if record.version else None


@pytest.fixture
async def farm() -> Farm:
    farm = Farm()
    await farm.start(policy=samples.POLICY_TEXT + tagged_rule(), roster=ROSTER)
    return farm


async def test_each_account_with_a_role_is_read_for_the_keys_of_the_policy_and_again_in_a_minute(farm: Farm):
    assert await farm.sweep() == "tags of 2 of 2 accounts read"
    assert sorted(farm.cloud.asked) == sorted((role, ("data",)) for role in ROLES.values())
    sheet = await farm.sheet()
    assert sheet == TagSheet(
        at=farm.time,
        complete=True,
        keys=("data",),
        role=ROLES[PROD],
        regions=(REGION,),
        buckets={"customer-exports": REGION},
        resources={BUCKET: ("data=pii",)},
    )
    assert await farm.sheet("bare") is None
    claim = farm.store.due.claim
    assert not (await claim("worker", most=9, lease=farm.tools.lease)).items
    farm.time += timedelta(minutes=1)
    assert [one.member for one in (await claim("worker", most=9, lease=farm.tools.lease)).items] == [layout.TAG_SWEEP]
    assert farm.pager.told() == []


async def test_nothing_is_asked_where_no_rule_reads_tags_or_the_worker_has_no_rights(farm: Farm):
    assert await farm.sweep(replace(farm.tools, tagged=None)) == "tags of 0 of 0 accounts read"
    await farm.start(roster=ROSTER)
    assert await farm.sweep() == "tags of 0 of 0 accounts read"
    assert farm.cloud.asked == []


async def test_before_the_first_apply_it_is_only_due_again():
    farm = Farm()
    assert await farm.sweep() == "tags of 0 of 0 accounts read"


async def test_a_wildcard_in_a_key_reads_every_tag():
    farm = Farm()
    await farm.start(policy=samples.POLICY_TEXT + tagged_rule('tags_any = ["te*=x"]'), roster=ROSTER)
    await farm.sweep()
    assert farm.cloud.asked[0][1] == ()
    sheet = await farm.sheet()
    assert sheet.keys == ("*",)
    assert sheet.resources == {BUCKET: ("data=pii", "team=x"), "arn:aws:s3:::other": ("team=y",)}


@pytest.mark.parametrize("error", [NotSent("AWS said Throttling"), Refused("AWS said AccessDenied"), KeyError("odd")])
async def test_one_broken_account_holds_up_no_other_and_is_told_after_three_tries(farm: Farm, error: Exception):
    await farm.sweep()
    first = await farm.sheet("lab")
    farm.cloud.broken[DEV] = error
    for tries in (1, 2):
        farm.time += timedelta(minutes=1)
        assert await farm.sweep() == "tags of 1 of 2 accounts read"
        assert farm.pager.told() == []
        now = await farm.sheet("lab")
        assert (now.tries, now.at, now.resources, now.complete) == (tries, first.at, first.resources, True)
    assert (await farm.sheet()).at == farm.time
    await farm.sweep()
    [alert] = farm.pager.alerts
    assert (alert.key, alert.cleared) == (f"{KEY}:lab", False)
    assert "could not be read 3 times" in alert.summary
    del farm.cloud.broken[DEV]
    farm.pager.alerts.clear()
    await farm.sweep()
    assert farm.pager.told() == [(f"{KEY}:lab", True)]
    assert (await farm.sheet("lab")).tries == 0
    await farm.sweep()
    assert farm.pager.told() == []
    assert (await farm.store.signals.counts())[f"alerts:{KEY}"] == 1


async def test_an_account_that_answers_too_slowly_counts_as_not_read(farm: Farm):
    farm.cloud.held = threading.Event()
    try:
        assert await farm.sweep(replace(farm.tools, lease=timedelta(seconds=0.1))) == "tags of 0 of 2 accounts read"
    finally:
        farm.cloud.held.set()
    assert (await farm.sheet()).why == "AWS answers too slowly"


async def test_an_account_with_too_many_tagged_resources_is_not_known_and_told_at_once(farm: Farm):
    farm.cloud.found[PROD] = {f"arn:aws:s3:::b{number}": {"data": "pii"} for number in range(MOST + 1)}
    await farm.sweep()
    assert farm.pager.told() == [(f"{KEY}:shop", False)]
    sheet = await farm.sheet()
    assert (sheet.complete, sheet.resources, sheet.tries) == (False, {}, 0)
    farm.cloud.found[PROD] = {}
    await farm.sweep()
    assert farm.pager.told() == [(f"{KEY}:shop", True)]


async def test_what_another_role_read_is_not_kept(farm: Farm):
    await farm.sweep()
    other = ROLES[PROD].replace("countersign-tags", "other")
    await farm.start(policy=samples.POLICY_TEXT + tagged_rule(), roster=ROSTER.replace(ROLES[PROD], other))
    farm.cloud.broken[PROD] = Refused("not yours")
    await farm.sweep()
    sheet = await farm.sheet()
    assert (sheet.role, sheet.at, sheet.resources, sheet.tries) == (other, None, {}, 1)


async def test_a_sweep_that_was_overtaken_writes_nothing(farm: Farm):
    """What a slow sweep has read is older than what stands there by then."""
    farm.cloud.held = threading.Event()
    farm.cloud.broken[PROD] = Refused("later")
    slow = asyncio.create_task(farm.sweep())
    while len(farm.cloud.asked) < 2:  # noqa: ASYNC110 asked in a thread of its own
        await asyncio.sleep(0.001)
    newer = TagSheet(at=farm.time, complete=True, keys=("data",), role=ROLES[PROD])
    await farm.store.records.commit(
        layout.commit(farm.time, layout.put(layout.tags_key("shop"), 0, newer.model_dump_json()))
    )
    farm.cloud.held.set()
    assert await slow == "tags of 1 of 2 accounts read"
    assert await farm.sheet() == newer


async def test_the_clock_makes_it_due_for_a_worker(farm: Farm):
    await Clock(farm.store, None, farm.tools.lease, farm.pager)._start_sweeping()
    items = (await farm.store.due.claim("worker", most=9, lease=farm.tools.lease)).items
    assert {one.member for one in items} == SWEEPS.keys() == {layout.SWEEP, layout.TAG_SWEEP, layout.SESSION_SWEEP}
    assert SWEEPS[layout.TAG_SWEEP] is sweep_tags
    assert lane_of(layout.TAG_SWEEP) == "worker"


def test_a_dry_run_has_no_right_to_read_tags() -> None:
    settings = load({"COUNTERSIGN_REDIS_URL": "redis://localhost"})
    assert tagged(settings.model_copy(update={"providers": ("dry_run",)})) is None
    assert tagged(settings.model_copy(update={"providers": ("aws", "dry_run")})) is not None
