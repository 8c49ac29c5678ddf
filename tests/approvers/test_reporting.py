"""Access reports: each grant has its row, whatever the period; counts add up; no cell is a formula."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers.audit import By, Draft, link
from approvers.ids import request_id
from approvers.reporting import Report
from approvers.reporting_row import Row, as_csv, cell
from approvers.reporting_summary import percentile
from approvers.texts import restore
from approvers.times import stamp
from tests.approvers import test_storytelling as plays
from tests.approvers.story_world import Play
from tests.worlds.samples import NOW

DAY = timedelta(days=1)


def report(*played: Play, since: timedelta = -DAY, until: timedelta = DAY) -> Report:
    found = Report(NOW + since, NOW + until)
    for record in sorted((one for play in played for one in play.records), key=lambda one: (one["at"], one["n"])):
        found.feed(record)
    return found


def only(played: Play, **period: timedelta) -> Row:
    (row,) = report(played, **period).rows()
    return row


def test_a_row_says_who_had_what_and_how_it_ended() -> None:
    row = only(plays.plain())
    assert (row.principal, row.actor, row.person) == ("caller:report-bot", "agent:report-bot", "user:dana")
    assert (row.role, row.account, row.environment) == ("analytics", "prod-payments", "prod")
    assert (row.actions, row.actions_used) == (("s3:GetObject",), ("s3:GetObject",))
    assert (row.approved_by, row.because, row.minutes_to_decision) == (("user:robin",), "quorum", 0.7)
    assert (row.end, row.ended_by, row.proof, row.proof_seconds) == (
        "release", "caller:report-bot", "probe_denied", "1.234",
    )  # fmt: skip
    assert (row.ttl_asked_seconds, row.ttl_granted_seconds, row.held_seconds) == (900, 900, 183)
    assert row.collected and not row.break_glass and row.after_review == ""


def test_less_than_asked_and_two_approvers_are_told() -> None:
    assert only(plays.two_people()).approved_by == ("user:robin", "user:kim")
    narrowed = only(plays.narrower())
    assert (narrowed.ttl_asked_seconds, narrowed.ttl_granted_seconds) == (900, 300)
    assert narrowed.actions == ("s3:GetObject",)
    assert (narrowed.held_seconds, narrowed.ended_at, narrowed.collected) == (None, "", False)


def test_break_glass_owes_its_review_until_it_is_there() -> None:
    play = plays.broken_glass()
    row = only(play)
    assert (row.approved_by, row.break_glass, row.after_review, row.after_review_by) == (
        (), True, "justified", "user:kim",
    )  # fmt: skip
    before = Report(NOW - DAY, NOW + DAY)
    for record in play.records[:-1]:
        before.feed(record)
    assert [one.after_review for one in before.owed()] == ["owed"]
    assert before.unfinished() == [play.request.id]
    before.feed(play.records[-1])
    assert list(before.owed()) == before.unfinished() == []


def test_a_grant_counts_where_it_was_open_and_an_ask_where_it_was_asked() -> None:
    play = plays.plain()  # asked at 10:00, minted at 10:00:41, ended at 10:03:44
    later = report(play, since=timedelta(minutes=2), until=timedelta(hours=1))
    assert len(list(later.rows())) == 1
    assert later.summary().total.asked == 0
    assert list(report(play, since=timedelta(minutes=4), until=timedelta(hours=1)).rows()) == []
    assert list(report(play, since=-DAY, until=timedelta(seconds=10)).rows()) == []
    assert report(play, since=-DAY, until=timedelta(seconds=10)).summary().total.approved == 1


def test_records_may_come_twice_and_what_is_lacking_is_known() -> None:
    play = plays.plain()
    found = Report(NOW - DAY, NOW + DAY)
    assert found.lacks(play.request.id, 4)
    for record in [*play.records, *play.records]:
        found.feed(record)
    assert not found.lacks(play.request.id, 4)
    assert len(list(found.rows())) == 1
    found.feed({"subject": play.request.id, "n": 99, "type": "grant.minted", "at": stamp(NOW), "data": 7})
    assert found.strange == [f"{play.request.id} 99"]


def system(*told: tuple[str, dict[str, Any]]) -> Iterable[dict[str, Any]]:
    drafts = [Draft("sys", kind, By("user:ops", "operator", "ops"), "command", data) for kind, data in told]
    return [restore(json.loads(one.body), one.texts) for one in link(drafts, NOW, {}, bytes(32))]


def test_what_changed_the_rules_and_what_stopped_everything_is_told() -> None:
    found = Report(NOW - DAY, NOW + DAY)
    for record in system(
        ("policy.applied", {"sha256": "ab" * 32, "text": "", "why": "two people for writes", "was": None}),
        ("freeze.set", {"why": "odd reads at night"}),
        ("session.started", {"person": "user:dana"}),
        ("key.made", {"id": "key_7", "principal": "caller:report-bot", "scopes": ["request"]}),
    ):
        found.feed(record)
        found.feed(record)
    assert [one.kind for one in found.changes] == ["policy.applied", "key.made"]
    assert found.changes[0].said == "applies the policy sha256:abababababab, the first: two people for writes"
    assert [(one.by, one.said) for one in found.stops] == [("ops", "stops all approvals and mints: odd reads at night")]


def test_counts_are_by_every_name() -> None:
    found = report(plays.plain(), plays.denied().later()).summary()
    assert found.total.asked == 1, "two asks of one moment have one id in this world"
    both = report(plays.plain(), shifted("denied", 60)).summary()
    assert (both.total.asked, both.total.approved, both.total.denied, both.total.grants) == (2, 1, 1, 1)
    assert (both.total.p50_minutes, both.total.p90_minutes, both.total.longest_seconds) == (0.2, 0.7, 183)
    assert [(one.name, one.asked) for one in both.by_approver] == [("user:robin", 2)]
    assert [(one.name, one.grants) for one in both.by_role] == [("analytics", 1)]


@lru_cache
def bodies(name: str) -> tuple[tuple[dict[str, Any], ...], int]:
    play = plays.PLAYS[name]()
    return tuple(play.records), sum(one["type"] == "grant.opened" for one in play.records)


def shifted(name: str, minutes: int) -> Any:
    """Return the play as it were some minutes later, under an id of its own."""

    seed = hashlib.sha256(f"{name} {minutes}".encode()).digest()[:10]
    subject = request_id(NOW, seed)

    def moved(record: dict[str, Any]) -> dict[str, Any]:
        at = datetime.fromisoformat(record["at"]) + timedelta(minutes=minutes)
        return {**record, "at": stamp(at), "subject": subject}

    return SimpleNamespace(records=[moved(one) for one in bodies(name)[0]])


@given(st.lists(st.tuples(st.sampled_from(sorted(plays.PLAYS)), st.integers(0, 600)), max_size=8, unique=True))
def test_rows_are_as_many_as_grants_and_counts_add_up(picked: list[tuple[str, int]]) -> None:
    found = report(*(shifted(*one) for one in picked), since=-DAY, until=2 * DAY)
    rows, summary = list(found.rows()), found.summary()
    assert len(rows) == sum(bodies(name)[1] for name, _ in picked) == summary.total.grants
    assert summary.total.asked == len(picked)
    for table in (summary.by_actor, summary.by_principal, summary.by_person, summary.by_role):
        assert sum(one.asked for one in table) == len(picked)
    for one in (summary.total, *summary.by_actor):
        assert one.asked == one.approved + one.denied + one.expired + one.cancelled + one.waiting


RISKY = st.text(st.sampled_from("=+-@;'\" ,a\n"), max_size=12)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("＝1", "'＝1"),
        (("=a", "b"), "'=a b"),
        (" =1", "' =1"),
        ("a;=1", "a;'=1"),
        ('a; "@x', "a;' \"@x"),
        ("a;b", "a;b"),
        ("plain", "plain"),
        ("", ""),
        (None, ""),
        (True, "yes"),
        (-3, "-3"),
        (0.5, "0.5"),
        ("a\u202eb", "a⟨U+202E⟩b"),
    ],
    ids=str,
)
def test_no_cell_begins_a_formula_or_hides_anything(value: object, written: str) -> None:
    assert cell(value) == written


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | RISKY, min_size=2, max_size=2))
def test_csv_is_read_back_cell_by_cell(cells: list[str]) -> None:
    text = "".join(as_csv([cells], ["a", "b"]))
    assert text.startswith("a,b\r\n")
    (read,) = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert read == [cell(one) for one in cells]
    assert not any(one[:1] in "=+-@\t\r" for one in read if one)
    assert not re.search(r";(?!')[\s\"']*[=+@-]", text), "nor where a spreadsheet splits at semicolons"


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([], 50) is None
    assert [percentile([3.0, 1.0, 2.0], one) for one in (1, 50, 90, 100)] == [1.0, 2.0, 3.0, 3.0]
