"""Measure, and print Markdown.

    python -m bench                 everything, in about twelve minutes
    python -m bench NAME [OPTION]…  one of intake, mint, due, memory, growth, slack, teams, simulate, rules, revoke,
                                    revoke_all, ends, audit; --help lists its options

Each figure stands beside a floor of the same run: on a shared machine only the ratio means something. A bench that
takes longer than its limit is ended, and the others go on.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from bench.common import ROOT

LIMITS = {"intake": 70, "mint": 30, "due": 150, "memory": 30, "growth": 80, "slack": 80, "teams": 150,
          "simulate": 120, "rules": 60, "revoke": 60, "revoke_all": 200, "ends": 200, "audit": 150}  # fmt: skip
"""Seconds that each may take in the run of everything: some twelve minutes in all."""
ALONE_SECONDS = 600
QUICK = {"intake": ("--asks", "6000"), "mint": ("--mints", "100"), "slack": ("--clicks", "100", "--bursts", "10"),
         "simulate": ("--asks", "20000", "--rounds", "2"), "rules": ("--rounds", "5"),
         "revoke_all": ("--grants", "200"), "ends": ("--grants", "5000", "--seconds", "30"),
         "audit": ("--commits", "1000", "--requests", "1000", "--records", "20000", "--rounds", "2")}  # fmt: skip
"""Options of the run of everything, where they differ from a bench's own."""


def main(argv: Sequence[str]) -> int:
    """Run one bench, or each; returns the exit status."""
    if argv and argv[0] in LIMITS:
        return run(argv[0], argv[1:], ALONE_SECONDS)
    if argv:
        print(f"python -m bench [{'|'.join(LIMITS)}] [OPTION]…", file=sys.stderr)
        return 2
    began, failed = time.monotonic(), []
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the start")
    for name, seconds in LIMITS.items():
        print(f"\n## {name}\n", flush=True)
        if run(name, QUICK.get(name, ()), seconds):
            failed.append(name)
    print(f"\n{time.monotonic() - began:.0f} s; {'all ran' if not failed else 'failed: ' + ', '.join(failed)}")
    return 1 if failed else 0


def run(name: str, options: Sequence[str], limit_seconds: int) -> int:
    """Run one bench as a process of its own, with what it starts; ends all of it when its time is over."""
    process = subprocess.Popen([sys.executable, "-m", f"bench.{name}", *options], cwd=ROOT, start_new_session=True)
    try:
        return process.wait(limit_seconds)
    except subprocess.TimeoutExpired:
        print(f"{name} took longer than {limit_seconds} s", file=sys.stderr)
        return 1
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # its servers end with it, wherever it was interrupted
        process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
