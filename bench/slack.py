"""Measure Slack: a click until it is acknowledged, and an ask until its card is in Slack.

    python -m bench slack [--clicks 150] [--bursts 15]

Real processes: the web process, a Valkey with `appendfsync always`, each floor's handler, and what stands for Slack
(`bench.slack_world`). A click is an approval that decides and opens a grant, in a body as large as Slack's own. The
floors of a click (`bench.slack_floor`) take the same bytes and make one Lua call, which writes to the same Valkey, so
that the wait for its disk is on both sides. The floor of a card is `chat.postMessage` alone, with the same message, by
the same client class, to the same Slack. Each is measured in turn with its floors, and nothing of the one before is
under way any more: cards, thread lines and private answers follow a click, and are let through first.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import itertools
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bench.common import Connection, post, serving
from bench.slack_floor import PATH
from bench.slack_world import TEAM
from bench.stage import (
    BODY,
    CALLER,
    DELIVERY,
    POLICY,
    RULES,
    WAITING_EACH,
    at,
    callers_for,
    make_key,
    opened,
    table,
    took_ms,
    valkey,
)
from workers.policies import apply

CHANNELS = tuple(f"c{number}" for number in range(12))
"""Slack takes one message per second in each, and the product keeps to that."""
PEOPLE = tuple(f"u{number}" for number in range(8))
"""Who clicks at once."""
SPACING_SECONDS = 0.1
"""How long nothing has come to Slack before the next ask or click."""
WARM, WARM_BURSTS = 5, 2
SLOW_MS = 20
"""For asks that Slack takes longer over; its real one is further away than that."""
SECRET, TOKEN = "0123456789abcdef" * 2, "xoxb-bench"
OURS, POST = "ours", "post"
POSTS = {POST: "floor: chat.postMessage alone", OURS: "ask → card in Slack"}
FLOORS = {"bolt": "floor: Bolt and one Lua call", "plain": "floor: aiohttp and one Lua call"}
PERSON = '\n[person.{0}]\nslack = "{1}"\n'
PLACE = '\n[place.{0}]\nslack = "{1}"\ngroups = ["sre"]\n'
ASKED_IN = """
[quorum.{0}]
seats  = {{ sre = 1 }}
ladder = "{0}"

[ladder.{0}]
expires_after = "30m"
levels        = [{{ after = "0m", ask = ["place:{0}"] }}]

[rule.review-{0}]
effect = "review"
quorum = "{0}"
owner  = "sre"
note   = "The exports of team {0} are read with a second signature."
when   = {{ resource = ["arn:aws:s3:::exports-{0}/*"] }}
"""


@dataclass(frozen=True)
class Town:
    """What runs, by port."""

    url: str
    world: int
    web: int
    floors: dict[str, int]


@contextmanager
def town() -> Iterator[Town]:
    """Run Valkey, what stands for Slack, the web process and the floors' handlers."""
    with ExitStack() as stack:
        server, _ = stack.enter_context(valkey())
        world, _ = stack.enter_context(serving("bench.slack_world", {}))
        store = {"COUNTERSIGN_REDIS_URL": server.url}
        slack = {"BOT_TOKEN": TOKEN, "SIGNING_SECRET": SECRET, "API_URL": f"http://127.0.0.1:{world}/api"}
        env = {
            **store,
            "COUNTERSIGN_PORT": "0",
            "COUNTERSIGN_CARDS_PER_MINUTE": "100000",
            "COUNTERSIGN_DELIVERY_KEY": DELIVERY.text,
            **{f"COUNTERSIGN_SLACK_{name}": it for name, it in slack.items()},
        }
        web, _ = stack.enter_context(serving("bot", env))
        floors = {}
        for handler in FLOORS:
            given = {**store, "FLOOR_SECRET": SECRET, "FLOOR_HANDLER": handler}
            floors[handler], _ = stack.enter_context(serving("bench.slack_floor", given))
        yield Town(server.url, world, web, floors)


async def prepare(url: str, callers: int) -> list[str]:
    """Apply the rules, and return a key of each caller."""
    roster = (
        (RULES / "countersign.toml").read_text().replace('"robin"', f'"robin", {", ".join(map(json.dumps, PEOPLE))}')
    )
    parts = [roster, *map(CALLER.format, range(callers)), *_named(PERSON, PEOPLE), *_named(PLACE, CHANNELS)]
    async with opened(url) as store:
        policy = POLICY + "".join(map(ASKED_IN.format, CHANNELS))
        await apply(store.records, policy=policy, roster="".join(parts), by="bench", why="bench")
        return [await make_key(store, f"caller:bot-{number}", "request") for number in range(callers)]


def _named(text: str, names: Sequence[str]) -> Iterator[str]:
    return (text.format(name, name.upper()) for name in names)


# ---- Slack's side


@dataclass(frozen=True)
class Card:
    """A message as it came to Slack: when (`time.perf_counter()`), as which message, and what it was."""

    at: float
    ts: str
    message: dict[str, Any]


@dataclass(frozen=True)
class Tap:
    """Hear what comes to Slack."""

    reader: asyncio.StreamReader

    async def next(self, method: str) -> Card:
        """Return the next call of this method; others before it are dropped."""
        while True:
            told = json.loads(await asyncio.wait_for(self.reader.readline(), 10))
            if told["method"] == method:
                return Card(told["at"], told["ts"], json.loads(told["body"]))

    async def calm(self, seconds: float) -> None:
        """Return when nothing has come for so long."""
        while True:
            try:
                await asyncio.wait_for(self.reader.readline(), seconds)
            except TimeoutError:
                return


def click(card: Card, person: str, world: int) -> bytes:
    """Return the bytes of an approval, signed. It brings the whole message along, as Slack's own do."""
    channel = card.message["channel"]
    buttons = [it for block in card.message["blocks"] if block["type"] == "actions" for it in block["elements"]]
    approve = next(it for it in buttons if it["action_id"] == "cs_approve")
    payload = {
        "type": "block_actions",
        "user": {"id": person.upper(), "username": person, "name": person, "team_id": TEAM},
        "api_app_id": "A01",
        "token": "verification-token",
        "container": {"type": "message", "message_ts": card.ts, "channel_id": channel, "is_ephemeral": False},
        "trigger_id": f"1.2.{card.ts}",
        "team": {"id": TEAM, "domain": "example"},
        "enterprise": None,
        "is_enterprise_install": False,
        "channel": {"id": channel, "name": "approvals"},
        "message": {"type": "message", "user": "U0BOT", "bot_id": "B0BOT", "team": TEAM, "ts": card.ts, **card.message},
        "state": {"values": {}},
        "response_url": f"http://127.0.0.1:{world}/respond/{card.ts}",
        "actions": [{**approve, "block_id": "b1", "action_ts": card.ts}],
    }
    body, stamp = urlencode({"payload": json.dumps(payload)}).encode(), str(int(time.time()))
    signature = hmac.new(SECRET.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={signature}"}
    return post(PATH, body, headers).replace(b"application/json", b"application/x-www-form-urlencoded", 1)


# ---- measuring


@dataclass
class Took:
    """Milliseconds: of asks and clicks, each with its floors."""

    cards: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    slow_cards: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    alone: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    at_once: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


@dataclass
class Bench:
    """Hold what is open while it is measured."""

    of: Town
    keys: list[str]
    tap: Tap
    asking: Connection
    lines: dict[str, list[Connection]]
    session: aiohttp.ClientSession
    slack: AsyncWebClient

    async def takes(self, milliseconds: int) -> None:
        """Have Slack take so long over each call."""
        (await self.session.get(f"http://127.0.0.1:{self.of.world}/takes/{milliseconds}")).release()

    async def card(self, number: int, took: dict[str, list[float]]) -> Card:
        """Ask, and return the card, once it is in Slack; then post the same message alone."""
        channel = CHANNELS[number % len(CHANNELS)]
        resource = f"arn:aws:s3:::exports-{channel}/2026/*"
        access = {"provider": "dry_run", "role": "analytics", "actions": ["s3:GetObject"], "resources": [resource]}
        ask = BODY | {"resource": resource, "data_classes": [], "parameters": {"number": number}, "access": access}
        key = self.keys[number // WAITING_EACH]
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"ask-{number}"}
        request = post("/v1/requests", json.dumps(ask).encode(), headers)
        began = time.perf_counter()
        self.asking.send(request)
        card = await self.tap.next("chat.postMessage")
        assert (await self.asking.answer())[0] == 202
        await self.tap.calm(SPACING_SECONDS)
        again = time.perf_counter()
        await self.slack.chat_postMessage(**card.message)
        floor = await self.tap.next("chat.postMessage")
        if number >= WARM:
            took[OURS].append((card.at - began) * 1000)
            took[POST].append((floor.at - again) * 1000)
        return card

    async def clicks(self, cards: Sequence[Card], took: dict[str, list[float]], *, warm: bool = False) -> None:
        """Click each card at once, at every floor and then at ours, and let through what follows."""
        requests = [click(card, person, self.of.world) for card, person in zip(cards, PEOPLE, strict=False)]
        for name, lines in self.lines.items():
            found = await asyncio.gather(*map(_one, lines, requests))
            if not warm:
                took[name] += found
        await self.tap.calm(SPACING_SECONDS)


async def _one(line: Connection, request: bytes) -> float:
    began = time.perf_counter()
    line.send(request)
    status, answer = await line.answer()
    took = took_ms(began)
    assert (status, answer) == (200, b""), answer
    return took


@asynccontextmanager
async def ready(of: Town, asks: int) -> AsyncIterator[Bench]:
    """Apply the rules and open the connections."""
    keys = await prepare(of.url, callers_for(asks))
    reader, writer = await asyncio.open_connection("127.0.0.1", of.world)
    writer.write(b"GET /tap HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    lines = {
        name: [Connection(*await asyncio.open_connection("127.0.0.1", port)) for _ in PEOPLE]
        for name, port in {**of.floors, OURS: of.web}.items()
    }
    asking = Connection(*await asyncio.open_connection("127.0.0.1", of.web))
    async with aiohttp.ClientSession() as session:
        slack = AsyncWebClient(TOKEN, base_url=f"http://127.0.0.1:{of.world}/api/", session=session, retry_handlers=[])
        yield Bench(of, keys, Tap(reader), asking, lines, session, slack)
    for line in (writer, asking, *itertools.chain(*lines.values())):
        line.close()


async def measure(of: Town, clicks: int, bursts: int) -> Took:
    """Measure the asks, and then the clicks on their cards: one after another, and so many at once."""
    took, asks = Took(), WARM + clicks + (WARM_BURSTS + bursts) * len(PEOPLE)
    async with ready(of, asks) as bench:
        cards = [await bench.card(number, took.cards) for number in range(asks // 2)]
        await bench.takes(SLOW_MS)
        cards += [await bench.card(number, took.slow_cards) for number in range(asks // 2, asks)]
        await bench.takes(0)
        rows = iter(cards)
        for number in range(WARM + clicks):
            await bench.clicks([next(rows)], took.alone, warm=number < WARM)
        for number in range(WARM_BURSTS + bursts):
            await bench.clicks(list(itertools.islice(rows, len(PEOPLE))), took.at_once, warm=number < WARM_BURSTS)
    return took


def rows(took: dict[str, list[float]], names: dict[str, str]) -> Iterator[tuple[str, ...]]:
    """Yield the figures of a floor each, of ours, and the ratios to the floors."""
    for name, label in names.items():
        yield label, *(f"{at(took[name], part):.2f}" for part in (0.5, 0.99))
    for name, label in names.items():
        if name != OURS:
            ratios = (at(took[OURS], part) / at(took[name], part) for part in (0.5, 0.99))
            yield f"**ratio** to {label}", *(f"**{one:.2f}**" for one in ratios)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench slack", description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=150)
    parser.add_argument("--bursts", type=int, default=15)
    options = parser.parse_args(argv)
    with town() as of:
        took = asyncio.run(measure(of, options.clicks, options.bursts))
    handlers = {**FLOORS, OURS: "click → acknowledged"}
    for head, found, names in (
        (f"{options.clicks} clicks, one after another", took.alone, handlers),
        (f"{options.bursts} times {len(PEOPLE)} clicks at once", took.at_once, handlers),
        (f"{len(took.cards[OURS])} asks", took.cards, POSTS),
        (f"{len(took.slow_cards[OURS])} asks, Slack takes {SLOW_MS} ms", took.slow_cards, POSTS),
    ):
        print(table((head, "p50 ms", "p99 ms"), rows(found, names)) if found else f"no {head}", end="\n\n")


if __name__ == "__main__":
    main()
