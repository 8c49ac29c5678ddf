"""Redis away and back, AWS throttled, slow and down: told as "we could not", retried, and the grant stays truthful."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.story.town import Refused, Town, grant_of, town
from tests.worlds.aws_gate import SERVER_ERROR, THROTTLED


@pytest.fixture(scope="module")
def of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("town"), log_level="warning") as built:
        yield built


@pytest.fixture(autouse=True)
def calm(of: Town) -> Iterator[None]:
    yield
    of.aws_gate.reset()


def test_throttled_for_a_while_it_is_minted_later(of: Town):
    for nth in (1, 2):
        of.aws_gate.answer(nth, THROTTLED, only="sts:AssumeRole")
    assert of.wait_grant(of.approved(), "ACTIVE")["failure"] is None


def test_an_answer_of_500_to_a_mint_is_revoked_not_believed(of: Town):
    of.aws_gate.answer(1, SERVER_ERROR, only="sts:AssumeRole")
    grant = of.wait_grant(of.approved(), "REVOKED", "ACTIVE")
    assert (grant["state"], grant["proof"]["kind"]) == ("REVOKED", "probe_denied")


def test_a_mint_whose_answer_is_lost_leaves_no_living_credential(of: Town):
    of.aws_gate.cut(1, "after", only="sts:AssumeRole")
    request = of.approved()
    assert of.wait_grant(request, "REVOKED", "ACTIVE")["state"] == "REVOKED"
    assert [of.alive(one) for one in of.issued().get(grant_of(request), [])] in ([], [False])


def test_while_the_deny_cannot_be_written_the_grant_says_revoking_and_ends_when_aws_is_back(of: Town):
    request = of.approved()
    of.wait_grant(request, "ACTIVE")
    [credential] = of.issued()[grant_of(request)]
    of.aws_gate.answer(None, SERVER_ERROR, only="iam:PutRolePolicy")
    of.revoke(request)
    of.aws_gate.wait_for_calls(3, "iam:PutRolePolicy")
    assert of.grant(request)["state"] == "REVOKING"
    assert of.alive(credential)
    of.aws_gate.reset()
    assert of.wait_grant(request, "REVOKED")["proof"]["kind"] == "probe_denied"
    assert not of.alive(credential)


def test_a_slow_aws_delays_and_changes_nothing(of: Town):
    of.aws_gate.delay(None, 0.5)
    assert of.wait_grant(of.approved(), "ACTIVE")["state"] == "ACTIVE"


def test_redis_away_is_503_with_retry_after_and_back_it_carries_on(of: Town):
    waiting = of.ask()["id"]
    live = of.approved(ttl_seconds=8)
    of.wait_grant(live, "ACTIVE")
    of.valkey.kill()
    with pytest.raises(Refused) as caught:
        of.ask()
    assert (caught.value.status, caught.value.problem["code"]) == (503, "unavailable")
    assert int(caught.value.retry_after or "0") > 0
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(of.base_url + "/readyz")
    time.sleep(9)  # the grant's TTL passes while nobody can write: AWS ends it by itself
    [credential] = of.issued()[grant_of(live)]
    assert not of.alive(credential)
    of.valkey.start()
    assert of.wait_grant(live, "REVOKED", seconds=60)["proof"]["kind"] == "ttl_denied"
    of.review("robin", waiting)
    assert of.wait_grant(waiting, "ACTIVE")["state"] == "ACTIVE"
