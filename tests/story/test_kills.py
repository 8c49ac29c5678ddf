"""Kill the worker or the clock before and after every call of one mint-to-revoke; no credential outlives its grant.

The gates count the calls of one whole life, then hold each in turn, before and after it is done; the process that made
it is SIGKILLed there and started again. 30 s after the last restart every credential that AWS ever issued is tried at
AWS: it may be alive only where its grant is ACTIVE.

A call is found again in another life by its place among the calls that name the grant: the j-th of its name since the
i-th that does, or else the next of its name. So lives can follow each other at once, while what was killed before is
still being put right, and while RQ's own calls fall between those of a grant now here, now there.

A run plays every kill at AWS, and a third of the many at Redis: another third each day, which is printed. `make kills`
plays all of them (`KILLS=all`; `KILLS=0`, `1` or `2` names a third).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.story.town import Town, gates, grant_of, town
from tests.thirds import chosen, played
from tests.worlds.gate import Call, Hold

SETTLE_SECONDS = 30.0
HELD_WITHIN = 8.0
"""Longer than the log waits for a checkpoint that no receipt needs: that may be the call."""
LAST_NOTES_SECONDS = 0.3
"""What RQ notes after a job is done belongs to the life, too."""
TOWNS = 3
"""How many towns live side by side, each with its share of the kills: a town mostly waits for a process to start."""


@dataclass(frozen=True)
class Kill:
    """Where to kill: at which gate, at the j-th call of a name since the i-th that names the grant, before or after."""

    gate: str
    name: str
    i: int
    j: int
    when: str
    alive: bool
    """Its call came before anybody revoked: then nobody does until the process is killed."""
    revoke_while_down: bool = False

    def __str__(self) -> str:
        return f"{self.gate} {self.name} ({self.i}, {self.j}) {self.when}" + " + revoke" * self.revoke_while_down


@dataclass
class Trace:
    """Follow the calls of one life."""

    ulid: bytes
    i: int = 0
    since: Counter[str] = field(default_factory=Counter)

    def follow(self, call: Call) -> tuple[int, int]:
        """Return the place of one more call: how many named the grant, how many of its name there were since."""
        if names(call, self.ulid):
            self.i += 1
            self.since.clear()
        self.since[call.name] += 1
        return self.i, self.since[call.name]


@dataclass
class Place:
    """Tell when a life has come to the place of a kill."""

    i: int
    j: int
    name: str
    trace: Trace

    def __call__(self, call: Call) -> bool:
        return self.trace.follow(call) >= (self.i, self.j) and call.name == self.name


@dataclass
class Outcome:
    """What one town's kills came to."""

    issued: int = 0
    alive: int = 0
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)


def names(call: Call, ulid: bytes) -> bool:
    """Tell whether a call speaks of the grant (or of its request: they share the ULID)."""
    words = call.request if isinstance(call.request, list) else [call.request]
    return any(ulid in word for word in words)


def one_life(of: Town) -> tuple[dict[str, list[Call]], str, dict[str, int]]:
    """Return all calls from an approval to its proven end by gate, the request, and how many came before the revoke."""
    starts = {name: len(gate.log) for name, (gate, _) in gates(of).items()}
    request = of.approved()
    of.wait_grant(request, "ACTIVE")
    time.sleep(LAST_NOTES_SECONDS)
    minted = {name: len(gate.log) - starts[name] for name, (gate, _) in gates(of).items()}
    of.revoke(request)
    of.wait_grant(request, "REVOKED")
    time.sleep(LAST_NOTES_SECONDS)
    return {name: gate.log[starts[name] :] for name, (gate, _) in gates(of).items()}, request, minted


def plan(of: Town) -> tuple[list[Kill], dict[str, int]]:
    """Every call twice, before and after; AWS calls of the mint once more, revoked by on-call while nobody works."""
    calls, request, minted = one_life(of)
    kills = []
    for gate, log in calls.items():
        trace = Trace(ulid_of(request))
        for number, call in enumerate(log, 1):
            at = trace.follow(call)
            alive = number <= minted[gate]
            for when in ("before", "after"):
                kills.append(Kill(gate, call.name, *at, when, alive))
                if gate == "worker→aws" and alive:
                    kills.append(Kill(gate, call.name, *at, when, alive, revoke_while_down=True))
    return kills, {gate: len(log) for gate, log in calls.items()}


def played_now(kills: Sequence[Kill]) -> list[Kill]:
    """Return the kills of this run: all at AWS, and a third of those at Redis."""
    redis = played([kill for kill in kills if not kill.gate.endswith("aws")], chosen("KILLS"))
    return [kill for kill in kills if kill.gate.endswith("aws") or kill in redis]


def ulid_of(request: str) -> bytes:
    return request.removeprefix("req_").encode()


def play(of: Town, kill: Kill) -> tuple[str, str]:
    """Live one life with the kill in it; returns the request, and the grant's state at the kill ("" if missed)."""
    gate, process = gates(of)[kill.gate]
    for each in (of.worker, of.clock):
        assert each.running, f"{each.name} did not come up again:\n{each.output[-2000:].decode()}"
    request = of.ask()["id"]
    place = Place(kill.i, kill.j, kill.name, Trace(ulid_of(request)))
    hold: Hold = gate.hold(1, kill.when, only=place)
    of.review("robin", request)
    state = _state_when_held(of, request, hold) if kill.alive else ""
    if not state and _live_or_held(of, request, hold) == "ACTIVE":
        of.revoke(request)
    state = state or _state_when_held(of, request, hold)
    if state:
        process.kill()
        hold.drop()
        if kill.revoke_while_down:
            of.revoke(request)
        process.restart()
    gate.reset()
    return request, state


def _live_or_held(of: Town, request: str, hold: Hold) -> str:
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        if hold.held:
            return "held"
        if (state := of.grant(request)["state"]) not in ("PENDING", "MINTING"):
            return state
        time.sleep(0.01)  # a hold and a state are waited for at once: there is no event for both
    return "neither"


def _state_when_held(of: Town, request: str, hold: Hold) -> str:
    try:
        hold.wait(HELD_WITHIN)
    except AssertionError:
        return ""
    return of.grant(request)["state"]


def judge(of: Town, requests: Sequence[str], outcome: Outcome) -> None:
    """Try everything that was ever issued; note what is alive and may not be, not ended or without its receipt."""
    issued = of.issued()
    for request in requests:
        view = of.call("report-bot", "GET", f"/v1/requests/{request}")
        grant = view["grant"]
        if not view["receipt"]:
            outcome.wrong.append(f"{request} was decided, and has no receipt")
        if grant["state"] not in ("ACTIVE", "REVOKED", "FAILED"):
            outcome.wrong.append(f"{grant['id']} is stuck in {grant['state']}: {grant['trouble']}")
        for one in issued.get(grant["id"], []):
            outcome.issued += 1
            if not of.alive(one):
                continue
            outcome.alive += 1
            if grant["state"] != "ACTIVE":
                outcome.wrong.append(f"a credential of {grant['id']} is alive, and the grant is {grant['state']}")


def sit_out(restarted_at: float) -> None:
    """Wait until the promised time after the last restart has passed: the promise itself is what is measured."""
    time.sleep(max(0.0, restarted_at + SETTLE_SECONDS - time.monotonic()))


def play_all(folder: Path, part: int) -> tuple[Outcome, list[Kill], dict[str, int]]:
    """Be one town: plan all kills, play every `TOWNS`-th, judge."""
    with town(folder / str(part), log_level="warning") as of:
        one_life(of)  # the first life loads scripts and opens connections
        kills, counted = plan(of)
        mine, outcome, requests = played_now(kills)[part::TOWNS], Outcome(), []
        for kill in mine:
            request, state = play(of, kill)
            requests.append(request)
            outcome.states[state] += 1
            if not state:
                outcome.missed.append(str(kill))
        sit_out(time.monotonic())
        judge(of, requests, outcome)
        return outcome, mine, counted


@pytest.mark.timeout(1500)
def test_no_credential_outlives_its_grant_wherever_a_process_is_killed(tmp_path: Path, show: Callable[[str], None]):
    with ThreadPoolExecutor(TOWNS) as pool:
        results = [one.result() for one in [pool.submit(play_all, tmp_path, part) for part in range(TOWNS)]]
    kills = [kill for _, mine, _ in results for kill in mine]
    missed = [one for outcome, _, _ in results for one in outcome.missed]
    states = sum((outcome.states for outcome, _, _ in results), Counter())
    show(f"calls of one mint-to-revoke: {results[0][2]}; kills at Redis: {chosen('KILLS')} (of 0, 1, 2, or all)")
    show(f"kills: {len(kills) - len(missed)} of {len(kills)} met their call; missed: {missed}")
    show(f"the grant was, when the process was killed: {dict(states)}")
    issued, alive = (sum(getattr(outcome, name) for outcome, _, _ in results) for name in ("issued", "alive"))
    show(f"credentials issued: {issued}; tried at AWS: alive {alive}, each with its grant ACTIVE")
    assert [one for outcome, _, _ in results for one in outcome.wrong] == []
    assert len(missed) <= len(kills) // 20
    assert min(states[state] for state in ("PENDING", "MINTING", "ACTIVE", "REVOKING")) > 0


@pytest.mark.timeout(200)
def test_a_worker_that_mints_before_its_commit_is_found(tmp_path: Path):
    with town(tmp_path, worker_module="tests.story.planted", log_level="warning") as of:
        hold = of.aws_gate.hold(1, "after", only="sts:AssumeRole")
        request = of.approved()
        hold.wait()
        of.worker.kill()
        hold.drop()
        of.revoke(request)
        of.worker.restart()
        sit_out(time.monotonic())
        judge(of, [request], outcome := Outcome())
        assert outcome.wrong == [f"a credential of {grant_of(request)} is alive, and the grant is REVOKED"]
