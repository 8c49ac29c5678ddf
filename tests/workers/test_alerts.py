"""One contract over every way of telling on-call, on a strict sink over HTTP; then what each does on its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from structlog.testing import capture_logs

from tests.worlds.alert_sink import ROUTING_KEY, AlertSink
from tests.worlds.stopwatch import own_time
from workers.alerts import QUIET_FOR, REMEMBERED, Alert, Alerts, LogAlerts, Shape, WebhookAlerts, both, open_alerts
from workers.config import load

AT = datetime(2026, 11, 20, 10, 4, 31, tzinfo=UTC)
SILENT = Alert("clock.silent", "critical", "No clock has beaten for 30 s", AT, {"process": "clock"})
SHAPES: tuple[Shape, ...] = ("alertmanager", "pagerduty")
API_KEY = "cs_" + "A" * 43


@dataclass
class Way:
    """One sibling, and how to see what it told as (key, cleared)."""

    alerts: Alerts
    told: Callable[[], list[tuple[str, bool]]]
    text: Callable[[], str]


@pytest.fixture
def sink() -> Iterator[AlertSink]:
    with AlertSink() as world:
        yield world


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as one:
        yield one


def webhook(session: aiohttp.ClientSession, sink: AlertSink, shape: Shape, **options: timedelta) -> WebhookAlerts:
    options = {"timeout": timedelta(seconds=5), "backoff": timedelta(milliseconds=1)} | options
    return WebhookAlerts(session, sink.url(shape), shape=shape, routing_key=ROUTING_KEY, **options)


@pytest.fixture(params=["log", *SHAPES, "both"])
def way(request: pytest.FixtureRequest, session: aiohttp.ClientSession, sink: AlertSink) -> Iterator[Way]:
    with capture_logs() as logged:

        def told_by_log() -> list[tuple[str, bool]]:
            return [(line["key"], line["event"] == "alert.cleared") for line in logged if "alert." in line["event"]]

        def told_by_sink() -> list[tuple[str, bool]]:
            return [(post["key"], post["cleared"]) for post in sink.posts]

        def told_by_both() -> list[tuple[str, bool]]:
            assert told_by_log() == told_by_sink()
            return told_by_log()

        if request.param == "log":
            yield Way(LogAlerts(), told_by_log, lambda: "")
        elif request.param == "both":
            alerts = both(LogAlerts(), webhook(session, sink, "alertmanager"))
            yield Way(alerts, told_by_both, lambda: str(sink.posts))
        else:
            yield Way(webhook(session, sink, request.param), told_by_sink, lambda: str(sink.posts))


async def test_tells(way: Way) -> None:
    await way.alerts.send(SILENT)
    assert way.told() == [("clock.silent", False)]


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
async def test_every_severity_is_taken(way: Way, severity: str) -> None:
    await way.alerts.send(Alert("k", severity, "s", AT))  # type: ignore[arg-type]
    assert way.told() == [("k", False)]


async def test_the_same_is_told_once_in_the_quiet_time(way: Way) -> None:
    for seconds in (0, 1, 599):
        await way.alerts.send(Alert("k", "info", f"after {seconds}", AT + timedelta(seconds=seconds)))
    assert len(way.told()) == 1
    await way.alerts.send(Alert("k", "info", "later", AT + QUIET_FOR))
    assert len(way.told()) == 2


async def test_the_same_at_once_is_told_once(way: Way) -> None:
    await asyncio.gather(*(way.alerts.send(SILENT) for _ in range(8)))
    assert way.told() == [("clock.silent", False)]


async def test_other_trouble_is_told(way: Way) -> None:
    await way.alerts.send(SILENT)
    await way.alerts.send(Alert("store.away", "critical", "s", AT))
    assert way.told() == [("clock.silent", False), ("store.away", False)]


async def test_the_end_is_told_once_and_the_next_beginning_at_once(way: Way) -> None:
    later = AT + timedelta(seconds=5)
    for alert in (SILENT, SILENT.clear(later), SILENT.clear(later), SILENT):
        await way.alerts.send(alert)
    assert way.told() == [("clock.silent", False), ("clock.silent", True), ("clock.silent", False)]


async def test_long_and_odd_texts_are_taken(way: Way) -> None:
    await way.alerts.send(Alert("k" * 200, "warning", "<b>\u202e\x00" + "x" * 40_000, AT, {"why": '"\n' * 5_000}))
    assert len(way.told()) == 1


async def test_what_looks_secret_is_taken_out(way: Way) -> None:
    words = f"{API_KEY} at redis://:hush@localhost"
    await way.alerts.send(Alert("k", "warning", words, AT, {"detail": words}))
    assert len(way.told()) == 1
    assert API_KEY not in way.text()
    assert "hush" not in way.text()


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_webhook_says_what_is_wrong(session: aiohttp.ClientSession, sink: AlertSink, shape: Shape) -> None:
    alerts = webhook(session, sink, shape)
    await alerts.send(SILENT)
    assert sink.posts[0]["severity"] == "critical"
    assert sink.posts[0]["summary"] == SILENT.summary
    assert "'process': 'clock'" in str(sink.posts[0]["raw"])
    assert sink.firing == {"clock.silent"}
    await alerts.send(SILENT.clear(AT + timedelta(seconds=1)))
    assert sink.firing == set()


async def test_alertmanager_sees_one_alert_begin_and_end(session: aiohttp.ClientSession, sink: AlertSink) -> None:
    """Its identity is its labels: a label that varied would leave the first alert burning."""
    alerts = webhook(session, sink, "alertmanager")
    for alert in (SILENT, SILENT.clear(AT + timedelta(minutes=1))):
        await alerts.send(alert)
    begin, end = (post["raw"] for post in sink.posts)
    assert begin["labels"] == end["labels"]
    assert begin["endsAt"] > end["endsAt"] == "2026-11-20T10:05:31.000Z"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_passing_trouble_is_retried(
    session: aiohttp.ClientSession, sink: AlertSink, shape: Shape, status: int
) -> None:
    sink.answer_next(status, status, status)
    await webhook(session, sink, shape).send(SILENT)
    assert (sink.seen, sink.firing) == (4, {"clock.silent"})


@pytest.mark.parametrize("status", [302, 400, 401, 404])
async def test_a_refusal_is_logged_and_not_repeated(
    session: aiohttp.ClientSession, sink: AlertSink, status: int
) -> None:
    sink.answer_next(status)
    with capture_logs() as logged:
        await webhook(session, sink, "pagerduty").send(SILENT)
    assert sink.seen == 1
    assert [(line["event"], line["key"], line["why"]) for line in logged] == [
        ("alert.not_sent", "clock.silent", f"HTTP {status}")
    ]


async def test_what_was_not_taken_is_not_counted_as_told(session: aiohttp.ClientSession, sink: AlertSink) -> None:
    alerts = webhook(session, sink, "alertmanager")
    sink.answer_next(400)
    await alerts.send(SILENT)
    await alerts.send(SILENT)
    assert sink.firing == {"clock.silent"}


@pytest.mark.parametrize("trouble", ["hangs", "always 503", "nobody there"])
async def test_the_caller_is_never_kept_longer_than_the_timeout(
    session: aiohttp.ClientSession, sink: AlertSink, trouble: str
) -> None:
    alerts = webhook(session, sink, "alertmanager", timeout=timedelta(milliseconds=200))
    if trouble == "hangs":
        sink.hang = True
    elif trouble == "always 503":
        sink.answer_next(*[503] * 10_000)
    else:
        sink.close()
    begin = own_time()
    with capture_logs() as logged:
        await alerts.send(SILENT)
    assert own_time() - begin < 2
    assert [line["event"] for line in logged] == ["alert.not_sent"]
    assert sink.url("alertmanager") not in str(logged)


async def test_a_cancelled_send_is_cancelled_and_told_again(session: aiohttp.ClientSession, sink: AlertSink) -> None:
    alerts = webhook(session, sink, "alertmanager")
    sink.hang = True
    task = asyncio.create_task(alerts.send(SILENT))
    await asyncio.to_thread(sink.wait_seen, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    sink.hang = False
    await alerts.send(SILENT)
    assert sink.firing == {"clock.silent"}


async def test_memory_stays_bounded() -> None:
    alerts = LogAlerts()
    with capture_logs():
        for number in range(REMEMBERED + 100):
            await alerts.send(Alert(f"grant.{number}", "warning", "s", AT))
    with capture_logs() as logged:
        await alerts.send(Alert(f"grant.{REMEMBERED + 99}", "warning", "s", AT))  # remembered
        await alerts.send(Alert("grant.0", "warning", "s", AT))  # long forgotten
    assert [line["key"] for line in logged] == ["grant.0"]


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_settings_choose(sink: AlertSink, shape: Shape) -> None:
    environ = {"COUNTERSIGN_REDIS_URL": "redis://localhost"}
    hooked = {
        "COUNTERSIGN_ALERT_WEBHOOK_URL": sink.url(shape),
        "COUNTERSIGN_ALERT_SHAPE": shape,
        "COUNTERSIGN_ALERT_ROUTING_KEY": ROUTING_KEY,
    }
    for names, expected in ((environ, set()), (environ | hooked, {"clock.silent"})):
        async with open_alerts(load(names)) as alerts:
            with capture_logs() as logged:
                await alerts.send(SILENT)
        assert [line["event"] for line in logged] == ["alert.raised"]
        assert sink.firing == expected
