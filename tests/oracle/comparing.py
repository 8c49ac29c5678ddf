"""Hold what the product says against what the oracle says, and keep count; the stage that every example plays on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from tests.oracle import answers
from tests.oracle.files import Dict
from tests.oracle.rules import RISKS, filled, is_barred
from tests.oracle.town import Town, open_slack
from tests.worlds.slack import SlackWorld

T = TypeVar("T")
ENDED = ("REVOKING", "REVOKED")


class Stage:
    """One event loop and one Slack workspace for all examples; a town of its own for each."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.difference: type[BaseException] = AssertionError
        self.steps = 0
        self.seen = Counter[str]()
        """What came of asks, clicks and mints, by the oracle: a run that meets too little of it shows nothing."""
        self._slack: SlackWorld | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    @property
    def slack(self) -> SlackWorld:
        if self._slack is None:
            self._slack = self.run(self._stack.enter_async_context(open_slack()))
        return self._slack

    def close(self) -> None:
        if self._slack is not None:
            self.run(self._stack.aclose())
        self.runner.close()


class Comparing:
    """Compare one town with one world of the oracle; `stage` is set by whoever runs it."""

    stage: Stage
    world: Dict
    town: Town

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Let the town do something."""
        return self.stage.run(coroutine)

    def _compare(self, path: str, request: str, got: Dict | None = None) -> None:
        """Hold what the API tells of a request against what has to be, and against what must never be."""
        wanted, got = self.world["requests"][request], got or self.run(self.town.read(request))
        ruling, because = wanted["ruling"], got["because"]
        self._same(path, got["state"], wanted["state"], "state")
        self._same(path, "nobody_answered" if because == "nobody_reached" else because, wanted["because"], "because")
        self._same(path, got["ruling"]["effect"], ruling["effect"], "effect")
        self._same(path, sorted(hit["name"] for hit in got["ruling"]["rules"]), sorted(ruling["rules"]), "rules")
        self._same(path, got["risk"]["level"], RISKS[ruling["risk"][0]], "risk")
        people = [f"user:{one['who']}" for one in wanted["reviews"]]
        self._same(path, [one["reviewer"] for one in got["reviews"]], people, "reviews")
        self._same(path, (got["grant"] or {}).get("break_glass"), (wanted["grant"] or {}).get("glass"), "break-glass")
        self._same(path, _grant(got["grant"]), _grant(wanted["grant"]), "grant")
        if got["grant"]:
            self._same(path, got["grant"]["ttl_seconds"], wanted["plan"]["ttl"], "TTL")
        self._same(path, (got["after_review"] or {}).get("verdict"), (wanted["after"] or {}).get("verdict"), "finding")
        self._waits(path, got, wanted)
        self._never(path, got, wanted)

    def _waits(self, path: str, got: Dict, wanted: Dict) -> None:
        """Compare what is still missing: so many seats, and the others are filled by those who have approved."""
        if wanted["state"] != "PENDING":
            return self._same(path, got["waiting_for"], {}, "waiting for")
        seats = wanted["ruling"]["seats"]
        left = {group: count - got["waiting_for"].get(group, 0) for group, count in seats.items()}
        self._same(path, sum(got["waiting_for"].values()), answers.missing(wanted), f"seats missing of {seats}")
        return self._same(path, filled(left, answers.counted(wanted)), sum(left.values()), "seats filled")

    def _never(self, path: str, got: Dict, wanted: Dict) -> None:
        """Check what no order of steps may bring about, whatever was predicted."""
        ruling, yes = wanted["ruling"], [one for one in got["reviews"] if one["verdict"] == "approve"]
        people = [one["reviewer"] for one in yes]
        self._same(path, len(people), len(set(people)), "one person, one voice")
        if got["state"] == "APPROVED" and got["because"] == "quorum":
            counted = [one for one in wanted["reviews"] if one["groups"]]
            who = [one["who"] for one in counted if is_barred(ruling, one["who"], one["groups"])]
            self._same(path, who, [], "approved by somebody who is barred")
            self._same(path, sum(ruling["seats"].values()) > 0, True, "approved without seats")

    def _met(self, path: str, outcome: str) -> None:
        self.stage.seen[f"{path}: {outcome}"] += 1

    def _same(self, path: str, got: object, wanted: object, what: object) -> None:
        if got != wanted:
            raise self.stage.difference(f"{path}: the product says {got!r}, the oracle {wanted!r} ({what})")


def _grant(found: Dict | None) -> str | None:
    """Return the state of a grant; how far its end is proven is not looked at here."""
    if found is None:
        return None
    return "ENDED" if found["state"] in ENDED else str(found["state"])
