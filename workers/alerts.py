"""Tell on-call: one port, the log, an HTTP webhook, or both.

`send` never raises and never takes longer than its timeout: whoever alerts has something more important to do. The same
key is told once per `QUIET_FOR`; what could not be told counts as not told, so the next time tries again. Times are
passed in with the alert. An alert holds ids, counts and sentences, never a secret; texts are scrubbed all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

import aiohttp

from approvers.times import stamp
from workers import logs
from workers.config import Settings

QUIET_FOR = timedelta(minutes=10)
FORGOTTEN_AFTER = timedelta(hours=24)
"""When Alertmanager may drop an alert that nobody has cleared; without an end it would after five minutes."""
REMEMBERED = 4096
Severity = Literal["critical", "warning", "info"]
Shape = Literal["alertmanager", "pagerduty"]
_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Alert:
    """Say what is wrong (or, `cleared`, no longer wrong). `key` names the trouble, not the occasion: `clock.silent`."""

    key: str
    severity: Severity
    summary: str
    at: datetime
    details: Mapping[str, str] = field(default_factory=dict)
    cleared: bool = False

    def clear(self, at: datetime) -> Alert:
        """Return the message that this trouble is over."""
        return replace(self, at=at, cleared=True)


class Alerts(Protocol):
    """Tell on-call."""

    async def send(self, alert: Alert) -> None:
        """Tell it, unless the same was told within `QUIET_FOR`. Never raises."""
        ...


class LogAlerts:
    """Write alerts to the log, as `alert.raised` and `alert.cleared`."""

    def __init__(self, quiet_for: timedelta = QUIET_FOR) -> None:
        """Start with nothing told."""
        self._told = _Told(quiet_for)

    async def send(self, alert: Alert) -> None:
        """Log it once per quiet time."""
        if not self._told.take(alert):
            return
        write = {"critical": _log.critical, "warning": _log.warning, "info": _log.info}[alert.severity]
        event = "alert.cleared" if alert.cleared else "alert.raised"
        write(event, key=alert.key, summary=alert.summary, details=dict(alert.details), since=stamp(alert.at))


class WebhookAlerts:
    """Post alerts to Alertmanager (API v2) or PagerDuty (Events API v2), with retries inside one timeout."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        shape: Shape = "alertmanager",
        routing_key: str = "",
        timeout: timedelta = timedelta(seconds=5),
        backoff: timedelta = timedelta(milliseconds=200),
        quiet_for: timedelta = QUIET_FOR,
    ) -> None:
        """Post to the full `url`; `timeout` covers all tries of one alert, the pause after each try doubles."""
        self._session, self._url, self._shape, self._routing_key = session, url, shape, routing_key
        self._timeout, self._backoff, self._told = timeout.total_seconds(), backoff.total_seconds(), _Told(quiet_for)

    async def send(self, alert: Alert) -> None:
        """Post it once per quiet time; log that it could not be told, and try again when it is next sent."""
        if not self._told.take(alert):
            return
        tries: list[str] = []
        try:
            async with asyncio.timeout(self._timeout):
                taken = await self._post_until_settled(alert, tries)
        except TimeoutError:
            taken = False
        except BaseException:
            self._told.untake(alert)  # cancelled in the middle: nobody knows whether it arrived
            raise
        if not taken:
            self._told.untake(alert)
            why = tries[-1] if tries else "no answer"
            _log.error("alert.not_sent", key=alert.key, summary=alert.summary, why=why, tries=len(tries))

    async def _post_until_settled(self, alert: Alert, tries: list[str]) -> bool:
        """Return whether it was taken; troubles that may pass are retried until the timeout. Notes each failed try."""
        pause, body = self._backoff, self._body(alert)
        while True:
            status, why = await self._post(body)
            if 200 <= status < 300:
                return True
            tries.append(why)
            if status and status != 429 and status < 500:
                return False
            await asyncio.sleep(pause)
            pause *= 2

    async def _post(self, body: object) -> tuple[int, str]:
        """Return the answer's status (0: none) and words for the log. Never redirected: the body may hold a key."""
        try:
            async with self._session.post(self._url, json=body, allow_redirects=False) as answer:
                return answer.status, f"HTTP {answer.status}"
        except aiohttp.ClientError as error:
            return 0, type(error).__name__  # the error's text may hold the address, and that a token

    def _body(self, alert: Alert) -> object:
        if self._shape == "pagerduty":
            return pagerduty_event(alert, self._routing_key)
        return alertmanager_alerts(alert)


def alertmanager_alerts(alert: Alert) -> list[dict[str, Any]]:
    """Return the body for `POST /api/v2/alerts`; the labels are the alert's identity, so nothing in them may vary."""
    ends = alert.at if alert.cleared else alert.at + FORGOTTEN_AFTER
    entry: dict[str, Any] = {
        "labels": {"alertname": "Countersign", "key": alert.key, "severity": alert.severity},
        "annotations": {"summary": logs.scrub(alert.summary), **_details(alert)},
        "endsAt": stamp(ends),
    }
    if not alert.cleared:
        entry["startsAt"] = stamp(alert.at)
    return [entry]


def pagerduty_event(alert: Alert, routing_key: str) -> dict[str, Any]:
    """Return the body for `POST /v2/enqueue`; PagerDuty cuts a summary at 1,024 characters, a key at 255."""
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": "resolve" if alert.cleared else "trigger",
        "dedup_key": f"countersign:{alert.key}"[:255],
    }
    if not alert.cleared:
        event["payload"] = {
            "summary": logs.scrub(alert.summary)[:1024],
            "source": "countersign",
            "severity": alert.severity,
            "timestamp": stamp(alert.at),
            "custom_details": _details(alert),
        }
    return event


class _Both:
    def __init__(self, *alerts: Alerts) -> None:
        self._alerts = alerts

    async def send(self, alert: Alert) -> None:
        await asyncio.gather(*(one.send(alert) for one in self._alerts))


def both(first: Alerts, second: Alerts) -> Alerts:
    """Tell through two ways at once."""
    return _Both(first, second)


@asynccontextmanager
async def open_alerts(settings: Settings) -> AsyncIterator[Alerts]:
    """Give what the settings ask for: the log, and the webhook if there is one."""
    if settings.alert_webhook_url is None:
        yield LogAlerts()
        return
    routing_key = settings.alert_routing_key.get_secret_value() if settings.alert_routing_key else ""
    async with aiohttp.ClientSession() as session:
        url = settings.alert_webhook_url.get_secret_value()
        yield both(LogAlerts(), WebhookAlerts(session, url, shape=settings.alert_shape, routing_key=routing_key))


class _Told:
    """Remember what was told when, so that the same is not told again too soon."""

    def __init__(self, quiet_for: timedelta) -> None:
        self._quiet_for = quiet_for
        self._told: dict[str, tuple[bool, datetime]] = {}

    def take(self, alert: Alert) -> bool:
        """Return whether to tell it, and count it as told."""
        last = self._told.get(alert.key)
        if last and last[0] == alert.cleared and alert.at < last[1] + self._quiet_for:
            return False
        self._told.pop(alert.key, None)
        self._told[alert.key] = (alert.cleared, alert.at)
        while len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]  # the one told longest ago
        return True

    def untake(self, alert: Alert) -> None:
        """Count it as not told."""
        self._told.pop(alert.key, None)


def _details(alert: Alert) -> dict[str, str]:
    return {name: logs.scrub(str(value)) for name, value in alert.details.items()}
