import base64
import json
import re

import pytest

from tests.bot.console.conftest import Visitor, note, until
from tests.bot.console.world import World


async def test_approve_as_the_human_behind_then_as_another(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    await visitor.be("dana")
    status, page = await visitor.review(view.request.id, "approve")
    assert status == 200
    assert note(page).startswith("You are the human behind this agent; somebody else has to approve.")
    assert "data-note" not in (await visitor.get("/console/"))[1]  # told once
    await visitor.be("robin")
    _, page = await visitor.review(view.request.id, "approve")
    assert note(page) == f"You approved {view.request.handle}, and that was enough."
    page = await until(visitor, f"/console/requests/{view.request.id}", "ACTIVE")
    assert "tries to approve, and is refused: You are the human behind this agent" in page


async def test_the_second_to_answer_hears_who_was_first(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    await visitor.be("robin")
    shown, token = await visitor.field("shown"), await visitor.field("form_token")
    await visitor.review(view.request.id, "deny", preset="not_now")
    _, page = await visitor.review(view.request.id, "approve", shown=shown, form_token=token)
    assert "DENIED by user:robin" in note(page)


async def test_a_denial_says_the_preset_and_the_typed_words(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    await visitor.be("robin")
    _, page = await visitor.review(view.request.id, "deny", preset="too_broad", reason="  Only 2026/07, please. ")
    assert note(page).startswith(f"You denied {view.request.handle}.")
    denied = await world.deps.reader.look(view.request.id)
    assert denied.request.reviews[0].reason == "Too broad, ask narrower. Only 2026/07, please."


async def test_too_many_words_are_not_taken(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    await visitor.be("robin")
    _, page = await visitor.review(view.request.id, "deny", reason="x" * 4_001)
    assert "4,001 characters" in note(page)
    assert (await world.deps.reader.look(view.request.id)).request.state == "PENDING"


@pytest.mark.parametrize("shown", ["", "0" * 32])
async def test_an_outdated_card_is_refused_with_the_reason(world: World, visitor: Visitor, shown: str) -> None:
    view = await world.ask()
    await visitor.be("robin")
    _, page = await visitor.review(view.request.id, "approve", shown=shown)
    assert "This card is out of date" in note(page)
    assert (await world.deps.reader.look(view.request.id)).request.state == "PENDING"


async def test_an_unknown_verdict_is_no_answer(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    await visitor.be("robin")
    status, _ = await visitor.review(view.request.id, "maybe")
    assert status == 400
    assert (await world.deps.reader.look(view.request.id)).request.state == "PENDING"


async def test_revoke_and_its_proof(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    await visitor.be("robin")
    await visitor.review(view.request.id, "approve")
    path = f"/console/requests/{view.request.id}"
    await until(visitor, path, "ACTIVE")
    grant = view.request.id.replace("req_", "grt_")
    fields = {"form_token": await visitor.field("form_token"), "back": "request"}
    status, page = await visitor.post(f"/console/grants/{grant}/revoke", **fields)
    assert status == 200
    assert "proven" in note(page)
    page = await until(visitor, path, "REVOKED")
    assert "refused 3 of 3 probes" in page
    _, page = await visitor.post(f"/console/grants/{grant}/revoke", **fields)
    assert re.match(rf"{view.request.handle}: Ended .*, refused 3 of 3 probes, .* Revoked by robin", note(page))


async def test_a_quorum_of_two_counts_up(world: World, visitor: Visitor) -> None:
    view = await world.ask_two()
    await visitor.be("robin")
    _, page = await visitor.review(view.request.id, "approve")
    assert note(page) == f"Your approval of {view.request.handle} counts: 1 of 2."
    _, page = await visitor.review(view.request.id, "approve")
    assert "one review each" in note(page)


async def test_a_note_cannot_be_planted(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    await visitor.be("robin")
    words = base64.urlsafe_b64encode(json.dumps({"on": view.request.id, "text": "hi", "good": True}).encode()).decode()
    for mac in ("0" * 43, "", "é"):
        status, page = await visitor.get("/console/", cookies={"countersign-note": f"{words}.{mac}"})
        assert status == 200
        assert "data-note" not in page
    assert view.request.handle in page
