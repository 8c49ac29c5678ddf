"""REVOKED is written with proof and never before, at an AWS that enforces IAM: what a gate does to the Deny on its way.

The worker's own way through a grant's end is taken; time is the store's, and waiting moves it.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from approvers.grant import Grant
from tests.bot.test_desk import person
from tests.workers.test_leasing import Shop
from tests.worlds.aws_gate import Answer, AwsGate
from tests.worlds.gate import Call
from tests.worlds.ministack import Ministack
from workers.providers.aws import AwsProvider

PUT_DONE = Answer(200, b"<PutRolePolicyResponse><ResponseMetadata/></PutRolePolicyResponse>")
ROLE = "countersign-base-analytics"
LAG = timedelta(seconds=20)


class Late(Shop):
    """A shop at the local AWS behind a gate which sees to every Deny itself; waiting is what moves the time."""

    def __init__(self, aws: Ministack, gate: AwsGate) -> None:
        super().__init__()
        self.aws, self.gate = aws, gate
        self.on_time: Callable[[], None] = lambda: None
        self.time = datetime.now(UTC).replace(microsecond=0)  # AWS's clock is this machine's, and a mint looks at it
        provider = AwsProvider(aws.prepared.access(gate.url), now=lambda: self.time, sleep=self._sleep)
        self.tools = replace(self.tools, providers={"aws": provider})

    @property
    def secret(self) -> Any:
        """What the gate saw AWS issue first: a test asks AWS with it, as its caller would."""
        return self.gate.issued[0]

    def _sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.on_time()

    async def revoking(self) -> str:
        """A live grant that somebody has just revoked."""
        grant_id = await self.approved()
        assert await self.work() == ["MINTING → ACTIVE"]
        await self.custody.revoke(person("kim"), grant_id, "x")
        return grant_id

    async def until(self, grant_id: str, done: Callable[[Grant], bool], at_most: timedelta) -> Grant:
        """Work and let time pass, a half second at a time, until the grant is as asked."""
        until = self.time + at_most
        while not done(grant := await self.grant(grant_id)):
            assert self.time < until, f"{grant.state} after {at_most}: {grant.trouble}"
            await self.later(seconds=0.5)
            self.on_time()
        return grant


def put_in_its_place(gate: AwsGate, plant: Callable[[str, str], None]) -> None:
    """Answer each PutRolePolicy in AWS's place, and hand its name and text to `plant`."""

    def only(call: Call) -> bool:
        if call.name != "iam:PutRolePolicy":
            return False
        fields = parse_qs(call.request.decode())
        plant(fields["PolicyName"][0], fields["PolicyDocument"][0])
        return True

    gate.answer(None, PUT_DONE, only)


@pytest.fixture
def gate(aws: Ministack) -> Iterator[AwsGate]:
    with AwsGate(aws.endpoint) as gate:
        yield gate


@pytest.fixture
async def shop(aws: Ministack, gate: AwsGate) -> Late:
    shop = Late(aws, gate)
    await shop.start()
    yield shop
    for name in aws.root("iam").list_role_policies(RoleName=ROLE)["PolicyNames"]:
        aws.root("iam").delete_role_policy(RoleName=ROLE, PolicyName=name)


async def test_a_deny_that_takes_effect_20_s_late_is_proven_then_and_not_before(aws, gate, shop: Late):
    written: dict[str, str] = {}
    effect: list[datetime] = []
    put_in_its_place(gate, lambda name, text: written.setdefault(name, text))

    def deny_once_it_is_time() -> None:
        if written and not effect and shop.time >= asked_at + LAG:
            [(name, text)] = written.items()
            assert aws.read(shop.secret) == "allow"
            aws.root("iam").put_role_policy(RoleName=ROLE, PolicyName=name, PolicyDocument=text)
            effect.append(shop.time)

    shop.on_time = deny_once_it_is_time
    grant_id = await shop.revoking()
    asked_at = shop.time
    await shop.until(grant_id, lambda one: bool(effect) or one.state == "REVOKED", timedelta(seconds=25))
    assert effect, "it was called REVOKED while its credential worked"
    grant = await shop.until(grant_id, lambda one: one.state == "REVOKED", timedelta(seconds=10))
    assert aws.read(shop.secret) == "explicit_deny"
    assert grant.proof.kind == "probe_denied"
    assert grant.proof.at >= effect[0]
    assert float(grant.proof.seconds) == (grant.proof.at - asked_at).total_seconds() >= LAG.total_seconds()
    assert float(grant.proof.seconds) < LAG.total_seconds() + 5, "no needless delay"
    assert shop.pager.alerts == []
    revoked = [json.loads(one) for one in await shop.store.log.chain(grant.request_id)]
    assert [one["type"] for one in revoked].index("grant.revoked") == len(revoked) - 1


async def test_the_seconds_run_to_the_first_of_three_refusals_in_a_row(aws, gate, shop: Late):
    """A refusal that comes and goes, as IAM's eventual consistency can show one, does not count."""
    texts: dict[str, str] = {}
    put_in_its_place(gate, lambda name, text: texts.update({name: text}))
    iam, moments = aws.root("iam"), list[tuple[str, datetime]]()

    def come_and_go() -> None:
        for name, text in texts.items():
            step, now = len(moments), shop.time
            if step == 0:
                iam.put_role_policy(RoleName=ROLE, PolicyName=name, PolicyDocument=text)
            elif step == 2:
                iam.delete_role_policy(RoleName=ROLE, PolicyName=name)
            elif step == 4:
                iam.put_role_policy(RoleName=ROLE, PolicyName=name, PolicyDocument=text)
            moments.append((str(step), now))

    shop.on_time = come_and_go
    grant_id = await shop.revoking()
    asked_at = shop.time
    grant = await shop.until(grant_id, lambda one: one.state == "REVOKED", timedelta(seconds=30))
    assert grant.proof.refused >= 5
    assert grant.proof.at == moments[4][1]
    assert grant.proof.seconds == f"{(moments[4][1] - asked_at).total_seconds():.3f}"


async def test_a_wrong_condition_key_is_still_active_and_an_alert(aws, gate, shop: Late):
    def misspell(name: str, text: str) -> None:
        wrong = text.replace("PrincipalTag/grant-id", "PrincipalTag/grantid")
        assert wrong != text
        aws.root("iam").put_role_policy(RoleName=ROLE, PolicyName=name, PolicyDocument=wrong)

    put_in_its_place(gate, misspell)
    grant_id = await shop.revoking()
    grant = await shop.until(grant_id, lambda one: one.attempts == 3, timedelta(minutes=2))
    assert (grant.state, grant.proof) == ("REVOKING", None)
    assert grant.trouble == "a session of this grant is still allowed"
    assert aws.read(shop.secret) == "allow"
    assert [(one.key, one.severity) for one in shop.pager.alerts] == [(f"revoke_unproven:{grant_id}", "critical")]


async def test_a_deny_for_everybody_is_unknown_and_never_proof(aws, gate, shop: Late):
    def everybody(name: str, text: str) -> None:
        body = json.loads(text)
        del body["Statement"][0]["Condition"]
        aws.root("iam").put_role_policy(RoleName=ROLE, PolicyName=name, PolicyDocument=json.dumps(body))

    put_in_its_place(gate, everybody)
    grant_id = await shop.revoking()
    grant = await shop.until(grant_id, lambda one: one.attempts == 3, timedelta(minutes=2))
    assert (grant.state, grant.proof) == ("REVOKING", None)
    assert "another session was explicitly denied too, so the refusal proves nothing" in grant.trouble
    assert [one.key for one in shop.pager.alerts] == [f"revoke_unproven:{grant_id}"]


async def test_a_deny_that_is_lost_on_its_way_is_still_active(aws, gate, shop: Late):
    put_in_its_place(gate, lambda name, text: None)
    grant_id = await shop.revoking()
    grant = await shop.until(grant_id, lambda one: one.attempts == 1, timedelta(minutes=1))
    assert (grant.state, grant.trouble) == ("REVOKING", "a session of this grant is still allowed")
