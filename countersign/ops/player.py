"""Play one person or agent of the demo after another, and remember what each scene leaves for the next.

The scenes are told elsewhere (`story`, `endings`); here is how an ask is made, a button pressed, a credential
collected, an end waited for, and a process killed.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import signal

from countersign.ops.browser import Browser
from countersign.ops.cast import Aws, Callers, Json, NotAsTold, expect, report_ask, standing, table_ask
from countersign.ops.staging import Stage
from workers.vault import DeliveryKey, open_credential

PATIENCE_SECONDS = 15.0


class Player:
    """Act in the running demo.

    Attributes:
        asked: request ids, by the names that scenes gave them.
        agents: AWS clients with a collected credential, by the same names.
        secrets: the secret values that were collected, by what they are called; no record may hold one.
        proof: the first proof of an end that was seen.
    """

    def __init__(self, stage: Stage, callers: Callers) -> None:
        """Take the running demo."""
        self.stage, self.callers = stage, callers
        self._run = secrets.token_hex(4)
        self.asked: dict[str, str] = {}
        self._delivery = DeliveryKey.generate()
        self.agents: dict[str, Aws] = {}
        self.secrets: list[tuple[str, str]] = []
        self.proof: Json = {}

    async def press(self, person: str, action: str, values: dict[str, str] | None = None) -> str:
        """Sign in to the console as a person, press one button there, and return what the page says then."""
        # What is of high risk is answered on its own page, where all of it is read; the rest on the list.
        page = action.removesuffix("/review") if action.endswith("/review") else "/console/"
        async with Browser(self.stage.ground.base_url) as browser:
            await browser.choose(person)
            return await browser.press(page, action, values)

    def report(self, ttl_seconds: int) -> Json:
        """Return the body of an ask for the report, unlike any before."""
        bucket = self.stage.ground.prepared.bucket
        return report_ask(bucket, self._own(), ttl_seconds=ttl_seconds, public_key=self._delivery.public_text)

    def table(self) -> Json:
        """Return the body of an ask for a table, unlike any before."""
        return table_ask(self._own(), public_key=self._delivery.public_text)

    def id(self, name: str) -> str:
        """Return the request of that name. Raises NotAsTold."""
        if name not in self.asked:
            raise NotAsTold("an earlier scene has not brought the request that this one is about")
        return self.asked[name]

    def agent(self, name: str) -> Aws:
        """Return the agent of that name. Raises NotAsTold."""
        if name not in self.agents:
            raise NotAsTold("an earlier scene has not brought the credential that this one needs")
        return self.agents[name]

    async def active(self, name: str) -> Json:
        """Wait until its credential can be collected."""

        def over(one: Json) -> bool:
            return bool(one["grant"]) and one["grant"]["state"] not in ("PENDING", "MINTING")

        request = await self.callers.until(self.id(name), over, PATIENCE_SECONDS)
        expect("it", standing(request), "APPROVED/ACTIVE")
        return request

    async def granted(self, name: str, ttl_seconds: int) -> Json:
        """Ask for the report, have it approved, collect and read once; returns the request."""
        reply = await self.callers.ask(self.report(ttl_seconds))
        self.asked[name] = reply.body["id"]
        await self.callers.review("kim", reply.body["id"], "approve")
        request = await self.active(name)
        agent = await self.collect(request)
        expect("AWS's refusal before its time", (await agent.read("2026/report.csv"))[1], None)
        self.agents[name] = agent
        return request

    async def collect(self, request: Json) -> Aws:
        """Collect an AWS credential."""
        ground = self.stage.ground
        opened = await self.open(request)
        self.secrets += [(name, opened[name]) for name in ("secret_access_key", "session_token")]
        return Aws(ground.aws.endpoint, ground.prepared.bucket, opened)

    async def open(self, request: Json) -> Json:
        """Collect a credential, sealed, and open it here."""
        grant = request["grant"]["id"]
        reply = await self.callers.call("agent", "POST", f"/v1/grants/{grant}/credential", {})
        expect("the status", reply.status, 200)
        clear = {"secret_access_key", "session_token", "environment"}
        expect("what travels in the clear", sorted(set(reply.body) & clear), [])
        sealed = base64.b64decode(reply.body["sealed"])
        return open_credential(self._delivery, sealed, grant, request["principal"])

    async def proven(self, name: str, kind: str, patience_seconds: float = PATIENCE_SECONDS) -> Json:
        """Wait for the proof of an end, and check its kind."""

        def over(one: Json) -> bool:
            return bool(one["grant"]["proof"])

        request = await self.callers.until(self.id(name), over, patience_seconds)
        expect("it", standing(request), "APPROVED/REVOKED")
        proof: Json = request["grant"]["proof"]
        expect("the kind of proof", proof["kind"], kind)
        self.proof = self.proof or proof
        return proof

    def _own(self) -> str:
        return f"demo-{self._run}-{len(self.asked)}"  # an ask of its own: identical ones would fold into one

    async def kill(self, *names: str) -> str:
        """Kill processes by pid and see them dead; they stay so until they may start again."""
        supervisor = self.stage.supervisor
        supervisor.may_restart.clear()
        children = [supervisor.children[name] for name in names]
        pids = [child.pid for child in children]
        for child in children:
            os.kill(child.pid, signal.SIGKILL)
        async with asyncio.timeout(5):
            await asyncio.gather(*(child.process.wait() for child in children if child.process))
        return " ".join(map(str, pids))
