"""Tell how credentials end: two on one role apart from each other, one after four seconds by AWS's own clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from countersign.ops.cast import NotAsTold, expect
from countersign.ops.player import Player
from countersign.ops.story import AWS_SECONDS, REPORT
from countersign.ops.telling import proof_sentence

FOUR_SECONDS = 4
Scene = Callable[[], Awaitable[str]]


class Endings:
    """The scenes, played with what the story has set up."""

    def __init__(self, player: Player) -> None:
        """Take who acts."""
        self._play = player

    def scenes(self) -> list[tuple[str, Scene]]:
        """Return the scenes in their order."""
        return [
            ("two grants overlap on one role: one is revoked, the other reads on", self.overlap),
            ("a four-second credential ends by AWS's own clock", self.four_seconds),
        ]

    async def overlap(self) -> str:
        """Have two alike, take one away, and read on with the other."""
        for name in ("first", "second"):
            await self._granted(name, 900)
        play = self._play
        grant = play.id("first").replace("req_", "grt_")
        await play.callers.call("alex", "POST", f"/v1/grants/{grant}/revoke", {"reason": "the first is not needed"})
        refusal = await play.agent("first").until_refused(REPORT, AWS_SECONDS)
        await play.proven("first", "probe_denied")
        expect("AWS's refusal of the second", (await play.agent("second").read(REPORT))[1], None)
        other = play.id("second").replace("req_", "grt_")
        reply = await play.callers.call("agent", "POST", f"/v1/grants/{other}/release", {})
        expect("the release's status", reply.status, 200)
        await play.proven("second", "probe_denied")
        return f"the first: {refusal}\nthe second read on, until its agent gave it back"

    async def four_seconds(self) -> str:
        """See a credential of four seconds work, and be refused; nothing is written at AWS for that."""
        request = await self._granted("four", FOUR_SECONDS)
        refusal = await self._play.agent("four").until_refused(REPORT, FOUR_SECONDS + 3)
        late = (datetime.now(UTC) - datetime.fromisoformat(request)).total_seconds()
        if late < 0:
            raise NotAsTold(f"AWS refused it {-late:.1f} s before its end")
        proof = await self._play.proven("four", "ttl_denied")
        return f"refused {late:.1f} s after its end: {refusal}\n{proof_sentence(proof)}"

    async def _granted(self, name: str, ttl_seconds: int) -> str:
        """Ask, have it approved, collect and read once; returns when it ends."""
        play = self._play
        reply = await play.callers.ask(play.report(ttl_seconds))
        play.asked[name] = reply.body["id"]
        await play.callers.review("kim", reply.body["id"], "approve")
        request = await play.active(name)
        play.agents[name] = await play.collect(request)
        expect("AWS's refusal before its time", (await play.agent(name).read(REPORT))[1], None)
        return str(request["grant"]["ends_at"])
