"""`countersign audit truncate` as an operator types it, on a real store; what it refuses, and what it leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from countersign.ops.truncate import Wish, held_by, truncate
from countersign.ops.truncating import Reason
from countersign.verifying.core import Key
from tests.docs.test_evidence import KEY, Operator, Told, operator, told
from tests.worlds.fixtures import empty_valkey, valkey
from workers.signing import public_of
from workers.stores.port import Truncated

__all__ = ["empty_valkey", "operator", "told", "valkey"]
PUBLIC = public_of(KEY).text
RunCommand = Callable[..., Told]


@pytest.fixture
def exported(operator: Operator, told: RunCommand) -> list[str]:
    """Two requests that were denied, and an export of them; returns the words of a command that would take them out."""
    for _ in range(2):
        operator.decide("deny")
        operator.sign()
    assert told("audit", "export", "./evidence").code == 0
    operator.sign()
    return ["audit", "truncate", "--export", "./evidence", "--key", PUBLIC, "--why", "a year is over"]


def test_what_is_wrong_is_named_and_nothing_goes(exported: list[str], operator: Operator, told: RunCommand) -> None:
    for words, code, said in (
        (["--before", "1d"], 1, "records of the last 7 days stay: name a time before 20"),
        (["--before", "soon"], 1, "--before"),
        (
            ["--before", "2020-01-01"],
            1,
            "nothing can be taken out: record 1 is not older than 2020-01-01",
        ),
        (["--before", "2020-01-01", "--export", "./nothing"], 1, "is no folder: name that of an export"),
        (["--before", "2020-01-01", "--key", "garbage"], 2, "this is no verifier key"),
        (["--before", "2020-01-01", "--key", f"other{PUBLIC}"], 2, "this is no verifier key"),
    ):
        found = told(*exported, *words)
        assert (found.code, said in found.err) == (code, True), found
    without = told("audit", "truncate", "--before", "2020-01-01", "--export", "./evidence", "--why", "x")
    assert without.code != 0 and "--key" in without.err
    changed = Path("evidence/records.jsonl")
    changed.write_bytes(changed.read_bytes().replace(b'"verdict":"deny"', b'"verdict":"view"', 1))
    found = told(*exported, "--before", "2020-01-01")
    assert found.code == 1 and "NOT WHOLE" in found.err and "audit verify" in found.err
    as_json = json.loads(told(*exported, "--before", "2020-01-01", "--json").out)
    assert as_json["error"]["field"] == "--export"
    assert operator.run(operator.store.log.base()).size == 0


def test_on_a_real_store_what_is_left_goes_on(
    exported: list[str], operator: Operator, told: RunCommand, tmp_path: Path
) -> None:  # fmt: skip
    store, run = operator.store, operator.run
    held = held_by(tmp_path / "evidence", [Key.parse(PUBLIC)])
    wish = Wish(Reason("a year is over", "ops", run(store.records.now())), held, dry_run=False)

    async def shortened() -> int:
        work = asyncio.ensure_future(truncate(store, wish, youngest=timedelta()))
        while not work.done():  # sign what it records, as a clock does
            await operator.notary.cover(await store.log.size())
            await asyncio.wait([work], timeout=0.01)
        return (await work).size

    size = run(shortened())
    assert size > 4
    with pytest.raises(Truncated):
        run(store.log.tail(size - 1))
    kept = operator.decide("deny")
    operator.sign()
    assert told("audit", "export", "./after").code == 0
    found = told("audit", "verify", "./after", "--key", PUBLIC)
    assert found.code == 0 and f"records 1 to {size:,} were dropped" in found.out, found
    assert told("audit", "verify", "./after", "--key", PUBLIC, "--against", "./evidence").code == 0
    operator.sign()
    assert told("audit", "export", "./evidence").code == 0
    assert told("audit", "verify", "./evidence", "--key", PUBLIC, "--against", "./after").code == 0
    assert told("audit", "show", kept).code == 0
