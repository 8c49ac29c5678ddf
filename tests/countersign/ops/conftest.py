"""Give these tests the operators' command line, on a store of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from countersign.cli import main
from tests.worlds.fixtures import empty_valkey, redis_store, store, valkey
from tests.worlds.valkey import Valkey

__all__ = ["empty_valkey", "redis_store", "store", "valkey"]


@dataclass(frozen=True)
class Told:
    """What one command did: exit code, answer, words for the person."""

    code: int
    out: str
    err: str


Command = Callable[..., Told]


@pytest.fixture
def command(empty_valkey: Valkey, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `countersign …` with COUNTERSIGN_REDIS_URL set, in this process."""
    monkeypatch.setenv("COUNTERSIGN_REDIS_URL", empty_valkey.url)

    def run(*words: object) -> Told:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        told = capsys.readouterr()
        return Told(int(ended.value.code or 0), told.out, told.err)

    return run
