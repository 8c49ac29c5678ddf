"""Tell the demo's story: each scene is a coroutine that returns what to print beside its name, or raises.

Nothing is skipped: a scene that needs what an earlier one should have brought fails with it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import secrets
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from approvers.audit import check_chain
from countersign.ops.browser import Browser, words_of
from countersign.ops.cast import Aws, Callers, Json, NotAsTold, expect, report_ask, standing
from countersign.ops.staging import Stage
from countersign.ops.telling import proof_sentence
from workers.vault import DeliveryKey, open_credential

SHORT_TTL = timedelta(seconds=10)
EXPIRES_SOON = "demo:Knock"
"""An action that the demo's policy lets people answer for five seconds only."""
REPORT, OTHER = "2026/report.csv", "other/secret.csv"
PATIENCE_SECONDS = 15.0
AWS_SECONDS = 8.0
"""How long AWS may take to refuse what was revoked."""
Scene = Callable[[], Awaitable[str]]


class Story:
    """The scenes, and what they hand on to each other."""

    def __init__(self, stage: Stage, callers: Callers) -> None:
        """Take the running demo."""
        self._stage, self._callers = stage, callers
        self._run = secrets.token_hex(4)
        self._asked: dict[str, str] = {}
        self._delivery = DeliveryKey.generate()
        self._agents: dict[str, Aws] = {}
        self._proof: Json = {}

    def scenes(self) -> list[tuple[str, Scene]]:
        """Return the scenes in the order of the story."""
        return [
            ("an agent asks: 202, and a person is asked", self.asks),
            ("another ask is left alone, to expire in five seconds", self.leaves_one_alone),
            ("the human behind the agent tries to approve, and is told why not", self.four_eyes),
            ("another person approves", self.approves),
            ("the credential is delivered, sealed to the agent's own key", self.delivers),
            ("the agent reads its report", self.reads),
            ("AWS refuses what was not granted, word for word", self.refused_elsewhere),
            ("AWS refuses PutObject", self.refused_writing),
            ("revoked: AccessDenied, and proven by probes", self.revokes),
            ("a denial is told as DENIED", self.denies),
            ("an expiry is told as EXPIRED, not as DENIED", self.expires),
            ("worker and clock are killed; a ten-second credential still ends at AWS", self.outlives),
            ("after their restart the end is proven", self.proven_afterwards),
            ("every audit chain is whole, and holds no secret", self.chains_whole),
        ]

    async def asks(self) -> str:
        """Ask for the report's files."""
        reply = await self._callers.ask(self._report(900))
        expect("the status", reply.status, 202)
        expect("the state", reply.body["state"], "PENDING")
        expect("Retry-After", reply.headers.get("Retry-After"), "5")
        expect("Location", reply.headers.get("Location"), f"/v1/requests/{reply.body['id']}")
        self._asked["report"] = reply.body["id"]
        return f"{reply.body['handle']}: {reply.body['agent_message']}"

    async def leaves_one_alone(self) -> str:
        """Ask for something that nobody will answer."""
        body = self._report(60) | {"action": EXPIRES_SOON}
        reply = await self._callers.ask({name: value for name, value in body.items() if name != "access"})
        expect("the status", reply.status, 202)
        self._asked["knock"] = reply.body["id"]
        left = datetime.fromisoformat(reply.body["expires_at"]) - datetime.now(UTC)
        if left > timedelta(seconds=6):
            raise NotAsTold(f"it expires in {left.total_seconds():.0f} s; this scene needs the demo's own policy")
        return f"{reply.body['handle']} can be answered for {left.total_seconds():.0f} s"

    async def four_eyes(self) -> str:
        """Let dana, on whose behalf the agent asks, press Approve; the API must say the same."""
        page = await self._press("dana", f"/console/requests/{self._id('report')}/review", {"verdict": "approve"})
        reply = await self._callers.review("dana", self._id("report"), "approve")
        expect("the status", reply.status, 403)
        expect("the code", reply.body["code"], "four_eyes")
        if reply.body["detail"] not in page:
            raise NotAsTold(f"the console does not say: {reply.body['detail']}")
        return f"the console tells dana: {reply.body['detail']}"

    async def approves(self) -> str:
        """Let robin press Approve."""
        page = await self._press("robin", f"/console/requests/{self._id('report')}/review", {"verdict": "approve"})
        request = (await self._callers.call("agent", "GET", f"/v1/requests/{self._id('report')}")).body
        expect("the state", request["state"], "APPROVED")
        expect("who approved", [one["reviewer"] for one in request["reviews"]], ["user:robin"])
        if (words := f"You approved {request['handle']}, and that was enough.") not in page:
            raise NotAsTold(f"the console does not say: {words}")
        return f"the console tells robin: {words}"

    async def delivers(self) -> str:
        """Collect the credential and open it with the key that never left this process."""
        request = await self._active("report")
        self._agents["report"] = await self._collect(request)
        return f"ACTIVE until {request['grant']['ends_at'][11:19]}; what travelled can be opened by nobody else"

    async def reads(self) -> str:
        """Read the report."""
        rows, refusal = await self._agent("report").read(REPORT)
        expect("AWS's refusal", refusal, None)
        if len(rows) < 2:
            raise NotAsTold(f"the report has {len(rows)} rows")
        return f"{len(rows) - 1} rows, the first: {rows[1]}"

    async def refused_elsewhere(self) -> str:
        """Read what the role could, and this grant cannot."""
        _, refusal = await self._agent("report").read(OTHER)
        return f"AWS: {_refused(refusal, OTHER)}"

    async def refused_writing(self) -> str:
        """Write over the very file that may be read."""
        return f"AWS: {_refused(await self._agent('report').write(REPORT), 'PutObject')}"

    async def revokes(self) -> str:
        """Let alex press Revoke, and wait for AWS's refusal, and for the proof on the page."""
        agent, grant = self._agent("report"), self._id("report").replace("req_", "grt_")
        await self._press("alex", f"/console/grants/{grant}/revoke")
        refusal = await agent.until_refused(REPORT, AWS_SECONDS)
        proof = await self._proven("report", "probe_denied")
        expect("the probes", (proof["refused"], proof["asked"]), (3, 3))
        async with Browser(self._stage.ground.base_url) as browser:
            await browser.choose("alex")
            page = words_of(await browser.load(f"/console/requests/{self._id('report')}"))
        if (words := re.search(r"refused 3 of 3 probes, \d+\.\d s after the request", page)) is None:
            raise NotAsTold("the console does not say how the end was proven")
        return f"the console says: {words[0]}\nAWS tells the agent: {refusal}"

    async def denies(self) -> str:
        """Let alex say no."""
        reply = await self._callers.ask(self._report(300))
        self._asked["denied"] = reply.body["id"]
        reply = await self._callers.review("alex", reply.body["id"], "deny", "too broad, ask narrower")
        _stands(reply.body, "DENIED", "reviewer", human=True)
        return str(reply.body["agent_message"])

    async def expires(self) -> str:
        """See that silence is not told as a no."""
        request = await self._callers.until(self._id("knock"), lambda one: one["state"] != "PENDING", PATIENCE_SECONDS)
        _stands(request, "EXPIRED", "nobody_answered", human=False)
        return str(request["agent_message"])

    async def outlives(self) -> str:
        """Kill worker and clock under a live credential, and keep them dead until AWS has ended it by itself."""
        reply = await self._callers.ask(self._report(round(SHORT_TTL.total_seconds())))
        self._asked["short"] = reply.body["id"]
        await self._callers.review("kim", reply.body["id"], "approve")
        request = await self._active("short")
        self._agents["short"] = agent = await self._collect(request)
        killed = await self._kill("worker", "clock")
        expect("AWS's refusal before its time", (await agent.read(REPORT))[1], None)
        refusal = await agent.until_refused(REPORT, SHORT_TTL.total_seconds() + 3)
        late = (datetime.now(UTC) - datetime.fromisoformat(request["grant"]["ends_at"])).total_seconds()
        if late < 0:
            raise NotAsTold(f"AWS refused it {-late:.1f} s before its end")
        now = (await self._callers.call("agent", "GET", f"/v1/requests/{request['id']}")).body
        expect("the grant, while nobody can look after it,", standing(now), "APPROVED/ACTIVE")
        return f"kill -9 {killed}; refused {late:.1f} s after its end\nAWS: {refusal}"

    async def proven_afterwards(self) -> str:
        """Let both start again, and wait for the proof."""
        self._stage.supervisor.may_restart.set()
        return proof_sentence(await self._proven("short", "ttl_denied"))

    async def chains_whole(self) -> str:
        """Check the chain of every request, and search the records for what must not be in them."""
        count = 0
        for request in self._asked.values():
            bodies = await _chain(self._callers, request)
            self._search(b"\n".join(bodies))
            count += len(bodies)
        return f"{count} records in {len(self._asked)} chains"

    async def found_again(self, stage: Stage, callers: Callers) -> str:
        """See the same requests, under the same tokens, after everything was stopped and started."""
        expect("the API key", stage.tokens, self._stage.tokens)
        request = (await callers.call("agent", "GET", f"/v1/requests/{self._id('report')}")).body
        expect("the request", standing(request), "APPROVED/REVOKED")
        expect("its proof", request["grant"]["proof"], self._proof)
        count = len(await _chain(callers, self._id("report")))
        return f"{request['handle']} is {standing(request)}; its proof and its {count} records are there"

    async def _press(self, person: str, action: str, values: dict[str, str] | None = None) -> str:
        """Sign in to the console as a person, press one button there, and return what the page says then."""
        # What is of high risk is answered on its own page, where all of it is read; the rest on the list.
        page = action.removesuffix("/review") if action.endswith("/review") else "/console/"
        async with Browser(self._stage.ground.base_url) as browser:
            await browser.choose(person)
            return await browser.press(page, action, values)

    def _report(self, ttl_seconds: int) -> Json:
        bucket = self._stage.ground.prepared.bucket
        run = f"demo-{self._run}-{len(self._asked)}"  # an ask of its own: identical ones would fold into one
        return report_ask(bucket, run, ttl_seconds=ttl_seconds, public_key=self._delivery.public_text)

    def _id(self, name: str) -> str:
        if name not in self._asked:
            raise NotAsTold("an earlier scene has not brought the request that this one is about")
        return self._asked[name]

    def _agent(self, name: str) -> Aws:
        if name not in self._agents:
            raise NotAsTold("an earlier scene has not brought the credential that this one needs")
        return self._agents[name]

    async def _active(self, name: str) -> Json:
        def over(one: Json) -> bool:
            return bool(one["grant"]) and one["grant"]["state"] not in ("PENDING", "MINTING")

        request = await self._callers.until(self._id(name), over, PATIENCE_SECONDS)
        expect("it", standing(request), "APPROVED/ACTIVE")
        return request

    async def _collect(self, request: Json) -> Aws:
        grant = request["grant"]["id"]
        reply = await self._callers.call("agent", "POST", f"/v1/grants/{grant}/credential", {})
        expect("the status", reply.status, 200)
        expect("what travels in the clear", sorted(set(reply.body) & {"secret_access_key", "session_token"}), [])
        sealed = base64.b64decode(reply.body["sealed"])
        opened = open_credential(self._delivery, sealed, grant, request["principal"])
        ground = self._stage.ground
        return Aws(ground.aws.endpoint, ground.prepared.bucket, opened)

    async def _proven(self, name: str, kind: str) -> Json:
        def over(one: Json) -> bool:
            return bool(one["grant"]["proof"])

        request = await self._callers.until(self._id(name), over, PATIENCE_SECONDS)
        expect("it", standing(request), "APPROVED/REVOKED")
        proof: Json = request["grant"]["proof"]
        expect("the kind of proof", proof["kind"], kind)
        self._proof = self._proof or proof
        return proof

    async def _kill(self, *names: str) -> str:
        """Kill processes by pid and see them dead; they stay so until they may start again."""
        supervisor = self._stage.supervisor
        supervisor.may_restart.clear()
        children = [supervisor.children[name] for name in names]
        pids = [child.pid for child in children]
        for child in children:
            os.kill(child.pid, signal.SIGKILL)
        async with asyncio.timeout(5):
            await asyncio.gather(*(child.process.wait() for child in children if child.process))
        return " ".join(map(str, pids))

    def _search(self, records: bytes) -> None:
        for agent in self._agents.values():
            for name in ("secret_access_key", "session_token"):
                secret = agent.credential[name]
                if secret.encode() in records or json.dumps(secret).encode() in records:
                    raise NotAsTold(f"a record holds the {name}")


async def _chain(callers: Callers, request: str) -> list[bytes]:
    """Return the stored bytes of a request's records. Raises ValueError, naming the record, if the chain is broken."""
    reply = await callers.call("agent", "GET", f"/v1/audit/{request}?bodies=1")
    expect("the status", reply.status, 200)
    bodies = [body.encode() for body in reply.body["bodies"]]
    check_chain(request, bodies)
    if not bodies:
        raise NotAsTold(f"{request} has no record")
    return bodies


def _refused(refusal: str | None, what: str) -> str:
    if refusal is None:
        raise NotAsTold(f"AWS let it through: {what}")
    return refusal


def _stands(request: Json, state: str, because: str, *, human: bool) -> None:
    expect("the state", request["state"], state)
    expect("because", request["because"], because)
    expect("human_decision", request["human_decision"], human)
