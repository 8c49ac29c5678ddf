from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from bot.sessions import Sessions
from tests.bot.console.conftest import Visit, Visitor
from tests.bot.console.world import World, serve, store_of
from workers.stores.memory import MemoryStore
from workers.stores.port import Commit


async def test_a_form_without_its_token_does_nothing(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    await visitor.be("robin")
    fields = {"verdict": "approve", "shown": await visitor.field("shown")}
    path = f"/console/requests/{view.request.id}/review"
    for token in ({}, {"form_token": ""}, {"form_token": "x" * 43}):
        status, page = await visitor.post(path, **fields, **token)
        assert status == 403
        assert "nothing was done" in page
    assert await world.kinds(view.request.id) == ["request.submitted"]


async def test_the_token_of_another_session_is_not_taken(world: World, visitor: Visitor, visit: Visit) -> None:
    other, view = visit(world), await world.ask()
    await other.be("robin")
    await visitor.be("robin")
    status, _ = await visitor.review(view.request.id, "approve", form_token=await other.field("form_token"))
    assert status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1"},
    ],
)
async def test_a_form_of_another_site_does_nothing(world: World, visitor: Visitor, headers: dict) -> None:
    view = await world.ask()
    await visitor.be("robin")
    fields = {"verdict": "approve", "shown": await visitor.field("shown")}
    fields["form_token"] = await visitor.field("form_token")
    path = f"/console/requests/{view.request.id}/review"
    async with visitor.http.post(path, data=fields, headers=headers) as answer:
        assert answer.status == 403
    async with visitor.http.post("/console/sign-in/as", data={"person": "user:dana"}, headers=headers) as answer:
        assert answer.status == 403
    assert await world.kinds(view.request.id) == ["request.submitted"]


async def test_signing_in_needs_to_say_where_it_comes_from(visitor: Visitor) -> None:
    status, _ = await visitor.post("/console/sign-in/as", origin=None, person="user:robin")
    assert status == 403


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 415),
        (b"a=%ff", "application/x-www-form-urlencoded; charset=klingon", 400),
        (b"a=" + b"x" * 300_000, "application/x-www-form-urlencoded", 413),
    ],
)
async def test_what_is_no_form_is_refused_in_words(
    visitor: Visitor, body: bytes, content_type: str, status: int
) -> None:  # fmt: skip
    await visitor.be("robin")
    headers = {"Content-Type": content_type, "Origin": visitor.url}
    async with visitor.http.post("/console/sign-out", data=body, headers=headers) as answer:
        assert answer.status == status
        assert answer.content_type == "text/html"


class Interrupted(MemoryStore):
    """A memory store in which something else happens before the next commit."""

    first: Callable[[], Awaitable[None]] | None = None

    async def commit(self, commit: Commit) -> None:
        first, self.first = self.first, None
        if first:
            await first()
        await super().commit(commit)


async def test_an_answer_overtaken_by_signing_out_does_not_count(visit: Visit) -> None:
    """The session stands when the form is checked, and is over when the answer is committed."""
    store = Interrupted(lambda: datetime.now(UTC))
    async with serve(store_of(store)) as world:
        visitor, view = visit(world), await world.ask()
        await visitor.be("robin")
        fields = {"shown": await visitor.field("shown"), "form_token": await visitor.field("form_token")}
        sessions = Sessions(store)
        who = await sessions.find(visitor.cookies()["countersign"])
        assert who is not None
        store.first = lambda: sessions.leave(who)
        status, page = await visitor.review(view.request.id, "approve", **fields)
        assert status == 401
        assert "Your session ended while you were answering" in page
        assert await world.kinds(view.request.id) == ["request.submitted"]
