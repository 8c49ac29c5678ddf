"""A receipt says what the log says, over a log that holds its decision, by a key that counts; or it is named."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from countersign.verifying.core import Key
from countersign.verifying.findings import Finding
from countersign.verifying.verify import verify
from tests.countersign.verifying import logs
from tests.countersign.verifying.logs import OTHERS, OURS, Log, Signing

KEYS = [Key.parse(OURS.text)]
Claims = dict[str, Any]


def log() -> Log:
    """Return a log of ten requests with everything that a receipt claims, one decision a minute."""
    made = logs.requests(10, 3, every=5)
    for number, record in enumerate(made.records):
        record["at"] = f"2026-11-21T09:{number:02}:00.000Z"
        if record["type"] == "request.submitted":
            action = {"action": "s3:GetObject", "resource": "arn:aws:s3:::b/*", "ttl_seconds": 900}
            ruling = {**record["data"]["ruling"], "rules": []}
            facts = {"principal": "caller:bot", "actor": "agent:bot"}
            record["data"] |= {"action": action, "facts": facts, "ruling": ruling}
    return made


def told(path: Path, change: Callable[[list[str]], list[str]]) -> list[Finding]:
    made = log()
    receipts = made.receipts(made.bodies(), [*range(5, 31, 5)])
    return verify(made.export(path, receipts=change(receipts)).path, KEYS, everything=True).findings


def other(number: int, signer: Signing = OURS, **claims: Any) -> Callable[[list[str]], list[str]]:
    """Sign one receipt again with other claims."""

    def change(receipts: list[str]) -> list[str]:
        raw = receipts[number].split(".")[1]
        found: Claims = json.loads(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)))
        return [*receipts[:number], logs.jws({**found, **claims}, signer), *receipts[number + 1 :]]

    return change


def test_all_is_well(tmp_path: Path) -> None:
    assert told(tmp_path / "e", lambda receipts: receipts) == []


@pytest.mark.parametrize(
    "claim",
    [
        {"decision": "APPROVED"}, {"because": "rule"}, {"action_digest": f"sha256:{'0' * 64}"},
        {"action": "s3:PutObject"}, {"resource": "*"}, {"granted_digest": f"sha256:{'0' * 64}"},
        {"grant": "grt_1"}, {"policy_sha256": "0" * 64},
        {"rules": ["other"]},
        {"reviewers": []}, {"principal": "caller:x"}, {"actor": "agent:x"}, {"ttl_seconds": 901},
        {"iss": "else.invalid/log"},
    ],
    ids=lambda claim: next(iter(claim)),
)  # fmt: skip
def test_a_claim_that_the_log_does_not_bear_out(claim: Claims, tmp_path: Path) -> None:
    (found,) = [one for one in told(tmp_path / "e", other(0, **claim)) if one.grave]
    assert (found.file, found.line, found.code) == ("receipts.txt", 1, "bad_receipt")
    assert next(iter(claim)) in found.what or "of the log" in found.what


@pytest.mark.parametrize(
    ("change", "line", "code"),
    [
        (other(1, log={"size": 25, "root": "0" * 64}), 2, "wrong_root"),
        (other(9, log={"size": 31, "root": "0" * 64}), 10, "cut"),
        (other(3, sub=f"req_{'9' * 26}"), 4, "bad_receipt"),
        (other(3, OTHERS), 4, "bad_receipt"),
        (lambda them: [*them, them[-1]], 11, "bad_receipt"),
        (lambda them: [them[-1], *them[:-1]], 2, "bad_line"),
        (lambda them: [*them[:5], them[5][:-9], *them[6:]], 6, "bad_receipt"),
        (lambda them: [*them[:5], "x", *them[6:]], 6, "bad_receipt"),
        (lambda them: [*them[:5], "", *them[6:]], 6, "bad_receipt"),
    ],
    ids=["another root", "a longer log", "no such request", "another key", "twice", "out of order", "cut", "none",
         "empty"],
)  # fmt: skip
def test_what_is_no_receipt_of_this_log(
    change: Callable[[list[str]], list[str]], line: int, code: str, tmp_path: Path
) -> None:
    found = next(one for one in told(tmp_path / "e", change) if one.grave)
    assert (found.file, found.line, found.code) == ("receipts.txt", line, code)


def test_a_receipt_over_a_log_that_does_not_hold_its_decision_yet(tmp_path: Path) -> None:
    made = log()
    leaves = [logs.leaf(body) for body in made.bodies()]
    early = other(0, log={"size": 15, "root": logs.root(leaves[:15]).hex()})
    found = [one.line for one in told(tmp_path / "e", early) if one.grave]
    assert found == [1]


def test_a_missing_receipt_is_told_and_no_fault_and_the_last_minute_is_excused(tmp_path: Path) -> None:
    found = told(tmp_path / "e", lambda receipts: receipts[1:-2])
    assert {(one.code, one.file) for one in found} == {("no_receipt", "records.jsonl")}
    assert [one.line for one in found] == [21]
