"""Everybody hears of break-glass at once: whom the review would ever have asked, and whom the policy tells.

Messages are counted in the board's channels, whatever the ledger says.
"""

from __future__ import annotations

import pytest

from bot.after_reviews import AfterReviews
from bot.directory import Directory
from bot.postings import Postings
from bot.postings_routes import asked, lanes_for
from bot.reading import View
from tests.bot.postings_town import ONE_PLACE, Town
from tests.bot.test_desk import person
from tests.bot.test_digest import Wall
from tests.worlds import glass, samples
from tests.worlds.boards import Board
from tests.worlds.dues import looked_after
from workers.clock.owing import Owing
from workers.policies import apply

LADDER = 'levels        = [{ after = "0m", ask = ["group:sre", "place:console"] }]'
STEPS = 'levels = [{ after = "0m", ask = ["place:console"] }, { after = "10m", ask = ["place:late"] }]'
POLICY = glass.POLICY.replace(LADDER, STEPS, 1)
ROSTER = (
    ONE_PLACE.replace("[person.kim]", '[person.kim]\nslack = "T01:U0KIM"')
    + '\n[place.late]\nslack = "C02"\ngroups = ["sre"]\n'
)
TOLD = ("U0KIM", "C01", "C02")
"""Whoever is on call, whom the policy tells; the ladder's first level, and its last."""
assert POLICY != glass.POLICY


class Night(Town):
    """A town whose policy has break-glass, with somebody on call who can be written to."""

    async def start(self, roster: str = ROSTER) -> Night:
        self.board = Board(people=("U0ROBIN", "U0KIM"))
        self.surfaces["slack"] = self.board
        await apply(self.store.records, policy=POLICY, roster=roster, by="user:dana", why="test")
        await self.policies.refresh()
        return self

    async def take(self, key: str = "k1") -> View:
        return await self.desk.submit(person("dana"), samples.action(**glass.ASK), key)

    async def review(self, view: View, verdict: str = "justified") -> None:
        reviews = AfterReviews(self.store, self.policies, self.reader, Directory(self.policies))
        await reviews.take(person("robin"), view.request.id, verdict, "no need")  # type: ignore[arg-type]


@pytest.fixture
async def night() -> Night:
    return await Night().start()


async def test_every_level_and_whom_the_policy_tells_get_a_card_at_once(night: Night):
    async with night.web():
        view = await night.take()
        await night.quiet()
        cards = [night.board.one(place).card for place in TOLD]
        assert {card.headline for card in cards} == {"BREAK-GLASS: dana took s3:GetObject"}
        assert all({one.verb for one in card.buttons} == {"revoke", "justified", "unjustified"} for card in cards)
        assert night.board.count("post") == 3
        await night.review(view)
        await night.quiet()
    for place in TOLD:
        card, lines = night.board.one(place).card, night.board.one(place).lines
        assert "Found justified by robin" in card.status and {one.verb for one in card.buttons} == {"revoke"}
        assert lines[0].startswith("Found justified by robin")


async def test_an_ask_for_review_asks_the_first_level_only(night: Night):
    async with night.web():
        await night.ask()
        await night.quiet()
    assert [len(night.board.messages(place)) for place in ("C01", "C02")] == [1, 0]


async def test_who_takes_over_posts_what_a_dead_process_owed(night: Night):
    await night.take()  # and nobody's notifier runs
    async with night.web():
        await night.quiet()
    assert [len(night.board.messages(place)) for place in ("C01", "C02")] == [1, 1]


@pytest.mark.parametrize("first", [True, False], ids=["before-the-flood", "in-the-flood"])
async def test_in_a_flood_it_stays_a_card_of_its_own(night: Night, first: bool):
    night.surfaces["slack"] = night.board = wall = Wall()
    crowded = Postings(
        night.store, night.policies, night.reader, night.surfaces, night.alerts, cards_per_minute=1
    )  # fmt: skip
    before = [] if first else [await night.ask() for _ in range(3)]
    view = await night.take()
    flood = [*before, *[await night.ask() for _ in range(3)]]
    async with night.web(crowded):
        await night.quiet()
    assert view.request.handle in [one.card.handle for one in night.board.messages("C01")]
    listed = {row.handle for one in wall.shown for row in one.rows}
    assert listed and listed <= {one.request.handle for one in flood}


async def test_where_chat_is_down_on_call_hears_of_it_all_the_same(night: Night):
    owing = Owing(night.store, night.alerts)
    with night.board.down("C01"), night.board.down("C02"), night.board.down("U0KIM"):
        async with night.web():
            view = await night.take()
            (item,) = (await looked_after(night.store)).items
            assert await owing.look_after(item) == "told"
    assert f"break_glass.used:{view.request.id}" in night.alerts.keys


async def test_a_policy_without_break_glass_tells_those_whom_the_review_would_have_asked(night: Night):
    view = await night.take()
    await apply(night.store.records, policy=samples.POLICY_TEXT, roster=None, by="user:dana", why="no more of that")
    await night.policies.refresh()
    book = night.policies.current
    assert asked(book, view.request) == ("group:sre", "place:console")
    assert ("slack", "C01") in lanes_for(book, view.request, ["slack"], view.request.submitted_at)
