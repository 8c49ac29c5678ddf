"""Sessions of base roles that no grant explains: told once, with who and from where; what cannot be read is told."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from approvers.activity import Call
from approvers.grant import Plan
from countersign.ops.escaperoutes import NOBODY
from tests.bot.test_desk import person
from tests.workers.test_reconcile import ARN, Sweeper
from tests.worlds.ministack import Ministack, a_plan, aws, new_grant_id
from workers.clock.sessions import OVERLAP, sweep_sessions
from workers.providers import documents
from workers.providers.aws_activity import AwsActivity
from workers.providers.port import Events, ProviderError, Refused
from workers.stores import layout
from workers.stores.port import Commit

__all__ = ["aws"]


@dataclass
class Trail:
    """An account's log, as somebody else writes it."""

    region: str = "eu-west-1"
    calls: list[Call] = field(default_factory=list)
    broken: ProviderError | None = None
    whole: bool = True
    asked: list[tuple[datetime, Sequence[str]]] = field(default_factory=list)

    def events(self, plan: Plan, *, since: datetime, name: str = "", regions: Sequence[str] = (), **_: Any) -> Events:
        assert name == "AssumeRole"
        self.asked.append((since, regions))
        if self.broken:
            raise self.broken
        return Events([call for call in self.calls if call.at >= since], self.whole)

    def took(self, name: str, at: datetime, *, role: str = ARN, error: str = "") -> None:
        """Somebody took a role under this name."""
        number = f"event-{len(self.calls)}"
        self.calls.append(
            Call(
                id=number,
                at=at,
                action="sts:AssumeRole",
                known=True,
                write=True,
                lists=frozenset(),
                resources=(role,),
                region="us-east-1",
                address="203.0.113.9",
                error=error,
                opens=name,
            )
        )


class Town(Sweeper):
    def __init__(self) -> None:
        super().__init__()
        self.trail = Trail()
        self.tools = replace(self.tools, watched=self.trail)

    async def looked(self, **time: float) -> str:
        self.time += timedelta(**time)
        await self.store.records.commit(Commit(at=self.time, due={layout.SESSION_SWEEP: self.time}))
        items = (await self.store.due.claim("worker", most=99, lease=self.tools.lease)).items
        [attempt] = [one for one in items if one.member == layout.SESSION_SWEEP]
        return await sweep_sessions(self.tools, attempt)


@pytest.fixture
async def town() -> Town:
    town = Town()
    await town.start()
    await town.looked()
    return town


async def test_sessions_of_ours_are_explained(town: Town):
    live, ended = await town.live(), await town.revoked(key="k2", ttl_seconds=60)
    for name in (
        documents.session_name(live),
        documents.probe_name(ended),
        documents.session_name(ended),
        documents.control_name("control-0a1b2c"),
    ):
        town.trail.took(name, town.time)
    assert await town.looked(minutes=5) == "0 sessions that no grant explains"
    assert town.pager.alerts == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("grant-grt_01M7W6C380JK1R92K3DWSC5BTZ", "no such grant is known"),
        ("grant-probe-grt_01M7W6C380JK1R92K3DWSC5BTZ", "no such grant is known"),
        ("somebody", "no session of ours has such a name"),
        ("grant-x", "no session of ours has such a name"),
        ("", "no session of ours has such a name"),
    ],
    ids=["no-grant", "no-grant-probed", "other", "short", "none"],
)
async def test_a_stranger_is_told_once_with_who_and_from_where(town: Town, name: str, said: str):
    town.trail.took(name, town.time)
    assert await town.looked(minutes=5) == "1 sessions that no grant explains"
    [alert] = town.pager.alerts
    assert (alert.key, alert.severity) == (f"unknown_session:{name or 'event-0'}", "critical")
    assert said in alert.summary
    assert "203.0.113.9" in alert.summary
    assert ARN in alert.summary
    for _ in range(4):
        assert await town.looked(minutes=5) == "0 sessions that no grant explains"
    assert len(town.pager.alerts) == 1


async def test_one_named_after_a_grant_that_was_never_claimed_is_a_stranger(town: Town):
    grant_id = await town.approved()
    town.trail.took(documents.session_name(grant_id), town.time)
    await town.looked(minutes=5)
    assert [alert.key for alert in town.pager.alerts] == [f"unknown_session:grant-{grant_id}"]


@pytest.mark.parametrize("named", [documents.session_name, documents.probe_name], ids=["session", "probe"])
async def test_a_grants_name_explains_nothing_once_its_mint_or_its_proof_is_long_over(town: Town, named):
    """Whoever has the minter's keys can take a base role under the name, and the tag, of a grant that was."""
    ended = await town.revoked()
    town.trail.took(named(ended), town.time + timedelta(minutes=19))
    assert await town.looked(minutes=20) == "0 sessions that no grant explains"
    town.trail.took(named(ended), town.time + timedelta(minutes=2))
    assert await town.looked(minutes=5) == "1 sessions that no grant explains"
    [alert] = town.pager.alerts
    assert (alert.key, alert.severity) == (f"unknown_session:{named(ended)}", "critical")
    assert "had been over since" in alert.summary


async def test_a_proof_may_be_asked_for_as_long_as_it_takes(town: Town):
    town.cloud.deny_nobody = True
    grant_id = await town.live()
    await town.custody.revoke(person("kim"), grant_id, "x")
    await town.work()
    town.trail.took(documents.probe_name(grant_id), town.time + timedelta(hours=5))
    town.time += timedelta(hours=5)
    assert await town.looked(minutes=5) == "0 sessions that no grant explains"


async def test_without_somebody_to_read_the_log_nothing_is_forgotten(town: Town):
    town.trail.took("somebody", town.time)
    able, town.tools = town.tools, replace(town.tools, watched=None)
    assert await town.looked(minutes=30) == "nothing to look with"
    town.tools = able
    assert await town.looked(minutes=5) == "1 sessions that no grant explains"


@pytest.mark.parametrize("name", ["grant-grt_00DOCTOR0123456789ABCDEF01", NOBODY, f"grant-{NOBODY}"])
async def test_the_doctors_sessions_are_told_and_wake_nobody(town: Town, name: str):
    town.trail.took(name, town.time)
    await town.looked(minutes=5)
    assert [alert.severity for alert in town.pager.alerts] == ["info"]


async def test_what_was_refused_or_is_of_another_role_is_no_session_of_ours(town: Town):
    town.trail.took("somebody", town.time, error="AccessDenied")
    town.trail.took("somebody", town.time, role="arn:aws:iam::000000000000:role/other")
    assert await town.looked(minutes=5) == "0 sessions that no grant explains"


async def test_what_was_before_the_first_look_is_not_looked_for(town: Town):
    """A new store knows nothing of what an older one issued."""
    town.trail.took("somebody", town.time - timedelta(seconds=1))
    await town.looked(minutes=5)
    assert town.pager.alerts == []


async def test_what_is_late_in_the_log_is_still_found(town: Town):
    await town.looked(minutes=60)
    late = town.time - timedelta(minutes=15)
    await town.looked(minutes=5)
    town.trail.took("somebody", late)
    assert await town.looked(minutes=1) == "1 sessions that no grant explains"


async def test_what_cannot_be_read_is_told_until_it_can_and_is_read_then(town: Town):
    town.trail.broken = Refused("AWS said AccessDenied: no")
    for _ in range(12):
        await town.looked(minutes=5)
    assert town.standing == {"sessions_unread:000000000000"}
    town.trail.took("somebody", town.time - timedelta(minutes=50))
    town.trail.broken = None
    assert await town.looked(minutes=5) == "1 sessions that no grant explains"
    assert town.standing == {"unknown_session:somebody"}
    assert town.trail.asked[-1][0] < town.time - OVERLAP


async def test_too_much_to_read_is_told(town: Town):
    town.trail.whole = False
    await town.looked(minutes=5)
    assert town.standing == {"sessions_unread:000000000000"}
    town.trail.whole = True
    await town.looked(minutes=5)
    assert town.standing == set()


async def test_at_an_aws_that_records(aws: Ministack):
    """Whoever holds the minter's keys can take a base role; the grant of it is missing."""
    town = Town()
    town.time = datetime.now(UTC) - timedelta(seconds=1)
    await town.start()
    town.tools = replace(town.tools, watched=AwsActivity(aws.prepared.access(aws.endpoint)))
    await town.looked()
    stranger = new_grant_id()
    aws.provider().mint(stranger, a_plan())
    await town.looked(minutes=5)
    assert f"unknown_session:grant-{stranger}" in town.standing
