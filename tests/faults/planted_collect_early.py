"""A worker with a planted bug: it removes a Deny as soon as the grant is proven ended.

Run as `python -m tests.faults.boot tests.faults.planted_collect_early` in the worker's place; the harness must find it.
"""

from __future__ import annotations

import sys
from datetime import datetime

from approvers import grant as grants


def at_once(grant: grants.Grant) -> datetime:
    """Name a moment that is always past."""
    assert grant.claimed_at is not None
    return grant.claimed_at


if __name__ == "__main__":
    grants.collect_at = at_once  # before anybody imports it by name
    from workers.__main__ import main

    sys.exit(main())
