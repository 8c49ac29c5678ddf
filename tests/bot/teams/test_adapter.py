"""Between Teams and the desk: each call counts once, is answered in time, and says in words what went wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.excuses import NO_STORE, OUR_FAULT, TOO_SLOW
from bot.surfaces.teams_clicks import ACTIONS
from bot.surfaces.teams_dispatch import OLD, Dispatch, listener_of
from bot.surfaces.teams_incoming import Answer, Incoming
from bot.surfaces.teams_ingress import AGAIN
from bot.surfaces.teams_parts import TeamsParts
from tests.bot.teams.test_routes import activity
from tests.bot.teams.town import CHANNEL, TeamsTown, read
from tests.bot.test_taken_out import place
from tests.worlds.shortened import shorten
from tests.worlds.stopwatch import own_time
from tests.worlds.teams.state import TENANT
from workers.alerts import Alert
from workers.stores.port import Conflict, TooLate, Unavailable

NO_PARTS: Any = None
"""For listeners that need none."""


def said() -> Incoming:
    call = Incoming.of(activity(text="list"))
    assert call
    return call


async def test_whom_the_roster_knows_can_be_told_privately_once_they_have_clicked(town: TeamsTown) -> None:
    card = await town.card(await town.ask_two())
    async with town.parts() as parts:
        for name, is_met in (("robin", True), ("stranger", False)):
            account = str(town.teams.board.person(name).object_id)
            assert await parts.routes.of_person(TENANT, account) is None
            assert (await town.teams.click(name, card, "approve")).ok
            assert (await parts.routes.of_person(TENANT, account) is not None) is is_met


class Sink:
    """Keep alerts."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.heard = asyncio.Event()

    async def send(self, alert: Alert) -> None:
        self.alerts.append(alert)
        self.heard.set()

    def keys(self, *, cleared: bool = False) -> list[str]:
        return [one.key for one in self.alerts if one.cleared is cleared]


async def test_a_click_counts_once_however_often_it_comes(town: TeamsTown) -> None:
    view = await town.ask_two()
    first = await town.teams.click("robin", await town.card(view), "approve")
    again = await town.teams.replay(first)
    assert first.ok
    assert (again.status, again.json["value"]) == (200, AGAIN)
    assert (await town.kinds(view)).count("review.recorded") == 1
    assert not await town.refusals(view)


async def test_a_command_counts_once_however_often_it_comes(town: TeamsTown) -> None:
    typed = town.teams.activity("robin", None, "list")
    assert (await town.teams.send_raw(typed)).status == 202
    await town.teams.wait_for_chat("robin")
    before = len(town.teams.chat("robin"))
    assert (await town.teams.send_raw(typed)).status == 202
    await town.teams.send_raw(town.teams.activity("robin", None, "help"))
    await town.teams.wait_for_chat("robin", before + 1)
    assert len(town.teams.chat("robin")) == before + 1


async def test_an_invoke_that_is_no_card_action_is_501_and_other_events_are_taken_and_dropped(town: TeamsTown) -> None:
    typed = town.teams.activity("robin", CHANNEL)
    assert (await town.teams.send_raw({**typed, "type": "invoke", "name": "task/fetch"})).status == 501
    for kind in ("typing", "messageReaction", "messageUpdate", "event"):
        assert (await town.teams.send_raw({**typed, "type": kind})).status == 202, kind


@pytest.mark.parametrize("value", [None, [], {}, {"action": "x"}, {"action": {"verb": 7}}, {"action": {"data": []}}])
async def test_an_action_of_a_strange_form_is_answered_and_does_nothing(town: TeamsTown, value: Any) -> None:
    typed = town.teams.activity("robin", CHANNEL)
    sent = await town.teams.send_raw({**typed, "type": "invoke", "name": "adaptiveCard/action", "value": value})
    assert (sent.status, sent.json["value"]) == (200, OLD)


async def test_while_the_store_is_away_nothing_is_decided_and_the_clicker_reads_so(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    town.door.shut("everything")
    delivery = await town.teams.click("robin", card, "approve")
    assert delivery.toast == NO_STORE
    town.door.open()
    assert (await town.now(view)).request.state == "PENDING"
    assert (await town.teams.click("robin", card, "approve")).ok
    assert (await town.now(view)).request.state != "PENDING"


async def test_a_decision_stands_while_no_token_is_to_be_had_and_the_loop_runs_on(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    assert (await town.teams.say("robin", None, "help")).ok  # who robin is stays known for a minute
    await town.press("alex", card, "details")
    town.teams.tokens.expire()
    town.teams.tokens.hang()
    waiting = asyncio.create_task(town.teams.say("robin", None, "help"))
    longest, last = 0.0, own_time()
    clicking = asyncio.create_task(town.teams.click("alex", card, "deny"))
    while not clicking.done():
        await asyncio.sleep(0.005)
        now = own_time()
        longest, last = max(longest, now - last), now
    assert clicking.result().ok, clicking.result()
    assert clicking.result().seconds < 2
    assert longest < 0.15, longest
    assert (await town.now(view)).request.state == "DENIED"
    town.teams.tokens.up()
    assert (await waiting).ok
    await town.card(view, "denied")


@pytest.fixture
async def sink(town: TeamsTown) -> Sink:
    """Serve anew, with an ear on the alerts."""
    await town.stop()
    town.alerts = sink = Sink()
    await town.start()
    return sink


async def test_the_apps_secret_over_is_told_to_on_call(town: TeamsTown) -> None:
    await town.stop()
    town.teams.tokens.refuse()
    town.alerts = sink = Sink()
    await town.start()
    await asyncio.wait_for(sink.heard.wait(), 5)
    assert sink.keys() == ["teams.token"]


async def test_removed_from_a_place_is_an_alert_and_installed_again_clears_it(town: TeamsTown, sink: Sink) -> None:
    await town.teams.uninstall(CHANNEL)
    assert set(sink.keys()) == {f"teams.removed:{CHANNEL}"}
    view = await town.ask()
    await town.seen(lambda: town.teams.refusals or None, "a refused card")
    await town.teams.install(CHANNEL)
    assert f"teams.removed:{CHANNEL}" in sink.keys(cleared=True)
    assert await town.card(view)


async def test_installed_for_the_first_time_clears_nothing(town: TeamsTown, sink: Sink) -> None:
    await town.teams.install(CHANNEL)
    assert not sink.alerts


async def test_removed_from_a_persons_chat_is_no_alert(town: TeamsTown, sink: Sink) -> None:
    await town.teams.uninstall("robin")
    assert not sink.alerts


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TooLate(), "The time for this is over."),
        (Conflict("x"), "Others changed the same thing"),
        (Unavailable("x"), NO_STORE),
        (TimeoutError(), TOO_SLOW),
        (RuntimeError("secret"), OUR_FAULT),
    ],
)
async def test_whatever_is_raised_becomes_words(error: Exception, words: str) -> None:
    counted: list[str] = []

    async def failing(_parts: TeamsParts, _call: Incoming) -> Answer:
        raise error

    answer = await Dispatch(NO_PARTS, counted.append, find=lambda _call: failing).run(said())
    assert words in (answer.toast or "")
    assert "secret" not in (answer.toast or "")
    assert len(counted) == 1


async def test_what_takes_too_long_is_stopped() -> None:
    async def hanging(_parts: TeamsParts, _call: Incoming) -> Answer:
        await asyncio.Event().wait()
        return Answer()

    answer = await Dispatch(NO_PARTS, lambda _: None, find=lambda _call: hanging, seconds=0.02).run(said())
    assert answer.toast == TOO_SLOW


@pytest.mark.parametrize("kind", ["invoke", "message"])
async def test_a_client_that_presses_by_itself_reaches_no_decision(kind: str) -> None:
    value = {"action": {"verb": "approve", "data": {}}, "trigger": "automatic"}
    call = Incoming.of(activity(type=kind, name="adaptiveCard/action", value=value))
    assert call
    assert listener_of(call) is ACTIONS["refresh"]


async def test_details_say_how_much_of_the_story_was_taken_out_of_the_log(town: TeamsTown) -> None:
    view = await town.ask_two()
    card = await town.card(view)
    await town.press("robin", card, "approve")
    base = await place(town.store, view.request.id, 1)
    await shorten(town.store, base)
    delivery = await town.teams.click("alex", card, "details")
    said = read(delivery).replace("\\\\", "")
    assert "The first record of this story was taken out of the log; an export holds it." in said
    assert "robin approves" in said
