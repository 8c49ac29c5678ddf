"""Play fault plans: `python -m tests.faults [--plans 1000] [--seed S] [--only HASH] [--grounds 4]`.

Prints the seed, what was met, every hash, and what is wrong; the exit code is 1 if anything is.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.clocks import LIBRARY, MISSING
from tests.faults.plans import plans
from tests.faults.planting import BUGS, FOUND_WITHIN, named
from tests.faults.rounds import Report, run

SEARCHED = 100_000


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--plans", type=int, default=1000, help="how many plans must have met all their faults")
    parser.add_argument("--seed", type=int, default=int(datetime.now(UTC).strftime("%Y%m%d")))
    parser.add_argument("--only", default="", help="play the plan of this hash alone")
    parser.add_argument("--grounds", type=int, default=4, help="how many worlds live side by side")
    parser.add_argument("--worker", default="workers", help="the module that runs as the worker")
    parser.add_argument("--until-wrong", action="store_true", help="stop at the first thing that is wrong")
    parser.add_argument("--planted", action="store_true", help="find the three planted bugs, each within 200 plans")
    parser.add_argument("--keep", default="", help="a new folder for all that the processes leave behind")
    asked = parser.parse_args()
    if LIBRARY is None:
        print(MISSING, file=sys.stderr)
        return 2
    if asked.planted:
        return planted(asked.seed, asked.grounds)
    chosen = plans(asked.seed)
    if asked.only:
        chosen = iter([next(plan for plan in itertools.islice(chosen, SEARCHED) if plan.hash == asked.only)])
    began = time.monotonic()
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        folder = asked.keep or temporary
        report = run(
            Path(folder), chosen, grounds=1 if asked.only else asked.grounds, worker=asked.worker,
            enough=lambda so_far: len(so_far.counted) >= asked.plans
            or (asked.until_wrong and bool(so_far.verdict.wrong)),
            said=lambda line: print(f"{time.monotonic() - began:6.0f} s: {line}", flush=True),
        )  # fmt: skip
    print("\n".join(report.lines()))
    print(f"took {time.monotonic() - began:.0f} s; faults of ours: {len(report.verdict.wrong)}")
    print("\n".join(f"WRONG, at plan {report.found_at[line]}: {line}" for line in report.verdict.wrong))
    return 1 if report.verdict.wrong else 0


def planted(seed: int, grounds: int) -> int:
    """Find every planted bug among plans that nobody chose."""
    unfound = [bug for bug in BUGS if not _found(bug, seed, grounds)]
    return 1 if unfound else 0


def _found(bug: str, seed: int, grounds: int) -> bool:
    def seen(so_far: Report) -> bool:
        return bool(named(bug, so_far.verdict.wrong))

    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        report = run(
            Path(folder), plans(seed), grounds=grounds, worker=f"tests.faults.planted_{bug}",
            enough=lambda so_far: seen(so_far) or so_far.played >= FOUND_WITHIN,
            judged=lambda so_far: not seen(so_far),
        )  # fmt: skip
    took = f"{report.played} plans, {time.monotonic() - began:.0f} s"
    if found := named(bug, report.verdict.wrong):
        print(f"{bug}: found at plan {report.found_at[found[0]]} ({took}): {found[0]}", flush=True)
    else:
        print(f"{bug}: NOT FOUND ({took}); said: {report.verdict.wrong}", flush=True)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
