"""A skip is named and counted, and fails the run in CI and only there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sources import ROOT

SKIPS = {
    "by mark": "import pytest\n@pytest.mark.skip(reason='no browser here')\ndef test_a(): pass\n",
    "by call": "import pytest\ndef test_a(): pytest.skip('no browser here')\n",
    "by condition": "import pytest\n@pytest.mark.skipif(True, reason='no browser here')\ndef test_a(): pass\n",
    "by fixture": "import pytest\n@pytest.fixture\ndef f(): pytest.skip('no browser here')\ndef test_a(f): pass\n",
    "a module": "import pytest\npytest.skip('no browser here', allow_module_level=True)\n",
}


def run(folder: Path, code: str, ci: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(code + "def test_good(): pass\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.skips", "-p", "no:asyncio", "-q", "--rootdir", folder, folder],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"CI": ci},
        check=False,
    )


@pytest.mark.parametrize("kind", SKIPS)
def test_a_skip_fails_in_ci(tmp_path: Path, kind: str) -> None:
    done = run(tmp_path, SKIPS[kind], "true")
    assert done.returncode == 1, done.stdout
    assert "1 skipped" in done.stdout
    assert "test_it.py" in done.stdout
    assert "no browser here" in done.stdout


def test_a_skip_is_named_elsewhere(tmp_path: Path) -> None:
    done = run(tmp_path, SKIPS["by mark"], "")
    assert (done.returncode, "test_it.py::test_a: " in done.stdout) == (0, True), done.stdout


@pytest.mark.parametrize("ci", ["true", ""])
def test_nothing_skipped(tmp_path: Path, ci: str) -> None:
    xfail = "import pytest\n@pytest.mark.xfail\ndef test_a(): raise ValueError\n"  # an expected failure did run
    done = run(tmp_path, xfail, ci)
    assert (done.returncode, "0 tests skipped" in done.stdout) == (0, True), done.stdout


def test_a_failure_stays_a_failure(tmp_path: Path) -> None:
    assert run(tmp_path, "def test_a(): assert False\n", "").returncode == 1
