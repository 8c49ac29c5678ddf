"""`GET /v1/requests/{id}/why`: everything for people who review, operate or read; the notes for a caller."""

from collections.abc import AsyncIterator

import pytest

from tests.worlds import samples
from tests.worlds.web import Web
from workers.policies import apply
from workers.stores.memory import memory_store


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with Web.over(memory_store()) as web:
        yield web


async def test_a_reviewer_reads_rules_conditions_seats_and_what_changed_since(web: Web) -> None:
    asked = (await web.ask()).json
    found = (await web.call("GET", f"/v1/requests/{asked['handle']}/why", who="user:robin")).json
    assert (found["answer"], found["effect"], found["evaluated"]) == ("PEOPLE ARE ASKED: 1 of sre", "review", True)
    assert {"name": "data_class", "wanted": "pii", "got": "pii"} in found["rules"][1]["conditions"]
    assert found["barred"] == {"user:dana": "on_behalf_of"}
    assert found["now"] is None
    assert [cap["of"] for cap in found["caps"]] == ["prod", "default"]
    stricter = samples.POLICY_TEXT.replace("seats  = { sre = 1 }", "seats  = { sre = 2 }")
    await apply(web.store.records, policy=stricter, roster=None, by="user:kim", why="two")
    await web.deps.policies.refresh()
    found = (await web.call("GET", f"/v1/requests/{asked['id']}/why", who="user:robin")).json
    assert (found["now"]["effect"], found["now"]["seats"], found["now"]["same"]) == ("review", {"sre": 2}, False)
    assert found["caps"] == []


async def test_a_caller_reads_the_notes_of_its_own_request_only(web: Web) -> None:
    asked = (await web.ask()).json
    got = await web.call("GET", f"/v1/requests/{asked['id']}/why")
    assert got.json == {
        "because": "waiting",
        "notes": ["Customer exports are read with a second signature.", "Personal data is in play."],
    }
    reads_all = await web.call("GET", f"/v1/requests/{asked['id']}/why", who="caller:auditor")
    assert reads_all.json == got.json  # it reads every request, and is no person
    assert (await web.call("GET", f"/v1/requests/{asked['id']}/why", who="caller:other-bot")).status == 404
    assert (await web.call("GET", f"/v1/requests/{asked['id']}/why", who=None)).status == 401


async def test_what_is_not_there_and_what_is_not_asked_for(web: Web) -> None:
    assert (await web.call("GET", "/v1/requests/req_nothing/why", who="user:robin")).code == "not_found"
    asked = (await web.ask()).json
    assert (await web.call("GET", f"/v1/requests/{asked['id']}/why?x=1", who="user:robin")).code == "malformed"
