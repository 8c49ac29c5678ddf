"""Slack around the real processes: the strict workspace, its people at their screens, and web processes beside it.

`Screens` is what people see and do; it knows Slack alone. `chat_town` is the web process without a worker or AWS, for
what happens to messages; a whole town is `town(folder, roster=ROSTER, web=slack_env(slack))`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from countersign.ops.manifest import manifest
from tests.story.town import Api, prepare
from tests.worlds import samples
from tests.worlds.processes import Process, start
from tests.worlds.redis_gate import QUIET, RedisGate, lua_scripts
from tests.worlds.slack import Delivery, Message, Slack, View, running_slack
from tests.worlds.valkey import Valkey, free_port
from workers.vault import DeliveryKey

ACCOUNTS = {"dana": "U01", "robin": "U02", "alex": "U03", "kim": "U04"}
VENDOR = "U93"
"""Somebody of another organisation, in the channel like everybody else."""
CHANNEL, SECOND, PAYLOAD = "C01", "C02", "C03"
"""Two channels in which cards are, and one whose name holds the word that a careless parser looks for."""
COMMAND = "/countersign"
PATIENCE = 15.0
BUCKET = "arn:aws:s3:::customer-exports"
WRITE: dict[str, Any] = {
    "action": "s3:PutObject",
    "resource": f"{BUCKET}/2026/report.csv",
    "access": {"role": "analytics", "actions": ["s3:PutObject"], "resources": [f"{BUCKET}/2026/report.csv"]},
    "data_classes": [],
    "ticket": "INC-42",
}
"""What takes two people, and whose risk is medium: it can be approved on the card itself."""
_REQUEST = re.compile(r"req_[0-9A-Z]{26}")


def roster(*channels: str) -> str:
    """Return the demo's roster with Slack accounts, kim on call, and these channels for the cards."""
    text = samples.ROSTER_TEXT
    for name, account in ACCOUNTS.items():
        mail = f'email = "{name}@example.com"'
        assert mail in text
        text = text.replace(mail, f'{mail}\nslack = "{account}"')
    places = "".join(f'[place.{one.lower()}]\nslack = "{one}"\ngroups = ["sre"]\n' for one in channels)
    return f'{text}\n[group.duty]\npeople = ["kim"]\noncall = true\n\n{places}'


def slack_env(slack: Slack) -> dict[str, str]:
    """Return the environment that puts Slack beside a web process."""
    return {
        "COUNTERSIGN_SLACK_BOT_TOKEN": slack.bot_token,
        "COUNTERSIGN_SLACK_SIGNING_SECRET": slack.signing_secret,
        "COUNTERSIGN_SLACK_API_URL": slack.api_url,
        "COUNTERSIGN_CARDS_PER_MINUTE": "1000",  # all of a file's stories are told within minutes
    }


@contextmanager
def furnished_slack() -> Iterator[Slack]:
    """Run a workspace with everybody in every channel."""
    with running_slack(manifest=manifest("https://countersign.example.com")) as slack:
        for name, account in ACCOUNTS.items():
            slack.add_user(account, name=name, email=f"{name}@example.com")
        slack.add_user(VENDOR, name="vendor", email="vendor@example.org", team_id="T99")
        everybody = [*ACCOUNTS.values(), VENDOR]
        slack.add_channel(CHANNEL, members=everybody, name="prod-approvals")
        slack.add_channel(SECOND, members=everybody, name="audit-approvals")
        slack.add_channel(PAYLOAD, members=everybody, name="payload-payload")
        yield slack


class Screens:
    """What people see in the workspace and do there; everything here is read from Slack."""

    def __init__(self, slack: Slack) -> None:
        self.slack = slack
        self._heard: dict[str, int] = {}

    def cards(self, request: str, channel: str = CHANNEL) -> list[Message]:
        """Return the messages in a channel that are about this request, oldest first: thread lines are none."""
        return [one for one in self.slack.messages(channel) if request in json.dumps(one.blocks)]

    def card(self, request: str, words: str = "", channel: str = CHANNEL, nth: int = 0) -> Message:
        """Return its first (or nth) card there once it says so."""

        def look() -> Message | None:
            found = self.cards(request, channel)[nth:]
            return found[0] if found and words in found[0].visible_text() else None

        return self._seen(look, f"card {nth} of {request} in {channel} with {words!r}")

    def newest(self, channel: str = CHANNEL) -> str:
        """Return the request of the newest card."""
        found = _REQUEST.search(json.dumps(self.slack.messages(channel)[-1].blocks))
        assert found
        return found[0]

    def thread(self, card: Message) -> list[str]:
        """Return what the thread under a card says."""
        return [one.visible_text() for one in self.slack.replies(card.channel, card.ts)]

    def press(self, name: str, where: Message | View, action: str) -> Delivery:
        """Press a button; Slack shows no error of its own."""
        return _taken(self.slack.click(ACCOUNTS.get(name, name), where, action))

    def type(self, name: str, text: str, channel: str = CHANNEL) -> Delivery:
        """Type our command."""
        return _taken(self.slack.command(ACCOUNTS[name], COMMAND, text, channel=channel))

    def hears(self, name: str, words: str) -> str:
        """Return the private line with these words, once it is there; what came before it is forgotten."""
        account = ACCOUNTS.get(name, name)

        def look() -> str | None:
            for number, one in enumerate(self.slack.ephemerals(account)[self._heard.get(account, 0) :], 1):
                if words in one.visible_text():
                    self._heard[account] = self._heard.get(account, 0) + number
                    return one.visible_text()
            return None

        return self._seen(look, f"a word to {name} with {words!r}")

    def learns(self, name: str, handle: str, words: str) -> None:
        """Return once a person was told directly what came of an ask on their behalf."""

        def look() -> bool:
            lines = [line for one in self.slack.dms(ACCOUNTS[name]) for line in one.visible_text().split("\n")]
            return any(line.startswith(f"{handle}, ") and words in line for line in lines)

        self._seen(look, f"{words!r} about {handle} to {name}")

    def dialog(self, name: str, callback: str, words: str = "") -> View:
        """Return the modal in front of somebody once it is this one."""

        def look() -> View | None:
            front = self.slack.views(ACCOUNTS[name])[-1:]
            fits = front and front[0].callback_id == callback and words in front[0].visible_text()
            return front[0] if fits else None

        return self._seen(look, f"{callback} with {words!r} for {name}")

    def until(self, ready: Callable[[], Any], what: str) -> Any:
        """Return what `ready` returns once that is true."""
        return self.slack.until(ready, PATIENCE, what)

    def _seen(self, look: Callable[[], Any], what: str) -> Any:
        return self.until(look, what)


def _taken(delivery: Delivery) -> Delivery:
    assert delivery.ok, (delivery.status, delivery.user_error, delivery.failure, delivery.body)
    return delivery


@dataclass
class ChatTown(Api):
    """A Valkey, a workspace, and a web process whose calls to Valkey pass a gate."""

    folder: Path
    valkey: Valkey
    slack: Slack
    screens: Screens
    gate: RedisGate
    web: Process
    base_url: str
    keys: dict[str, str]

    def write(self, **changes: Any) -> str:
        """Ask for something that takes two people, and can be approved on the card; returns the request."""
        request: str = self.ask(**{**WRITE, **changes})["id"]
        return request

    def connect(self, base_url: str | None = None) -> None:
        """Have Slack deliver to this web process."""
        self.slack.connect(f"{base_url or self.base_url}/slack/events")

    def state(self, request: str) -> str:
        state: str = self.call("report-bot", "GET", f"/v1/requests/{request}")["state"]
        return state

    def kinds(self, request: str) -> list[str]:
        """Return the types of a request's records."""
        return [one["type"] for one in self.call("report-bot", "GET", f"/v1/audit/{request}")["records"]]

    def again(self) -> None:
        """Start the web process anew."""
        self.web.restart().wait_ready(f"{self.base_url}/readyz")

    @contextmanager
    def another(self) -> Iterator[str]:
        """Run a second web process over the same store, and yield its address."""
        port = free_port()
        env = {**self.web.env, "COUNTERSIGN_REDIS_URL": self.valkey.url, "COUNTERSIGN_PORT": str(port)}
        with start("bot", env, self.folder / "out", name="second") as second:
            second.wait_ready(f"http://127.0.0.1:{port}/readyz")
            yield f"http://127.0.0.1:{port}"
            assert second.stop() == 0


@contextmanager
def chat_town(folder: Path) -> Iterator[ChatTown]:
    """Build it and end it again."""
    with ExitStack() as stack:
        slack = stack.enter_context(furnished_slack())
        valkey = stack.enter_context(Valkey(folder / "valkey"))
        gate = stack.enter_context(RedisGate(valkey.url, scripts=lua_scripts(), ignore=QUIET))
        keys = asyncio.run(prepare(valkey.url, roster(CHANNEL)))
        port = free_port()
        env = {
            "COUNTERSIGN_REDIS_URL": gate.url,
            "COUNTERSIGN_PORT": str(port),
            "COUNTERSIGN_DELIVERY_KEY": DeliveryKey.generate().text,
            "COUNTERSIGN_DEMO": "true",
            **slack_env(slack),
        }
        web = stack.enter_context(start("bot", env, folder / "out", name="web"))
        base_url = f"http://127.0.0.1:{port}"
        of = ChatTown(folder, valkey, slack, Screens(slack), gate, web, base_url, keys)
        of.connect()
        web.wait_ready(f"{base_url}/readyz")
        yield of
