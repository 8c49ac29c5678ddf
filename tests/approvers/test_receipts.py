"""What a receipt claims, until when an approved action may be done, and that nothing later changes either."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

import pytest
import rfc8785

from approvers import consuming, receipts
from approvers import request as requests
from approvers.answer import agent_message, answer, settled
from approvers.audit import canonical
from approvers.card import shown_digest
from approvers.errors import AlreadyDecided, Forbidden, NotEvaluated
from approvers.request import AfterReview, Receipt, Request, open_grant
from approvers.times import stamp
from tests.worlds import samples
from tests.worlds.samples import NOW, approval

LATER = NOW + timedelta(seconds=3)
RECEIPT = Receipt(jws="a.b.c", size=7, root="d" * 64, at=NOW, key="0011aabb")


def reviewed(request: Request, verdict: str = "approve", **kw: object) -> Request:
    return requests.review(request, approval("robin", verdict=verdict, **kw), shown=None, current=shown_digest(request))


def of(request: Request) -> dict:
    return receipts.claims(request, origin="log.example/x", size=7, root="e" * 64, now=LATER)


DECIDED = {
    "approved with a grant": lambda: reviewed(samples.request()),
    "approved action": lambda: reviewed(samples.request(access=None)),
    "denied": lambda: reviewed(samples.request(), "deny"),
    "expired": lambda: requests.expire(samples.request(), NOW),
    "cancelled": lambda: requests.cancel(samples.request(), NOW, samples.CALLER),
}


@pytest.mark.parametrize("which", DECIDED)
def test_it_says_who_decided_what_for_whom_under_which_rules(which: str):
    request = DECIDED[which]()
    said = of(request)
    assert (said["iss"], said["sub"], said["log"]) == ("log.example/x", request.id, {"size": 7, "root": "e" * 64})
    assert (said["decision"], said["because"]) == (request.state, request.because)
    assert (said["action"], said["resource"]) == (samples.BODY["action"], samples.BODY["resource"])
    assert said["action_digest"] == request.action_digest
    assert said["policy_sha256"] == samples.book()[2]
    assert said["rules"] == [hit.name for hit in request.ruling.rules] != []
    assert [one["person"] for one in said["reviewers"]] == ([] if not request.reviews else ["user:robin"])
    assert (said["principal"], said["actor"]) == ("caller:report-bot", "agent:report-bot")
    assert said["iat"] == int(LATER.timestamp())
    assert canonical(said) == rfc8785.dumps(said)


def test_it_says_what_was_granted_as_the_log_has_it():
    request = DECIDED["approved with a grant"]()
    said, grant = of(request), open_grant(request, NOW)
    assert (said["grant"], said["ttl_seconds"]) == (grant.id, grant.plan.ttl_seconds)
    recorded = json.loads(json.dumps(grant.plan.model_dump(mode="json")))
    assert said["granted_digest"] == "sha256:" + hashlib.sha256(rfc8785.dumps(recorded)).hexdigest()
    for nothing in ("approved action", "denied", "expired", "cancelled"):
        said = of(DECIDED[nothing]())
        assert (said["grant"], said["granted_digest"]) == (None, None), nothing


def test_what_was_narrowed_is_granted_and_what_was_asked_stays_asked():
    request = DECIDED["approved with a grant"]()
    less = request.model_copy(update={"plan": request.plan.model_copy(update={"ttl_seconds": 300})})
    assert of(less)["granted_digest"] != of(request)["granted_digest"]
    assert of(less)["ttl_seconds"] == 300
    assert of(less)["action_digest"] == of(request)["action_digest"]


def test_who_stood_in_for_somebody_is_said():
    request = DECIDED["approved action"]()
    lent = request.model_copy(update={"reviews": (request.reviews[0].model_copy(update={"lent_by": "user:kim"}),)})
    assert of(lent)["reviewers"] == [{"person": "user:robin", "verdict": "approve", "seat_of": "user:kim"}]


@pytest.mark.parametrize(
    ("which", "until"),
    [
        ("approved with a grant", timedelta(minutes=10, seconds=900)),
        ("approved action", timedelta(seconds=900)),
        ("denied", timedelta(hours=24)),
        ("expired", timedelta(hours=24)),
        ("cancelled", timedelta(hours=24)),
    ],
)
def test_until_when_it_stands_counts_from_the_decision(which: str, until: timedelta):
    assert of(DECIDED[which]())["exp"] == int((NOW + until).timestamp())


@pytest.mark.parametrize("which", DECIDED)
def test_what_happens_after_the_decision_changes_no_claim(which: str):
    request = DECIDED[which]()
    owed = AfterReview(due_at=NOW, verdict="justified", by="user:kim", at=NOW)
    later = request.model_copy(update={"consumed_at": NOW, "receipt": RECEIPT, "after_review": owed, "names": ()})
    assert of(later) == of(request)


@pytest.mark.parametrize(("ttl", "seconds"), [(60, 60), (900, 900), (3_600, 3_600), (7_200, 3_600), (None, 3_600)])
def test_an_approved_action_waits_for_its_ttl_and_never_more_than_an_hour(ttl: int | None, seconds: int):
    request = DECIDED["approved action"]()
    request = request.model_copy(update={"action": request.action.model_copy(update={"ttl_seconds": ttl})})
    assert consuming.usable_until(request) == NOW + timedelta(seconds=seconds)
    last = NOW + timedelta(seconds=seconds) - timedelta(milliseconds=1)
    assert consuming.consume(request, last, samples.CALLER, request.action_digest).consumed_at == last
    with pytest.raises(consuming.TooOld, match="do not act") as caught:
        consuming.consume(request, NOW + timedelta(seconds=seconds), samples.CALLER, request.action_digest)
    assert caught.value.code == "expired_approval"
    assert of(request)["exp"] == int(consuming.usable_until(request).timestamp())


def test_a_clock_that_goes_backwards_revives_no_old_approval():
    request = DECIDED["approved action"]()
    consuming.consume(request, NOW - timedelta(seconds=2), samples.CALLER, request.action_digest)
    with pytest.raises(NotEvaluated, match="gone backwards"):
        consuming.consume(request, NOW - timedelta(seconds=3), samples.CALLER, request.action_digest)


def test_an_approved_action_is_consumed_once_and_by_its_digest_only():
    approved = DECIDED["approved action"]()
    with pytest.raises(Forbidden) as other:
        consuming.consume(approved, NOW, samples.CALLER, "sha256:00")
    assert other.value.code == "other_action"
    with pytest.raises(Forbidden):
        consuming.consume(approved, NOW, "caller:somebody", approved.action_digest)
    used = consuming.consume(approved, NOW, samples.CALLER, approved.action_digest)
    with pytest.raises(AlreadyDecided):
        consuming.consume(used, NOW, samples.CALLER, approved.action_digest)
    with pytest.raises(Forbidden) as has_grant:
        consuming.consume(DECIDED["approved with a grant"](), NOW, samples.CALLER, approved.action_digest)
    assert has_grant.value.code == "has_grant"
    with pytest.raises(Forbidden) as waits:
        consuming.consume(samples.request(access=None), NOW, samples.CALLER, approved.action_digest)
    assert waits.value.code == "not_approved"


def test_an_approved_action_is_settled_when_its_receipt_is_there():
    approved = DECIDED["approved action"]()
    assert not settled(approved, None)
    assert settled(approved.model_copy(update={"receipt": RECEIPT}), None)
    assert settled(approved.model_copy(update={"consumed_at": NOW}), None)
    for decided in ("denied", "expired", "cancelled"):
        assert settled(DECIDED[decided](), None), decided
    assert not settled(DECIDED["approved with a grant"](), None)


def test_the_answer_holds_it_and_says_until_when_to_act():
    approved = DECIDED["approved action"]()
    assert answer(approved, None, 2)["receipt"] is None
    found = answer(approved.model_copy(update={"receipt": RECEIPT}), None, 3)["receipt"]
    assert found == {"jws": "a.b.c", "log": {"size": 7, "root": "d" * 64}, "at": stamp(NOW)}
    assert f"once, until {stamp(consuming.usable_until(approved))}" in agent_message(approved, None)


def test_a_request_stored_before_receipts_still_reads():
    request = DECIDED["approved action"]()
    old = json.loads(request.model_dump_json())
    del old["receipt"]
    assert Request.model_validate_json(json.dumps(old)) == request
