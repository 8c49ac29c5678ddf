"""A few plans, another seed each day, on the real thing: no credential outlives its grant, whatever goes wrong.

`make faults` plays a thousand. A plan that fails here is played again by the line that is shown: seed and hash.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.faults.clocks import LIBRARY, MISSING
from tests.faults.plans import plans
from tests.faults.rounds import Report, run

PLANS = int(os.environ.get("FAULT_PLANS") or 12)
SEED = int(os.environ.get("FAULT_SEED") or datetime.now(UTC).strftime("%Y%m%d"))
GROUNDS = 3
MOST = 3
"""How many plans are played for each that counts, at most: a fault may miss its call."""


@pytest.mark.skipif(LIBRARY is None, reason=MISSING)
@pytest.mark.timeout(600)
def test_no_credential_outlives_its_grant_whatever_goes_wrong(tmp_path: Path, show: Callable[[str], None]) -> None:
    def enough(so_far: Report) -> bool:
        return len(so_far.counted) >= PLANS or so_far.played >= MOST * PLANS

    report = run(tmp_path, plans(SEED), enough=enough, grounds=GROUNDS, size=PLANS // 2)
    show(f"seed {SEED}; again: python -m tests.faults --seed {SEED} [--only HASH]")
    for line in report.lines():
        show(line)
    assert report.verdict.wrong == []
    assert len(report.counted) >= PLANS
