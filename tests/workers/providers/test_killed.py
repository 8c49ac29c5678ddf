"""From a session's refused calls at the local AWS to its end by monitoring, with proof, and to the report."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from approvers.grant import GrantState
from tests.bot.test_desk import caller
from tests.workers.test_leasing import KEY
from tests.workers.test_watching import Street
from tests.worlds.ministack import REPORT, SECRET, Ministack
from workers.providers.aws_activity import AwsActivity, Turns
from workers.providers.port import Secret
from workers.vault import open_credential


class Town(Street):
    """A street with the local AWS at its end, by whose clock it lives."""

    def __init__(self, aws: Ministack) -> None:
        super().__init__()
        self.time = datetime.now(UTC)
        watched = AwsActivity(aws.prepared.access(aws.endpoint), turns=Turns(0.0))
        self.tools = replace(self.tools, providers={"aws": aws.provider()}, watched=watched)

    async def credential(self, grant_id: str) -> Secret:
        sealed = await self.custody.collect(caller(), grant_id)
        opened = open_credential(KEY, sealed.ciphertext, grant_id, sealed.grant.principal)
        keys = (opened["access_key_id"], opened["secret_access_key"], opened["session_token"])
        return Secret(*keys, expiration=sealed.grant.expiration)


@pytest.fixture
async def town(aws: Ministack) -> Town:
    town = Town(aws)
    await town.start()
    return town


async def test_a_session_that_tries_what_it_may_not_is_ended_and_the_end_is_proven(town: Town, aws: Ministack):
    grant_id = await town.live(undo="nothing to undo")
    secret = await town.credential(grant_id)
    assert aws.read(secret) == "allow"
    assert [aws.write(secret, SECRET) for _ in range(5)] == ["implicit_deny"] * 5
    words = await town.later(seconds=31)
    assert words[0].startswith("killed: 80 points: five or more calls were refused (60); ")
    assert words[-1] == "REVOKING → REVOKED"
    assert aws.read(secret) == "explicit_deny"
    grant = await town.grant(grant_id)
    assert (grant.ending.by, grant.proof.kind, grant.proof.refused) == ("monitoring", "probe_denied", 3)
    assert [alert.key for alert in town.pager.alerts] == [f"activity.killed:{grant_id}"]
    later = [word for _ in range(17) for word in await town.later(seconds=60)]
    assert later[-1] == "reported"
    report = (await town.grant(grant_id)).report
    assert report.startswith("Used 1 of 1 granted action: s3:GetObject once.")
    assert "Refused: 6 times (s3:GetObject; s3:PutObject)." in report
    assert f"Ask for less next time: s3:GetObject on arn:aws:s3:::{aws.prepared.bucket}/{REPORT}." in report
    told = json.dumps([one.summary for one in town.pager.alerts]) + report
    assert secret.secret_access_key not in told
    assert secret.session_token not in told


async def test_a_session_that_does_what_it_may_is_left_alone(town: Town, aws: Ministack):
    grant_id = await town.live()
    secret = await town.credential(grant_id)
    for _ in range(6):
        assert aws.read(secret) == "allow"
    assert (await town.later(seconds=31))[0].startswith("0 points, 6 calls")
    assert (await town.grant(grant_id)).state is GrantState.ACTIVE
