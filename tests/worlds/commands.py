"""A small system behind executables: credentials in a file, an end by its own clock, troubles told from outside.

The executables are real files, run as the product runs them. `trouble` says what one call does in place of its work.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TOOL = r"""
import json, os, pathlib, secrets, sys, time
from datetime import UTC, datetime, timedelta

call, state = pathlib.Path(sys.argv[0]).name, pathlib.Path("state")
ask = json.load(sys.stdin)
with (state / "calls").open("a") as calls:
    calls.write(json.dumps({"ask": ask, "environ": dict(os.environ)}) + "\n")
trouble = state / f"trouble-{call}"
if trouble.exists():
    exec(trouble.read_text())


def entry(grant):
    return state / f"{grant}.json"


def answer(**said):
    print(json.dumps(said))


now = datetime.now(UTC).replace(microsecond=0)
if call == "leftovers":
    answer(grants=sorted(one.stem for one in state.glob("grt_*.json")))
    sys.exit()
grant, path = ask["grant"], entry(ask["grant"])
known = json.loads(path.read_text()) if path.exists() else None
if call == "mint":
    if known and known["ended"]:
        print(f"{grant} is ended", file=sys.stderr)
        sys.exit(10)
    word, end = secrets.token_hex(16), (now + timedelta(seconds=ask["ttl_seconds"])).isoformat()
    path.write_text(json.dumps({"ended": False, "word": word, "end": end}))
    answer(handle=f"box-{grant}", environment={"BOX_USER": f"box-{grant}", "BOX_WORD": word}, ends_at=end)
elif call == "revoke":
    path.write_text(json.dumps({"ended": True, "word": "", "end": now.isoformat()}))
    answer()
elif call == "verify":
    alive = bool(known) and not known["ended"] and now < datetime.fromisoformat(known["end"])
    answer(outcome="alive" if alive else "ended", control="alive", detail=f"{len(list(state.iterdir()))} files")
elif call == "collect":
    path.unlink(missing_ok=True)
    answer()
"""


@dataclass(frozen=True)
class Box:
    """The system and the folder of its executables."""

    folder: Path

    @classmethod
    def made(cls, home: Path, name: str = "box") -> Box:
        """Write the executables of a provider below a commands folder."""
        home.mkdir(mode=0o755, parents=True, exist_ok=True)
        home.chmod(0o755)
        folder = home / name
        folder.mkdir(mode=0o755)
        (folder / "state").mkdir()
        for call in ("mint", "revoke", "verify", "collect", "leftovers"):
            (folder / call).write_text(f"#!{sys.executable} -IS\n{TOOL}")
            (folder / call).chmod(0o755)
        return cls(folder)

    def trouble(self, call: str, instead: str) -> None:
        """Have a call run these lines first."""
        (self.folder / "state" / f"trouble-{call}").write_text(instead)

    def says(self, call: str, script: str) -> None:
        """Put a shell script in the place of one executable."""
        (self.folder / call).write_text(f"#!/bin/sh\n{script}\n")

    def passes(self, grant: str) -> None:
        """Let the time of a grant's credential be over, by the system's own clock."""
        path = self.folder / "state" / f"{grant}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"end": "2020-01-01T00:00:00+00:00"}))

    def calls(self) -> list[dict[str, Any]]:
        """Return what every executable was asked, and with which environment."""
        path = self.folder / "state" / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def asked(self) -> list[str]:
        return [one["ask"]["call"] for one in self.calls()]

    def alive(self, grant: str) -> bool:
        """Say whether the grant's credential works: the world's own judgement."""
        path = self.folder / "state" / f"{grant}.json"
        entry = json.loads(path.read_text()) if path.exists() else {"ended": True, "end": "9999-01-01T00:00:00+00:00"}
        return not entry["ended"] and datetime.now(UTC) < datetime.fromisoformat(entry["end"])
