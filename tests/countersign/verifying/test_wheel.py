"""An auditor's machine: the wheel, its base dependencies, nothing of the source tree, no store and no network.

The wheel is built from the tree and installed into an environment of its own, into which only what the wheel's metadata
asks for is linked. Each command then runs in a network namespace that has not even a loopback.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from countersign.receipts import verify_receipt
from tests.countersign.verifying.exported import exported
from tests.worlds.signing import VERIFY_KEY

ROOT = Path(__file__).parents[3]
SOURCES = ("approvers", "bot", "workers", "countersign")
ABSENT = ("redis", "rq", "boto3", "botocore", "structlog", "pydantic_settings", "slack_sdk", "pytest", "pip")
"""What an auditor's machine does not have."""
LOOK = """
import importlib.util, json, socket, sys
import countersign
try:
    socket.create_connection(("127.0.0.1", 9), 1)
except OSError as error:
    network = error.errno
print(json.dumps({"from": countersign.__file__, "path": sys.path, "network": network,
                  "there": [name for name in sys.argv[1:] if importlib.util.find_spec(name)]}))
"""
NOTHING_REACHED = (101, 99)  # ENETUNREACH, EADDRNOTAVAIL


@dataclass(frozen=True)
class Machine:
    """A fresh environment, entered without a network."""

    folder: Path
    alone: Sequence[str]

    def run(self, *words: str | Path, python: bool = False) -> subprocess.CompletedProcess[str]:
        """Run `countersign …`, or the interpreter itself, from a folder in which nothing lies."""
        program = [self.folder / "bin" / "python", "-I"] if python else [self.folder / "bin" / "countersign"]
        empty = self.folder / "empty"
        empty.mkdir(exist_ok=True)
        return subprocess.run(
            [*self.alone, *program, *words], cwd=empty, env={"PATH": os.defpath, "HOME": str(empty), "COLUMNS": "200"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def alone() -> list[str]:
    """How to run something without a network."""
    ways = (["unshare", "-n"], ["unshare", "-r", "-n"])
    for way in ways:
        if shutil.which("unshare") and subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0:
            return way
    pytest.skip("no network namespaces here: unshare -n is not allowed, neither as we are nor as root of our own")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, alone: list[str]) -> Machine:
    folder = tmp_path_factory.mktemp("auditor")
    wheel = built(folder)
    environment = folder / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    [site] = environment.glob("lib/python*/site-packages")
    for name in needed(wheel):
        link(metadata.distribution(name), site)
    pip(folder, "--python", environment / "bin" / "python", "install", "--no-deps", wheel)
    return Machine(environment, alone)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(exported(tmp_path_factory.mktemp("handed") / "export"))


def built(folder: Path) -> Path:
    """Build the wheel from a copy of the sources: a build leaves things behind."""
    copy = folder / "source"
    copy.mkdir()
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copy)
    pip(copy, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ".")
    shutil.rmtree(copy)
    [wheel] = folder.glob("countersign-*.whl")
    return wheel


def pip(cwd: Path, *words: str | Path) -> None:
    asked = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "--quiet", *words]
    done = subprocess.run([*asked, "--no-index"], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def needed(wheel: Path) -> set[str]:
    """Return the distributions that the wheel asks for without an extra, and what those ask for."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [one for one in archive.namelist() if one.endswith(".dist-info/METADATA")]
        asked = HeaderParser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []
    found, wanted = set[tuple[str, str]](), list(_wanted(asked, ""))
    while wanted:
        name, extra = wanted.pop()
        if (name, extra) not in found:
            found.add((name, extra))
            wanted += _wanted(metadata.requires(name) or [], extra)
    return {name for name, _ in found}


def _wanted(asked: Sequence[str], extra: str) -> Iterator[tuple[str, str]]:
    for one in map(Requirement, asked):
        if one.marker is None or one.marker.evaluate({"extra": extra}):
            name = canonicalize_name(one.name)
            yield from ((name, more) for more in ("", *one.extras))


def link(distribution: metadata.Distribution, site: Path) -> None:
    """Link what a distribution installed beside its metadata."""
    for name in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
        if not (site / name).exists():
            (site / name).symlink_to(Path(str(distribution.locate_file(name))).resolve())


def test_nothing_of_ours_but_the_wheel_is_there(machine: Machine) -> None:
    done = machine.run("-c", LOOK, *ABSENT, python=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert Path(found["from"]).is_relative_to(machine.folder)
    assert not [one for one in found["path"] if Path(one).is_relative_to(ROOT)]
    assert found["there"] == []
    assert found["network"] in NOTHING_REACHED


def test_an_export_is_verified(machine: Machine, export: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    shutil.copy(export / "receipts.txt", kept)
    done = machine.run("audit", "verify", export, "--key", VERIFY_KEY, "--witness", kept)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("whole: ")
    assert re.search(r", [1-9][0-9]* replayed, ", done.stdout)  # decided again, by the rules that came with the wheel
    assert "agrees with " in done.stdout.splitlines()[-1]


def test_without_a_key_it_is_not_checked(machine: Machine, export: Path) -> None:
    done = machine.run("audit", "verify", export)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--key" in done.stderr


def test_a_changed_record_is_found(machine: Machine, export: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(export, tmp_path / "copy")
    records = (copy / "records.jsonl").read_bytes()
    (copy / "records.jsonl").write_bytes(records.replace(b'"verdict":"deny"', b'"verdict":"DENY"', 1))
    assert (copy / "records.jsonl").read_bytes() != records
    done = machine.run("audit", "verify", copy, "--key", VERIFY_KEY)
    assert done.returncode == 1
    assert "records.jsonl, line " in done.stdout.splitlines()[0]


def test_a_receipt_is_verified(machine: Machine, export: Path, tmp_path: Path) -> None:
    receipt = (export / "receipts.txt").read_text().splitlines()[0]
    said = verify_receipt(receipt, key=VERIFY_KEY, decision=None)
    held, key = tmp_path / "receipt", tmp_path / "key"
    held.write_text(receipt)
    key.write_text(f"{VERIFY_KEY}\n")
    asked = ("receipt", "verify", held, "--decision", said.decision, "--request", said.sub)
    at = ("--at", said.iat.isoformat())
    done = machine.run(*asked, "--key", f"@{key}", *at)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"good: {said.sub} was {said.decision}")
    assert machine.run(*asked).returncode == 2
    held.write_text(receipt[:-2] + ("AA" if not receipt.endswith("AA") else "BB"))
    assert machine.run(*asked, "--key", f"@{key}", *at).returncode == 1
