"""What the doctor says of issuers and on-call schedules."""

from __future__ import annotations

import pytest

from approvers.roster import parse_roster
from countersign.ops.elsewhere import examine
from countersign.ops.seats import groups
from tests.worlds import samples
from tests.worlds.issuer import issuer_world
from tests.worlds.schedule import TOKEN, schedule_world
from tests.worlds.web import settings_for
from workers.policies import apply
from workers.stores.memory import memory_store


async def looked(roster: str, **settings: str) -> list[str]:
    store = memory_store()
    await apply(
        store.records, policy=samples.POLICY_TEXT, roster=samples.ROSTER_TEXT + roster, by="user:kim", why="test"
    )
    return [str(one) for one in await examine(settings_for(**settings), store)]


async def test_without_any_there_is_nothing_to_say():
    assert await looked("") == await examine(settings_for(), memory_store()) == []


@pytest.mark.parametrize(
    ("on_call", "says"),
    [
        (["user:kim", "robin@example.com"], "ok    schedule      db: on call are kim, robin"),
        (["user:kim", "x@else.example"], "warn  schedule      db: on call is kim, and 1 more whom countersign.toml"),
        (["x@else.example"], "fail  schedule      the on-call schedule db names nobody of countersign.toml"),
    ],
)
async def test_a_schedule_is_asked_who_is_on_call(on_call, says):
    async with schedule_world() as at:
        at.says = {"on_call": on_call}
        [line] = await looked(f'[schedule.db]\nurl = "{at.url}"\n', schedule_token=TOKEN)
    assert line.startswith(says)


async def test_a_schedule_that_wants_a_token_says_so():
    async with schedule_world() as at:
        [line] = await looked(f'[schedule.db]\nurl = "{at.url}"\n')
    assert "answered HTTP 401" in line


async def test_an_issuers_keys_are_read():
    async with issuer_world() as ci:
        text = f'[issuer.ci]\nurl = "{ci.url}"\naudience = "c"\n'
        assert await looked(text) == ["ok    issuer        ci publishes keys"]
        ci.metadata = {"jwks_uri": "https://keys.example.com/"}
        [line] = await looked(text)
        assert "jwks_uri is on another host" in line
        assert "write where its keys are" in line


def test_a_group_that_a_schedule_fills_is_not_counted_by_the_people_of_the_file():
    text = samples.ROSTER_TEXT + '[schedule.db]\nurl = "https://oncall.example.com/db"\n[group.db]\noncall = "db"\n'
    found = [str(one) for one in groups("Slack", parse_roster(text), {"db": 1}, frozenset({"kim"}))]
    assert "ok    slack seats   db (on call): whom the schedule db names; `countersign doctor` reads it" in found
    assert not [line for line in found if line.startswith("fail")]
