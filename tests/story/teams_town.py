"""Teams around the real processes: the strict tenant, its people at their screens, and a web process beside it.

`Desks` is what people see and do in Teams; it knows Teams alone. `both_town` is a web process with Teams and Slack and
without a worker or AWS, for what happens to messages; a whole town is `town(folder, roster=roster(CHANNEL),
web=teams.settings())`.
"""

from __future__ import annotations

import asyncio
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.story import slack_town
from tests.story.slack_town import ChatTown, Screens, furnished_slack, slack_env
from tests.story.town import prepare
from tests.worlds.alert_sink import AlertSink
from tests.worlds.processes import start
from tests.worlds.redis_gate import QUIET, RedisGate, lua_scripts
from tests.worlds.teams import Delivery, Message, Private, Teams, running_teams
from tests.worlds.valkey import Valkey, free_port
from workers.policies import apply
from workers.stores.redis import connect
from workers.vault import DeliveryKey

PEOPLE = ("dana", "robin", "alex", "kim")
GUEST, STRANGER, VENDOR = "guest", "stranger", "vendor"
"""A guest, a colleague whom the roster does not name, and somebody of another organisation: all see the channel."""
CHANNEL = "19:prod@thread.tacv2"
PATIENCE = 15.0
_HIDDEN = re.compile(r'name="(form_token|shown)" value="([^"]*)"')


def roster(teams: Teams, channel: str, *, slack: str = "") -> str:
    """Return the demo's roster with accounts in Teams and Slack, kim on call, and one place for the cards."""
    text = slack_town.roster()
    for name in PEOPLE:
        mail = f'email = "{name}@example.com"'
        assert mail in text
        text = text.replace(mail, f'{mail}\nteams = "{teams.account(name)}"')
    also = f'slack = "{slack}"\n' if slack else ""
    return f'{text}\n[place.prod]\nteams = "{channel}"\n{also}groups = ["sre"]\n'


@contextmanager
def furnished_teams() -> Iterator[Teams]:
    """Run a tenant with everybody in the channel. The app is in it once somebody has installed it."""
    with running_teams() as teams:
        for name in (*PEOPLE, STRANGER):
            teams.add_person(name)
        teams.add_person(GUEST, role="guest")
        teams.add_person(VENDOR, tenant=teams.other_tenant, hosted=True)
        open_channel(teams, CHANNEL)
        yield teams


def open_channel(teams: Teams, channel: str) -> None:
    """Add a channel with everybody in it."""
    teams.add_channel(channel, members=[*PEOPLE, STRANGER, GUEST, VENDOR])


def install(teams: Teams, base_url: str, *channels: str) -> None:
    """Have Teams deliver to this web process, and add the app where it is needed: for people, and in channels."""
    for name in PEOPLE:
        teams.install(name, tell=False)
    teams.connect(f"{base_url}/api/messages")
    for channel in channels:
        assert all(one.ok for one in teams.install(channel))


class Desks:
    """What people see in the tenant and do there; everything here is read from Teams."""

    def __init__(self, teams: Teams, channel: str = CHANNEL) -> None:
        self.teams, self.channel = teams, channel
        self._heard: dict[str, int] = {}

    def cards(self, request: str) -> list[Message]:
        """Return the messages in the channel that are about this request, oldest first: thread lines are none."""
        return [one for one in self.teams.cards(self.channel) if request in json.dumps(one.card)]

    def card(self, request: str, words: str = "", nth: int = 0) -> Message:
        """Return its first (or nth) card there once it says so."""

        def look() -> Message | None:
            found = self.cards(request)[nth:]
            return found[0] if found and words in found[0].visible_text() else None

        return self.until(look, f"card {nth} of {request} with {words!r}")

    def thread(self, card: Message) -> list[str]:
        """Return what the thread under a card says."""
        return [one.visible_text() for one in self.teams.replies(card)]

    def press(self, name: str, where: Message | Private, verb: str, inputs: dict[str, str] | None = None) -> str:
        """Press a button, and return what this person alone then reads: a toast, or the card with words above it."""
        delivery = _taken(self.teams.click(name, where, verb, inputs))
        shown = Private(card=delivery.card) if delivery.card else Private(delivery.toast or "", text_format="plain")
        return shown.visible_text()

    def say(self, name: str, text: str, where: str | None = None) -> Delivery:
        """Write to the app: in their own chat with it, or in a channel with a mention."""
        return _taken(self.teams.say(name, where, text))

    def hears(self, name: str, words: str) -> str:
        """Return what somebody's own chat says with these words, once it is there; what came before is forgotten."""

        def look() -> str | None:
            for number, one in enumerate(self.teams.chat(name)[self._heard.get(name, 0) :], 1):
                if words in one.visible_text():
                    self._heard[name] = self._heard.get(name, 0) + number
                    return one.visible_text()
            return None

        return self.until(look, f"a word to {name} with {words!r}")

    def until(self, ready: Callable[[], Any], what: str) -> Any:
        """Return what `ready` returns once that is true."""
        return self.teams.until(ready, PATIENCE, what)


def _taken(delivery: Delivery) -> Delivery:
    assert delivery.ok, (delivery.status, delivery.user_error, delivery.failure, delivery.body)
    return delivery


def verbs(card: Message) -> list[str]:
    """Return the verbs of a card's buttons; links have none."""
    return [one.verb for one in card.actions() if one.verb]


def answer_in_console(base_url: str, name: str, request: str, verdict: str) -> str:
    """Answer on the request's own page as a signed-in person, with a form of before the answer; returns the page."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    page = f"/console/requests/{request}"

    def post(path: str, **form: str) -> str:
        asked = urllib.request.Request(base_url + path, urllib.parse.urlencode(form).encode())
        asked.add_header("Origin", base_url)
        with opener.open(asked, timeout=20) as answer:
            text: str = answer.read().decode()
        return text

    hidden = dict(_HIDDEN.findall(post("/console/sign-in/as", person=f"user:{name}", next=page)))
    return post(f"{page}/review", verdict=verdict, back="request", **hidden)


def fresh(desks: Desks, valkey: Valkey, name: str, *, slack: str = "") -> Desks:
    """Have cards posted in a new channel of this name from now on, where nothing counts against the pace yet."""
    desks.channel = f"19:{name}@thread.tacv2"
    open_channel(desks.teams, desks.channel)
    assert all(one.ok for one in desks.teams.install(desks.channel))
    asyncio.run(_apply(valkey.url, roster(desks.teams, desks.channel, slack=slack)))
    return desks


@dataclass
class BothTown(ChatTown):
    """A web process with a Slack workspace and a Teams tenant beside it; its calls to Valkey pass a gate."""

    teams: Teams
    desks: Desks
    sink: AlertSink


async def _apply(url: str, text: str) -> None:
    store = await connect(url)
    try:
        await apply(store.records, policy=None, roster=text, by="user:dana", why="another channel")
    finally:
        await store.aclose()


@contextmanager
def both_town(folder: Path) -> Iterator[BothTown]:
    """Build it and end it again."""
    with ExitStack() as stack:
        slack, teams = stack.enter_context(furnished_slack()), stack.enter_context(furnished_teams())
        sink = stack.enter_context(AlertSink())
        valkey = stack.enter_context(Valkey(folder / "valkey"))
        gate = stack.enter_context(RedisGate(valkey.url, scripts=lua_scripts(), ignore=QUIET))
        keys = asyncio.run(prepare(valkey.url, roster(teams, CHANNEL)))
        port = free_port()
        env = {
            "COUNTERSIGN_REDIS_URL": gate.url,
            "COUNTERSIGN_PORT": str(port),
            "COUNTERSIGN_DELIVERY_KEY": DeliveryKey.generate().text,
            "COUNTERSIGN_DEMO": "true",
            "COUNTERSIGN_ALERT_WEBHOOK_URL": sink.url("alertmanager"),
            **slack_env(slack),
            **teams.settings(),
        }
        web = stack.enter_context(start("bot", env, folder / "out", name="web"))
        base_url = f"http://127.0.0.1:{port}"
        of = BothTown(folder, valkey, slack, Screens(slack), gate, web, base_url, keys, teams, Desks(teams), sink)
        of.connect()
        web.wait_ready(f"{base_url}/readyz")
        install(teams, base_url)
        yield of
