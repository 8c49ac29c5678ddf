"""Three planted bugs are found: a Deny written before its record, one collected early, and no reconciler.

Each is played by the few plans of one seed whose faults meet it: one of them in a run, another each day, with
`PLANTED=all` all three. `make faults` finds them among all plans, unchosen.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.clocks import LIBRARY, MISSING
from tests.faults.plans import Plan, plans
from tests.faults.planting import named
from tests.faults.rounds import Report, run
from tests.thirds import chosen, played

SEED, AMONG, SIZE = 1, 300, 2
MEETING: dict[str, Callable[[Plan], bool]] = {
    "deny_first": lambda plan: plan.life == "ttl" and all(fault.stage == "end" for fault in plan.faults),
    "collect_early": lambda plan: (
        plan.life == "revoked" and all((fault.when, fault.call) == ("after", "sts:AssumeRole") for fault in plan.faults)
    ),  # then one was issued for sure
    "no_sweep": lambda plan: plan.life in ("revoked", "released") and any(one.kind == "hand" for one in plan.faults),
}


def meeting(wanted: Callable[[Plan], bool]) -> Iterator[Plan]:
    return (plan for plan in itertools.islice(plans(SEED), AMONG) if wanted(plan))


@pytest.mark.skipif(LIBRARY is None, reason=MISSING)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", played(list(MEETING), chosen("PLANTED")))
def test_a_planted_bug_is_found(bug: str, tmp_path: Path, show: Callable[[str], None]) -> None:
    def found(so_far: Report) -> bool:
        return bool(named(bug, so_far.verdict.wrong))

    chosen, worker = meeting(MEETING[bug]), f"tests.faults.planted_{bug}"
    report = run(
        tmp_path, chosen, enough=found, grounds=1, worker=worker, size=SIZE, judged=lambda so_far: not found(so_far)
    )  # fmt: skip
    said = {report.found_at[line]: line for line in named(bug, report.verdict.wrong)}
    show(f"{bug}: found, by plan of those that meet it: {said}")
    assert found(report)
