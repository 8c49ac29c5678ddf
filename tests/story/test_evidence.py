"""A log that real processes wrote and signed, held by somebody who trusts none of them: whole, and no byte is free.

`FLIPS=all` flips every byte of the export instead of some thousand, spread over all of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from countersign.receipts import verify_receipt
from countersign.verifying.core import Key
from tests.story.flipped import SECONDS, flip_some
from tests.story.test_story import collect
from tests.story.town import Refused, Town, grant_of, town
from tests.worlds import samples
from tests.worlds.processes import ROOT
from tests.worlds.signing import VERIFY_KEY

KEYS = [Key.parse(VERIFY_KEY)]
SOME = 1_000
"""How many bytes are flipped by default: the verification of each flip takes about three milliseconds."""
REFUND = {"action": "payments:Refund", "resource": "order/4711", "reason": "Charged twice", "environment": "prod"}
TYPED = "the customer is Jane Roe"


@dataclass(frozen=True)
class Told:
    """What the story leaves: the requests by how they went, and the receipts that its caller kept."""

    of: Town
    requests: dict[str, str]
    receipts: dict[str, dict[str, Any]]

    def witness(self, path: Path) -> Path:
        """Write down what the caller kept, as it would."""
        path.write_text("".join(f"{one['jws']}\n" for one in self.receipts.values()))
        return path


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory):
    with town(tmp_path_factory.mktemp("town")) as of:
        requests = {
            "revoked": of.approved(), "denied": of.ask()["id"], "left": of.ask()["id"],
            "done": of.call("report-bot", "POST", "/v1/requests", _refund(of), Idempotency_Key="refund")["id"],
        }  # fmt: skip
        tell(of, requests)
        yield Told(of, requests, {name: receipt(of, request) for name, request in requests.items()})


def tell(of: Town, requests: dict[str, str]) -> None:
    """Grant, use and revoke; deny; withdraw; approve an action and do it once."""
    with pytest.raises(Refused, match="You are the human behind this agent"):
        of.review("dana", requests["done"])
    for who in ("robin", "alex"):
        of.review(who, requests["done"])
    of.call("alex", "POST", f"/v1/requests/{requests['denied']}/reviews", {"verdict": "deny", "reason": TYPED})
    of.call("report-bot", "POST", f"/v1/requests/{requests['left']}/cancel", {})
    of.wait_grant(requests["revoked"], "ACTIVE")
    collect(of, requests["revoked"])
    of.revoke(requests["revoked"])
    of.wait_grant(requests["revoked"], "REVOKED")
    said = verify_receipt(receipt(of, requests["done"])["jws"], key=VERIFY_KEY, request=requests["done"])
    consume = f"/v1/requests/{requests['done']}/consume", {"action_digest": said.action_digest}
    of.call("report-bot", "POST", *consume)
    with pytest.raises(Refused, match="one approval, one action"):
        of.call("report-bot", "POST", *consume)


def receipt(of: Town, request: str) -> dict[str, Any]:
    """Return the receipt of a decided request, once the clock has signed it."""
    view = of.call("report-bot", "GET", f"/v1/requests/{request}")
    while view["receipt"] is None:
        after = view["version"]
        view = of.call("report-bot", "GET", f"/v1/requests/{request}?wait=20&after={after}")
        assert view["version"] > after, f"no receipt after 20 s: {view}"
    return view["receipt"]


def _refund(of: Town) -> dict[str, Any]:
    return {**REFUND, "actor": samples.BODY["actor"], "parameters": {"amount": 17}}


def command(of: Town | None, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `countersign …` as an operator, with the store; as an auditor, without anything."""
    env = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "HOME": "/"}
    env |= {"COUNTERSIGN_REDIS_URL": of.valkey.url} if of else {}
    return subprocess.run(
        [sys.executable, "-m", "countersign", *words], env=env, capture_output=True, text=True, timeout=90, check=False
    )


@pytest.fixture(scope="module")
def export(told: Told, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("handed") / "export"
    done = command(told.of, "audit", "export", folder, "--by", "user:kim")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.timeout(180)
def test_what_real_processes_wrote_is_whole(told: Told, export: Path, tmp_path: Path) -> None:
    kept = told.witness(tmp_path / "kept")
    done = command(None, "audit", "verify", export, "--key", VERIFY_KEY, "--witness", kept, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert [one for one in found["findings"] if one["code"] != "flag"] == []
    counts = found["counts"]
    assert (counts["decisions"], counts["receipts"], found["witnesses"]["agree"]) == (4, 4, 4)
    assert counts["replayed"] >= 8, counts
    assert found["told"]["Grants"] == {"opened": 1, "ended, proof: probe_denied": 1}
    assert found["told"]["How requests ended"] == {"APPROVED": 2, "CANCELLED": 1, "DENIED": 1}


def test_each_receipt_that_its_caller_holds_is_good_by_the_key_alone(told: Told) -> None:
    decisions = {"revoked": "APPROVED", "denied": "DENIED", "left": "CANCELLED", "done": "APPROVED"}
    for name, decision in decisions.items():
        jws, request = told.receipts[name]["jws"], told.requests[name]
        said = verify_receipt(jws, key=VERIFY_KEY, request=request, decision=decision)
        assert (said.decision, said.sub, TYPED in str(said)) == (decision, request, False)
    assert said.grant is None
    granted = verify_receipt(told.receipts["revoked"]["jws"], key=VERIFY_KEY)
    assert granted.grant == grant_of(told.requests["revoked"])


@pytest.mark.timeout(SECONDS)
def test_no_byte_of_it_can_be_flipped_unseen(export: Path, tmp_path: Path, show: Callable[[str], None]) -> None:
    flipped = flip_some(export, KEYS, tmp_path, SOME)
    show(str(flipped))
    assert flipped.unseen == []
    assert flipped.elsewhere == []


@pytest.mark.timeout(180)
def test_a_text_is_forgotten_and_the_log_is_as_whole_as_before(told: Told, export: Path, tmp_path: Path) -> None:
    assert TYPED in (export / "texts.jsonl").read_text()
    done = command(told.of, "audit", "erase", "--request", told.requests["denied"], "--why", "asked to", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    again = tmp_path / "again"
    done = command(told.of, "audit", "export", again)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = told.witness(tmp_path / "kept")
    done = command(None, "audit", "verify", again, "--key", VERIFY_KEY, "--witness", kept, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["counts"]["erased"] >= 2  # the reason of the ask, and the one of the denial
    assert found["witnesses"]["agree"] == 4
    assert not [one for one in again.rglob("*") if one.is_file() and TYPED in one.read_text()]
    old, new = (export / "records.jsonl").read_bytes(), (again / "records.jsonl").read_bytes()
    assert new.startswith(old)
