"""Break-glass and what follows it, from the client's side and against the real application, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from countersign import AsyncClient, Conflict, InvalidRequest, NotAllowed
from countersign.commands import reviewing
from countersign.errors import DENIED, exit_code_of, outcome
from countersign.models import Ask
from countersign.status import standing
from tests.worlds import glass, samples
from tests.worlds.web import Web
from workers.stores.memory import memory_store


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with Web.over(memory_store(lambda: datetime.now(UTC)), policy=glass.POLICY) as web:
        yield web


def client(web: Web, who: str) -> AsyncClient:
    return AsyncClient(web.base, web.keys[who], patience_seconds=5)


def ask(**changes: object) -> Ask:
    body = {**samples.BODY, **glass.ASK, **changes}
    return Ask.model_validate({name: value for name, value in body.items() if value is not None})


async def test_a_use_is_told_as_one_and_reviewed_by_somebody_else_once(web: Web) -> None:
    async with client(web, "user:dana") as dana, client(web, "user:robin") as robin:
        taken = await dana.request(ask())
        assert f"{taken.label} is granted by break-glass; its after-review is due " in standing(taken)
        assert reviewing.standing(taken) == f"{taken.label} is not reviewed yet"
        again = await dana.request(ask(reason="Once more"))
        assert exit_code_of(outcome(again)) == DENIED
        assert "not reviewed" in again.agent_message
        with pytest.raises(NotAllowed) as own:
            await dana.after_review(taken, "justified")
        assert own.value.code == "four_eyes"
        with pytest.raises(InvalidRequest) as wordless:
            await robin.after_review(taken, "unjustified")
        assert wordless.value.field == "reason"
        found = await robin.after_review(taken.handle, "unjustified", "Nothing was down.")
        assert found == await robin.after_review(taken.id, "unjustified", "Nothing was down.")
        told = f"{taken.label}, taken by user:dana, was unjustified, says user:robin: Nothing was down."
        assert reviewing.standing(found) == told
        assert "found unjustified by user:robin" in standing(found)
        with pytest.raises(Conflict):
            await robin.after_review(taken, "justified")


async def test_an_ask_without_break_glass_owes_none(web: Web) -> None:
    async with client(web, "user:dana") as dana, client(web, "user:robin") as robin:
        asked = await dana.request(ask(break_glass=None))
        assert (asked.pending, asked.after_review) == (True, None)
        with pytest.raises(Conflict) as caught:
            await robin.after_review(asked, "justified")
        assert caught.value.code == "nothing_owed"


async def test_a_grant_that_is_none_of_ones_own_is_refused_with_the_field(web: Web) -> None:
    async with client(web, "user:dana") as dana:
        with pytest.raises(InvalidRequest) as caught:
            await dana.request(ask(break_glass=None, extends="grt_01ARYZ6S410000000000000000"))
        assert (caught.value.field, caught.value.rule) == ("extends", "extends.grant")
