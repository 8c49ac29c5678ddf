"""What the status says, for every state, and that no word of the server can move the cursor."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.address import harmless
from countersign.models import Request
from countersign.status import LiveStatus, PlainStatus, standing, status, time_left

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)

NARROWED = {
    "by": "user:robin",
    "asked": {"ttl_seconds": 1800, "actions": ["s3:GetObject", "s3:PutObject"], "resources": ["arn:aws:s3:::a/*"]},
    "granted": {"ttl_seconds": 900, "actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::a/*"]},
}


def request(**fields: object) -> Request:
    base = {
        "id": "req_1",
        "handle": "K7QF",
        "version": 1,
        "state": "PENDING",
        "expires_at": NOW + timedelta(minutes=15),
    }
    return Request(**{**base, **fields})


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"waiting_for": {"sre": 1}}, "K7QF waits for 1 of sre until 10:15:00 UTC"),
        ({"waiting_for": {"sre": 2, "dba": 1}}, "K7QF waits for 1 of dba and 2 of sre until 10:15:00 UTC"),
        (
            {"waiting_for": {"sre": 1}, "reviews": [{"reviewer": "user:robin", "verdict": "approve"}]},
            "K7QF waits for 1 of sre (approved by user:robin) until 10:15:00 UTC",
        ),
        ({"handle": None}, "req_1 waits for an answer until 10:15:00 UTC"),
        ({"state": "DENIED", "because": "rule"}, "K7QF is DENIED by policy"),
        (
            {"state": "DENIED", "because": "reviewer", "reviews": [{"reviewer": "user:kim", "verdict": "deny"}]},
            "K7QF is DENIED by user:kim",
        ),
        ({"state": "EXPIRED"}, "K7QF is EXPIRED"),
        (
            {"state": "APPROVED", "because": "rule", "grant": {"id": "grt_1", "state": "MINTING"}},
            "K7QF is approved by policy; the credential is being made",
        ),
        (
            {"state": "APPROVED", "grant": {"id": "grt_1", "state": "ACTIVE", "ends_at": NOW}},
            "K7QF is approved; the credential lives until 10:00:00 UTC",
        ),
        (
            {"state": "APPROVED", "grant": {"id": "grt_1", "state": "FAILED"}},
            "K7QF is approved; its credential is FAILED",
        ),
        ({"state": "APPROVED"}, "K7QF is approved"),
        (
            {"state": "APPROVED", "narrowed": NARROWED, "reviews": [{"reviewer": "user:robin", "verdict": "approve"}]},
            "K7QF is approved by user:robin, narrowed: 15 min instead of 30 min, without s3:PutObject",
        ),
        (
            {
                "state": "APPROVED",
                "because": "break_glass",
                "after_review": {"due_at": NOW + timedelta(days=1)},
                "grant": {"id": "grt_1", "state": "ACTIVE", "ends_at": NOW},
            },
            "K7QF is granted by break-glass; its after-review is due 21 Nov 10:00 UTC; "
            "the credential lives until 10:00:00 UTC",
        ),
        (
            {"state": "APPROVED", "because": "break_glass", "grant": {"id": "grt_1", "state": "MINTING"}},
            "K7QF is granted by break-glass; somebody reviews it afterwards; the credential is being made",
        ),
        (
            {
                "state": "APPROVED",
                "because": "break_glass",
                "after_review": {"due_at": NOW, "verdict": "unjustified", "by": "user:robin"},
            },
            "K7QF is granted by break-glass; found unjustified by user:robin",
        ),
        ({"state": "APPROVED", "narrowed": {"by": "a newer server"}}, "K7QF is approved, narrowed"),
        ({"state": "APPROVED", "narrowed": {"asked": 1, "granted": 2}}, "K7QF is approved, narrowed"),
    ],
)
def test_one_line_says_how_it_stands(fields, line):
    assert standing(request(**fields)) == line


def test_time_left_counts_down_to_nothing():
    assert time_left(request(), NOW) == "15 min"
    assert time_left(request(), NOW + timedelta(minutes=14, seconds=18)) == "42 s"
    assert time_left(request(), NOW + timedelta(hours=1)) == "no time"
    assert time_left(request(expires_at=None), NOW) == ""


def test_plain_lines_are_printed_when_something_changed_and_not_before():
    stream = io.StringIO()
    line = PlainStatus(stream)
    line.show(request(waiting_for={"sre": 2}))
    line.show(request(waiting_for={"sre": 2}))
    line.show(request(waiting_for={"sre": 1}))
    assert [one[:35] for one in stream.getvalue().splitlines()] == [
        "countersign: K7QF waits for 2 of sr",
        "countersign: K7QF waits for 1 of sr",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_of_the_living_line_only_the_outcome_stays_once():
    stream = Terminal()
    with LiveStatus(stream) as line:
        line.show(request(waiting_for={"sre": 1}))
        line.show(request(state="DENIED", because="rule"))
        line.show(request(state="DENIED", because="rule"))
    assert stream.getvalue().count("countersign: K7QF is DENIED by policy") == 1
    assert "countersign: K7QF waits" not in stream.getvalue()


def test_once_the_line_is_gone_what_changes_is_a_line_that_stays():
    stream = Terminal()
    with LiveStatus(stream) as line:
        line.show(request(state="APPROVED", because="rule"))
    for seats in (2, 2, 1):
        line.show(request(handle="K8AB", waiting_for={"sre": seats}))
    said = [one for one in stream.getvalue().splitlines() if "K8AB" in one]
    assert [one.partition("K8AB waits for ")[2][:8] for one in said] == ["2 of sre", "1 of sre"]


@pytest.mark.parametrize(
    ("stream", "environ", "kind"),
    [
        (Terminal(), {"TERM": "xterm"}, LiveStatus),
        (Terminal(), {"TERM": "xterm", "CI": "false"}, LiveStatus),
        (Terminal(), {"TERM": "xterm", "CI": "true"}, PlainStatus),
        (Terminal(), {"TERM": "dumb"}, PlainStatus),
        (io.StringIO(), {"TERM": "xterm"}, PlainStatus),
    ],
)
def test_only_a_terminal_gets_the_line_that_lives(stream, environ, kind):
    assert type(status(stream, environ)) is kind


@given(st.text())
def test_nothing_that_moves_hides_or_reorders_text_is_left(text):
    shown = harmless(text + "\x1b[2J\u202e\u200b\r\n\ud800")
    assert shown.isprintable()
    assert not set(shown) & set("\x1b\u202e\u200b\r\n\ud800")
    assert len(shown) == len(text) + 9
