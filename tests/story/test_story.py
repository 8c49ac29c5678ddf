"""The main job as one story between real processes: asked, answered, minted, used, refused, ended, proven, recorded."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from approvers.audit import check_chain
from approvers.records_parts import VERSIONS
from tests.recorded import complaints, secrets_in
from tests.story.town import Refused, Town, grant_of, town
from workers.providers.port import Secret


def tell(of: Town) -> None:
    """Live one request through; any line that is not as told raises."""
    asked = of.ask()
    request = asked["id"]
    assert (asked["state"], asked["human_decision"], asked["waiting_for"]) == ("PENDING", False, {"sre": 1})
    with pytest.raises(Refused, match="You are the human behind this agent"):
        of.review("dana", request)
    assert of.review("robin", request)["state"] == "APPROVED"
    with pytest.raises(Refused, match="APPROVED by user:robin"):
        of.review("alex", request)
    settled = of.call("report-bot", "GET", f"/v1/requests/{request}?wait=20")
    assert settled["grant"]["state"] == "ACTIVE"
    secret = collect(of, request)
    assert of.aws.read(secret, "2026/report.csv") == "allow"
    assert of.aws.read(secret, "other/secret.csv") == "implicit_deny"
    assert of.aws.write(secret, "2026/report.csv") == "implicit_deny"
    of.revoke(request)
    ended = of.wait_grant(request, "REVOKED")
    assert (ended["proof"]["kind"], ended["proof"]["refused"], ended["proof"]["asked"]) == ("probe_denied", 3, 3)
    assert of.aws.read(secret, "2026/report.csv") == "explicit_deny"
    with pytest.raises(Refused, match="has ended"):
        collect(of, request)
    told = of.call("report-bot", "GET", f"/v1/audit/{request}")
    assert sorted(record["type"] for record in told["records"]) == sorted(STORY)


STORY = [
    "request.submitted", "review.refused", "review.recorded", "request.approved", "grant.opened", "review.refused",
    "grant.claimed", "grant.minted", "credential.collected", "grant.revoke_requested", "grant.revoked",
]  # fmt: skip


def collect(of: Town, request: str) -> Secret:
    got = of.call("report-bot", "POST", f"/v1/grants/{grant_of(request)}/credential")
    moment = datetime.fromisoformat(got["expiration"])
    return Secret(got["access_key_id"], got["secret_access_key"], got["session_token"], moment)


@pytest.mark.timeout(120)
def test_the_story(tmp_path: Path):
    with town(tmp_path) as of:
        tell(of)
        check_every_chain(of)
        assert of.web.stop() == 0
        assert of.worker.stop() == 0
        assert of.clock.stop() == 0


def check_every_chain(of: Town) -> None:
    with of.valkey.client() as client:
        keys = [key.decode() if isinstance(key, bytes) else key for key in client.scan_iter("{cs}:audit:*")]
        assert len(keys) >= 2
        for key in keys:
            subject = key.removeprefix("{cs}:audit:")
            bodies = [body if isinstance(body, bytes) else body.encode() for body in client.lrange(key, 0, -1)]
            check_chain(subject, bodies)
            assert {json.loads(body)["v"] for body in bodies} == {VERSIONS[-1]}
            assert complaints({subject: bodies}) == []
            assert secrets_in({subject: bodies}) == []


@pytest.mark.timeout(120)
def test_without_iam_enforcement_the_story_is_not_as_told(tmp_path: Path):
    """An AWS that allows everything must turn the story red, or its green would prove nothing."""
    with town(tmp_path, enforce_iam=False) as of, pytest.raises(AssertionError, match="allow"):
        tell(of)
