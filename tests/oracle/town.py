"""The driven world: the real web process over a memory store whose clock is the machine's, Slack beside it, a worker.

Everything goes in where it goes in for everybody: asks and API reviews by key over HTTP, Slack clicks signed as Slack
signs them, the console by its own forms with a signed-in session, mints by the worker's own `advance`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from approvers.faults import ConfigError
from approvers.lifetime import Hearing
from bot.app import build_app
from countersign.ops.manifest import manifest
from tests.oracle.files import PEOPLE, Dict, policy_text, roster_text
from tests.worlds.cloud import Cloud
from tests.worlds.slack import Message, SlackWorld
from tests.worlds.slack.board import BOT_USER
from tests.worlds.texts import records_of
from tests.worlds.web import DELIVERY, Alarm, Answer, Web, make_key, serving
from workers.alerts import LogAlerts
from workers.clock.waiting import Waiting
from workers.config import load
from workers.leasing import advance
from workers.policies import apply
from workers.stores import layout
from workers.stores.memory import memory_store
from workers.stores.port import Commit, Snapshot, transact
from workers.tools import Tools
from workers.vault import seal_credential

START = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
"""A Friday, three hours before the night; the policy's hours are UTC."""
CHANNEL = "C01"
CALLERS = ("caller:report-bot", "caller:deploy")
OPERATOR = "user:ops"
LEASE = timedelta(seconds=20)
EVERYBODY = [f"user:{name}" for name in PEOPLE]


@asynccontextmanager
async def open_slack() -> AsyncIterator[SlackWorld]:
    """Open a workspace in which everybody is; it outlives the towns beside it."""
    async with SlackWorld.open(manifest=manifest(None, match_email=True)) as slack:
        for name, account in PEOPLE.items():
            slack.add_user(account, name=name, email=f"{name}@example.com")
        slack.add_channel(CHANNEL, members=list(PEOPLE.values()))
        yield slack


class Town:
    """One web process with an empty store, and everybody who speaks to it."""

    def __init__(self, slack: SlackWorld) -> None:
        self.slack, self.time, self.asked = slack, START, 0
        self.store = memory_store(lambda: self.time)
        self.cloud = Cloud(lambda: self.time)
        self.web: Web
        self.url = ""
        self.tools: Tools
        self._browsers: dict[str, aiohttp.ClientSession] = {}
        self._tokens: dict[str, str] = {}
        self._stack = AsyncExitStack()

    async def open(self, policy: Dict, roster: Dict) -> None:
        """Apply the rules, make keys, and serve."""
        environ = {
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "DEMO": "true",
            "DELIVERY_KEY": DELIVERY.text,
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_SIGNING_SECRET": self.slack.signing_secret,
            "SLACK_API_URL": self.slack.api_url,
        }
        await self.apply(policy, roster, first=True)
        scopes = {**dict.fromkeys(CALLERS, ("request",)), **dict.fromkeys(EVERYBODY, ("review", "request"))}
        scopes[OPERATOR] = ("operate", "read")
        keys = {principal: await make_key(self.store, principal, *given) for principal, given in scopes.items()}
        settings = load({f"COUNTERSIGN_{name}": text for name, text in environ.items()})
        self.web = Web(build_app(settings, self.store, LogAlerts()), self.store, keys, Alarm())
        self.web.base = self.url = await self._stack.enter_async_context(serving(self.web.app))
        self.web.client = await self._stack.enter_async_context(aiohttp.ClientSession())
        self.slack.connect(f"{self.url}/slack/events")
        self.tools = Tools(
            store=self.store,
            policies=self.web.deps.policies,
            providers={"aws": self.cloud},
            seal=lambda secret, grant: seal_credential(secret, DELIVERY.public, grant.id, grant.principal),
            alerts=LogAlerts(),
            lease=LEASE,
        )

    async def close(self) -> None:
        """End the process, and clear Slack's table."""
        for http in self._browsers.values():
            await http.close()
        await self._stack.aclose()
        self.slack.board.messages.clear()
        self.slack.log.clear()

    async def apply(self, policy: Dict, roster: Dict, *, first: bool = False) -> bool:
        """Change the files, as an operator does; files that do not load together change nothing, and give False."""
        texts = {"policy": policy_text(policy), "roster": roster_text(roster)}
        try:
            await apply(self.store.records, **texts, by="ops", why="test")
        except ConfigError:
            if first:
                raise
            return False
        if not first:
            await self.web.deps.policies.refresh()
        return True

    async def passes(self, time: timedelta) -> None:
        """Let time pass, with the web process there to hear callers all the while: a jump is no outage of it."""
        self.time += time

        def step(seen: Snapshot) -> tuple[Commit | None, None]:
            heard, version = Hearing(since=START, until=seen.now), seen.records[layout.HEARING].version
            return layout.commit(seen.now, layout.put(layout.HEARING, version, heard.model_dump_json())), None

        await transact(self.store.records, [layout.HEARING], step)

    # ---- asking and looking

    async def ask(self, ask: Dict) -> Answer:
        """Ask by key; `parameters` make every ask another one."""
        self.asked += 1
        body = {
            "action": ask["action"],
            "resource": ask["resource"],
            "environment": ask["environment"],
            "reason": ask["reason"],
            "ttl_seconds": ask["ttl"],
            "data_classes": ask["data"],
            "parameters": {"number": self.asked},
            "actor": {"id": ask["actor"], "on_behalf_of": ask["behalf"]},
            "access": ask["access"],
            "ticket": ask["ticket"],
            "stage": ask["stage"],
            "risk": ask["risk"],
            "break_glass": ask["break_glass"],
            "extends": ask["extends"] and f"grt_{ask['extends'].removeprefix('req_')}",
        }
        sent = {name: value for name, value in body.items() if value is not None}
        sent["actor"] = {name: value for name, value in body["actor"].items() if value is not None}
        key = {"Idempotency-Key": f"key-{self.asked}"}
        return await self.web.call("POST", "/v1/requests", who=ask["principal"], headers=key, json=sent)

    async def read(self, request: str) -> Dict:
        """Return a request as the API tells it to whoever oversees."""
        answer = await self.web.call("GET", f"/v1/requests/{request}", who=OPERATOR)
        assert answer.status == 200, answer.body
        return dict(answer.json)

    async def look(self, request: str) -> str:
        """Return the digest of what the request's own page shows; nothing where it cannot be answered there."""
        http = await self._browser("kim")
        async with http.get(f"/console/requests/{request}") as answer:
            page = await answer.text()
        found = re.search(r'name="shown" value="([^"]+)"', page)
        return found[1] if found else ""

    # ---- clicking: each returns the code of the refusal, None where the answer counts

    async def by_api(self, request: str, click: Dict, shown: str | None) -> str | None:
        """Answer by key."""
        more: Dict = {"shown": shown} if shown is not None else {}
        if click["ttl"] is not None:
            more["narrow"] = {"ttl_seconds": click["ttl"]}
        answer = await self.web.review(request, click["who"], click["verdict"], **more)
        return None if answer.status == 200 else answer.code

    async def by_slack(self, request: str, click: Dict, shown: str) -> str | None:
        """Press a button of a card in the channel, signed; return what the record says was refused."""
        account, before = PEOPLE[click["who"]], await self.refusals(request)
        heard = len(self.slack.ephemerals(account))
        card = self._card(request, shown)
        delivery = await self.slack.click(account, card, f"cs_{click['verdict']}")
        assert delivery.ok, delivery
        await self.slack.until(lambda: len(self.slack.ephemerals(account)) > heard, 8, f"a word to {account}")
        return await self._refused(request, before)

    async def by_console(self, request: str, click: Dict, shown: str) -> str | None:
        """Send the form of the list, or of the request's own page (`whole`)."""
        before = await self.refusals(request)
        fields = {"shown": shown, "verdict": click["verdict"], "back": "request" if click["whole"] else "list"}
        await self._send(click["who"], f"/console/requests/{request}/review", fields)
        return await self._refused(request, before)

    async def refusals(self, request: str) -> list[str]:
        """Return the codes of what was refused on a request's chain, in order."""
        records = await records_of(self.store, request)
        kinds = ("review.refused", "break_glass.review_refused")
        return [one["data"]["code"] for one in records if one["type"] in kinds]

    async def after_review(self, request: str, who: str, verdict: str, via: str) -> str | None:
        """Say what somebody finds of a use of break-glass."""
        if via == "console":
            before = await self.refusals(request)
            fields = {"verdict": verdict, "back": "request", "reason": "so it was"}
            await self._send(who, f"/console/requests/{request}/after-review", fields)
            return await self._refused(request, before)
        body = {"verdict": verdict, "reason": "so it was"}
        path = f"/v1/requests/{request}/after-review"
        answer = await self.web.call("POST", path, who=f"user:{who}", json=body)
        return None if answer.status == 200 else answer.code

    # ---- stopping, ending, minting

    async def freeze(self, *, on: bool) -> None:
        """Stop approvals and mints, or let them go on."""
        answer = await self.web.call("POST" if on else "DELETE", "/v1/freeze", who="user:kim", json={"reason": "test"})
        assert answer.status == 200, answer.body

    async def end(self, request: str, who: str, how: str) -> int:
        """Collect, release or revoke the grant of a request; returns the status."""
        path = f"/v1/grants/{request.replace('req_', 'grt_')}/{how}"
        return (await self.web.call("POST", path, who=who, json={})).status

    async def work(self) -> None:
        """Be the worker: do all that is due now."""
        while items := (await self.store.due.claim("worker", most=10, lease=LEASE)).items:
            for item in items:
                await advance(self.tools, item)

    async def tick(self) -> None:
        """Be the clock: look after what waits."""
        waiting = Waiting(self.store, self.web.deps.policies, LogAlerts())
        while items := (await self.store.due.claim("clock", most=10, lease=LEASE)).items:
            for item in items:
                if item.member.startswith("request:"):
                    await waiting.look_after(item)
        await waiting.settle()

    # ---- inside

    async def _refused(self, request: str, before: list[str]) -> str | None:
        new = (await self.refusals(request))[len(before) :]
        assert len(new) <= 1, new
        return new[0] if new else None

    def _card(self, request: str, shown: str) -> Message:
        """Put a card of the app into the channel, as it was when this digest was shown."""
        buttons = [
            {"type": "button", "action_id": f"cs_{verdict}", "value": f"{request}.{shown}",
             "text": {"type": "plain_text", "text": verdict}}
            for verdict in ("approve", "deny")
        ]  # fmt: skip
        board = self.slack.board
        blocks = ({"type": "actions", "elements": buttons},)
        return board.put(Message(board.ts(), CHANNEL, "a card", blocks, user=BOT_USER)) and board.messages[-1]

    async def _browser(self, person: str) -> aiohttp.ClientSession:
        """Return a person's signed-in browser."""
        if person not in self._browsers:
            http = aiohttp.ClientSession(self.url, cookie_jar=aiohttp.CookieJar(unsafe=True))
            self._browsers[person] = http
            path, given = "/console/sign-in/as", {"person": f"user:{person}", "next": "/console/"}
            headers = {"Origin": self.url}
            async with http.post(path, data=given, headers=headers, allow_redirects=False) as answer:
                assert answer.status == 303, (answer.status, await answer.text())
        return self._browsers[person]

    async def _token(self, person: str, page: str) -> str:
        """Return the token of a person's forms, as a page of theirs carries it."""
        if person not in self._tokens:
            http = await self._browser(person)
            async with http.get(page) as answer:
                found = re.search(r'name="form_token" value="([^"]+)"', await answer.text())
            assert found, (answer.status, page)
            self._tokens[person] = found[1]
        return self._tokens[person]

    async def _send(self, person: str, path: str, fields: dict[str, str]) -> None:
        http, token = await self._browser(person), await self._token(person, path.rpartition("/")[0])
        sent: dict[str, Any] = {"form_token": token, **fields}
        async with http.post(path, data=sent, headers={"Origin": self.url}, allow_redirects=False) as answer:
            assert answer.status == 303, (answer.status, (await answer.text())[-800:])
