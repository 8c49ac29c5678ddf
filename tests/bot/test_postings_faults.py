"""Cards in chat, in bad weather. What counts is what stands in the channels, not what we noted."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.postings import Postings
from bot.surfaces.port import OutcomeUnknown, Refused, Unreachable
from tests.bot.postings_town import TWO_PLACES, Forgetful, Town
from tests.worlds.boards import Message
from workers.stores.port import Store

SOON = 0.3
"""Seconds in which something would have happened that must not."""


@pytest.fixture
async def town() -> Town:
    return await Town().start()


@pytest.fixture
async def running(town: Town) -> AsyncIterator[Town]:
    async with town.web():
        yield town


async def nothing_more(town: Town, seconds: float = SOON) -> list[tuple[str, str]]:
    """Return the calls that come in this time."""
    before = len(town.board.calls)
    await asyncio.sleep(seconds)
    return town.board.calls[before:]


# ---- the platform is away, or wants us to wait


async def test_down_requests_wait_and_arrive_in_order_once_with_what_happened_meanwhile(running: Town):
    with running.board.down():
        views = [await running.ask() for _ in range(5)]
        await running.click(views[2])
        await running.until(lambda: running.board.count("post") > 2)
        assert running.board.messages() == []
    await running.quiet()
    assert running.board.handles() == [view.request.handle for view in views]
    assert running.board.states() == ["Waiting", "Waiting", "Approved", "Waiting", "Waiting"]


async def test_one_channel_down_holds_nothing_up_in_the_other_however_much_waits():
    town = await Town().start(TWO_PLACES)
    async with town.web():
        with town.board.down("C01"):
            views = []
            for _ in range(120):
                views.append(await town.ask())
                await town.click(views[-1])
            await town.until(lambda: len(town.board.messages("C02")) == 120)
            last = views[-1].request.handle
            await town.until(lambda: town.board.messages("C02")[-1].card.phase == "Approved")
            assert town.board.messages("C01") == [] and town.board.handles("C02")[-1] == last
        await town.quiet()
    assert town.board.handles("C01") == town.board.handles("C02") == [view.request.handle for view in views]


async def test_the_platforms_wait_is_kept_and_the_order_with_it(running: Town):
    running.board.fail("C01", Unreachable("429", after_seconds=0.4), "post")
    first = await running.ask()
    await running.until(lambda: running.board.calls)
    second = await running.ask()
    assert await nothing_more(running) == []
    await running.quiet()
    assert running.board.handles() == [first.request.handle, second.request.handle]
    assert running.board.count("post") == 3


async def test_a_channel_that_hangs_holds_nothing_up_in_the_other():
    town = await Town().start(TWO_PLACES)
    gate = town.board.hold("C01")
    async with town.web():
        first = await town.ask()
        await asyncio.wait_for(gate.reached.wait(), 5)
        second = await town.ask()
        await town.click(first)
        await town.until(lambda: town.board.states("C02") == ["Approved", "Waiting"])
        gate.open()
        await town.quiet()
    assert town.board.handles("C01") == [first.request.handle, second.request.handle]
    assert town.board.states("C01") == ["Approved", "Waiting"]


async def test_on_call_hears_when_nothing_gets_through_for_long_and_when_it_does_again(town: Town):
    postings = Postings(
        town.store, town.policies, town.reader, town.surfaces, town.alerts, silent_after=timedelta(seconds=0.1)
    )
    async with town.web(postings):
        with town.board.down():
            await town.ask()
            await town.until(lambda: town.alerts.keys)
            await nothing_more(town)
        await town.quiet()
        await town.until(lambda: len(town.alerts.keys) > 1)
    assert town.alerts.keys == ["cards.unreachable:slack:C01", "-cards.unreachable:slack:C01"]


# ---- an answer is lost


async def test_a_post_whose_answer_is_lost_is_tried_once_more_and_the_double_is_adopted(running: Town):
    running.board.lose("C01")
    view = await running.ask()
    await running.quiet()
    double, known = running.board.messages()
    await running.click(view)
    await running.quiet()
    assert (double.card.phase, known.card.phase) == ("Waiting", "Approved")
    await running.postings().adopt(view.request.id, double.ref)
    await running.quiet()
    assert running.board.states() == ["Approved", "Approved"]
    await running.mint(view)
    await running.quiet()
    assert running.board.states() == ["Live", "Live"]
    assert running.alerts.keys == []


async def test_no_card_is_posted_a_third_time_and_a_click_on_either_brings_it_back(running: Town):
    running.board.lose("C01", times=2)
    view = await running.ask()
    await running.quiet()
    assert len(running.board.messages()) == 2
    await running.postings().refresh(view.request.id)
    await running.quiet()
    assert len(running.board.messages()) == 2
    assert running.alerts.keys == [f"cards.lost:{view.request.id}:slack:C01"]
    assert (await running.store.signals.counts())["cards:lost"] == 1
    first, second = running.board.messages()
    for message in (second, first):
        await running.postings().adopt(view.request.id, message.ref)
    await running.click(view)
    await running.quiet()
    assert running.board.states() == ["Approved", "Approved"]


async def test_a_click_that_comes_before_the_posts_own_answer_spares_the_second_post(running: Town):
    gate = running.board.hold("C01")
    running.board.lose("C01")
    view = await running.ask()
    await gate.reached.wait()
    await running.postings().adopt(view.request.id, running.board.one().ref)
    gate.open()
    await running.quiet()
    await running.click(view)
    await running.quiet()
    assert (running.board.states(), running.board.count("post")) == (["Approved"], 1)


async def test_while_nobody_answers_one_request_tries_and_the_others_keep_their_turn(running: Town):
    running.board.fail("C01", OutcomeUnknown("no answer"), times=1)
    views = [await running.ask() for _ in range(3)]
    assert await nothing_more(running, 0.1) in ([], [("post", "C01")])
    await running.quiet()
    assert running.board.handles() == [view.request.handle for view in views]


async def test_an_edit_whose_answer_is_lost_is_made_again(running: Town):
    view = await running.ask()
    await running.quiet()
    running.board.lose("C01", "update")
    await running.click(view)
    await running.quiet()
    message = running.board.one()
    assert (message.card.phase, message.edits, len(message.lines)) == ("Approved", 2, 1)


@pytest.mark.parametrize(
    ("fault", "told"),
    [(Unreachable("429", after_seconds=0.01), 1), (Refused("thread_locked"), 0), ("lost", 1)],
    ids=["held", "refused", "lost"],
)
async def test_a_thread_line_is_said_at_most_once(running: Town, fault: object, told: int):
    view = await running.ask()
    await running.quiet()
    if isinstance(fault, str):
        running.board.lose("C01", "reply")
    else:
        running.board.fail("C01", fault, "reply")
    await running.click(view)
    await running.quiet()
    assert len(running.board.one().lines) == told
    await running.mint(view)
    await running.quiet()
    message = running.board.one()
    assert (message.card.phase, len(message.lines)) == ("Live", told + 1)


# ---- the platform will not, or we cannot


async def test_a_channel_that_refuses_blocks_nothing_and_is_told_once_until_it_takes_cards_again():
    town = await Town().start(TWO_PLACES)
    town.board.fail("C01", Refused("not_in_channel"), times=4)
    async with town.web():
        views = [await town.ask() for _ in range(3)]
        await town.quiet()
        assert town.board.handles("C02") == [view.request.handle for view in views]
        assert (town.board.messages("C01"), town.alerts.keys) == ([], ["cards.refused:slack:C01"])
        await town.click(views[0])
        await town.quiet()
        await town.postings().refresh(views[1].request.id)
        await town.quiet()
        assert town.board.messages("C01") == []
        await town.postings().refresh(views[1].request.id)
        await town.quiet()
    assert town.board.handles("C01") == [views[1].request.handle]
    assert town.alerts.keys == ["cards.refused:slack:C01", "-cards.refused:slack:C01"]


async def test_a_deleted_card_is_left_alone_and_the_others_are_edited():
    town = await Town().start(TWO_PLACES)
    async with town.web():
        view = await town.ask()
        await town.quiet()
        town.board.remove(town.board.one("C01"))
        await town.click(view)
        await town.mint(view)
        await town.quiet()
        await town.revoke(view)
        await town.quiet()
    assert (town.board.messages("C01"), town.board.states("C02")) == ([], ["Revoking"])
    assert town.board.count("update", "C01") == 1
    assert town.alerts.keys == ["cards.refused:slack:C01"]


async def test_a_fault_of_ours_holds_nothing_up_and_is_told(running: Town):
    running.board.fail("C01", RuntimeError("a bug"))  # type: ignore[arg-type]
    broken, next_one = await running.ask(), await running.ask()
    await running.quiet()
    assert running.board.handles() == [next_one.request.handle]
    assert running.alerts.keys == [f"cards.failed:{broken.request.id}"]


async def test_a_process_without_that_surface_leaves_its_cards_alone(town: Town):
    async with town.web():
        view = await town.ask()
        await town.quiet()
    town.surfaces.clear()
    async with town.web():
        await town.click(view)
        await town.quiet()
    assert town.board.states() == ["Waiting"]


# ---- a process ends, or forgets


async def test_killed_between_post_and_record_the_double_is_adopted_and_both_show_the_truth(store: Store):
    town = await Town(store).start()
    gate = town.board.hold("C01")
    others = asyncio.all_tasks()
    async with town.web():
        view = await town.ask()
        await asyncio.wait_for(gate.reached.wait(), 5)
        await kill(asyncio.all_tasks() - others)
    async with town.web():
        await town.quiet()
        double, known = town.board.messages()
        await town.postings().adopt(view.request.id, double.ref)
        await town.click(view)
        await town.quiet()
    assert [len(message.lines) for message in (double, known)] == [1, 1]
    assert town.board.states() == ["Approved", "Approved"]


async def kill(tasks: set["asyncio.Task[object]"]) -> None:
    """End what these tasks do where it stands, as in a killed process: nothing more is sent or noted.

    Only the lease is given back, so that nobody has to wait for its end.
    """
    ended = [task for task in tasks if task.get_coro().__qualname__ in ("Lane._run", "Notifier.run")]  # type: ignore
    for task in ended:
        task.cancel()
    await asyncio.wait(ended)


async def test_the_outbox_remembers_a_request_until_every_copy_shows_what_stands(running: Town):
    posting, editing = running.board.hold("C01"), running.board.hold("C01", "update")
    view = await running.ask()
    await posting.reached.wait()
    await running.click(view)
    await running.quiet(1)
    posting.open()
    await editing.reached.wait()
    await asyncio.sleep(SOON)
    (left,) = await running.store.outbox.unread()
    assert "request.submitted" in left[1]
    editing.open()
    await running.quiet()
    assert running.board.states() == ["Approved"]


async def test_a_process_that_is_stopped_notes_what_it_sent_and_begins_nothing_more(town: Town):
    gate = town.board.hold("C01")
    async with asyncio.TaskGroup() as group:
        async with town.web():
            first, second = await town.ask(), await town.ask()
            await gate.reached.wait()
            group.create_task(opened(gate.open, town))
        assert town.board.handles() == [first.request.handle]
    async with town.web():
        await town.quiet()
    assert town.board.handles() == [first.request.handle, second.request.handle]


async def opened(opening, town: Town) -> None:
    await asyncio.sleep(0.05)
    opening()


async def test_what_was_sent_is_noted_when_the_store_comes_back(town: Town):
    store = replace(town.store, records=Forgetful(town.store.records))
    async with town.web(Postings(store, town.policies, town.reader, town.surfaces, town.alerts)):
        view = await town.ask()
        await town.quiet()
        await town.click(view)
        await town.quiet()
    message: Message = town.board.one()
    assert (message.card.phase, message.edits, len(message.lines)) == ("Approved", 1, 1)
