"""Cards in chat, in fair weather: where they go, how they change, what their threads say; and none is double."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from approvers import grant as grants
from approvers import lifetime
from bot.away import Away
from bot.surfaces.port import MessageRef
from tests.bot.postings_town import ONE_PLACE, PEOPLE, TWO_PLACES, Town
from tests.bot.test_desk import person
from tests.worlds import samples
from workers.stores import layout
from workers.stores.port import Store


@pytest.fixture
async def town() -> Town:
    return await Town().start()


@pytest.fixture
async def running(town: Town) -> AsyncIterator[Town]:
    async with town.web():
        yield town


async def test_a_request_that_waits_is_posted_once_and_edited_at_each_change(running: Town):
    view = await running.ask()
    await running.quiet()
    message = running.board.one()
    assert (message.card.handle, message.card.phase) == (view.request.handle, "Waiting")
    await running.click(view)
    await running.quiet()
    await running.mint(view)
    await running.quiet()
    assert message.card.phase == "Live"
    await running.revoke(view)
    await running.quiet()
    await running.prove(view)
    await running.quiet()
    assert running.board.one() is message and message.card.phase == "Ended"
    assert (running.board.count("post"), message.edits) == (1, 4)


async def test_the_thread_tells_each_step_once_in_order(running: Town):
    view = await running.ask()
    await running.quiet()
    for step in (running.click, running.mint, running.revoke, running.prove):
        await step(view)
        await running.quiet()
    decided, live, ending, ended = running.board.one().lines
    assert decided.startswith("Approved by robin at ")
    assert live.startswith("Live since ") and "until" in live
    assert ending.startswith("Revoking since ") and "revoked by kim" in ending
    assert ended.startswith("Ended ") and "refused 3 of 3 probes, 2.1 s after the request" in ended


async def test_a_denial_is_told_with_its_reason_and_nothing_else_follows(running: Town):
    view = await running.ask()
    await running.quiet()
    await running.click(view, verdict="deny", reason="ask for one file")
    await running.quiet()
    (line,) = running.board.one().lines
    assert line.startswith("Denied by robin at ") and line.endswith(": ask for one file")


async def test_events_that_come_together_are_one_edit_and_a_card_posted_late_has_no_old_news(town: Town):
    first = await town.ask()
    async with town.web():
        await town.quiet()
    await town.click(first)
    await town.mint(first)
    second = await town.ask()
    await town.click(second)
    async with town.web():
        await town.quiet()
    one, other = town.board.messages()
    assert (one.edits, len(one.lines)) == (1, 2)
    assert (other.card.phase, other.edits, other.lines) == ("Approved", 0, [])


async def test_what_changes_nothing_on_the_card_is_not_sent(running: Town):
    view = await running.ask()
    await running.click(view)
    await running.quiet()
    calls = len(running.board.calls)
    await running.move(view, "grant.claimed", lambda grant, now: grants.claim(grant, now, timedelta(hours=1)))
    await running.quiet()
    assert len(running.board.calls) == calls


async def test_what_policy_decided_alone_is_not_posted(running: Town):
    await running.ask(action="s3:DeleteObject", access=None)
    await running.quiet()
    assert (running.board.calls, running.alerts.keys) == ([], [])


async def test_every_place_of_the_group_gets_the_card_and_every_copy_every_change():
    town = await Town().start(TWO_PLACES)
    async with town.web():
        view = await town.ask()
        await town.click(view)
        await town.quiet()
    assert town.board.one("C01").card == town.board.one("C02").card
    assert town.board.one("C02").card.phase == "Approved"


async def test_a_group_without_a_place_is_written_to_person_by_person():
    town = await Town().start(PEOPLE)
    async with town.web():
        view = await town.ask()
        await town.quiet()
        await town.click(view)
        await town.quiet()
    assert town.board.count("post", "U0ROBIN") == 1
    assert town.board.one("U0ROBIN").card.phase == "Approved"


LENT = f'{ONE_PLACE}\n[person.eve]\nslack = "U0EVE"\n'


async def test_who_was_lent_a_seat_and_looks_at_no_place_gets_the_card_directly():
    town = await Town().start(LENT)
    away = Away(town.store, town.policies, town.reader)
    async with town.web():
        before = await town.ask()
        await town.quiet()
        assert town.board.count("post") == 1
        await away.lend(person("robin"), "eve", datetime.now(UTC) + timedelta(days=2))
        await town.until(lambda: town.board.count("post", "U0EVE") == 1)
        await town.ask()
        await town.quiet()
        assert (town.board.count("post", "U0EVE"), town.board.count("post", "C01")) == (2, 2)
        assert all("eve answers for robin" in one.card.stand_ins[0] for one in town.board.messages("U0EVE"))
        await town.click(before, "eve")
        await town.quiet()
    assert [one.card.phase for one in town.board.messages("U0EVE")] == ["Approved", "Waiting"]
    assert town.board.messages("C01")[0].card.phase == "Approved"


async def test_who_looks_at_the_place_already_gets_no_card_besides():
    town = await Town().start(LENT)
    await Away(town.store, town.policies, town.reader).lend(
        person("robin"), "alex", datetime.now(UTC) + timedelta(days=2)
    )
    async with town.web():
        await town.ask()
        await town.quiet()
    assert town.board.count("post") == 1


async def test_on_call_hears_once_of_people_whom_no_chat_reaches():
    town = await Town().start(ONE_PLACE.replace('slack = "C01"\n', ""))
    async with town.web():
        for _ in range(3):
            await town.ask()
        await town.quiet()
    assert (town.board.calls, town.alerts.keys) == ([], ["cards.nowhere:group:sre, place:console"])


async def test_a_place_that_came_later_gets_new_requests_only(town: Town):
    old = await town.ask()
    async with town.web():
        await town.quiet()
        await town.start(TWO_PLACES)
        await town.click(old)
        new = await town.ask()
        await town.quiet()
    assert town.board.handles("C02") == [new.request.handle]
    assert town.board.handles("C01") == [old.request.handle, new.request.handle]


async def test_chat_that_came_later_shows_nothing_of_what_was_asked_before(town: Town):
    await town.start(ONE_PLACE.replace('slack = "C01"\n', ""))
    old = await town.ask()
    async with town.web():
        await town.quiet()
        await town.start()
        await town.click(old)
        await town.quiet()
    assert town.board.calls == []


async def test_a_card_whose_place_is_gone_is_still_edited(town: Town):
    view = await town.ask()
    async with town.web():
        await town.quiet()
        await town.start(TWO_PLACES.replace('slack = "C01"', ""))
        await town.click(view)
        await town.quiet()
    assert town.board.states("C01") == ["Approved"]


async def test_after_a_restart_the_card_is_still_edited(town: Town):
    view = await town.ask()
    async with town.web():
        await town.quiet()
    await town.click(view)
    async with town.web():
        await town.quiet()
    assert (town.board.states(), town.board.count("post")) == (["Approved"], 1)


async def test_cards_come_in_the_order_of_the_asks(town: Town):
    views = [await town.ask() for _ in range(30)]
    async with town.web():
        await town.quiet()
    assert town.board.handles() == [view.request.handle for view in views]


async def test_several_processes_post_nothing_twice(store: Store):
    town, views = await Town(store).start(), []
    async with town.web(), town.web(), town.web():
        for _ in range(20):
            views.append(await town.ask())
            await asyncio.sleep(0)
        for view in views[::2]:
            await town.click(view)
        await town.quiet()
    assert town.board.handles() == [view.request.handle for view in views]
    assert sorted(town.board.states()) == ["Approved"] * 10 + ["Waiting"] * 10


async def test_the_counters_say_what_was_sent(running: Town):
    view = await running.ask()
    await running.quiet()
    await running.click(view)
    await running.quiet()
    counts = await running.store.signals.counts()
    assert (counts["cards:posted"], counts["cards:updated"]) == (1, 1)


async def test_a_click_from_a_copy_nobody_knew_makes_it_a_copy_like_the_others(running: Town):
    view = await running.ask()
    await running.quiet()
    card = running.board.one().card
    stranger = await running.board.post("C02", card.model_copy(update={"status": "old news"}))
    known = running.board.one().edits
    await running.postings().adopt(view.request.id, stranger)
    await running.quiet()
    assert running.board.one("C02").card == card
    assert running.board.one("C01").edits == known
    await running.click(view)
    await running.quiet()
    assert running.board.states("C02") == running.board.states("C01") == ["Approved"]


async def test_a_click_from_a_stale_copy_has_it_shown_anew(running: Town):
    view = await running.ask()
    await running.quiet()
    message = running.board.one()
    await running.postings().adopt(view.request.id, message.ref)
    await running.quiet()
    assert (message.edits, running.board.count("post")) == (1, 1)


async def test_refresh_shows_every_copy_anew():
    town = await Town().start(TWO_PLACES)
    async with town.web():
        view = await town.ask()
        await town.quiet()
        await town.postings().refresh(view.request.id)
        await town.quiet()
    assert (town.board.one("C01").edits, town.board.one("C02").edits) == (1, 1)


async def test_what_people_forward_does_not_grow_for_ever(running: Town):
    view = await running.ask()
    await running.quiet()
    for number in range(30):
        await running.postings().adopt(view.request.id, MessageRef("slack", "C02", f"9{number}.0"))
    await running.quiet()
    assert len(json.loads(await running.cards(view))["copies"]) == 20


@pytest.mark.parametrize("do", ["adopt", "refresh"])
async def test_a_request_without_cards_gets_none(running: Town, do: str):
    view = await running.ask(action="s3:DeleteObject", access=None)
    await running.quiet()
    more = [MessageRef("slack", "C02", "1.0")] if do == "adopt" else []
    await getattr(running.postings(), do)(view.request.id, *more)
    await running.quiet()
    assert (await running.cards(view), running.board.calls) == ("", [])


async def test_an_event_about_nothing_is_told_and_holds_nothing_up(running: Town):
    now = await running.store.records.now()
    ghost = layout.event("request.submitted", now, request="req_01JCGHOST00000000000000000")
    await running.store.records.commit(layout.commit(now, events=[ghost]))
    await running.ask()
    await running.quiet()
    assert running.board.states() == ["Waiting"]


async def test_the_coming_end_and_what_goes_on_are_edits_and_a_line_each_in_the_thread(running: Town):
    view = await running.ask(ttl_seconds=600, heartbeat_seconds=60)
    await running.quiet()
    message = running.board.one()
    assert ("Ends early", "if its agent falls silent for 1 min") in {
        (fact.label, fact.text) for fact in message.card.facts
    }
    await running.click(view)
    await running.mint(view)
    await running.quiet()
    edits, calls = message.edits, len(running.board.calls)
    await running.move(view, "grant.ending_soon", lifetime.warned)
    await running.quiet()
    assert running.board.one() is message
    assert (message.edits, len(running.board.calls)) == (edits + 1, calls + 2), "one edit, one line in its thread"
    assert message.card.status.endswith(", in less than 10 min.")
    assert message.lines[-1].startswith("Ends ") and message.lines[-1].endswith(", in 10 min.")
    new = samples.grant("ACTIVE").model_copy(update={"handle": "NEW7"})
    await running.move(view, "grant.extended", lambda grant, _: lifetime.extended(grant, new))
    await running.quiet()
    assert "its work goes on as NEW7" in message.card.status
    assert message.lines[-1] == "Its work goes on as NEW7; this one ends as said."


async def test_what_nobody_collected_ends_in_plain_words(running: Town):
    view = await running.ask()
    await running.quiet()
    await running.click(view)
    await running.mint(view)
    await running.move(view, "grant.never_collected", lambda one, now: lifetime.ended(one, "never_collected", now))
    await running.quiet()
    assert running.board.one().card.status.endswith(": nobody collected it in time.")
    await running.prove(view)
    await running.quiet()
    assert "Nobody collected it in time" in running.board.one().lines[-1]
