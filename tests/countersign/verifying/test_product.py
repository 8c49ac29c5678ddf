"""What the product writes, signs and exports is whole to a verifier that shares no line with its writer."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from countersign.cli import main
from countersign.verifying.checks import Checks
from countersign.verifying.core import Key
from countersign.verifying.verify import verify
from tests.countersign.verifying.exported import exported
from tests.worlds.signing import VERIFY_KEY

KEYS = [Key.parse(VERIFY_KEY)]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(exported(tmp_path_factory.mktemp("product") / "export"))


def ran(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["audit", "verify", *map(str, words)])
    return int(ended.value.code or 0)


def test_it_is_whole_and_every_decision_follows(export: Path, show: Callable[[str], None]) -> None:
    checks = Checks(export)
    found = verify(export, KEYS, checks=checks.all, everything=True)
    assert {one.code for one in found.findings} <= {"flag"}, found.findings  # such as an after-review that was late
    assert found.counts["receipts"] == found.counts["decisions"] == found.types["request.submitted"] > 10
    assert found.counts["texts"] and not found.counts["erased"]
    assert not [why for why in checks.told()["Not decided once more"] if "form" in why]
    assert checks.replayed > found.counts["decisions"]
    show(f"the product's own export: {dict(found.counts)}, decided once more {checks.replayed}")


def test_the_command_says_so(export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "receipts.txt"
    kept.write_text("\n".join((export / "receipts.txt").read_text().splitlines()[:3]))
    report = tmp_path / "report.md"
    assert ran(export, "--key", VERIFY_KEY, "--witness", kept, "--report", report) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"whole: {KEYS[0].name} up to ")
    assert last.startswith("agrees with 3 outside witnesses, newest at size ")
    text = report.read_text()
    assert "## On our word" in text and "no outside witness has seen" in text and "Decided once more" in text


def test_a_program_reads_the_same(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(export, "--key", VERIFY_KEY, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (
        found["whole"] is True
        and {one["code"] for one in found["findings"]} <= {"flag"}
        and found["counts"]["replayed"] > 10
    )


def test_a_key_out_of_the_export_is_told_in_the_first_line(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(export, "--trust-exported-key") == 0
    assert "THE KEY CAME FROM THE EXPORT ITSELF" in capsys.readouterr().out.splitlines()[0]


def test_without_a_key_nothing_is_checked(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(export) == 2
    assert "--key" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--key", "x"], ["--key", "@/nowhere"]], ids=["none", "bad", "no_file"])
def test_a_program_is_told_so_too(export: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(export, *words, "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["whole"], "--key" in told["why"]) == (None, True)


@pytest.mark.parametrize("option", ["--report", "--witness"])
def test_nothing_is_written_into_the_export_and_it_is_no_witness_of_itself(
    export: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(export.rglob("*"))
    path = export / ("report.md" if option == "--report" else "receipts.txt")
    assert ran(export, "--key", VERIFY_KEY, option, path) == 2
    assert "lies in the export itself" in capsys.readouterr().err
    assert sorted(export.rglob("*")) == before


def test_a_report_that_cannot_be_written_hides_no_verdict(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(export, "--key", VERIFY_KEY, "--report", tmp_path / "none" / "r.md") == 2
    out, err = capsys.readouterr()
    assert (out.startswith("whole: "), "r.md cannot be written" in err) == (True, True)
    shutil.copytree(export, tmp_path / "changed")
    (tmp_path / "changed" / "receipts.txt").write_text("")
    assert ran(tmp_path / "changed", "--key", VERIFY_KEY, "--report", tmp_path / "none" / "r.md") == 1


def test_a_key_file_that_is_no_text_is_told(export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe\x00")
    assert ran(export, "--key", f"@{tmp_path / 'key'}") == 2
    assert "the file is no text" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["x", VERIFY_KEY[:-4] + "AAAA", "@/nowhere"])
def test_what_is_no_key_is_refused(export: Path, key: str) -> None:
    assert ran(export, "--key", key) == 2


def test_another_key_shows_nothing(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.countersign.verifying.logs import OTHERS  # noqa: PLC0415

    assert ran(export, "--key", OTHERS.text) == 1
    assert "[unknown_key]" in capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize("missing", ["manifest.json", ""], ids=["half", "none"])
def test_half_an_export_is_no_export(
    export: Path, tmp_path: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if missing:
        shutil.copytree(export, tmp_path / "half")
        (tmp_path / "half" / missing).unlink()
    assert ran(tmp_path / "half", "--key", VERIFY_KEY) == 3
    assert ("Export again" in capsys.readouterr().err) is bool(missing)


@pytest.mark.parametrize("name", ["records.jsonl", "receipts.txt", "texts.jsonl", "checkpoints.txt", "keys.txt"])
@pytest.mark.parametrize("how", ["gone", "extra", "link", "crlf", "cut", "empty"])
def test_files_that_are_not_as_they_were_written(export: Path, tmp_path: Path, name: str, how: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(export, copy)
    path, raw = copy / name, (copy / name).read_bytes()
    match how:
        case "gone":
            path.unlink()
        case "extra":
            (copy / f"{name}.bak").write_bytes(raw)
        case "link":
            path.rename(tmp_path / "elsewhere")
            path.symlink_to(tmp_path / "elsewhere")
        case "crlf":
            path.write_bytes(raw.replace(b"\n", b"\r\n"))
        case "cut":
            path.write_bytes(raw[:-1])
        case "empty":
            path.write_bytes(b"")
    found = verify(copy, KEYS)
    assert not found.whole
    assert found.findings[-1].file.startswith(name) or (name, how) in {
        ("checkpoints.txt", "empty"), ("texts.jsonl", "empty"), ("records.jsonl", "empty"),
    }  # fmt: skip


def test_a_very_long_line_is_refused_without_being_read(export: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(export, copy)
    with (copy / "records.jsonl").open("ab") as file:
        file.write(b'"' + b"a" * (10 << 20) + b'"\n')
    found = verify(copy, KEYS).findings[-1]
    assert (found.file, found.code) == ("records.jsonl", "bad_line")


def test_two_exports_that_disagree_part_at_a_line(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(export, "--key", VERIFY_KEY, "--against", export) == 0
    other = tmp_path / "other"
    shutil.copytree(export, other)
    lines = (other / "records.jsonl").read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b'"via":', b'"via" :')
    (other / "records.jsonl").write_bytes(b"".join(lines))
    capsys.readouterr()
    assert ran(export, "--key", VERIFY_KEY, "--against", other) == 1
    first = capsys.readouterr().out.splitlines()[0]
    assert "records.jsonl, line 5" in first and "agree up to size 4" in first
