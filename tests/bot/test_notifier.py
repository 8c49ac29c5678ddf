"""Events are told once, in order, by one leader; a listener that fails loses nothing."""

from datetime import timedelta

import pytest

from bot.notifier import Event, Notifier
from bot.surfaces.port import Unreachable
from tests.bot.test_desk import World


class Ear:
    """Remember what was told, and fail when asked to."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.down = False

    async def take(self, event: Event) -> None:
        if self.down:
            raise Unreachable("down")
        self.heard.append(event.type)


@pytest.fixture
async def world() -> World:
    return await World().start()


async def test_a_decision_is_told_in_order_and_leaves_the_outbox(world: World):
    ear = Ear()
    notifier = Notifier(world.store, [ear])
    await world.click(await world.ask(), "robin")
    assert await notifier.turn() == 3
    assert ear.heard == ["request.submitted", "review.recorded", "request.approved"]
    assert await notifier.turn() == 0


async def test_what_a_listener_did_not_take_stays_and_is_told_again(world: World):
    ear = Ear()
    notifier = Notifier(world.store, [ear])
    await world.ask()
    ear.down = True
    with pytest.raises(Unreachable):
        await notifier.turn()
    ear.down = False
    assert await notifier.turn() == 1
    assert ear.heard == ["request.submitted"]


async def test_one_leads_and_the_other_takes_over_when_its_lease_ends(world: World):
    first, second = Ear(), Ear()
    leader, standby = Notifier(world.store, [first]), Notifier(world.store, [second])
    await world.ask()
    await leader.turn()
    await world.ask("k2", ttl_seconds=60)
    assert await standby.turn() == 0
    world.time += timedelta(seconds=11)
    assert await standby.turn() == 1
    assert (len(first.heard), len(second.heard)) == (1, 1)
