"""Too many requests at once: a few cards, then one list per channel and minute; none is lost, and none is double."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from approvers.request import RequestState
from bot.digest import MAX_ROWS, Digest, digest
from bot.digest_record import Listing, name_of
from bot.digests import CARDS_PER_MINUTE
from bot.postings import Postings
from bot.postings_record import Cards, Copy, change
from bot.surfaces.port import MessageRef, OutcomeUnknown, Refused, SurfaceError, Unreachable
from tests.bot.postings_town import TWO_PLACES, Town
from tests.worlds import samples
from tests.worlds.boards import Board


class Wall(Board):
    """A board that draws lists as well."""

    def __init__(self) -> None:
        super().__init__()
        self.lists: dict[MessageRef, list[Digest]] = {}
        self.list_faults: list[SurfaceError] = []

    async def show_list(self, where: str | MessageRef, shown: Digest) -> MessageRef:
        fault = self.list_faults.pop(0) if self.list_faults else None
        if fault and not isinstance(fault, OutcomeUnknown):
            raise fault
        if isinstance(where, MessageRef):
            self.lists[where].append(shown)
            return where
        self._enter("post", where)
        ref = MessageRef(self.name, where, f"list-{len(self.lists)}")
        self.lists[ref] = [shown]
        await asyncio.sleep(0)
        if fault:
            raise fault
        return ref

    @property
    def shown(self) -> list[Digest]:
        """Every list as it is now."""
        return [faces[-1] for faces in self.lists.values()]


@pytest.fixture
async def town() -> Town:
    town = await Town().start()
    town.surfaces["slack"] = town.board = Wall()
    return town


@pytest.fixture
async def running(town: Town) -> AsyncIterator[Town]:
    async with town.web():
        yield town


def wall(town: Town) -> Wall:
    assert isinstance(town.board, Wall)
    return town.board


async def cards(town: Town, view) -> Cards:
    return Cards.model_validate_json(await town.cards(view))


async def test_few_requests_have_a_card_each(running: Town):
    for _ in range(CARDS_PER_MINUTE):
        await running.ask()
    await running.quiet()
    assert (len(running.board.messages()), wall(running).lists) == (CARDS_PER_MINUTE, {})


async def test_of_many_all_but_a_few_share_one_list_and_each_counts_as_shown(town: Town):
    views = [await town.ask() for _ in range(30)]
    async with town.web():
        await town.quiet()
    (shown,) = wall(town).shown
    assert len(town.board.messages()) == CARDS_PER_MINUTE
    assert (shown.total, shown.waiting, len(shown.rows)) == (25, 25, MAX_ROWS)
    assert shown.more.startswith("and 5 more: App Home")
    kept = [await cards(town, view) for view in views]
    assert all(one.reached and len(one.copies) == 1 and one.copies[0].state == "posted" for one in kept)
    handles = {*town.board.handles(), *(row.handle for row in shown.rows)}
    assert len(handles) == CARDS_PER_MINUTE + MAX_ROWS
    assert sum(bool(one.copies[0].listed) for one in kept) == 25
    counts = await town.store.signals.counts()
    assert (counts["cards:posted"], counts["cards:listed"]) == (CARDS_PER_MINUTE, 25)


async def test_a_list_is_edited_as_its_rows_are_decided_and_says_nothing_in_a_thread(town: Town):
    views = [await town.ask() for _ in range(8)]
    async with town.web():
        await town.quiet()
        listed = [view for view in views if (await cards(town, view)).copies[0].listed]
        assert len(listed) == 3
        for view in listed[:2]:
            await town.click(view, verdict="deny")
        await town.quiet()
        (shown,) = wall(town).shown
        assert [row.handle for row in shown.rows] == [listed[2].request.handle]
        await town.click(listed[2])
        await town.quiet()
    (faces,) = wall(town).lists.values()
    assert faces[-1].rows == () and "All 3" in faces[-1].heading
    assert len(faces) <= 4 and town.board.count("reply") == 0 and town.alerts.keys == []


async def test_each_channel_has_its_own_list(town: Town):
    await town.start(TWO_PLACES)
    for _ in range(9):
        await town.ask()
    async with town.web():
        await town.quiet()
    assert sorted(ref.channel for ref in wall(town).lists) == ["C01", "C02"]
    assert [shown.total for shown in wall(town).shown] == [4, 4]


@pytest.mark.parametrize(
    "faults", [[Unreachable("away", after_seconds=0.01)] * 4, [OutcomeUnknown("no answer")]], ids=["away", "no answer"]
)
async def test_a_failed_post_of_a_list_is_tried_again(town: Town, faults: list[SurfaceError]):
    wall(town).list_faults = list(faults)
    for _ in range(9):
        await town.ask()
    async with town.web():
        await town.quiet()
    assert wall(town).shown[-1].total == 4
    assert len(wall(town).lists) == (2 if isinstance(faults[0], OutcomeUnknown) else 1)


async def test_a_list_that_may_be_there_twice_is_given_up_aloud(town: Town):
    wall(town).list_faults = [OutcomeUnknown("no answer")] * 5
    views = [await town.ask() for _ in range(7)]
    async with town.web():
        await town.quiet(seconds=5)
    states = sorted([(await cards(town, view)).copies[0].state for view in views])
    assert states == ["posted"] * 5 + ["unknown"] * 2
    assert len(wall(town).lists) == 2 and any("lost" in key for key in town.alerts.keys)


async def test_a_channel_that_takes_no_list_is_an_alarm(town: Town):
    wall(town).list_faults = [Refused("not_in_channel")] * 9
    views = [await town.ask() for _ in range(7)]
    async with town.web():
        await town.quiet()
    assert [(await cards(town, view)).copies[0].state for view in views].count("refused") == 2
    assert any("refused" in key for key in town.alerts.keys)


async def test_whoever_takes_over_after_a_crash_shows_nothing_twice(town: Town):
    views = [await town.ask() for _ in range(8)]
    postings = town.postings()

    async def crash(*_anything: object) -> None:
        raise Unreachable("gone", after_seconds=60)

    postings._delivery._digests._seen = crash  # type: ignore[method-assign]
    async with town.web(postings):
        await town.until(lambda: wall(town).lists)
    before = [(await cards(town, view)).copies[0] for view in views]
    assert sum(bool(copy.listed) and not copy.message for copy in before) == 3
    async with town.web():
        await town.quiet()
    assert len(wall(town).lists) == 1 and len(town.board.messages()) == CARDS_PER_MINUTE
    assert wall(town).shown[0].total == 3
    assert {(await cards(town, view)).copies[0].state for view in views} == {"posted"}


async def test_a_card_whose_post_was_begun_stays_a_card(town: Town):
    first, second = await town.ask(), await town.ask()
    begun = Cards(copies=(Copy(surface="slack", to="C01", state="sending", tries=1),))
    await change(town.store.records, second.request.id, lambda cards: cards, begin=begun, keep=True)
    postings = Postings(
        town.store, town.policies, town.reader, town.surfaces, town.alerts, cards_per_minute=1
    )  # fmt: skip
    async with town.web(postings):
        await town.quiet()
    assert town.board.handles() == [first.request.handle, second.request.handle]
    assert wall(town).lists == {}


def test_a_list_shows_what_waits_and_warns_of_wide_headlines():
    wide = {"role": "analytics", "actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::customer-exports/*"]}
    asked = [samples.request(), samples.request(access=wide)]
    done = samples.request().model_copy(update={"state": RequestState.DENIED})
    shown = digest("slack:C01:1", [*asked, done])
    assert (shown.total, shown.waiting) == (3, 2)
    assert [bool(row.flag) for row in shown.rows] == [False, True]
    assert all("\n" not in line for line in shown.lines()) and len(list(shown.lines())) == 3


def test_the_record_counts_posts_and_keeps_each_request_once():
    first = Listing().trying(["a", "b"])
    assert (first.tries, first.requests, first.unsent().tries) == (1, ("a", "b"), 0)
    posted = first.posted(MessageRef("slack", "C01", "1.0")).trying(["b", "c"])
    assert (posted.tries, posted.requests, posted.unsent()) == (1, ("a", "b", "c"), posted)
    assert name_of("slack", "C01", samples.NOW) == f"slack:C01:{int(samples.NOW.timestamp()) // 60}"
