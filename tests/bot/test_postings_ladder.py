"""No request waits unseen: the ladder in chat, what happens where nobody is reached, reminders, and the ledger.

Messages are counted in the board's channels, whatever the ledger says.
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from approvers.request import Because, RequestState
from approvers.times import stamp
from approvers.upgrades import read
from bot import ledger
from bot.postings_record import MOST_COPIES, Cards, Copy
from bot.reading import View
from bot.surfaces.port import Refused
from tests.bot.postings_town import ONE_PLACE, Town
from tests.worlds import samples
from tests.worlds.dues import looked_after
from tests.worlds.samples import NOW
from workers.clock.waiting import Waiting
from workers.policies import apply
from workers.stores.memory import memory_store

FIRST = 'levels        = [{ after = "0m", ask = ["group:sre", "place:console"] }]'
STEPS = 'levels = [{ after = "0m", ask = ["place:console"] }, { after = "10m", ask = ["place:late"] }]'
POLICY = samples.POLICY_TEXT.replace(FIRST, STEPS, 1)
LATE = '\n[place.late]\nslack = "C02"\ngroups = ["oncall"]\n'
ROSTER, SILENT = ONE_PLACE + LATE, samples.ROSTER_TEXT + LATE
"""Where the first level has a channel, and where only the console is asked first."""
assert POLICY != samples.POLICY_TEXT


class Street(Town):
    """A town whose time is set by the test, with a clock beside its web processes."""

    def __init__(self) -> None:
        self.time = NOW
        super().__init__(memory_store(lambda: self.time))
        self.waiting = Waiting(self.store, self.policies, self.alerts)

    async def opened(self, roster: str = ROSTER) -> Street:
        await apply(self.store.records, policy=POLICY, roster=roster, by="user:dana", why="test")
        await self.policies.refresh()
        return self

    async def at(self, minutes: float) -> None:
        """Let the clock do what falls due until then, each at its moment."""
        until = NOW + timedelta(minutes=minutes)
        while True:
            handout = await looked_after(self.store)
            await asyncio.gather(*(self.waiting.look_after(item) for item in handout.items))
            await self.waiting.settle()
            if not handout.items:
                if self.time + handout.next_in > until:
                    self.time = max(self.time, until)
                    return
                self.time += handout.next_in

    async def now(self, view: View):
        return (await self.reader.look(view.request.id)).request

    async def record(self, view: View) -> Cards:
        text = await self.cards(view)
        assert text, "nothing is on record"
        return read(Cards, text, {Cards: ()})

    def critical(self) -> list[str]:
        return [("-" if one.cleared else "") + one.key for one in self.alerts.sent if one.severity == "critical"]


@pytest.fixture
async def street() -> Street:
    return await Street().opened()


async def test_the_next_level_gets_a_card_of_its_own_and_the_first_one_a_quiet_edit(street: Street):
    async with street.web():
        view = await street.ask()
        await street.quiet()
        assert (len(street.board.messages("C01")), len(street.board.messages("C02"))) == (1, 0)
        await street.at(10)
        await street.quiet()
        first, second = street.board.one("C01"), street.board.one("C02")
        assert first.edits == 1 and "level 2 since 10:10" in first.card.status
        assert (first.lines, second.lines) == (["Level 2 is asked since 10:10 UTC."], [])
        assert second.card.handle == view.request.handle
        await street.click(view)
        await street.quiet()
    assert street.board.states("C01") == street.board.states("C02") == ["Approved"]
    assert street.board.count("post") == 2
    assert street.alerts.keys == []


async def test_a_reminder_is_one_edit_and_one_line_and_never_a_post(street: Street):
    async with street.web():
        view = await street.ask()
        await street.quiet()
        await street.at(24.99)
        await street.quiet()
        message, edits = street.board.one("C01"), street.board.one("C01").edits
        await street.at(25)
        await street.quiet()
        assert message.edits == edits + 1 and message.card.status.endswith("Less than 5 min left.")
        assert message.lines[-1] == "5 min left: it expires at 10:30:00 UTC if nobody answers."
        await street.at(29)
        await street.quiet()
        assert message.edits == edits + 1
        await street.at(30)
        await street.quiet()
    assert message.lines[-1] == "Expired at 10:30:00 UTC: nobody answered in time."
    assert street.board.count("post") == 2, "one for each level"
    assert (await street.now(view)).because is Because.NOBODY_ANSWERED


async def test_a_channel_that_is_down_has_the_next_level_asked_and_gets_its_card_later(street: Street):
    async with street.web():
        with street.board.down("C01"):
            view = await street.ask()
            await street.until(lambda: street.board.count("post", "C01"))
            await street.at(1.9)
            assert not street.board.messages("C02")
            await street.at(2)
            while not (await street.record(view)).reached:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
            await street.at(8)
            assert (await street.now(view)).unreached_at is None, "the second level was shown it"
        await street.quiet()
    assert (len(street.board.messages("C01")), len(street.board.messages("C02"))) == (1, 1)
    assert "request.unreached" not in "".join(street.critical())


async def test_an_app_that_was_removed_from_the_channel_has_the_next_level_asked(street: Street):
    street.board.fail("C01", Refused("not_in_channel"))
    async with street.web():
        await street.ask()
        await street.quiet()
        await street.at(2)
        await street.quiet()
    assert (len(street.board.messages("C01")), len(street.board.messages("C02"))) == (0, 1)
    assert street.alerts.keys == ["cards.refused:slack:C01"]


async def test_where_the_first_level_has_no_chat_the_next_one_is_asked(street: Street):
    await apply(street.store.records, policy=None, roster=SILENT, by="user:dana", why="no channel")
    await street.policies.refresh()
    async with street.web():
        view = await street.ask()
        await street.quiet()
        assert (await street.record(view)).copies == ()
        await street.at(2)
        await street.quiet()
    assert street.board.handles("C02") == [view.request.handle]
    assert street.critical() == []


async def test_an_hour_of_silence_is_told_on_call_and_each_request_is_delivered_once_in_order(street: Street):
    async with street.web():
        with street.board.down():
            views = []
            for _ in range(5):
                views.append(await street.ask())
                street.time += timedelta(seconds=1)
            await street.until(lambda: street.board.count("post", "C01"))
            for view in views:
                assert (await _eventually(street, view)).copies[0].to == "C01", "also those that queue behind it"
            await street.at(4.5)
            assert sorted(street.critical()) == sorted(f"request.unreached:{view.request.id}" for view in views)
        await street.quiet()
        await street.at(4.5)
    handles = [view.request.handle for view in views]
    assert street.board.handles("C01") == street.board.handles("C02") == handles
    assert sorted(street.critical()[5:]) == sorted(f"-request.unreached:{view.request.id}" for view in views)


async def test_what_nobody_was_ever_shown_ends_as_that(street: Street):
    async with street.web():
        with street.board.down():
            view = await street.ask()
            await _eventually(street, view)
            await street.at(30)
            after = await street.now(view)
            assert (after.state, after.because) == (RequestState.EXPIRED, Because.NOBODY_REACHED)
        await street.quiet()
    assert street.board.one("C01").card.outcome == "Expired at 10:30:00 UTC: nobody was reached."


async def test_a_level_asked_while_no_web_process_lives_is_posted_by_the_next_one(street: Street):
    async with street.web():
        view = await street.ask()
        await street.quiet()
    await street.at(10)
    async with street.web():
        await street.quiet()
    async with street.web():
        await street.quiet()
    assert street.board.handles("C01") == street.board.handles("C02") == [view.request.handle]


async def test_what_waited_before_there_was_a_chat_is_posted_when_its_next_level_is_asked(street: Street):
    view = await street.ask()
    await street.store.outbox.told([number for number, _ in await street.store.outbox.unread()])
    async with street.web():
        await street.at(9)
        await street.quiet()
        assert street.board.count("post") == 0
        await street.at(10)
        await street.quiet()
    assert street.board.handles("C01") == street.board.handles("C02") == [view.request.handle]


async def test_killed_after_the_post_of_a_level_it_is_posted_at_most_once_more(street: Street):
    async with street.web():
        view = await street.ask()
        await street.quiet()
        street.board.lose("C02")
        await street.at(10)
        await street.quiet()
    assert street.board.handles("C02") == [view.request.handle] * 2
    assert street.board.count("post", "C01") == 1


class TestTheLedger:
    async def test_each_copy_says_when_it_was_sent_and_who_acted_on_it(self, street: Street):
        postings = street.postings()
        async with street.web(postings):
            view = await street.ask()
            await street.quiet()
            ref = street.board.one("C01").ref
            await street.at(3)
            await postings.acted(view.request.id, ref, "user:robin")
            await street.at(10)
            await street.quiet()
        told = list(ledger.rows(await street.record(view), street.policies.roster))
        assert told == [
            ("Shown in #console (Slack)", "sent 10:00 UTC, acted on by robin 10:03 UTC"),
            ("Shown in #late (Slack)", "sent 10:10 UTC"),
        ]

    def test_every_state_has_words(self):
        refused = Copy(surface="slack", to="U0EVE", state="refused")
        lost, queued = refused.model_copy(update={"state": "unknown"}), Copy(surface="teams", to="19:x")
        told = [words for _, words in ledger.rows(Cards(copies=(queued, refused, lost)), None)]
        assert told == [
            "queued",
            "failed: the platform will not take it",
            "failed: nobody knows whether it arrived",
            "to nobody yet",
        ]

    def test_a_record_of_before_is_read_and_counts_as_shown(self):
        old = {"surface": "slack", "to": "C01", "channel": "C01", "message": "1.0", "state": "posted", "tries": 1,
               "face": "x", "said": []}  # fmt: skip
        cards = read(Cards, json.dumps({"v": 1, "copies": [old]}, separators=(",", ":")), {Cards: ()})
        assert cards.reached
        assert [words for _, words in ledger.rows(cards, None)] == ["sent"]

    def test_many_who_were_asked_first_do_not_keep_the_next_level_out(self):
        full = Cards(copies=tuple(Copy(surface="slack", to=f"U{n}") for n in range(MOST_COPIES)))
        assert len(full.also([("slack", "C02")]).copies) == MOST_COPIES
        assert full.also([("slack", "C02")], most=99).copies[-1].to == "C02"

    def test_a_page_in_the_console_counts_once_and_names_the_first(self):
        cards = Cards().seen("user:robin", NOW).seen("user:alex", NOW + timedelta(minutes=1))
        assert cards.reached and stamp(cards.seen_at) == stamp(NOW)
        assert list(ledger.rows(cards, None)) == [("Shown in the console", "to robin, 10:00 UTC")]


async def _eventually(street: Street, view: View) -> Cards:
    """Return the record as soon as there is one."""
    async with asyncio.timeout(30):
        while not await street.cards(view):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
    return await street.record(view)
