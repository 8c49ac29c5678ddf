"""Tell how credentials end: apart from each other on one role, by AWS's own clock, by what is seen of their use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from countersign.ops.cast import NotAsTold, expect
from countersign.ops.player import Player
from countersign.ops.story import AWS_SECONDS, REPORT
from countersign.ops.telling import proof_sentence

FOUR_SECONDS = 4
SEEN_SECONDS = 60.0
"""How long monitoring may take: its first look is half a minute after the claim."""
FLAGS = ["blinds", "escalation", "outside_action", "outside_resource", "refusals"]
Scene = Callable[[], Awaitable[str]]


class Endings:
    """The scenes, played with what the story has set up."""

    def __init__(self, player: Player) -> None:
        """Take who acts."""
        self._play, self._astray = player, False

    def scenes(self) -> list[tuple[str, Scene]]:
        """Return the scenes in their order."""
        return [
            ("two grants overlap on one role: one is revoked, the other reads on", self.overlap),
            ("a four-second credential ends by AWS's own clock", self.four_seconds),
        ]

    def before_the_wait(self) -> list[tuple[str, Scene]]:
        """Return what has to be played half a minute before `after_the_wait`."""
        return [("an agent's session goes astray: AWS refuses five calls of an intruder", self.goes_astray)]

    def after_the_wait(self) -> list[tuple[str, Scene]]:
        """Return what monitoring makes of it."""
        return [("monitoring has seen it, ends it by itself, and proves the end", self.is_killed)]

    async def goes_astray(self) -> str:
        """Do with a good credential what an intruder would."""
        await self._play.granted("astray", 900)
        refused = await self._play.agent("astray").go_astray()
        self._astray = True
        return "\n".join(f"AWS: {one}" for one in refused)

    async def is_killed(self) -> str:
        """Wait until monitoring has ended it, with nobody asked, and see why, in words."""
        if not self._astray:
            raise NotAsTold("an earlier scene has not brought the calls that this one is about")
        proof = await self._play.proven("astray", "probe_denied", SEEN_SECONDS)
        request = (await self._play.callers.call("agent", "GET", f"/v1/requests/{self._play.id('astray')}")).body
        path = f"/v1/grants/{request['grant']['id']}/activity"
        seen = (await self._play.callers.call("agent", "GET", path)).body
        flags = [f"{one['points']:3} points: {one['said']} ({one['calls'][0]})" for one in seen["flags"]]
        found = sorted(one["kind"] for one in seen["flags"])
        expect("what was flagged", found, FLAGS)
        expect("when it was killed", bool(seen["killed_at"]), True)
        refusal = (await self._play.agent("astray").read(REPORT))[1]
        expect("AWS's refusal of what it was granted", bool(refusal), True)
        return "\n".join([*flags, proof_sentence(proof), f"AWS tells the agent: {refusal}"])

    async def overlap(self) -> str:
        """Have two alike, take one away, and read on with the other."""
        for name in ("first", "second"):
            await self._play.granted(name, 900)
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
        request = await self._play.granted("four", FOUR_SECONDS)
        refusal = await self._play.agent("four").until_refused(REPORT, FOUR_SECONDS + 3)
        late = (datetime.now(UTC) - datetime.fromisoformat(request["grant"]["ends_at"])).total_seconds()
        if late < 0:
            raise NotAsTold(f"AWS refused it {-late:.1f} s before its end")
        proof = await self._play.proven("four", "ttl_denied")
        return f"refused {late:.1f} s after its end: {refusal}\n{proof_sentence(proof)}"
