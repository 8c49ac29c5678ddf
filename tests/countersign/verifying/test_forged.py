"""Forgeries that are chained anew, so that chains, roots and signatures hold: what they tell gives them away."""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest

from bot.commits import Click
from countersign.verifying.core import Key
from countersign.verifying.replaying import Replay
from countersign.verifying.story import Story
from countersign.verifying.verify import verify
from tests.countersign.verifying.logs import OURS, Log, chained, seal
from tests.countersign.verifying.retelling import Record, grave, later, line, record, told
from tests.worlds.history import POLICY, History, caller, person

READ = {"data_classes": None, "ttl_seconds": 900}
WRITE = {
    "action": "s3:PutObject",
    "data_classes": None,
    "access": {"role": "analytics", "actions": ["s3:PutObject"], "resources": ["arn:aws:s3:::customer-exports/2026/*"]},
}
KNOCK = {"action": "demo:Knock", "resource": "door:front", "access": None, "data_classes": None}


async def answered(history: History, wish, *said: tuple[str, str]) -> str:
    request = await history.submit(caller(), wish)
    for name, verdict in said:
        history.time += timedelta(seconds=20)
        await history.desk.review(Click(person(name), request, verdict))
    return request


async def denied(history: History) -> None:
    await answered(history, WRITE, ("robin", "approve"), ("alex", "deny"))


async def granted(history: History) -> None:
    await answered(history, READ, ("robin", "approve"))
    await history.close()


async def used(history: History) -> None:
    request = await answered(history, KNOCK, ("robin", "approve"))
    view = await history.reader.look(request)
    await history.desk.consume(caller(), request, view.request.action_digest)


@cache
def _log(scenario) -> str:
    return json.dumps(told(scenario))


def log(scenario) -> list[Record]:
    return json.loads(_log(scenario))


@pytest.mark.parametrize("scenario", [denied, granted, used], ids=lambda one: one.__name__)
def test_as_they_happened_nothing_is_wrong_with_them(scenario):
    assert grave(log(scenario)) == []


def first(records: list[Record]) -> tuple[int | None, str]:
    found = grave(records)
    assert found, "nothing was found"
    return found[0].line, found[0].code


def test_a_denial_made_a_yes_alone_does_not_lead_to_the_denial_that_follows():
    records = log(denied)
    record(records, "review.recorded", 1)["data"]["verdict"] = "approve"
    assert first(records) in [
        (line(records, "review.recorded", 1), "does_not_follow"),
        (line(records, "request.denied"), "bad_story"),
    ]
    assert any(
        one.code == "does_not_follow" and "request.approved follows (user:alex says approve)" in one.what
        for one in grave(records)
    )


def test_a_denial_made_a_yes_with_its_decision_lacks_the_grant_that_the_policy_opens():
    records = log(denied)
    record(records, "review.recorded", 1)["data"]["verdict"] = "approve"
    decision = record(records, "request.denied")
    decision["type"] = "request.approved"
    decision["data"] |= {"state": "APPROVED", "because": "quorum", "filled": {"sre": ["user:alex", "user:robin"]}}
    found = grave(records)
    assert [(one.line, one.code) for one in found] == [(line(records, "review.recorded", 1), "does_not_follow")]
    assert "grant.opened follows" in found[0].what


def test_a_denial_made_a_yes_that_is_no_quorum_names_the_rule_and_the_seat_that_is_missing():
    records = log(denied)
    del records[line(records, "review.recorded") - 1]
    record(records, "review.recorded")["data"]["verdict"] = "approve"
    decision = record(records, "request.denied")
    decision["type"] = "request.approved"
    decision["data"] |= {"state": "APPROVED", "because": "quorum", "filled": {"sre": ["user:alex"]}}
    (one,) = [one for one in grave(records) if one.code == "does_not_follow"]
    assert one.line == line(records, "request.approved")
    assert "does not follow from its policy" in one.what
    assert "review-writes" in one.what and "1 of sre is missing" in one.what


@pytest.mark.parametrize("who", ["user:dana", "caller:report-bot", "agent:report-bot"])
def test_a_self_approval(who: str):
    records = log(granted)
    record(records, "review.recorded")["by"]["person"] = who
    found = grave(records)
    at = line(records, "review.recorded")
    assert {(one.line, one.code) for one in found} >= {(at, "bad_story"), (at, "does_not_follow")}
    assert any("nobody approves their own" in one.what for one in found)


def test_an_approval_used_twice():
    records = log(used)
    records.append(copy.deepcopy(record(records, "request.consumed")))
    found = grave(records)
    assert [(one.line, one.code) for one in found] == [(len(records), "bad_story")]
    assert "used twice" in found[0].what


def test_an_approval_used_for_another_action_or_too_late():
    records = log(used)
    record(records, "request.consumed")["data"]["action_digest"] = f"sha256:{'0' * 64}"
    assert first(records) == (line(records, "request.consumed"), "bad_story")
    records = log(used)
    record(records, "request.consumed")["at"] = later(record(records, "request.approved")["at"], hours=1)
    assert first(records) == (line(records, "request.consumed"), "bad_story")


def test_a_grant_whose_ttl_was_made_longer():
    records = log(granted)
    record(records, "grant.opened")["data"]["plan"]["ttl_seconds"] = 3600
    at = line(records, "grant.opened")
    assert {(one.line, one.code) for one in grave(records)} >= {(at, "bad_story"), (at, "does_not_follow")}
    records = log(granted)
    minted = record(records, "grant.minted")["data"]
    minted["ends_at"] = later(minted["ends_at"], hours=1)
    assert first(records) == (line(records, "grant.minted"), "bad_story")


def swapped(records: list[Record], text: str, *, everywhere: bool) -> list[Record]:
    applied = record(records, "policy.applied")["data"]
    old, new = applied["sha256"], hashlib.sha256(text.encode()).hexdigest()
    applied["text"] = text
    changed = json.dumps(records).replace(old, new) if everywhere else json.dumps(records)
    records = json.loads(changed)
    record(records, "policy.applied")["data"]["sha256"] = new
    return records


@pytest.mark.parametrize("everywhere", [False, True], ids=["its sha alone", "its sha wherever it is named"])
def test_a_policy_swapped_for_a_weaker_one(everywhere: bool):
    weaker = POLICY.replace(
        'quorum = "two"\nowner = "sre"\nnote = "Writes', 'quorum = "one"\nowner = "sre"\nnote = "Writes'
    )
    assert weaker != POLICY
    records = swapped(log(denied), weaker, everywhere=everywhere)
    assert first(records) == (line(records, "request.submitted"), "does_not_follow")


def test_rules_whose_text_has_another_hash():
    records = log(denied)
    record(records, "policy.applied")["data"]["text"] = POLICY + "\n# a word more"
    assert first(records) == (line(records, "policy.applied"), "bad_rules")


def test_a_seat_filled_twice_by_one_person():
    records = log(denied)
    second = record(records, "review.recorded", 1)
    second["by"], second["data"]["verdict"] = record(records, "review.recorded")["by"], "approve"
    decision = record(records, "request.denied")
    decision["type"] = "request.approved"
    decision["data"] |= {"state": "APPROVED", "because": "quorum", "filled": {"sre": ["user:robin", "user:robin"]}}
    at = line(records, "review.recorded", 1)
    assert {(one.line, one.code) for one in grave(records)} >= {(at, "bad_story"), (at, "does_not_follow")}


def test_an_end_without_proof_or_with_one_that_is_none():
    records = log(granted)
    del record(records, "grant.revoked")["data"]["proof"]
    assert first(records) == (line(records, "grant.revoked"), "bad_record")
    for name, value in (("kind", "never_issued"), ("seconds", "soon"), ("seconds", "7.001"), ("kind", "trust_us")):
        records = log(granted)
        record(records, "grant.revoked")["data"]["proof"][name] = value
        assert first(records)[0] == line(records, "grant.revoked"), (name, value)


def test_a_decision_after_the_time_was_over():
    records = log(granted)
    for name in ("review.recorded", "request.approved", "grant.opened"):
        record(records, name)["at"] = later(record(records, "request.submitted")["at"], minutes=30)
    found = {(one.line, one.code) for one in grave(records)}
    at = line(records, "review.recorded")
    assert found >= {(at, "bad_story"), (at, "does_not_follow")}


def test_a_decision_without_its_review_and_a_grant_without_its_decision():
    records = log(granted)
    del records[line(records, "review.recorded") - 1]
    at = line(records, "request.approved")
    assert {(one.line, one.code) for one in grave(records)} >= {(at, "bad_story"), (at, "does_not_follow")}
    records = log(granted)
    del records[line(records, "request.approved") - 1]
    assert (line(records, "grant.opened"), "bad_story") in {(one.line, one.code) for one in grave(records)}


def test_an_approval_while_approvals_are_stopped():
    records = log(granted)
    at = line(records, "review.recorded")
    freeze = {**copy.deepcopy(records[0]), "type": "freeze.set", "data": {"why": "x"}, "at": records[at - 1]["at"]}
    records.insert(at - 1, freeze)
    found = {(one.line, one.code) for one in grave(records)}
    assert {(at + 1, "does_not_follow"), (at + 2, "bad_story")} <= found
    assert (line(records, "grant.claimed"), "bad_story") in found


def test_an_answer_by_a_key_that_was_taken_back_and_by_somebody_who_was_not_there():
    records = log(granted)
    at = line(records, "review.recorded")
    key = {**copy.deepcopy(records[0]), "type": "key.revoked", "at": records[at - 1]["at"],
           "data": {"id": "key_robin", "principal": "user:robin", "scopes": ["review"]}}  # fmt: skip
    records.insert(at - 1, key)
    (one,) = grave(records)
    assert (one.line, one.code) == (at + 1, "bad_story")
    assert "taken back" in one.what
    records = log(granted)
    record(records, "review.recorded")["by"]["person"] = "user:mallory"
    assert first(records) == (at, "bad_story")


@pytest.mark.parametrize("forged", [False, True], ids=["as it was", "one review changed to approve"])
def test_signed_with_the_real_key_only_the_policy_tells(tmp_path: Path, forged: bool):
    """Chains, root, signature and manifest are all made anew, with our own key."""
    records = log(denied)
    if forged:
        record(records, "review.recorded", 1)["data"]["verdict"] = "approve"
        decision = record(records, "request.denied")
        decision["type"] = "request.approved"
        decision["data"] |= {"state": "APPROVED", "because": "quorum", "filled": {"sre": ["user:alex", "user:robin"]}}
    export = Log(records).export(tmp_path, receipts=[])
    for kind, folder in (("policy", "policies"), ("roster", "rosters")):
        applied = record(records, f"{kind}.applied")["data"]
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{applied['sha256']}.toml").write_text(applied["text"])
    seal(tmp_path, chained(records))
    found = verify(export.path, [Key.parse(OURS.text)], checks=[Replay(), Story()])
    bad = [(one.line, one.code) for one in found.findings if one.grave]
    assert bad == ([(line(records, "review.recorded", 1), "does_not_follow")] if forged else [])
    if forged:
        assert "does not follow from its policy: grant.opened follows" in str(found.findings[-1])
