"""Measure Teams: an ask until its card is there; and a flood of asks over Slack and Teams at once.

    python -m bench teams [--asks 100] [--flood 200] [--seconds 240]

Real processes: the web process, a Valkey with `appendfsync always`, and what stands for Teams and Slack
(`bench.teams_world`). The floor of a card is the bare post of the same message, by the same client class, to the same
Teams; each is measured in turn with its floor. In the flood every request goes to a channel of Slack and one of Teams,
which hold to the platforms' rates; it is shown once a message with it was taken, be it a card or a row of a list.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bench.common import Connection, post, serving
from bench.slack import ASKED_IN, OURS, POST, SLOW_MS, TOKEN, WARM, rows
from bench.slack import SECRET as SLACK_SECRET
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
from bot.surfaces.teams_auth import Connector, GuardedConnectors
from bot.surfaces.teams_proof import served_by
from bot.surfaces.teams_routes import Route, Routes
from bot.surfaces.teams_tokens import Token, TokenCache
from workers.policies import apply

FLOODED = tuple(f"f{number}" for number in range(10))
"""The flood's channels, each one of Slack and one of Teams."""
CARDS_EACH = 4
"""How many cards one channel gets that is asked one by one: it is never held to its pace, and gets no list."""
TENANT, APP, SECRET = "11111111-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000002", "s" * 32
SPACING_SECONDS = 0.07
"""How long nothing has come before the next ask."""
LOOK_SECONDS = 0.02
"""How often the web process is asked whether it lives."""
LINES = 16
"""Connections that the flood comes over."""
CALM_SECONDS = 0.6
POSTS = {POST: "floor: the bare post", OURS: "ask → card in Teams"}
PLACE = '\n[place.{0}]\nteams = "19:{0}@thread.tacv2"\ngroups = ["sre"]\n'
IN_SLACK = 'slack = "C{0}"\n'
_REQUEST = re.compile(r"req_[0-9A-Za-z]+")


def teams_id(channel: str) -> str:
    """Return a channel's id in Teams."""
    return f"19:{channel}@thread.tacv2"


@dataclass(frozen=True)
class Town:
    """What runs: the store, and the ports of the world and the web process."""

    url: str
    world: int
    web: int

    @property
    def route(self) -> Route:
        """Return the way to any channel."""
        service = f"http://127.0.0.1:{self.world}/"
        return Route(service_url=service, tenant_id=TENANT, bot_id=f"28:{APP}", kind="channel")


@contextmanager
def town() -> Iterator[Town]:
    """Run Valkey, what stands for the platforms, and the web process."""
    with ExitStack() as stack:
        server, _ = stack.enter_context(valkey())
        world, _ = stack.enter_context(serving("bench.teams_world", {}))
        here = f"http://127.0.0.1:{world}"
        env = {
            "COUNTERSIGN_REDIS_URL": server.url,
            "COUNTERSIGN_PORT": "0",
            "COUNTERSIGN_DELIVERY_KEY": DELIVERY.text,
            "COUNTERSIGN_TEAMS_APP_ID": APP,
            "COUNTERSIGN_TEAMS_APP_SECRET": SECRET,
            "COUNTERSIGN_TEAMS_TENANT_ID": TENANT,
            "COUNTERSIGN_TEAMS_SERVICE_HOSTS": "127.0.0.1",
            "COUNTERSIGN_TEAMS_ISSUER_URL": f"{here}/openid",
            "COUNTERSIGN_TEAMS_TOKEN_URL": f"{here}/token",
            "COUNTERSIGN_SLACK_BOT_TOKEN": TOKEN,
            "COUNTERSIGN_SLACK_SIGNING_SECRET": SLACK_SECRET,
            "COUNTERSIGN_SLACK_API_URL": f"{here}/api",
        }
        web, _ = stack.enter_context(serving("bot", env))
        yield Town(server.url, world, web)


def alone(asks: int) -> list[str]:
    """Return the channels for so many asks one by one."""
    return [f"c{number}" for number in range(-(-2 * (WARM + asks) // CARDS_EACH))]


async def prepare(of: Town, channels: Sequence[str], callers: int) -> list[str]:
    """Apply the rules, have the product know the way to Teams, and return a key of each caller."""
    places = [*map(PLACE.format, channels), *(PLACE.format(it) + IN_SLACK.format(it.upper()) for it in FLOODED)]
    roster = "".join([(RULES / "countersign.toml").read_text(), *map(CALLER.format, range(callers)), *places])
    async with opened(of.url) as store:
        policy = POLICY + "".join(map(ASKED_IN.format, [*channels, *FLOODED]))
        await apply(store.records, policy=policy, roster=roster, by="bench", why="bench")
        await Routes(store.records, TENANT).learn(of.route.in_channel(teams_id(channels[0])))
        return [await make_key(store, f"caller:bot-{number}", "request") for number in range(callers)]


def ask(number: int, channel: str, keys: Sequence[str]) -> bytes:
    """Return the bytes of one ask that goes to this channel."""
    resource = f"arn:aws:s3:::exports-{channel}/2026/*"
    access = {"provider": "dry_run", "role": "analytics", "actions": ["s3:GetObject"], "resources": [resource]}
    body = BODY | {"resource": resource, "data_classes": [], "parameters": {"number": number}, "access": access}
    headers = {"Authorization": f"Bearer {keys[number // WAITING_EACH]}", "Idempotency-Key": f"ask-{number}"}
    return post("/v1/requests", json.dumps(body).encode(), headers)


@asynccontextmanager
async def listening(of: Town) -> AsyncIterator[asyncio.StreamReader]:
    """Hear what comes to the platforms, a line for each call."""
    reader, writer = await asyncio.open_connection("127.0.0.1", of.world, limit=1 << 22)
    writer.write(b"GET /tap HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    yield reader
    writer.close()


async def tell(of: Town, what: str) -> None:
    """Have the world keep to something from now on."""
    async with aiohttp.ClientSession() as http:
        (await http.get(f"http://127.0.0.1:{of.world}/{what}")).release()


# ---- one after another


async def _next(tap: asyncio.StreamReader) -> dict[str, Any]:
    """Return the next post in Teams."""
    while True:
        told: dict[str, Any] = json.loads(await asyncio.wait_for(tap.readline(), 10))
        if told["method"] == "teams.post":
            return told


async def _calm(tap: asyncio.StreamReader) -> None:
    with suppress(TimeoutError):
        while True:
            await asyncio.wait_for(tap.readline(), SPACING_SECONDS)


async def _token() -> Token:
    return Token("bench", 3600.0)


async def one_by_one(of: Town, asks: int, keys: Sequence[str]) -> list[dict[str, list[float]]]:
    """Measure asks and bare posts in turn: to a Teams that answers at once, and to one that takes its time."""
    channels = alone(asks)
    line = Connection(*await asyncio.open_connection("127.0.0.1", of.web))
    tokens, numbers, found = TokenCache(_token), iter(range(2 * (WARM + asks))), []
    connectors = GuardedConnectors(tokens, served_by(()))
    api = Connector(connectors)
    async with listening(of) as tap:
        for milliseconds in (0, SLOW_MS):
            await tell(of, f"takes/{milliseconds}")
            took: dict[str, list[float]] = defaultdict(list)
            for turn in range(WARM + asks):
                number = next(numbers)
                channel = channels[number % len(channels)]
                request, began = ask(number, channel, keys), time.perf_counter()
                line.send(request)
                card = await _next(tap)
                assert (await line.answer())[0] == 202
                await _calm(tap)
                again = time.perf_counter()
                await api.post(of.route.in_channel(teams_id(channel)), json.loads(card["body"])["activity"])
                floor = await _next(tap)
                if turn >= WARM:
                    took[OURS].append((card["at"] - began) * 1000)
                    took[POST].append((floor["at"] - again) * 1000)
            found.append(took)
    line.close()
    await connectors.aclose()
    await tokens.aclose()
    return found


# ---- the flood


@dataclass
class Flood:
    """What came of it: seconds to be shown per surface, calls of each kind, answers' milliseconds."""

    shown: dict[str, dict[str, float]] = field(default_factory=lambda: {"slack": {}, "teams": {}})
    as_rows: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    asked_ms: list[float] = field(default_factory=list)
    alive_ms: list[tuple[float, float]] = field(default_factory=list)
    asked_at: dict[str, float] = field(default_factory=dict)
    over: float = 0.0
    """When the last ask was answered."""

    def seconds(self, surface: str) -> list[float]:
        """Return after how many seconds each request was shown there; `first`: on whichever was first."""
        kinds = self.shown.values() if surface == "first" else [self.shown[surface]]
        return [
            min(moments) - began
            for request, began in self.asked_at.items()
            if (moments := [kind[request] for kind in kinds if request in kind])
        ]


async def flood(of: Town, asks: int, seconds: float, keys: Sequence[str]) -> Flood:
    """Ask so many times within one second, and wait until each is shown on both surfaces, or the time is over."""
    found = Flood()
    await tell(of, "takes/0")
    await tell(of, "limits")
    lines = [Connection(*await asyncio.open_connection("127.0.0.1", of.web)) for _ in range(LINES + 1)]
    async with listening(of) as tap, asyncio.TaskGroup() as group:
        hearing, looking = group.create_task(_hear(tap, found, asks)), group.create_task(_alive(lines[-1], found))
        await asyncio.sleep(CALM_SECONDS)
        began = time.perf_counter()
        senders = [_send(line, start, asks, began, keys, found) for start, line in enumerate(lines[:-1])]
        await asyncio.gather(*senders)
        found.over = time.perf_counter()
        await asyncio.wait([hearing], timeout=seconds)
        hearing.cancel()
        looking.cancel()
    for line in lines:
        line.close()
    return found


async def _send(line: Connection, start: int, asks: int, began: float, keys: Sequence[str], found: Flood) -> None:
    for number in range(start, asks, LINES):
        request = ask(number, FLOODED[number % len(FLOODED)], keys)
        await asyncio.sleep(max(0.0, began + number / asks - time.perf_counter()))
        sent = time.perf_counter()
        answer = await line.call(request)
        found.asked_ms.append(took_ms(sent))
        found.asked_at[answer["id"]] = sent


async def _hear(tap: asyncio.StreamReader, found: Flood, asks: int) -> None:
    """Note what is shown where, until all is."""
    while any(len(shown) < asks for shown in found.shown.values()):
        told = json.loads(await tap.readline())
        method = told["method"]
        found.calls[method] += 1
        surface = "teams" if method.startswith("teams.") else "slack"
        names = set(_REQUEST.findall(told["body"]))
        for name in names - found.shown[surface].keys():
            found.shown[surface][name] = told["at"]
            found.as_rows[surface] += len(names) > 1 or method in ("teams.update", "chat.update")


async def _alive(line: Connection, found: Flood) -> None:
    """Ask the web process whether it lives. The answer cannot be quicker than its loop is free: an upper bound."""
    while True:
        began = time.perf_counter()
        line.send(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await line.answer()
        found.alive_ms.append((began, took_ms(began)))
        await asyncio.sleep(max(0.0, began + LOOK_SECONDS - time.perf_counter()))


def flood_rows(found: Flood, asks: int) -> Iterator[tuple[str, ...]]:
    """Yield a row for each surface: how many were shown, how many of them in lists, and after how long."""
    for surface, label in (("slack", "Slack"), ("teams", "Teams"), ("first", "whichever was first")):
        shown = found.seconds(surface)
        figures = [f"{at(shown, part):.2f}" for part in (0.5, 0.99, 1)] if shown else ["none"] * 3
        listed = "" if surface == "first" else str(found.as_rows[surface])
        yield label, f"{len(shown)} of {asks}", listed, *figures


def lag_rows(found: Flood) -> Iterator[tuple[str, ...]]:
    """Yield how long /healthz took before, while the asks came, and afterwards; and an ask's own answer."""
    began = min(found.asked_at.values())
    parts = {
        "/healthz, before": [took for moment, took in found.alive_ms if moment < began],
        "/healthz, while the asks came": [took for moment, took in found.alive_ms if began <= moment < found.over],
        "/healthz, from then to the last card": [took for moment, took in found.alive_ms if moment >= found.over],
        "an ask's own answer": found.asked_ms,
    }
    for label, took in parts.items():
        if took:
            yield label, str(len(took)), *(f"{at(took, part):.1f}" for part in (0.5, 0.99, 1))


async def measure(
    of: Town, asks: int, flooding: int, seconds: float
) -> tuple[dict[str, list[float]], dict[str, list[float]], Flood]:
    """Measure both, one after the other, each with callers of its own."""
    few = callers_for(2 * (WARM + asks))
    keys = await prepare(of, alone(asks), few + callers_for(flooding))
    quick, slow = await one_by_one(of, asks, keys[:few])
    return quick, slow, await flood(of, flooding, seconds, keys[few:])


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench teams", description=__doc__.splitlines()[0])
    parser.add_argument("--asks", type=int, default=100)
    parser.add_argument("--flood", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=240, help="how long the flood's cards are waited for")
    options = parser.parse_args(argv)
    with town() as of:
        quick, slow, found = asyncio.run(measure(of, options.asks, options.flood, options.seconds))
    for head, took in ((f"{options.asks} asks", quick), (f"{options.asks} asks, Teams takes {SLOW_MS} ms", slow)):
        print(table((head, "p50 ms", "p99 ms"), rows(took, POSTS)), end="\n\n")
    head = (f"{options.flood} asks in a second", "shown", "in lists", "p50 s", "p99 s", "max s")
    print(table(head, flood_rows(found, options.flood)), end="\n\n")
    print(table(("the web process meanwhile", "times", "p50 ms", "p99 ms", "max ms"), lag_rows(found)), end="\n\n")
    print("calls taken:", ", ".join(f"{name} {count}" for name, count in sorted(found.calls.items())))


if __name__ == "__main__":
    main()
