"""Which keys count where: handed over by both, or given; and a log whose first records were dropped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from countersign.verifying.core import Key
from countersign.verifying.verify import Verified, verify
from tests.countersign.verifying import logs
from tests.countersign.verifying.logs import NEXT, OTHERS, OURS, Log, Signing

FIRST = Key.parse(OURS.text)
SECOND = Key.parse(NEXT.text)
AT = 20


def rotated(*, announced: bool = True, both: bool = True, new: Signing = NEXT) -> Log:
    """Return a log of 40 records: at size 20 another key takes over."""
    log = logs.requests(10, 4, every=5)
    if announced:
        log.records.insert(AT - 1, {**log.records[0], "subject": "sys", "type": "key.rotated",
                                    "data": {"old": OURS.text, "new": new.text, "size": AT - 5}})  # fmt: skip
    log.signers = lambda size: (OURS,) if size < AT else ((OURS, new) if both and size == AT else (new,))
    return log


@pytest.mark.parametrize("key", [FIRST, SECOND], ids=["old", "new"])
def test_whoever_has_either_key_can_verify_all(key: Key, tmp_path: Path) -> None:
    found = verify(rotated().export(tmp_path / "e").path, [key], everything=True)
    assert found.whole, found.findings
    assert {*found.keys} == {OURS.text, NEXT.text}


@pytest.mark.parametrize("how", [{"announced": False}, {"both": False}], ids=["no record", "not signed by both"])
def test_a_key_that_nobody_handed_over_to_counts_for_nothing(how: dict[str, bool], tmp_path: Path) -> None:
    found = verify(rotated(**how).export(tmp_path / "e").path, [FIRST]).findings[-1]
    assert found.code == "unknown_key"


def test_a_lost_key_hands_over_nothing_so_the_new_one_is_given_too(tmp_path: Path) -> None:
    path = rotated(announced=False, both=False).export(tmp_path / "e").path
    assert verify(path, [FIRST, SECOND], everything=True).whole


def test_an_old_key_counts_no_more_after_it_handed_over(tmp_path: Path) -> None:
    log = rotated()
    log.signers = lambda size: (OURS, NEXT) if size == AT else (OURS,)
    found = verify(log.export(tmp_path / "e").path, [FIRST]).findings[-1]
    assert (found.file, found.code) == ("checkpoints.txt", "unknown_key")


def test_a_stranger_cannot_hand_over_to_themselves(tmp_path: Path) -> None:
    log = rotated(new=OTHERS)
    log.signers = lambda size: (OURS,) if size < AT else (OTHERS,)
    assert not verify(log.export(tmp_path / "e").path, [FIRST]).whole


def truncated(path: Path, keep: int = 12, **change: Any) -> Path:
    """Export a log of 40 records from record `keep` + 1 on, over a checkpoint at exactly `keep`."""
    log = logs.requests(10, 4, every=5)
    bodies = log.bodies()
    leaves = [logs.leaf(body) for body in bodies]
    sizes = change.get("sizes", (keep, 25, 40))
    notes = [logs.note(size, logs.root(leaves[:size]), OURS) for size in sizes]
    kept = [one for one in log.receipts(bodies, [25, 40])]
    export = logs.write(path, bodies[keep:], notes, kept, list(log.texts.items())[keep:])
    heads = {}
    for body in bodies[:keep]:
        record = json.loads(body)
        heads[record["subject"]] = {"n": record["n"], "prev": hashlib.sha256(body).hexdigest()}
    peaks, start = [], 0
    for bit in reversed(range(keep.bit_length())):
        if keep >> bit & 1:
            peaks.append(logs.root(leaves[start : start + (1 << bit)]).hex())
            start += 1 << bit
    base = {"heads": heads, "peaks": peaks, "size": keep, **change.get("base", {})}
    (export.path / "base.json").write_bytes(rfc8785.dumps(base) + b"\n")
    logs.seal(export.path, bodies[keep:])
    manifest = json.loads((export.path / "manifest.json").read_bytes())
    manifest.pop("sha256")
    manifest["log"] = {"checkpoint": 40, "records": 40 - keep, "root": logs.root(leaves).hex()}
    own = hashlib.sha256(rfc8785.dumps(manifest)).hexdigest()
    (export.path / "manifest.json").write_bytes(rfc8785.dumps({**manifest, "sha256": own}) + b"\n")
    return export.path


def looked(path: Path) -> Verified:
    return verify(path, [FIRST], everything=True)


def test_a_truncated_log_goes_on_from_what_was_signed(tmp_path: Path) -> None:
    found = looked(truncated(tmp_path / "e"))
    assert found.whole, found.findings
    assert (found.base, found.size, found.counts["records"]) == (12, 40, 28)


def test_what_nobody_signed_is_no_base(tmp_path: Path) -> None:
    found = looked(truncated(tmp_path / "e", sizes=(25, 40)))
    assert [one.code for one in found.findings if one.grave] == ["unknown_key"]


@pytest.mark.parametrize(
    "base",
    [{"peaks": ["0" * 64, "1" * 64]}, {"peaks": []}, {"size": 13}, {"heads": {}}, {"more": 1}],
    ids=["other peaks", "no peaks", "another size", "no heads", "more"],
)
def test_a_base_that_was_changed(base: dict[str, Any], tmp_path: Path) -> None:
    assert not looked(truncated(tmp_path / "e", base=base)).whole


@pytest.mark.parametrize("text", ["garbage\n", f"{OURS.text}\n\n", "\n"], ids=["no key", "an empty line", "nothing"])
def test_keys_of_the_export_that_are_none_are_named(text: str, tmp_path: Path) -> None:
    log = logs.requests(4, 3)
    export = log.export(tmp_path / "e")
    (export.path / "keys.txt").write_text(text)
    logs.seal(export.path, log.bodies())
    found = verify(export.path, [], trust_exported=True).findings[-1]
    assert (found.file, found.line, found.code) == ("keys.txt", text.count("\n"), "bad_line")
