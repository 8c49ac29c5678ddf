"""Play one plan: live the grant's life through the API, with its faults armed at the stage that they belong to."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.faults.ground import Ground
from tests.faults.judging import AwsWitness
from tests.faults.plans import HOLDING, WAITED_FOR, Fault, Plan, Stage
from tests.faults.traps import Trap
from tests.story.town import Refused, grant_of

OVER = ("REVOKED", "FAILED")
PATIENCE_SECONDS = 5.0
"""How long a stage waits for what a fault holds up; what takes longer goes on beside the next plan."""
SPRING_SECONDS = 2.0
"""How long a stage that is through waits for a fault that has not met its call yet."""
COLLECTED_AFTER_SECONDS = 600 + 1800
SWEPT_AFTER_SECONDS = 65
PUT_BACK_TURNS, TURN_SECONDS = 3, 7.0
"""How often the reconciler becomes due, and how long it has each time: it may have looked just before the hand came,
or have to wait for the lease of a worker that was killed."""


@dataclass
class Played:
    """What became of one plan."""

    plan: Plan
    requests: list[str] = field(default_factory=list)
    collected: dict[str, str] = field(default_factory=dict)
    """The access key that the caller has collected, by grant."""
    met: list[tuple[Fault, str]] = field(default_factory=list)
    """Faults that met their call, with the grant's state then."""
    missed: list[Fault] = field(default_factory=list)

    wrong: list[str] = field(default_factory=list)

    @property
    def fired(self) -> bool:
        """Tell whether every fault of the plan met its call."""
        return not self.missed and bool(self.met)


class Player:
    """Play plans on one ground, one after the other; what a plan left behind goes on beside the next."""

    def __init__(self, of: Ground) -> None:
        self._of, self._aws = of, AwsWitness(of.aws_url)

    def play(self, plan: Plan) -> Played:
        """Live the plan."""
        played = Played(plan)
        if plan.life == "overlapping":
            self._neighbour(played)
        request = self._ask(played, ttl_seconds=plan.ttl_seconds)
        self._stage(played, "mint", request, lambda: self._mint(played, request))
        if plan.life != "uncollected":
            self._collect(played, request)
        if plan.life == "extended" and self._of.state(request) == "ACTIVE":
            with suppress(Refused):  # it may have ended meanwhile
                after = self._ask(played, ttl_seconds=plan.ttl_seconds, extends=grant_of(request))
                self._mint(played, after)
                self._collect(played, after)
        self._stage(played, "end", request, lambda: self._end(plan, request))
        self._stage(played, "gone", request, lambda: self._pass_on(plan, played, request))
        self._of.clocks.agree()
        self._of.revive()
        return played

    def _stage(self, played: Played, stage: Stage, request: str, act: Callable[[], None]) -> None:
        faults = [fault for fault in played.plan.faults if fault.stage == stage and fault.kind != "hand"]
        if stage == "gone" and not any(fault.stage == "gone" for fault in played.plan.faults):
            return
        late = played.plan.life == "revoked at the fault" and stage == "mint"
        traps = []
        for fault in faults:
            down = (lambda: self._revoke(request)) if late and fault.kind in HOLDING else None
            traps.append(Trap(self._of, fault, request, down))
            late = late and down is None
        act()
        give_up = time.monotonic() + SPRING_SECONDS * self._of.slowness
        for trap in traps:
            trap.sprung.wait(max(0.0, give_up - time.monotonic()))
            trap.disarm()
            if trap.sprung.is_set():
                played.met.append((trap.fault, trap.state))
            else:
                played.missed.append(trap.fault)

    def _ask(self, played: Played, **changes: Any) -> str:
        request: str = self._of.ask(**changes)["id"]
        played.requests.append(request)
        return request

    def _mint(self, played: Played, request: str) -> None:
        try:
            self._of.review("robin", request)
        except Refused as refused:
            if refused.status != 409:  # the first answer was lost with Redis: it is decided
                raise
        self._of.wait_state(request, "ACTIVE", *OVER, seconds=PATIENCE_SECONDS * self._of.slowness)

    def _collect(self, played: Played, request: str) -> None:
        with suppress(Refused):  # not there: it was ended, or is not minted yet
            answer = self._of.call("report-bot", "POST", f"/v1/grants/{grant_of(request)}/credential", {})
            played.collected[grant_of(request)] = answer["access_key_id"]

    def _neighbour(self, played: Played) -> None:
        other = self._ask(played, ttl_seconds=1500)
        self._mint(played, other)
        self._collect(played, other)

    def _end(self, plan: Plan, request: str) -> None:
        if plan.life in ("ttl", "uncollected"):
            if plan.ttl_seconds > WAITED_FOR:
                self._of.clocks.jump(plan.ttl_seconds + 3)
            else:
                time.sleep(plan.ttl_seconds)  # its own life: nothing shorter would show that it ends by itself
        elif plan.life == "released":
            self._take(lambda: self._of.call("report-bot", "POST", f"/v1/grants/{grant_of(request)}/release", {}))
        else:
            self._revoke(request)
            if plan.life == "revoked twice":
                self._revoke(request)
        self._of.wait_state(request, *OVER, seconds=PATIENCE_SECONDS * self._of.slowness)

    def _revoke(self, request: str) -> None:
        body = {"reason": "a plan says so"}
        self._take(lambda: self._of.call("kim", "POST", f"/v1/grants/{grant_of(request)}/revoke", body))

    @staticmethod
    def _take(call: Callable[[], object]) -> None:
        with suppress(Refused):  # it has ended already
            call()

    def _pass_on(self, plan: Plan, played: Played, request: str) -> None:
        """Let an outside hand remove the Deny and see it put back, or let time pass until it is removed."""
        hands = [fault for fault in plan.faults if fault.kind == "hand"]
        if self._of.wait_state(request, *OVER, seconds=PATIENCE_SECONDS * self._of.slowness) not in OVER:
            played.missed += hands
            return
        for hand in hands:
            if self._aws.remove_deny(grant_of(request)):
                played.met.append((hand, self._of.state(request)))
                self._see_put_back(played, grant_of(request))
            else:  # none was written: it ended before anything was issued
                played.missed.append(hand)
        if any(fault.stage == "gone" and fault.kind != "hand" for fault in plan.faults):
            self._of.clocks.jump(COLLECTED_AFTER_SECONDS)

    def _see_put_back(self, played: Played, grant: str) -> None:
        for _ in range(PUT_BACK_TURNS):
            self._of.clocks.jump(SWEPT_AFTER_SECONDS)
            give_up = time.monotonic() + TURN_SECONDS * self._of.slowness
            while time.monotonic() < give_up:
                if grant in self._aws.denies():
                    return
                time.sleep(0.1)  # another process: there is no event to wait for
        played.wrong.append(f"the Deny of {grant} was removed by hand, and nobody has put it back")
