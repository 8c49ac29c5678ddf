"""A request that was shown must not wait in silence because the accounts of all who could answer have gone."""

import asyncio
from dataclasses import dataclass, field

import pytest

from bot.gone import EVERY, SOON, Gone
from bot.notifier import Notifier
from bot.surfaces.port import Judges, SurfaceError, Unreachable
from tests.bot.postings_town import Town
from tests.worlds import samples
from tests.worlds.boards import Board
from workers.policies import apply

PEOPLE = ("dana", "robin", "alex", "kim")
ACCOUNTS = {name: f"U0{name.upper()}" for name in PEOPLE}


def roster(*, without: str = "") -> str:
    text = samples.ROSTER_TEXT.replace("[place.console]", '[place.console]\nslack = "C01"')
    for name, account in ACCOUNTS.items():
        if name != without:
            text = text.replace(f"[person.{name}]", f'[person.{name}]\nslack = "{account}"')
    return text


class Doorkeeper(Board):
    """A board that knows whose accounts are gone."""

    def __init__(self) -> None:
        super().__init__()
        self.away: set[str] = set()
        self.asked: list[str] = []
        self.fault: SurfaceError | None = None

    async def gone(self, account: str) -> bool:
        self.asked.append(account)
        if self.fault:
            raise self.fault
        return account in self.away


@dataclass
class World:
    """A town, a board that judges, and our listener with a clock of its own."""

    town: Town
    board: Doorkeeper = field(default_factory=Doorkeeper)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.town.surfaces["slack"] = self.board
        self.gone = self.listener()
        self.posts = Notifier(self.town.store, [self.town.postings(), self.gone])

    def listener(self) -> Gone:
        town = self.town
        return Gone(town.store, town.policies, town.surfaces, town.alerts, clock=lambda: self.seconds)

    async def look(self, seconds: float = SOON) -> list[str]:
        """Tell what is due until all cards stand, let time pass, and return the alerts."""
        for _ in range(20):
            await self.posts.turn()
            await asyncio.sleep(0)
        self.seconds += seconds
        await self.gone.take([])
        if self.gone._task:
            await self.gone._task
        return [key for key in self.town.alerts.keys if "group.gone" in key]

    def all_leave(self, *but: str) -> None:
        self.board.away = {account for name, account in ACCOUNTS.items() if name not in but}


@pytest.fixture
async def world() -> World:
    return World(await Town().start(roster()))


async def test_all_gone_is_told_once_and_over_when_somebody_is_back(world: World):
    assert isinstance(world.board, Judges)
    world.all_leave()
    view = await world.town.ask()
    assert await world.look() == ["group.gone:sre"]
    (alert,) = world.town.alerts.sent
    assert (alert.severity, alert.details) == ("critical", {"request": view.request.id})
    assert view.request.handle in alert.summary and "console" in alert.summary and "[" not in alert.summary
    assert ACCOUNTS["dana"] not in world.board.asked, "four-eyes bars her: she would be of no help"
    assert len(world.board.asked) == len(set(world.board.asked)) >= 1
    world.all_leave("robin")
    assert await world.look() == ["group.gone:sre"], "nobody is asked about twice in a minute"
    assert await world.look(EVERY) == ["group.gone:sre", "-group.gone:sre"]


async def test_over_as_soon_as_the_request_is(world: World):
    world.all_leave()
    view = await world.town.ask()
    await world.look()
    await world.town.click(view)
    assert await world.look() == ["group.gone:sre", "-group.gone:sre"]


async def test_one_delivered_copy_with_one_able_person_is_no_alert(world: World):
    world.all_leave("robin")
    await world.town.ask()
    assert await world.look() == []
    assert world.board.count("post") == 1


async def test_four_eyes_leaves_the_one_who_asked_out(world: World):
    world.all_leave("dana")
    await world.town.ask()
    assert await world.look() == ["group.gone:sre"]


async def test_who_leaves_later_is_noticed_within_a_minute(world: World):
    await world.town.ask()
    assert await world.look() == []
    world.all_leave()
    assert await world.look(EVERY) == ["group.gone:sre"]


async def test_a_card_that_has_not_arrived_is_another_alert(world: World):
    world.all_leave()
    with world.board.down("C01"):
        await world.town.ask()
        assert await world.look() == []
        assert world.board.asked == []
    await asyncio.sleep(0.02)  # the board's own pause
    assert await world.look() == ["group.gone:sre"], "it has arrived"


async def test_what_a_platform_does_not_say_is_no_alert(world: World):
    world.all_leave()
    world.board.fault = Unreachable("down")
    await world.town.ask()
    assert await world.look() == []
    assert len(world.board.asked) == 1, "one is enough"


async def test_whoever_has_no_account_has_the_console():
    world = World(await Town().start(roster(without="kim")))
    world.all_leave()
    await world.town.ask()
    assert await world.look() == []


async def test_another_platform_is_enough(world: World):
    world.all_leave()
    world.town.surfaces["teams"] = Board("teams", channels=())
    account = ":".join(["8f1c2a40-5b7e-4d3f-9a61-0c2d4e6f8a10"] * 2)
    both = roster().replace("[person.kim]", f'[person.kim]\nteams = "{account}"')
    await apply(world.town.store.records, policy=None, roster=both, by="user:dana", why="test")
    await world.town.policies.refresh()
    await world.town.ask()
    assert await world.look() == []


async def test_whoever_answers_for_somebody_who_is_gone_is_enough():
    bob = '\n[person.bob]\nslack = "U0BOB"\n[[delegation]]\nfrom = "robin"\nto = "bob"\nuntil = 2099-01-01\n'
    world = World(await Town().start(roster() + bob))
    world.all_leave()
    await world.town.ask()
    assert await world.look() == []
    world.board.away.add("U0BOB")
    assert await world.look(EVERY) == ["group.gone:sre"]


async def test_asking_holds_up_neither_cards_nor_the_notifier(world: World):
    gate = asyncio.Event()

    async def slow(_account: str) -> bool:
        await gate.wait()
        return True

    world.board.gone = slow  # type: ignore[method-assign]
    await world.town.ask()
    for _ in range(20):
        await world.posts.turn()
        await asyncio.sleep(0)
    world.seconds += SOON
    await world.posts.turn()
    await world.town.ask()
    for _ in range(20):
        await world.posts.turn()
        await asyncio.sleep(0)
    assert world.board.count("post") == 2
    await world.gone.leave()
