"""Three planted bugs are found: a Deny written before its record, one collected early, and no reconciler.

Each is played by the few plans of one seed whose faults meet it. `make faults` finds them among all plans, unchosen.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.clocks import LIBRARY, MISSING
from tests.faults.plans import Plan, plans
from tests.faults.rounds import Report, run

SEED, AMONG = 1, 200
BUGS: dict[str, tuple[Callable[[Plan], bool], str]] = {
    "deny_first": (
        lambda plan: plan.life == "ttl" and all(fault.stage == "end" for fault in plan.faults),
        "was written, and its record said ACTIVE",
    ),
    "collect_early": (
        lambda plan: plan.life == "revoked" and all(fault.stage == "mint" for fault in plan.faults),
        "(REVOKED) is alive",
    ),
    "no_sweep": (
        lambda plan: plan.life in ("revoked", "released") and any(fault.kind == "hand" for fault in plan.faults),
        "nobody has put it back",
    ),
}


def meeting(wanted: Callable[[Plan], bool]) -> Iterator[Plan]:
    return (plan for plan in itertools.islice(plans(SEED), AMONG) if wanted(plan))


@pytest.mark.skipif(LIBRARY is None, reason=MISSING)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str, tmp_path: Path, show: Callable[[str], None]) -> None:
    wanted, says = BUGS[bug]

    def found(so_far: Report) -> bool:
        return any(says in line for line in so_far.verdict.wrong)

    report = run(
        tmp_path, meeting(wanted), enough=found, grounds=1, worker=f"tests.faults.planted_{bug}", judged=False
    )  # fmt: skip
    show(f"{bug}: found at plan {report.first_wrong} of those that meet it: {report.verdict.wrong[:1]}")
    assert found(report)
