"""Name the bugs that are planted on purpose, and the words by which the judge must find each."""

from __future__ import annotations

from collections.abc import Iterable

FOUND_WITHIN = 200
"""So many plans, which nobody chose, are enough to find each."""
BUGS: dict[str, tuple[str, ...]] = {
    "deny_first": ("was written, and its record said ACTIVE", "was written, and its record said MINTING"),
    "collect_early": ("was removed before its credential had surely expired", "(REVOKED) is alive"),
    "no_sweep": ("was removed by hand, and nobody has put it back",),
}
"""By module `tests.faults.planted_…`: what the judge says of it; anything else that it says does not count."""


def named(bug: str, wrong: Iterable[str]) -> list[str]:
    """Return what was said of that bug."""
    return [line for line in wrong if any(words in line for words in BUGS[bug])]
