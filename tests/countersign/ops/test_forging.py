"""What the demo forges is forged well: bytes, chains, sums and root agree; only what was signed or told does not."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from countersign.ops.forging import forge
from countersign.verifying.checks import Checks
from countersign.verifying.core import Key
from countersign.verifying.verify import verify
from tests.countersign.verifying.exported import exported
from tests.worlds.signing import VERIFY_KEY

KEYS = [Key.parse(VERIFY_KEY)]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(exported(tmp_path_factory.mktemp("forging") / "export"))


@pytest.fixture
def forged(export: Path, tmp_path: Path) -> tuple[Path, int]:
    copy = Path(shutil.copytree(export, tmp_path / "copy"))
    return copy, forge(copy, denied(export))


def denied(export: Path) -> str:
    records = [json.loads(line) for line in (export / "records.jsonl").read_bytes().splitlines()]
    return next(one["subject"] for one in records if one["data"].get("verdict") == "deny")


def test_the_signed_root_alone_shows_it(forged: tuple[Path, int]) -> None:
    (found,) = [one for one in verify(forged[0], KEYS).findings if one.grave]
    assert (found.file, found.code) == ("records.jsonl", "wrong_root")


def test_the_story_alone_shows_it(forged: tuple[Path, int]) -> None:
    copy, line = forged
    checks = Checks(copy)
    found = verify(copy, KEYS, checks=checks.all).findings[-1]
    assert found.grave and found.file == "records.jsonl"
    assert found.code in {"bad_story", "does_not_follow"}
    assert found.line in {line, line + 1}


def test_where_nobody_was_denied_there_is_nothing_to_forge(export: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(export, tmp_path / "copy"))
    assert forge(copy, "req_nobody") == 0
    assert verify(copy, KEYS).whole  # and what was written again is what stood there
