"""Measure a simulation: a policy tried on recorded asks, beside a bare loop that only decodes the same records.

    python -m bench simulate [--asks 100000] [--rounds 3]

The records are the product's own: each ask is ruled on, opened and written by the desk's own functions, no two of them
alike, and people's answers follow where they are asked. Both loops read the same file, line by line, in this one
process: the floor is `json.loads` of every line. The policy that is tried has another threshold, so that some asks
change and are explained. "Memory" is what the process grew by between a tenth of the log and its end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from approvers import request as requests
from approvers.action import Access, Action, Actor
from approvers.audit import By, Draft, Head, head_of, link
from approvers.facts import Facts
from approvers.grant import Plan
from approvers.judging import Judge
from approvers.policy import Policy
from approvers.quorum import Review
from approvers.request import Request, RequestState
from approvers.roster import parse_roster
from approvers.ruling import rule
from approvers.simulating import Simulation
from bench import rule_town
from bench.stage import table
from bot.asking import opened
from bot.commits import decision, submitted
from bot.identity import Identity
from workers.policies import Rulebook

PEOPLE = "".join(f"[person.r{number}]\n" for number in range(6))
ROSTER = f'{PEOPLE}[group.sre]\npeople = ["r0", "r1", "r2"]\n[group.security]\npeople = ["r3", "r4", "r5"]\n'
ROSTER += '[place.console]\ngroups = ["sre", "security"]\n'
MOVED = {"critical": "high", "high": "medium"}
"""The threshold that is moved: from which risk on a rule denies or asks people."""
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Ran:
    """One loop over the log: seconds, and how many bytes the process grew by after the first tenth."""

    seconds: float
    grown: int


def moved(rules: list[tuple[str, str, rule_town.When]]) -> list[tuple[str, str, rule_town.When]]:
    """Return the same rules with the threshold moved."""
    return [
        (
            name,
            effect,
            {key: MOVED.get(value, value) if key == "risk_at_least" else value for key, value in when.items()},
        )
        for name, effect, when in rules
    ]


def write_log(path: Path, policy: Policy, asks: Iterable[Facts], *, answers: bool) -> int:
    """Write what the product would have recorded of these asks; returns how many records there are."""
    sha256 = hashlib.sha256(b"bench").hexdigest()
    book = Rulebook(policy, sha256, parse_roster(ROSTER), sha256, {}, {}, None)
    count = 0
    with path.open("wb") as file:
        for number, facts in enumerate(asks):
            for body in _story(book, number, facts, answers=answers):
                file.write(body + b"\n")
                count += 1
    return count


def _story(book: Rulebook, number: int, facts: Facts, *, answers: bool) -> Iterator[bytes]:
    who = Identity(facts.principal, frozenset({"request"}), By(facts.principal, "api-key", "bench"), "api")
    action, plan = _asked(facts)
    ruling = rule(book.policy, facts, sha256=book.policy_sha256)
    request = opened(who, action, planned=plan, facts=facts, ruling=ruling, key=f"k{number}")
    drafts = submitted(book, who, request, f"k{number}", book.policy_sha256).drafts
    head = Head()
    for entry in link(drafts if answers else drafts[:1], facts.at, {}, None):
        head = head_of(entry.body, entry.n)
        yield entry.body
    if answers and request.state is RequestState.PENDING:
        yield from (entry.body for entry in link(_answers(request, number), facts.at, {request.id: head}, None))


def _asked(facts: Facts) -> tuple[Action, Plan]:
    """Return the action and the plan that these facts are of."""
    action = Action(
        action=facts.actions[0],
        resource=facts.resources[0],
        environment=facts.environment,
        reason=facts.reason,
        ttl_seconds=facts.ttl_seconds,
        project=facts.project,
        data_classes=facts.data_classes,
        ticket=facts.ticket,
        actor=Actor(id=facts.actor, on_behalf_of=facts.on_behalf_of, model=facts.model),
        access=Access(role=facts.role, actions=facts.actions, resources=facts.resources),
    )
    plan = Plan(
        account=str(facts.account),
        account_id="111122223333",
        actions=facts.actions,
        environment=str(facts.account_environment),
        external_id="cs-1",
        provider="aws",
        resources=facts.resources,
        role=str(facts.role),
        role_arn=f"arn:aws:iam::111122223333:role/countersign-base-{facts.role}",
        ttl_seconds=facts.ttl_seconds,
    )
    return action, plan


def _answers(request: Request, number: int) -> Iterator[Draft]:
    """Yield people's answers as they are recorded: one in nine is a no."""
    no, seats = number % 9 == 0, sorted(request.ruling.seats)
    people = [("user:r0" if group == "sre" else "user:r3", group) for group in seats[: 1 if no else None]]
    for person, group in people:
        verdict = "deny" if no else "approve"
        review = Review(reviewer=person, verdict=verdict, at=request.submitted_at, groups=(group,), via="slack")
        request = requests.review(request, review, shown=None, current="")
        told = {"verdict": verdict, "reason": f"seen {number}", "groups": [group], "shown": None, "lent_by": None,
                "seen_in": {}}  # fmt: skip
        yield Draft(request.id, "review.recorded", By(person, "slack", person), "slack", told)
    kind = f"request.{request.state.lower()}"
    yield Draft(request.id, kind, By(people[-1][0], "slack", people[-1][0]), "slack", decision(request))


def run(path: Path, count: int, feed: Callable[[bytes], object]) -> Ran:
    """Hand every line to `feed`."""
    began, grown = time.process_time(), 0
    with path.open("rb") as file:
        for number, line in enumerate(file):
            feed(line)
            if number == count // 10:
                grown = _resident()
    return Ran(time.process_time() - began, _resident() - grown)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def measure(path: Path, count: int, new: Policy, rounds: int) -> tuple[Ran, Ran, int, int]:
    """Run both loops in turn; returns the best of each, and how many asks were replayed and changed."""
    floors, ours = [], []
    for _ in range(rounds):
        floors.append(run(path, count, json.loads))
        simulation = Simulation(Judge(new, "new"))
        ours.append(run(path, count, simulation.feed))
        report = simulation.report()
    assert not report.not_replayable, report.not_replayable
    return min(floors, key=_seconds), min(ours, key=_seconds), report.replayed, report.changed


def _seconds(one: Ran) -> float:
    return one.seconds


def _asks(count: int, at_once: int = 5_000) -> Iterator[Facts]:
    """Yield so many asks, without holding all of them."""
    for begin in range(0, count, at_once):
        yield from rule_town.asks(min(at_once, count - begin), seed=begin + 3)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench simulate", description=__doc__.splitlines()[0])
    parser.add_argument("--asks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(argv)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        for size, answers in ((20, True), (20, False), (200, True)):
            chosen = rule_town.rules(size)
            count = write_log(path, rule_town.policy(chosen), _asks(options.asks), answers=answers)
            floor, ours, replayed, changed = measure(path, count, rule_town.policy(moved(chosen)), options.rounds)
            assert replayed == options.asks
            rows.append((
                f"{size} rules, {'asks with their answers' if answers else 'asks alone'}", f"{count:,}", f"{changed:,}",
                f"{floor.seconds:.2f}", f"{ours.seconds:.2f}", f"{ours.grown / 2**20:.0f}",
                f"**{floor.seconds / ours.seconds:.2f}**",
            ))  # fmt: skip
    head = (f"{options.asks:,} asks", "records", "changed", "bare decode s", "simulate s", "memory MiB", "**ratio**")
    print(table(head, rows))


if __name__ == "__main__":
    main()
