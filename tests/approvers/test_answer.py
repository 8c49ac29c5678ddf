"""What a caller is told: every row of the contract, and that a timeout is never told as a denial."""

import json
from typing import Any

import pytest

from approvers import request as requests
from approvers.answer import agent_message, answer, retry, settled
from approvers.grant import GrantState
from approvers.request import Because, Request, RequestState
from tests.worlds import samples
from tests.worlds.samples import NOW, approval


def approved(**changes: Any) -> Request:
    return requests.review(samples.request(**changes), approval("robin"), shown=None, current="")


def denied() -> Request:
    no = approval("robin", verdict="deny").model_copy(update={"reason": "ask for one file"})
    return requests.review(samples.request(), no, shown=None, current="")


def row(request: Request, **changes: Any) -> Request:
    return request.model_copy(update=changes)


expired = requests.expire(samples.request(), NOW)
ROWS = {
    "waiting": (samples.request(), "Do not act", "same_key", False),
    "policy said no": (samples.request(action="s3:DeleteObject", access=None), "Do not retry", "no", False),
    "a person said no": (denied(), "ask for one file", "no", True),
    "not evaluated": (row(denied(), because=Because.NOT_EVALUATED), "our fault", "no", False),
    "nobody answered": (expired, "no answer is not a yes", "new_request", False),
    "nobody reached": (row(expired, because=Because.NOBODY_REACHED), "our fault", "no", False),
    "withdrawn": (requests.cancel(samples.request(), NOW, samples.CALLER), "Stop", "no", False),
    "an action approval": (approved(access=None), "Consume it with digest sha256:", "no", True),
}


@pytest.mark.parametrize("name", ROWS)
def test_each_row_of_the_contract(name: str):
    request, words, again, human = ROWS[name]
    told = answer(request, None, 3)
    assert words in told["agent_message"]
    assert (told["retry"], told["human_decision"], told["version"]) == (again, human, 3)
    assert json.loads(json.dumps(told)) == told


def test_a_timeout_is_never_told_as_a_denial():
    told = json.dumps(answer(expired, None, 1)).lower()
    assert told.count("denied") == 0
    assert answer(expired, None, 1)["state"] == "EXPIRED"


def test_while_it_waits_the_answer_names_who_is_missing_and_until_when():
    told = answer(samples.request(seats={"sre": 2}), None, 1)
    assert told["waiting_for"] == {"sre": 2}
    assert "2 of sre until 2026-11-20T10:30:00.000Z" in told["agent_message"]


@pytest.mark.parametrize("state", GrantState)
def test_each_state_of_the_grant_has_its_sentence(state: GrantState):
    grant = samples.grant(state)
    assert settled(approved(), grant) == (state not in ("PENDING", "MINTING"))
    told = answer(approved(), grant, 1)
    assert told["grant"]["state"] == state
    assert ("Collect" in told["agent_message"]) == (state is GrantState.ACTIVE)
    assert retry(approved(), grant) == ("new_request" if state is GrantState.FAILED else "no")


def test_near_misses_are_for_people_and_not_in_the_answer():
    assert "near_miss" not in json.dumps(answer(samples.request(), None, 1))


def test_a_pending_request_is_not_settled_and_an_ended_one_is():
    assert not settled(samples.request(), None)
    assert settled(denied(), None)
    assert not settled(approved(), None)


@pytest.mark.parametrize("state", RequestState)
def test_every_state_has_words(state: RequestState):
    assert agent_message(row(samples.request(), state=state), None)
