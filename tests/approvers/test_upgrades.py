"""Records that the last release wrote (`records_v1.json`, as it stored them) are lifted, ruled on and minted sanely."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from approvers.card import render, shown_digest
from approvers.errors import NewerRecord
from approvers.facts import NO_HISTORY
from approvers.grant import Grant
from approvers.request import Request, RequestState, open_grant, review
from approvers.reruling import as_now, gone, over_caps, overtaken_by, stricter
from approvers.ruling import rule
from approvers.upgrades import UPGRADES, read
from tests.worlds import samples
from tests.worlds.samples import NOW, approval

OLD: dict[str, Any] = json.loads((Path(__file__).parent / "records_v1.json").read_text())
POLICY, PEOPLE, SHA = samples.book()
REQUESTS = ("request", "two_levels", "no_access")


def lifted(name: str) -> Request:
    return read(Request, json.dumps(OLD[name]))


@pytest.mark.parametrize("name", REQUESTS)
def test_what_was_not_looked_at_then_counts_as_not_known(name: str):
    request = lifted(name)
    assert (request.v, request.facts.history, request.facts.groups) == (2, NO_HISTORY, ())
    assert set(request.facts.tags) == {None}
    assert (request.narrowed, request.after_review, request.extended, request.fill_in) == (None, None, None, ())
    assert len(request.facts.levels) == len(request.facts.actions)
    assert json.loads(request.model_dump_json())["v"] == 2
    assert read(Request, request.model_dump_json()) == request


def test_the_caller_said_prod_and_the_account_is_what_the_plan_says():
    assert (lifted("request").facts.environment, lifted("request").facts.account_environment) == ("prod", "prod")
    assert lifted("no_access").facts.account_environment is None


def test_several_access_levels_are_not_guessed_apart():
    assert set(lifted("two_levels").facts.levels) == {"unknown"}
    assert lifted("request").facts.levels == ("Read",)


@pytest.mark.parametrize("name", REQUESTS)
def test_the_same_policy_never_answers_it_more_leniently(name: str):
    request = lifted(name)
    now = rule(POLICY, request.facts, sha256=SHA)
    assert now.effect == request.ruling.effect == "review"
    assert all(now.seats.get(group, 0) >= count for group, count in request.ruling.seats.items())
    assert now.risk.score >= request.ruling.risk.score


def test_one_that_waits_is_approved_and_minted_as_before():
    request = lifted("request")
    assert gone(request, PEOPLE) is None
    facts = as_now(request, PEOPLE, NOW)
    assert stricter(request.ruling, rule(POLICY, facts, sha256=SHA)) is request.ruling
    assert over_caps(POLICY, request, facts) is None
    done = review(request, approval("robin"), shown=shown_digest(request), current=shown_digest(request))
    assert (done.state, open_grant(done, NOW).v) == (RequestState.APPROVED, 2)
    assert overtaken_by(done, rule(POLICY, done.facts, sha256=SHA)) is None
    assert "1 of sre" in render(request, None).asked


def test_an_approval_of_unknown_levels_is_asked_for_anew_rather_than_minted():
    request = lifted("two_levels")
    done = review(request, approval("robin"), shown=None, current="")
    assert overtaken_by(done, rule(POLICY, done.facts, sha256=SHA)) == "policy now needs 2 of sre"


@pytest.mark.parametrize("name", ["grant", "live"])
def test_a_grant_is_lifted_and_extends_nothing(name: str):
    grant = read(Grant, json.dumps(OLD[name]))
    assert (grant.v, grant.extends, grant.break_glass, grant.state) == (2, None, False, OLD[name]["state"])
    assert read(Grant, grant.model_dump_json()) == grant


@pytest.mark.parametrize("kind", [Request, Grant])
def test_what_a_newer_version_wrote_is_refused_by_name(kind: type):
    newest = len(UPGRADES[kind]) + 1
    with pytest.raises(NewerRecord, match=f"stored {kind.__name__} has version {newest + 1}; .* up to {newest}"):
        read(kind, json.dumps({"v": newest + 1}))
    for broken in ({"v": "x"}, {"v": 0}, {}):
        with pytest.raises(NewerRecord):
            read(kind, json.dumps(broken))
