"""The least that can stand for Teams, and for Slack beside it: token, keys and connector, and a tap of what came.

    python -m bench.teams_world

As `bench.slack_world` it checks nothing. `GET /limits` has it hold to the platforms' rates from then on, and say 429
above them: to Teams' windows, and per channel of Slack to one message or edit a second, three at once.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import defaultdict

from bench import slack_world
from tests.worlds.teams.limits import Limits

GRACE_SECONDS = 0.1
"""How much two messages to Slack may come closer together than they were sent."""
_numbers = itertools.count(1)
_limits = Limits(time.monotonic)
_limits.off()
_free_at: defaultdict[str, float] = defaultdict(float)


class World(slack_world.World):
    """Answer on one connection."""

    def _asked(self, verb: str, path: str, query: str, body: str) -> None:
        match path.split("/"):
            case ["", "limits"]:
                _limits.enforced = True
                self._answer({})
            case ["", "token"]:
                self._answer({"access_token": "bench", "expires_in": 3600})
            case ["", "keys"]:
                self._answer({"keys": []})
            case ["", "openid"]:
                self._answer({"jwks_uri": "", "issuer": "", "id_token_signing_alg_values_supported": ["RS256"]})
            case ["", "v3", "conversations", *_] if verb == "GET":
                self._answer({})
            case ["", "v3", "conversations", *where]:
                self._later(self._teams, verb, where[0] if where else "", body)
            case _:
                super()._asked(verb, path, query, body)

    def _call(self, method: str, body: str, query: str) -> None:
        if method in ("chat.postMessage", "chat.update") and _limits.enforced:
            channel, now = json.loads(body)["channel"], time.monotonic()
            if _free_at[channel] - 2 > now + GRACE_SECONDS:
                self._refused(1, {"ok": False, "error": "ratelimited"}, f"{method}.refused")
                return
            _free_at[channel] = max(_free_at[channel], now) + 1
        super()._call(method, body, query)

    def _teams(self, verb: str, where: str, body: str) -> None:
        given = json.loads(body) if body else {}
        channel = where.partition("%3B")[0].partition(";")[0].replace("%3A", ":").replace("%40", "@")
        channel = channel or given["channelData"]["channel"]["id"]
        if wait := _limits.wait_seconds("send", channel):
            self._refused(wait, {"error": {"code": "TooManyRequests"}}, "teams.refused")
            return
        number = f"{1790000000000 + next(_numbers)}"
        answer = {"id": number} if where else {"id": f"{channel};messageid={number}", "activityId": number}
        self._took("teams.update" if verb == "PUT" else "teams.post", number, body, answer)

    def _refused(self, wait: int, answer: dict[str, object], method: str) -> None:
        self._answer(answer, f"429 Too Many Requests\r\nRetry-After: {wait}")
        self._tell(method, "", "{}", time.perf_counter())


if __name__ == "__main__":
    asyncio.run(slack_world.main(World))
