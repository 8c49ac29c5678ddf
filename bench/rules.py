"""Time a ruling of ours beside Cedar and CEL, on the same rules and asks.

    python -m bench rules [--asks N] [--rounds N]

The other engines get their input ready made (risk, local time and all), outside the clock; ours starts from the facts
and ends with the whole ruling: risk with its reasons, seats, the conditions of each rule that decided, near misses.
A second line per engine adds what it takes to make that input. Every round has asks of its own, so that nothing kept
from one round helps the next; the engines take turns within it. Figures are medians over the rounds, of processor time
of the thread: what else the machine does meanwhile is in none of them.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
from collections.abc import Callable, Sequence
from time import thread_time_ns
from typing import Any

from approvers.facts import Facts
from bench import rule_engines, rule_town
from bench.rule_engines import Engine

SIZES = (20, 200)
CHUNK = 100
"""Asks in a row for one engine, before it is the next one's turn."""
WARM_SEED = 1
LINES = ((0, ""), (2, ", with its input"))


def main(argv: Sequence[str]) -> int:
    """Compare, and print two tables; the exit status is 1 where two engines disagree."""
    parser = argparse.ArgumentParser(prog="python -m bench rules", description=__doc__.splitlines()[0])
    parser.add_argument("--asks", type=int, default=2000, help="asks per round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(argv)
    for size in SIZES:
        rules = rule_town.rules(size)
        engines = [make(rules) for make in (rule_engines.ours, rule_engines.cedar, rule_engines.expressions)]
        effects = agree(engines, rule_town.asks(options.asks, WARM_SEED))
        if effects is None:
            return 1
        timed = [round_of(engines, rule_town.asks(options.asks, 100 + number)) for number in range(options.rounds)]
        print(f"\n{size} rules; {options.asks} asks a round, {options.rounds} rounds, each ask once; all engines "
              f"agree on effect and deciding rules ({effects})\n")  # fmt: skip
        table([engine.name for engine in engines], timed)
    return 0


def agree(engines: Sequence[Engine], asks: Sequence[Facts]) -> str | None:
    """Let every engine answer every ask; returns how many of which effect, or None where two disagree."""
    counts: dict[str, int] = {}
    for facts in asks:
        first, *others = [engine.read(engine.decide(engine.prepare(facts))) for engine in engines]
        if any(other != first for other in others):
            print(f"the engines disagree: {first} {others}\n{facts}", file=sys.stderr)
            return None
        counts[first[0]] = counts.get(first[0], 0) + 1
    return ", ".join(f"{count} {effect}" for effect, count in sorted(counts.items()))


def round_of(engines: Sequence[Engine], asks: Sequence[Facts]) -> list[tuple[float, float, float, float]]:
    """Time each ask once with each engine, in turns; returns p50 and p99 in µs, of deciding and with its input."""
    took: list[tuple[list[int], list[int]]] = [([], []) for _ in engines]  # numbers: nothing for the collector
    gc.collect()
    gc.freeze()  # what is loaded once is not looked through again while asks are timed; the same for every engine
    for start in range(0, len(asks), CHUNK):
        for place, engine in enumerate(engines):
            for facts in asks[start : start + CHUNK]:
                making, said = clocked(engine.prepare, facts)
                deciding, _ = clocked(engine.decide, said)
                took[place][0].append(deciding)
                took[place][1].append(making + deciding)
    return [(*ends(alone), *ends(whole)) for alone, whole in took]


def clocked(work: Callable[[Any], Any], given: Any) -> tuple[int, Any]:
    """Return how many nanoseconds of processor time it took, and what came of it."""
    began = thread_time_ns()
    result = work(given)
    return thread_time_ns() - began, result


def ends(times: Sequence[int]) -> tuple[float, float]:
    """Return p50 and p99 in microseconds."""
    ordered = sorted(times)
    return ordered[len(ordered) // 2] / 1000, ordered[len(ordered) * 99 // 100] / 1000


def table(names: Sequence[str], timed: Sequence[Sequence[tuple[float, float, float, float]]]) -> None:
    """Print medians over the rounds, and the median of each round's ratio to ours."""
    print("| engine | p50 | p99 | p50 beside ours | p99 beside ours |\n|---|---|---|---|---|")
    for place, name in enumerate(names):
        for first, what in LINES[: 2 if place else 1]:
            figures = [statistics.median(one[place][first + end] for one in timed) for end in (0, 1)]
            ratios = [statistics.median(one[place][first + end] / one[0][end] for one in timed) for end in (0, 1)]
            print(
                f"| {name}{what} | {figures[0]:.1f} µs | {figures[1]:.1f} µs | {ratios[0]:.2f} × | {ratios[1]:.2f} × |"
            )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
