"""Forgeries by whoever holds the real key: all that is hashed and signed fits, and verify still says no, and where.

What nothing in the log can tell is the forgery that could have happened: for that there are witnesses.
"""

from __future__ import annotations

import asyncio
import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from approvers.ids import grant_of
from countersign.cli import main
from tests.countersign.verifying.exported import SignedHistory, export_of
from tests.countersign.verifying.forging import Forge, forged, records_of
from tests.countersign.verifying.retelling import Record, later, line, record
from tests.countersign.verifying.test_forged import KNOCK, READ, WRITE, answered
from tests.worlds.history import caller
from tests.worlds.signing import VERIFY_KEY


async def _history(path: Path) -> Path:
    """Export a write that one person denies at once, one that two disagree on, a read, and a knock that is used."""
    history = await SignedHistory(5).begin()
    await answered(history, WRITE, ("alex", "deny"))
    await answered(history, {**WRITE, "parameters": {"again": 1}}, ("robin", "approve"), ("alex", "deny"))
    await answered(history, READ, ("robin", "approve"))
    request = await answered(history, KNOCK, ("robin", "approve"))
    view = await history.reader.look(request)
    await history.desk.consume(caller(), request, view.request.action_digest)
    return await export_of(history, path)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(_history(tmp_path_factory.mktemp("signed") / "export"))


def denied_made_approved(records: list[Record], number: int, people: list[str], *, grant: bool) -> None:
    """Change a no to a yes, the decision after it, too, and open the grant that then follows."""
    at = line(records, "request.denied", number)
    subject = records[at - 1]["subject"]
    asked = next(one for one in records if one["subject"] == subject)
    review = next(one for one in reversed(records[: at - 1]) if one["type"] == "review.recorded")
    review["data"]["verdict"] = "approve"
    decision = records[at - 1]
    decision["type"] = "request.approved"
    decision["data"] |= {"state": "APPROVED", "because": "quorum", "filled": {"sre": people}}
    if grant:
        opened = copy.deepcopy(record(records, "grant.opened"))
        opened |= {"at": decision["at"], "by": decision["by"], "subject": subject, "via": decision["via"]}
        opened["data"] |= {"plan": asked["data"]["plan"], "approved_by": sorted(people, reverse=True)}
        opened["data"] |= {"grant": grant_of(subject), "mint_by": later(decision["at"], minutes=10)}
        records.insert(at, opened)


def one_yes_of_two(records: list[Record]) -> None:
    denied_made_approved(records, 0, ["user:alex"], grant=True)


def without_its_grant(records: list[Record]) -> None:
    denied_made_approved(records, 1, ["user:alex", "user:robin"], grant=False)


def could_have_been(records: list[Record]) -> None:
    denied_made_approved(records, 1, ["user:alex", "user:robin"], grant=True)


def of_the_read(records: list[Record]) -> int:
    """Return the line of the answer to the read, the first that was approved."""
    subject = record(records, "request.approved")["subject"]
    return next(n for n, one in enumerate(records, 1) if (one["type"], one["subject"]) == ("review.recorded", subject))


def approved_by(who: str) -> Forge:
    """Put who asked, acts or stands behind it in the reviewer's place: review, decision and receipt."""

    def forge(records: list[Record]) -> None:
        at = of_the_read(records)
        records[at - 1]["by"] = {"iss": "api-key", "person": who, "sub": "key_own"}
        decision = record(records, "request.approved")
        decision["by"] = records[at - 1]["by"]
        decision["data"]["filled"] = {"sre": [who]}

    return forge


def used_twice(records: list[Record]) -> None:
    records.append(copy.deepcopy(record(records, "request.consumed")))


def verified(path: Path, capsys: pytest.CaptureFixture[str], *more: str | Path) -> tuple[int, dict]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["audit", "verify", str(path), "--key", VERIFY_KEY, "--json", *map(str, more)])
    return int(ended.value.code or 0), json.loads(capsys.readouterr().out)


def test_the_forger_changes_nothing_and_it_is_whole(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = verified(forged(export, tmp_path / "same", lambda _records: None), capsys)
    assert (code, found["findings"]) == (0, [])
    assert found["counts"]["receipts"] == found["counts"]["decisions"] == 4
    assert (tmp_path / "same/records.jsonl").read_bytes() == (export / "records.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("forge", "where", "code", "words"),
    [
        (one_yes_of_two, lambda them: line(them, "request.denied"), "does_not_follow",
         "does not follow from its policy"),
        (without_its_grant, lambda them: line(them, "request.denied", 1) - 1, "does_not_follow",
         "does not follow from its policy: grant.opened follows"),
        (approved_by("user:dana"), of_the_read, "does_not_follow", "by the rules it does not count"),
        (approved_by("caller:report-bot"), of_the_read, "does_not_follow", "is nobody in the roster"),
        (approved_by("agent:report-bot"), of_the_read, "does_not_follow", "is nobody in the roster"),
        (used_twice, lambda them: len(them) + 1, "bad_story", "is used twice: one approval, one action"),
    ],
    ids=["a no made a yes, one of two", "a no made a yes, no grant", "by their owner", "by the caller", "by the agent",
         "used twice"],
)  # fmt: skip
def test_all_is_signed_and_it_is_refused_at_its_line(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    forge: Forge, where: Callable[[list[Record]], int], code: str, words: str,
) -> None:  # fmt: skip
    path = forged(export, tmp_path / "forged", forge)
    exit_code, found = verified(path, capsys)
    first = next(one for one in found["findings"] if one["code"] != "flag")
    assert (exit_code, first["file"], first["line"], first["code"]) == (
        1, "records.jsonl", where(records_of(export)), code,
    ), first  # fmt: skip
    assert words in first["what"]
    _, everything = verified(path, capsys, "--all")
    codes = {one["code"] for one in everything["findings"]}
    assert codes <= {"does_not_follow", "bad_story", "flag"}, "hashes and signatures all fit"
    if where is of_the_read:
        assert any("nobody approves their own" in one["what"] for one in everything["findings"])


def test_a_forgery_that_could_have_happened_is_told_by_any_witness(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = forged(export, tmp_path / "forged", could_have_been)
    assert verified(path, capsys)[0] == 0, "both said yes, says the log, and its key: that is on their word"
    kept = tmp_path / "kept.txt"
    shutil.copyfile(export / "receipts.txt", kept)
    exit_code, found = verified(path, capsys, "--witness", kept)
    first = next(one for one in found["findings"] if one["code"] != "flag")
    assert (exit_code, first["code"]) == (1, "witness_differs")
