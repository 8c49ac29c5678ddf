"""Tags as facts of an ask: unknown before they are read, known after, and reviewed anew once they have changed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from approvers.gathering import NO_TAGS
from approvers.tagging import FRESH, TagSheet
from bot.tags import KEPT, Tags
from tests.bot.test_histories import reads
from tests.workers.test_tagging import Farm, tagged_rule
from tests.worlds import samples
from workers.policies import Rulebook
from workers.stores import layout

ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/countersign-tags"
ROSTER = samples.ROSTER_TEXT.replace(f'"{ACCOUNT}"\n', f'"{ACCOUNT}"\ntags = "{ROLE}"\n')
BUCKET = "arn:aws:s3:::reports"
REPORT = f"{BUCKET}/2026/week.csv"
OPEN = """
[rule.open-data]
effect = "allow"
until  = 2027-05-31
owner  = "sre"
note   = "Reading what is not personal data."
when   = { action = ["s3:GetObject"], tags_none = ["data=pii"] }
"""


class Office(Farm):
    """The demo's account with a role that reads its tags; one bucket of it, not tagged yet."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud.found = {ACCOUNT: {}}
        self.cloud.buckets = {"reports": "eu-west-1"}

    async def read(self, key: str = "k1", **access: object):
        resource = f"{BUCKET}/2026/{key}.csv"  # else a second ask folds into what waits
        asked = {"role": "analytics", "actions": ["s3:GetObject"], "resources": [resource], **access}
        return (await self.ask(key, resource=resource, access=asked, data_classes=None)).request

    async def later(self, **time: float) -> None:
        self.time += timedelta(**time)

    def book(self) -> Rulebook:
        return self.policies.current


@pytest.fixture
async def office() -> Office:
    office = Office()
    await office.start(policy=samples.POLICY_TEXT + tagged_rule() + OPEN, roster=ROSTER)
    return office


async def test_unknown_is_reviewed_then_allowed_once_read_and_reviewed_again_once_tagged(office: Office):
    before = await office.read(key="before")
    assert (before.state, before.facts.tags) == ("PENDING", (None,))
    assert [one.name for one in before.ruling.rules] == ["tagged"]
    assert await office.sweep() == "tags of 1 of 1 accounts read"
    await office.later(minutes=1)
    after = await office.read(key="after")
    assert (after.state, after.because, after.facts.tags) == ("APPROVED", "rule", ((),))
    office.cloud.found[ACCOUNT][BUCKET] = {"data": "pii", "team": "x"}
    await office.sweep()
    await office.later(minutes=1)
    tagged = await office.read(key="tagged")
    assert (tagged.state, tagged.facts.tags) == ("PENDING", (("data=pii",),))
    assert [one.name for one in tagged.ruling.rules] == ["tagged"]
    office.cloud.found[ACCOUNT][BUCKET] = {"data": "public"}
    await office.sweep()
    await office.later(minutes=1)
    assert (await office.read(key="untagged")).state == "APPROVED"


async def test_readings_that_stopped_make_it_unknown_again(office: Office):
    await office.sweep()
    await office.later(minutes=10)
    assert (await office.read(key="fresh")).state == "APPROVED"
    await office.later(seconds=6)
    old = await office.read(key="old")
    assert (old.state, old.facts.tags) == ("PENDING", (None,))
    assert timedelta(minutes=10) == FRESH


async def test_one_unknown_resource_of_several_is_enough_for_a_review(office: Office):
    await office.sweep()
    both = await office.read(resources=[f"{BUCKET}/2026/k1.csv", "arn:aws:s3:::somebody-elses/x"])
    assert (both.state, both.facts.tags) == ("PENDING", ((), None))


async def test_what_the_headline_names_counts_too(office: Office):
    await office.sweep()
    asked = {"role": "analytics", "actions": ["s3:GetObject"], "resources": [REPORT]}
    view = await office.ask(resource="reports:weekly", access=asked, data_classes=None)
    assert (view.request.state, view.request.facts.tags) == ("PENDING", (None, ()))


async def test_keys_that_were_not_read_are_not_known_until_they_are(office: Office):
    await office.sweep()
    assert (await office.read(key="k0")).facts.tags == ((),)
    more = OPEN.replace('"data=pii"', '"data=pii", "owner=*"')
    await office.start(policy=samples.POLICY_TEXT + tagged_rule() + more, roster=ROSTER)
    assert (await office.read()).facts.tags == (None,)
    await office.sweep()
    await office.later(seconds=6)
    assert (await office.read(key="k2")).facts.tags == ((),)


async def test_an_arn_of_an_account_without_a_role_or_of_nobody_is_not_known(office: Office):
    await office.sweep()
    tags = Tags(office.store.records)
    for arn in (f"arn:aws:sqs:eu-west-1:{role}:jobs" for role in ("123456789012", "999999999999")):
        assert await tags.of(office.book(), None, arn, office.time) == {}
    own = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:jobs"
    assert await tags.of(office.book(), None, own, office.time) == {own: ()}
    assert await tags.of(office.book(), None, REPORT, office.time) == {}, "a bucket without a plan is nobody's"


async def test_nothing_is_looked_up_where_no_rule_reads_tags(office: Office):
    await office.start(policy=samples.POLICY_TEXT, roster=ROSTER)
    seen = reads(office)
    assert await Tags(office.store.records).of(office.book(), None, REPORT, office.time) is NO_TAGS
    assert seen == []


async def test_what_was_read_is_kept_for_a_moment_and_looked_up_anew_after(office: Office):
    tags, own = Tags(office.store.records), f"arn:aws:sqs:eu-west-1:{ACCOUNT}:jobs"
    seen = reads(office)
    assert await tags.of(office.book(), None, own, office.time) == {}
    await office.sweep()
    seen.clear()
    assert await tags.of(office.book(), None, own, office.time) == {}
    assert seen == []
    assert await tags.of(office.book(), None, own, office.time + KEPT) == {own: ()}
    assert seen == [(layout.tags_key("prod-payments"),)]
    assert await tags.of(office.book(), None, own, office.time - KEPT) == {own: ()}, "a clock that went back reads anew"
    assert len(seen) == 2


async def test_a_record_of_another_version_is_not_known(office: Office):
    sheet = TagSheet(at=office.time, complete=True, keys=("data",), role=ROLE, regions=("eu-west-1",))
    key = layout.tags_key("prod-payments")
    text = sheet.model_dump_json().replace('"v":1', '"v":2')
    await office.store.records.commit(layout.commit(office.time, layout.put(key, 0, text)))
    own = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:jobs"
    assert await Tags(office.store.records).of(office.book(), None, own, office.time) == {}
    await office.sweep()
    assert await Tags(office.store.records).of(office.book(), None, own, office.time) == {own: ()}
