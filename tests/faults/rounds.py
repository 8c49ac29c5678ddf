"""Play plans in rounds on several grounds side by side, and judge: after each plan, when all is quiet, and after time.

A round's end takes three looks: when nothing moves any more; when 30 minutes have passed for everybody; and when 30
more have, so that every credential has expired and every Deny is to be gone.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.faults.ground import Ground, ground
from tests.faults.judging import (
    AT_REST,
    ENDED,
    AwsWitness,
    Session,
    Verdict,
    judge_denies,
    judge_order,
    judge_rest,
    judge_sessions,
    judge_story,
    sessions,
)
from tests.faults.plans import LONG_TTL, Plan
from tests.faults.playing import Played, Player
from tests.faults.traps import Witness
from tests.story.town import grant_of

ROUND = 20
"""Plans of a round: so few that a role's Denies never fill it."""
QUIET_SECONDS = 8.0
PASSES = 8
PASS_SECONDS = 70
"""How far time jumps while waiting for quiet: a backoff is two minutes at most; the reconciler comes each minute."""
LATER_SECONDS = 1800


@dataclass
class Report:
    """What all plans came to."""

    counted: dict[str, Plan] = field(default_factory=dict)
    """Plans whose faults all met their calls, by hash."""
    played: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    lives: Counter[str] = field(default_factory=Counter)
    verdict: Verdict = field(default_factory=Verdict)
    found_at: dict[str, int] = field(default_factory=dict)
    """How many plans had been played when a fault of ours was found, by what was said of it."""

    def lines(self) -> list[str]:
        """Say it for the end of a run."""
        long = sum(plan.ttl_seconds >= LONG_TTL for plan in self.counted.values())
        return [
            f"plans: {self.played} played, {len(self.counted)} with every fault met, all different; {long} with a TTL "
            f"of {LONG_TTL // 60} minutes or more",
            f"faults that met their call: {_told(self.faults)}; missed: {_told(self.missed)}",
            f"the grant was, when the fault came: {_told(self.states)}",
            f"lives: {_told(self.lives)}",
            f"credentials tried at AWS: {self.verdict.tried} times, alive {self.verdict.alive}; chains checked: "
            f"{self.verdict.chains}",
            f"hashes: {' '.join(sorted(self.counted))}",
        ]


class Round:
    """Play plans on one ground and judge them."""

    def __init__(self, of: Ground, report: Report, lock: threading.Lock) -> None:
        self._of, self._report, self._lock = of, report, lock
        self._aws, self._player, self._witness = AwsWitness(of.aws_url), Player(of), Witness(of)
        self._played: list[Played] = []

    def play(self, plan: Plan) -> None:
        """Play one plan, and look at once at what it left: time would cover it."""
        played = self._player.play(plan)
        self._played.append(played)
        wrong = [*played.wrong, *self._look([played]).wrong, *self._order(played)]
        with self._lock:
            self._note(played)
            self._blame([f"{line} [{plan}]" for line in wrong])

    def end(self) -> None:
        """Let everything come to rest, and judge it three times; then begin anew."""
        self._settle()
        self._judge(self._look(self._played))
        for last in (False, True):
            self._of.clocks.jump(LATER_SECONDS)
            self._settle()
            self._judge(self._look(self._played))
            if last and (left := self._aws.denies()):
                self._judge(Verdict(wrong=[f"the Deny of {name} was never collected" for name in sorted(left)]))
        self._played.clear()
        self._witness.sightings.clear()

    def _look(self, those: list[Played]) -> Verdict:
        """Try what was issued for these plans; with all of them, look at records and Denies too."""
        plans = {request: one.plan for one in those for request in one.requests}
        grants = {grant_of(request): found for request in plans if (found := self._of.grant_again(request))}
        collected = {name: key for one in those for name, key in one.collected.items()}
        every = self._issued()
        issued = [session for session in every if session.grant in {grant_of(request) for request in plans}]
        verdict = judge_sessions(self._aws, issued, grants, collected, lambda grant: self._of.state(_request_of(grant)))
        if those is self._played:
            ends = {session.grant: session.ttl_end for session in issued}
            verdict.wrong += judge_rest(grants, ends, self._aws.now())
            stories = {request: self._of.story(request) for request in plans}
            told = {grant_of(request): [json.loads(body) for body in bodies] for request, bodies in stories.items()}
            now, known = self._aws.now(), {name: told[name] for name in grants}
            verdict.wrong += judge_denies(self._aws.denies() - self._of.warmed, known, grants, issued, now)
            for request, bodies in stories.items():
                ttl = grants[grant_of(request)]["ttl_seconds"] if grant_of(request) in grants else 0
                verdict.wrong += judge_story(request, bodies, ttl)
                verdict.chains += 1
        return verdict

    def _order(self, played: Played) -> list[str]:
        mine = {grant_of(request) for request in played.requests}
        return judge_order([one for one in self._witness.sightings if one.grant in mine], self._issued())

    def _issued(self) -> list[Session]:
        return sessions(call for _, gate in self._of.gates("worker→aws") for call in gate.log)

    def _settle(self) -> None:
        """Wait until nothing moves; time passes quickly meanwhile, so that every backoff ends."""
        for _ in range(PASSES):
            self._of.clocks.jump(PASS_SECONDS)
            give_up = time.monotonic() + QUIET_SECONDS * self._of.slowness
            while time.monotonic() < give_up:
                time.sleep(0.2)  # other processes: there is no event to wait for
                if all(self._resting(one) for one in self._played):
                    break
            else:
                continue
            break
        time.sleep(1.5)  # the reconciler's turn, which no state shows

    def _resting(self, one: Played) -> bool:
        """Tell whether none of its grants is on its way, or should be."""
        grants = [found for request in one.requests if (found := self._of.grant_again(request))]
        now = self._of.clocks.now("aws")
        over = [found for found in grants if found["ends_at"] and datetime.fromisoformat(found["ends_at"]) <= now]
        return all(found["state"] in (ENDED if found in over else AT_REST) for found in grants)

    def _judge(self, verdict: Verdict) -> None:
        named = {grant_of(request): played.plan for played in self._played for request in played.requests}
        wrong = [
            next((f"{line} [{plan}]" for name, plan in named.items() if name in line), line) for line in verdict.wrong
        ]
        with self._lock:
            self._report.verdict.add(Verdict(verdict.tried, verdict.alive, verdict.chains))
            self._blame(wrong)

    def _blame(self, wrong: list[str]) -> None:
        for line in wrong:
            self._report.found_at.setdefault(line, self._report.played)
        self._report.verdict.add(Verdict(wrong=wrong))

    def _note(self, played: Played) -> None:
        report = self._report
        report.played += 1
        report.faults.update(fault.kind for fault, _ in played.met)
        report.states.update(state or "not known" for _, state in played.met)
        report.missed.update(f"{fault.kind} ({fault.stage})" for fault in played.missed)
        if played.fired:
            report.counted[played.plan.hash] = played.plan
            report.lives[played.plan.life] += 1


def run(
    folder: Path,
    plans: Iterator[Plan],
    *,
    enough: Callable[[Report], bool],
    grounds: int,
    worker: str = "workers",
    clock: str = "workers.clock",
    size: int = ROUND,
    judged: Callable[[Report], bool] = lambda so_far: True,
    said: Callable[[str], None] = lambda line: None,
) -> Report:
    """Play plans until it is enough, on so many grounds at once.

    Args:
        enough: asked before each plan; with the report so far.
        size: plans of a round.
        judged: asked at the end of a round; whether it is waited for and judged, too.
        said: takes a line after each round.
    """
    report, lock = Report(), threading.Lock()

    def next_plan() -> Plan | None:
        with lock:
            return None if enough(report) else next(plans, None)

    def play_all(number: int) -> None:
        with ground(folder / str(number), worker=worker, clock=clock) as of:
            round_ = Round(of, report, lock)
            while plan := next_plan():
                for place in range(size):
                    if place and not (plan := next_plan()):
                        break
                    round_.play(plan)
                if judged(report):
                    round_.end()
                said(
                    f"{len(report.counted)} plans of {report.played} played; wrong so far: {len(report.verdict.wrong)}"
                )

    with ThreadPoolExecutor(grounds) as pool:
        for future in [pool.submit(play_all, number) for number in range(grounds)]:
            future.result()
    return report


def _request_of(grant: str) -> str:
    return f"req_{grant.removeprefix('grt_')}"


def _told(counter: Counter[Any]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items())) or "none"
