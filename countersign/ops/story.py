"""Tell the demo's story: each scene is a coroutine that returns what to print beside its name, or raises.

Nothing is skipped: a scene that needs what an earlier one should have brought fails with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from approvers.audit import check_chain
from countersign.ops.browser import Browser, words_of
from countersign.ops.cast import Callers, Json, NotAsTold, expect, standing
from countersign.ops.player import PATIENCE_SECONDS, Player
from countersign.ops.staging import Stage
from countersign.ops.telling import proof_sentence

SHORT_TTL = timedelta(seconds=10)
EXPIRES_SOON = "demo:Knock"
"""An action that the demo's policy lets people answer for five seconds only."""
REPORT, OTHER = "2026/report.csv", "other/secret.csv"
AWS_SECONDS = 8.0
"""How long AWS may take to refuse what was revoked."""
Scene = Callable[[], Awaitable[str]]


class Story:
    """The scenes, and what they hand on to each other."""

    def __init__(self, player: Player) -> None:
        """Take who acts."""
        self._play = player

    def beginning(self) -> list[tuple[str, Scene]]:
        """Return the scenes in the order of the story, up to the first end."""
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
        ]

    def middle(self) -> list[tuple[str, Scene]]:
        """Return the scenes that go on from there."""
        return [
            ("a denial is told as DENIED", self.denies),
            ("an expiry is told as EXPIRED, not as DENIED", self.expires),
            ("worker and clock are killed; a ten-second credential still ends at AWS", self.outlives),
            ("after their restart the end is proven", self.proven_afterwards),
        ]

    def last(self) -> list[tuple[str, Scene]]:
        """Return what is played after everything else."""
        return [("every audit chain is whole, and holds no secret", self.chains_whole)]

    async def asks(self) -> str:
        """Ask for the report's files."""
        reply = await self._play.callers.ask(self._play.report(900))
        expect("the status", reply.status, 202)
        expect("the state", reply.body["state"], "PENDING")
        expect("Retry-After", reply.headers.get("Retry-After"), "5")
        expect("Location", reply.headers.get("Location"), f"/v1/requests/{reply.body['id']}")
        self._play.asked["report"] = reply.body["id"]
        return f"{reply.body['handle']}: {reply.body['agent_message']}"

    async def leaves_one_alone(self) -> str:
        """Ask for something that nobody will answer."""
        body = self._play.report(60) | {"action": EXPIRES_SOON}
        reply = await self._play.callers.ask({name: value for name, value in body.items() if name != "access"})
        expect("the status", reply.status, 202)
        self._play.asked["knock"] = reply.body["id"]
        left = datetime.fromisoformat(reply.body["expires_at"]) - datetime.now(UTC)
        if left > timedelta(seconds=6):
            raise NotAsTold(f"it expires in {left.total_seconds():.0f} s; this scene needs the demo's own policy")
        return f"{reply.body['handle']} can be answered for {left.total_seconds():.0f} s"

    async def four_eyes(self) -> str:
        """Let dana, on whose behalf the agent asks, press Approve; the API must say the same."""
        page = await self._play.press(
            "dana", f"/console/requests/{self._play.id('report')}/review", {"verdict": "approve"}
        )
        reply = await self._play.callers.review("dana", self._play.id("report"), "approve")
        expect("the status", reply.status, 403)
        expect("the code", reply.body["code"], "four_eyes")
        if reply.body["detail"] not in page:
            raise NotAsTold(f"the console does not say: {reply.body['detail']}")
        return f"the console tells dana: {reply.body['detail']}"

    async def approves(self) -> str:
        """Let robin press Approve."""
        page = await self._play.press(
            "robin", f"/console/requests/{self._play.id('report')}/review", {"verdict": "approve"}
        )
        request = (await self._play.callers.call("agent", "GET", f"/v1/requests/{self._play.id('report')}")).body
        expect("the state", request["state"], "APPROVED")
        expect("who approved", [one["reviewer"] for one in request["reviews"]], ["user:robin"])
        if (words := f"You approved {request['handle']}, and that was enough.") not in page:
            raise NotAsTold(f"the console does not say: {words}")
        return f"the console tells robin: {words}"

    async def delivers(self) -> str:
        """Collect the credential and open it with the key that never left this process."""
        request = await self._play.active("report")
        self._play.agents["report"] = await self._play.collect(request)
        return f"ACTIVE until {request['grant']['ends_at'][11:19]}; what travelled can be opened by nobody else"

    async def reads(self) -> str:
        """Read the report."""
        rows, refusal = await self._play.agent("report").read(REPORT)
        expect("AWS's refusal", refusal, None)
        if len(rows) < 2:
            raise NotAsTold(f"the report has {len(rows)} rows")
        return f"{len(rows) - 1} rows, the first: {rows[1]}"

    async def refused_elsewhere(self) -> str:
        """Read what the role could, and this grant cannot."""
        _, refusal = await self._play.agent("report").read(OTHER)
        return f"AWS: {_refused(refusal, OTHER)}"

    async def refused_writing(self) -> str:
        """Write over the very file that may be read."""
        return f"AWS: {_refused(await self._play.agent('report').write(REPORT), 'PutObject')}"

    async def revokes(self) -> str:
        """Let alex press Revoke, and wait for AWS's refusal, and for the proof on the page."""
        agent, grant = self._play.agent("report"), self._play.id("report").replace("req_", "grt_")
        await self._play.press("alex", f"/console/grants/{grant}/revoke")
        refusal = await agent.until_refused(REPORT, AWS_SECONDS)
        proof = await self._play.proven("report", "probe_denied")
        expect("the probes", (proof["refused"], proof["asked"]), (3, 3))
        async with Browser(self._play.stage.ground.base_url) as browser:
            await browser.choose("alex")
            page = words_of(await browser.load(f"/console/requests/{self._play.id('report')}"))
        if (words := re.search(r"refused 3 of 3 probes, \d+\.\d s after the request", page)) is None:
            raise NotAsTold("the console does not say how the end was proven")
        return f"the console says: {words[0]}\nAWS tells the agent: {refusal}"

    async def denies(self) -> str:
        """Let alex say no."""
        reply = await self._play.callers.ask(self._play.report(300))
        self._play.asked["denied"] = reply.body["id"]
        reply = await self._play.callers.review("alex", reply.body["id"], "deny", "too broad, ask narrower")
        _stands(reply.body, "DENIED", "reviewer", human=True)
        return str(reply.body["agent_message"])

    async def expires(self) -> str:
        """See that silence is not told as a no."""
        request = await self._play.callers.until(
            self._play.id("knock"), lambda one: one["state"] != "PENDING", PATIENCE_SECONDS
        )
        _stands(request, "EXPIRED", "nobody_answered", human=False)
        return str(request["agent_message"])

    async def outlives(self) -> str:
        """Kill worker and clock under a live credential, and keep them dead until AWS has ended it by itself."""
        request = await self._play.granted("short", round(SHORT_TTL.total_seconds()))
        agent = self._play.agent("short")
        killed = await self._play.kill("worker", "clock")
        expect("AWS's refusal before its time", (await agent.read(REPORT))[1], None)
        refusal = await agent.until_refused(REPORT, SHORT_TTL.total_seconds() + 3)
        late = (datetime.now(UTC) - datetime.fromisoformat(request["grant"]["ends_at"])).total_seconds()
        if late < 0:
            raise NotAsTold(f"AWS refused it {-late:.1f} s before its end")
        now = (await self._play.callers.call("agent", "GET", f"/v1/requests/{request['id']}")).body
        expect("the grant, while nobody can look after it,", standing(now), "APPROVED/ACTIVE")
        return f"kill -9 {killed}; refused {late:.1f} s after its end\nAWS: {refusal}"

    async def proven_afterwards(self) -> str:
        """Let both start again, and wait for the proof."""
        self._play.stage.supervisor.may_restart.set()
        return proof_sentence(await self._play.proven("short", "ttl_denied"))

    async def chains_whole(self) -> str:
        """Check the chain of every request, and search the records for what must not be in them."""
        count = 0
        for request in self._play.asked.values():
            bodies = await _chain(self._play.callers, request)
            self._search(b"\n".join(bodies))
            count += len(bodies)
        return f"{count} records in {len(self._play.asked)} chains"

    async def found_again(self, stage: Stage, callers: Callers) -> str:
        """See the same requests, under the same tokens, after everything was stopped and started."""
        expect("the API key", stage.tokens, self._play.stage.tokens)
        request = (await callers.call("agent", "GET", f"/v1/requests/{self._play.id('report')}")).body
        expect("the request", standing(request), "APPROVED/REVOKED")
        expect("its proof", request["grant"]["proof"], self._play.proof)
        count = len(await _chain(callers, self._play.id("report")))
        return f"{request['handle']} is {standing(request)}; its proof and its {count} records are there"

    def _search(self, records: bytes) -> None:
        for name, secret in self._play.secrets:
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
