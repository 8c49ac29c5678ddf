"""Random histories replay whole, every decision the same; any one decisive field that is changed is found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvers.narrowing import Narrow
from bot.commits import Click
from countersign.verifying.replaying import Replay
from countersign.verifying.replaying_rules import Rules, Unknown
from countersign.verifying.story import Story
from tests.countersign.verifying.retelling import Record, chained, findings, grave, later, line, played, told
from tests.worlds.history import History, caller, person

SEED, REQUESTS = 16, 60
"""A history in which everything happens that is changed below; a test says so."""
READ = {"data_classes": None, "ttl_seconds": 900}


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_whatever_happens_nothing_is_wrong_and_everything_replays(seed: int):
    records, replay, story = played(seed), Replay(), Story()
    for seen in chained(records):
        assert [one for one in (*story.feed(seen), *replay.feed(seen)) if one.grave] == []
    assert [one for one in (*story.end(), *replay.end()) if one.grave] == []
    assert replay.skipped == {}
    asked = sum(record["type"] == "request.submitted" for record in records)
    assert replay.replayed["request.submitted"] == asked == story.ended.total()


Change = Callable[[Any], Any]


def other(text: str) -> str:
    return f"{'0' if text[0] != '0' else '1'}{text[1:]}"


def more(number: int) -> int:
    return number + 3600


def hour(text: str) -> str:
    return later(text, hours=1)


def nobody(_: Any) -> str:
    return "user:nobody"


def fixed(value: Any) -> Change:
    return lambda _before: value


DIGEST = f"sha256:{'0' * 64}"
DECISIVE: list[tuple[str, str, Change]] = [
    ("policy.applied", "sha256", other),
    ("policy.applied", "text", lambda text: f"{text}\n"),
    ("roster.applied", "text", lambda text: text.replace('people = ["sam", "lee"]', 'people = ["sam", "dana"]')),
    ("request.submitted", "action.resource", lambda text: f"{text}2"),
    ("request.submitted", "action.ttl_seconds", more),
    ("request.submitted", "action_digest", fixed(DIGEST)),
    ("request.submitted", "facts.account_environment", fixed("dev")),
    ("request.submitted", "facts.actions", fixed(["s3:ListBucket"])),
    ("request.submitted", "facts.at", hour),
    ("request.submitted", "facts.environment", fixed("dev")),
    ("request.submitted", "facts.owners", fixed(["user:sam"])),
    ("request.submitted", "facts.principal", fixed("caller:other")),
    ("request.submitted", "facts.principal_kind", fixed("pipeline")),
    ("request.submitted", "facts.ttl_seconds", fixed(1)),
    ("request.submitted", "plan.environment", fixed("dev")),
    ("request.submitted", "plan.ttl_seconds", more),
    ("request.submitted", "roster_sha256", other),
    ("request.submitted", "ruling.barred", fixed([])),
    ("request.submitted", "ruling.effect", lambda effect: "deny" if effect != "deny" else "allow"),
    ("request.submitted", "ruling.expires_after_seconds", fixed(86_400)),
    ("request.submitted", "ruling.narrow", fixed(["actions"])),
    ("request.submitted", "ruling.policy_sha256", other),
    ("request.submitted", "ruling.risk.points", lambda points: [] if points else ["x"]),
    ("request.submitted", "ruling.risk.score", lambda score: score + 1),
    ("request.submitted", "ruling.rules", lambda rules: [] if rules else [{}]),
    ("request.submitted", "ruling.seats", fixed({"oncall": 1})),
    ("review.recorded", "fill_in", fixed([["oncall", "sre"]])),
    ("review.recorded", "groups", fixed([])),
    ("review.recorded", "lenders", fixed({"user:sam": ["security"]})),
    ("review.recorded", "lent_by", nobody),
    ("review.recorded", "own_groups", fixed(["oncall", "security", "sre"])),
    ("review.recorded", "policy_sha256", other),
    ("review.recorded", "roster_sha256", other),
    ("review.recorded", "verdict", lambda verdict: "deny" if verdict == "approve" else "approve"),
    ("request.approved", "action_digest", fixed(DIGEST)),
    ("request.approved", "because", lambda because: "rule" if because == "quorum" else "quorum"),
    ("request.approved", "decided_by", nobody),
    ("request.approved", "filled", fixed({"sre": ["user:nobody"]})),
    ("request.approved", "policy_sha256", other),
    ("request.approved", "seats", fixed({"oncall": 1})),
    ("request.approved", "state", fixed("DENIED")),
    ("request.denied", "because", fixed("quorum")),
    ("request.denied", "state", fixed("APPROVED")),
    ("request.expired", "expires_at", hour),
    ("request.expired", "seats", fixed({"oncall": 1})),
    ("request.escalated", "level", fixed(3)),
    ("request.escalated", "may_fill", fixed(["oncall for sre"])),
    ("request.cancelled", "state", fixed("DENIED")),
    ("request.consumed", "action_digest", fixed(DIGEST)),
    ("request.reruled", "expires_at", hour),
    ("request.reruled", "facts.owners", fixed([])),
    ("request.reruled", "ruling.seats", fixed({"sre": 1})),
    ("request.reruled", "was.policy_sha256", other),
    ("request.narrowed", "granted.ttl_seconds", more),
    ("grant.opened", "approved_by", nobody),
    ("grant.opened", "mint_by", hour),
    ("grant.opened", "plan.actions", fixed(["s3:*"])),
    ("grant.opened", "plan.ttl_seconds", more),
    ("grant.minted", "ends_at", hour),
    ("grant.minted", "state", fixed("REVOKED")),
    ("grant.revoked", "proof.kind", fixed("never_issued")),
    ("grant.revoked", "proof.seconds", fixed("86400.000")),
    ("grant.revoked", "state", fixed("ACTIVE")),
    ("break_glass.used", "due_at", hour),
    ("break_glass.used", "plan_sha256", other),
    ("break_glass.reviewed", "used_by", nobody),
    ("break_glass.reviewed", "groups", fixed(["nobodies"])),
]  # fmt: skip


def changed(record: Record, path: str, change: Change) -> bool:
    """Change one field; False where the record does not have it, or it stays the same."""
    *way, last = path.split(".")
    at = record["data"]
    for name in way:
        at = at[name] if isinstance(at, dict) else None
    if not isinstance(at, dict) or last not in at or (at[last] is None and path.startswith("plan")):
        return False
    before = at[last]
    at[last] = change(before)
    return bool(at[last] != before)


@pytest.mark.parametrize(("kind", "path", "change"), DECISIVE, ids=[f"{one[0]} {one[1]}" for one in DECISIVE])
def test_one_decisive_field_that_is_changed_is_found(kind: str, path: str, change: Change):
    records, tried = played(SEED, REQUESTS), 0
    for place, record in enumerate(records):
        if record["type"] != kind or tried:
            continue
        kept = copy.deepcopy(record)
        if changed(record, path, change):
            tried += 1
            assert grave(records), f"line {place + 1}: {kept['data']}"
        records[place] = kept
    assert tried, "the history has no such record"


@pytest.mark.parametrize("kind", ["review.recorded", "request.approved", "grant.opened", "request.submitted"])
def test_a_decisive_record_that_is_left_out_is_found(kind: str):
    records = played(SEED, REQUESTS)
    del records[line(records, kind) - 1]
    assert grave(records)


# ---- what single cases show


async def _lent_narrowed_and_filled_in(history: History) -> None:
    await history.away.lend(person("robin"), "sam", history.time.replace(hour=20))
    lent = await history.submit(caller(), READ)
    await history.desk.review(Click(person("sam"), lent, "approve", narrow=Narrow(ttl_seconds=60)))
    history.asked += 1
    raised = await history.submit(caller(), {**READ, "reason": "another"})
    for _ in range(21):
        history.time = history.time.fromisoformat(later(history.time.isoformat(), seconds=30))
        await history.work()
    await history.desk.review(Click(person("lee"), raised, "approve"))


def test_a_lent_seat_one_that_a_level_opened_and_what_was_narrowed_replay():
    records = told(_lent_narrowed_and_filled_in)
    assert grave(records) == []
    reviews = [one["data"] for one in records if one["type"] == "review.recorded"]
    assert [(one["lent_by"], one.get("raised")) for one in reviews] == [("user:robin", None), (None, ["sre"])]
    without = [one for one in records if one["type"] != "away.set"]
    assert "delegations in force" in grave(without)[0].what
    without = [one for one in records if one["type"] != "request.escalated"]
    assert grave(without)[0].line == line(without, "review.recorded", 1)


def test_an_erased_reason_replays_the_same():
    records = json.loads(json.dumps(played(SEED, REQUESTS)))
    for record in records:
        for part in ("action", "facts"):
            if record["type"] == "request.submitted":
                record["data"][part]["reason"] = "\u25a0" * len(record["data"][part]["reason"])
        if record["type"] in ("break_glass.used", "break_glass.reviewed", "review.recorded"):
            record["data"]["reason"] = "\u25a0" * len(record["data"]["reason"])
    assert grave(records) == []


def test_what_cannot_be_replayed_is_counted_and_named_and_not_guessed():
    records = [one for one in played(SEED) if one["type"] != "policy.applied"]
    replay = Replay()
    found = [one for seen in chained(records) for one in replay.feed(seen) if one.grave]
    assert found == []
    assert any("the policy in force was applied before this log begins" in why for why in replay.skipped)
    assert replay.replayed["request.submitted"] == 0


def test_rules_from_before_the_log_begins_are_taken_from_beside_it():
    records = played(SEED)
    texts = {one["data"]["sha256"]: one["data"]["text"] for one in records if one["type"].endswith(".applied")}
    rest = [one for one in records if not one["type"].endswith(".applied")]
    replay = Replay(texts.get)
    for seen in chained(rest):
        list(replay.feed(seen))
    assert replay.replayed["request.submitted"] > 0


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_log_that_begins_anywhere_is_never_called_wrong(seed: int):
    """What was lent, owed, approved or in force before its first record is not known, and not guessed."""
    whole = chained(played(seed))
    texts = {one.record["data"]["sha256"]: one.record["data"]["text"] for one in whole if "text" in one.record["data"]}
    commits = [at for at in range(1, len(whole)) if whole[at].record["at"] != whole[at - 1].record["at"]]
    for first in commits[:: max(1, len(commits) // 12)]:
        story, replay = Story(), Replay(texts.get)
        for line_, seen in enumerate(whole[first:], 1):
            told_ = seen._replace(line=line_)
            assert [one for one in (*story.feed(told_), *replay.feed(told_)) if one.grave] == [], first
        assert [one for one in (*story.end(), *replay.end()) if one.grave] == [], first


def test_what_was_lent_before_the_log_begins_is_not_called_wrong():
    rest = [one for one in told(_lent_narrowed_and_filled_in) if one["type"] != "away.set"]
    replay, found = Replay(), []
    for seen in chained(rest):
        found += [one for one in replay.feed(seen._replace(position=seen.position + 1)) if one.grave]
    assert found == []
    assert replay.skipped["review.recorded: whose seats were lent before this log begins is not known"] == 1


def test_rules_that_this_version_cannot_read_are_unknown():
    rules = Rules()
    with pytest.raises(Unknown, match="before this log begins"):
        rules.book()


def test_a_record_that_does_not_hold_what_it_should_is_bad_and_ends_nothing():
    records = played(SEED)
    at = line(records, "request.submitted")
    del records[at - 1]["data"]["ruling"]
    found = grave(records)
    assert {(one.line, one.code) for one in found} >= {(at, "bad_record")}


def test_where_the_log_ends_before_what_has_to_follow():
    records = played(SEED, REQUESTS)
    at = line(records, "request.approved")
    cut = records[: at - 1]
    assert [one.code for one in findings(cut) if one.line == at - 1 and one.grave] == ["does_not_follow"]


def test_an_ask_in_a_form_that_nobody_can_replay_is_no_way_out():
    """An unknown field, or the first form of facts after records of a newer one, is not passed over."""
    for change in ({"more": 1}, {"access_levels": []}):
        records = played(SEED)
        at = line(records, "request.submitted")
        records[at - 1]["data"]["facts"] |= change
        records[at - 1]["v"] = 1 if "access_levels" in change else records[at - 1]["v"]
        assert (at, "bad_record") in {(one.line, one.code) for one in grave(records)}


def test_a_second_change_of_a_file_in_the_same_moment_needs_its_own_yes():
    records = told(_nothing)
    assert [one["type"] for one in records] == ["policy.applied", "roster.applied"] and grave(records) == []
    again = copy.deepcopy(records[0])
    again["data"] |= {"was": again["data"]["sha256"]}
    assert "wants other people's yes" in grave([*records, again])[0].what


async def _nothing(history: History) -> None:
    pass
