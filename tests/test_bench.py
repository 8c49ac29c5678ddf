"""Run the benches once, very small, so that none rots: a third, or `BENCHES=all`. Their figures mean nothing here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from bench import __main__ as everything
from bench import audit, due, ends, growth, intake, memory, mint, revoke, revoke_all, rules, simulate, slack, teams
from bench.live import ground
from bench.stage import at, table, valkey
from tests.thirds import chosen, played

T = TypeVar("T")


def run_intake(capsys: pytest.CaptureFixture[str]) -> None:
    intake.main(["--asks", "64", "--rounds", "1"])
    assert "| **ratio** |" in capsys.readouterr().out


def run_mint(capsys: pytest.CaptureFixture[str]) -> None:
    mint.main(["--mints", "2"])
    rows = capsys.readouterr().out.splitlines()
    assert [row.split(" | ")[0] for row in rows[2:]] == [
        "| RQ job that does nothing",
        "| bare AssumeRole",
        "| floor: both",
        "| decision → credential ready",
        "| **ratio**",
    ]


def patiently(measure: Callable[[timedelta], T]) -> T:
    """Give the processes five seconds to start; on a machine that is too busy for that, once more and longer."""
    for seconds in (5, 20):
        with suppress(due.TooBusy):
            return measure(timedelta(seconds=seconds))
    return measure(timedelta(seconds=60))


def run_due(capsys: pytest.CaptureFixture[str]) -> None:
    async def both(url: str, other: str, out: Path, starting: timedelta) -> list[due.Late]:
        return await asyncio.gather(
            due.measure(url, out / "ours", 10, due.due_set, kill=True, starting=starting, patience_seconds=3),
            due.measure(other, out / "rq", 10, due.rq_alone, kill=False, starting=starting, patience_seconds=30),
        )

    def measured(starting: timedelta) -> list[due.Late]:
        with valkey() as (server, out), valkey() as (other, _):
            return asyncio.run(both(server.url, other.url, out, starting))

    ours, rq = patiently(measured)
    assert ours.ended
    assert len(rq.proven) == 10
    assert all(-0.5 < late < 30 for late in [*ours.ended, *rq.ended])


def run_the_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """Revocations one by one, all at once, and ends by time: side by side, for each mostly waits for its processes."""

    def one_by_one() -> tuple[list[float], list[float]]:
        with ground() as of:
            return asyncio.run(revoke.measure(of, 1))

    def all_at_once() -> tuple[revoke_all.Ended, revoke_all.Ended]:
        with ground(2) as of:
            floor = revoke_all.bare(of, revoke_all.plans_of(of, 4))
            return floor, asyncio.run(revoke_all.product(of, 4, 60))

    def by_time(starting: timedelta) -> due.Late:
        with valkey() as (server, out):
            asyncio.run(ends.timers(server.url, 4, timedelta(seconds=0.1)))
            return asyncio.run(ends.measure(server.url, out, 10, timedelta(seconds=1), starting))[0]

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(one) for one in (one_by_one, all_at_once, lambda: patiently(by_time))]
        (took, bare), (floor, ended), late = (one.result() for one in running)
    assert [len(took), len(bare)] == [1, 1]
    assert [len(floor.proofs), len(ended.proofs), len(ended.own)] == [4, 4, 4]
    assert [len(late.ended), len(late.proven)] == [10, 10]
    assert all(-0.5 < one < 30 for one in [*late.ended, *late.proven])


def run_memory(capsys: pytest.CaptureFixture[str]) -> None:
    with valkey() as (server, _):
        waiting, finished = asyncio.run(memory.measure(server.url, 20))
    assert 1_000 < waiting[1] < finished[1]
    assert finished[2]["grant"] > waiting[2].get("grant", 0) == 0


def run_growth(capsys: pytest.CaptureFixture[str]) -> None:
    with valkey() as (one, _), valkey() as (other, _):
        small, large = asyncio.run(growth.measure([one.url, other.url], (10, 200), 5))
    assert (small.size, large.size) == (15, 205)
    assert len(small.took) == len(large.took) == 5


def run_slack(capsys: pytest.CaptureFixture[str]) -> None:
    slack.main(["--clicks", "2", "--bursts", "1"])
    printed = capsys.readouterr().out.split("\n\n")[:-1]
    assert [one.splitlines()[0].split(" | ")[0] for one in printed] == [
        "| 2 clicks, one after another",
        "| 1 times 8 clicks at once",
        "| 10 asks",
        "| 16 asks, Slack takes 20 ms",
    ]
    assert all("| **ratio** to floor: " in one for one in printed)


def run_teams(capsys: pytest.CaptureFixture[str]) -> None:
    teams.main(["--asks", "1", "--flood", "20", "--seconds", "5"])
    quick, slow, flood, lag, _ = capsys.readouterr().out.split("\n\n")
    assert all("| **ratio** to floor: the bare post |" in one for one in (quick, slow))
    shown = [row.split(" | ")[:2] for row in flood.splitlines()[2:]]
    assert shown == [[f"| {name}", "20 of 20"] for name in ("Slack", "Teams", "whichever was first")]
    assert "| /healthz, while the asks came |" in lag


def run_simulate(capsys: pytest.CaptureFixture[str]) -> None:
    simulate.main(["--asks", "300", "--rounds", "1"])
    rows = [row.split(" | ") for row in capsys.readouterr().out.splitlines()]
    assert [len(row) for row in rows[2:]] == [7, 7, 7]
    assert all(int(row[2].replace(",", "")) > 0 for row in rows[2:])


def run_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert rules.main(["--asks", "60", "--rounds", "1"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("agree on effect and deciding rules") == 2
    assert printed.count("| Countersign | ") == printed.count("| CEL in Rust, with its input | ") == 2


def run_audit(capsys: pytest.CaptureFixture[str]) -> None:
    audit.main(["--commits", "20", "--requests", "10", "--records", "50", "--rounds", "1"])
    commits, export, verify, memory, receipt, long = capsys.readouterr().out.rstrip().split("\n\n")
    assert commits.count("| **ratio** |") == 2
    assert ("| export |" in export, "| verify with story and replay |" in verify) == (True, True)
    assert memory.count("records |") == len(long.splitlines()[2:]) == 3
    assert "| verified |" in receipt


BENCHES = {
    "ends": run_the_ends,
    "slack": run_slack,
    "due": run_due,
    "rules": run_rules,
    "intake": run_intake,
    "teams": run_teams,
    "mint": run_mint,
    "simulate": run_simulate,
    "growth": run_growth,
    "audit": run_audit,
    "memory": run_memory,
}
"""What is run, the longest first, so that the thirds take about as long as each other."""


@pytest.mark.parametrize("name", played(list(BENCHES), chosen("BENCHES")))
def test_a_bench_runs(name: str, capsys: pytest.CaptureFixture[str]):
    BENCHES[name](capsys)


def test_everything_is_listed_and_each_can_be_run_alone(capfd: pytest.CaptureFixture[str]):
    assert set(everything.LIMITS) == {
        "intake",
        "mint",
        "due",
        "memory",
        "growth",
        "slack",
        "teams",
        "simulate",
        "rules",
        "revoke",
        "revoke_all",
        "ends",
        "audit",
    }
    assert everything.main(["growth", "--small", "5", "--large", "10", "--commits", "2"]) == 0
    assert "| **ratio** |" in capfd.readouterr().out
    assert everything.main(["grwth"]) == 2


def test_figures():
    assert [at(list(range(100)), part) for part in (0.5, 0.99)] == [50, 99]
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
