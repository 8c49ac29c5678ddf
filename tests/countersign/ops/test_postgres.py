"""The demo's PostgreSQL is private, made anew, and gone with whoever started it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from countersign.ops.postgres import PREFIX, local_postgres

DIES = """
import os, sys
from pathlib import Path
from countersign.ops.postgres import local_postgres
with local_postgres(Path(sys.argv[1])) as server:
    print(server.pid, flush=True)
    os._exit(9)
"""


def gone(pid: int) -> bool:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_it_ends_with_a_parent_that_is_killed_and_the_next_one_clears_up_after_it(tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", DIES, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 9
    assert gone(int(done.stdout))
    left = Path((tmp_path / "postgres.folder").read_text())
    assert left.name.startswith(PREFIX)
    assert left.exists()
    with local_postgres(tmp_path) as server:
        assert not left.exists()
        assert server.password not in repr(server)
        assert server.psql("SELECT count(*) FROM customers").stdout == "2\n"
        strange = server.psql("SELECT 1", {**server.environment(), "PGPASSWORD": "guessed"})
        assert "password authentication failed" in strange.stderr
        place = Path((tmp_path / "postgres.folder").read_text())
        assert place.stat().st_mode & 0o077 == 0
    assert gone(server.pid)
    assert not place.exists()
