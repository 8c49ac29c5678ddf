"""Hold the alarms of one sweep: tell those that are new, keep those that stand, end those whose cause is gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime

from workers import logs
from workers.alerts import Alert, Severity
from workers.stores.rooms import Alarm
from workers.tools import Tools

_log = logs.get_logger(__name__)


class Alarms:
    """Tell on-call what one sweep finds; `before` are the alarms that the last one left standing."""

    def __init__(self, tools: Tools, before: Collection[Alarm]) -> None:
        self._tools, self._before = tools, before
        self._raised: dict[tuple[str, Severity], Alarm] = {}
        self.counts: Counter[str] = Counter()

    async def tell(
        self,
        kind: str,
        subject: str,
        role_arn: str,
        summary: str,
        severity: Severity = "warning",
        *,
        once: bool = False,
    ) -> None:
        """Tell it, and keep it standing while sweeps find it; `once`: it happened, and nothing later ends it."""
        alarm = Alarm(key=f"{kind}:{subject}", role_arn=role_arn, severity=severity, summary=summary)
        _log.warning("sweep.found", kind=kind, subject=subject)
        self.counts[f"alerts:{kind}"] += 1
        if not once:
            self._raised[alarm.key, severity] = alarm
        await self._send(alarm)

    async def settle(self, looked_at: Collection[str]) -> tuple[Alarm, ...]:
        """End what was not found again on a role that was looked at (or is no base role any more); return what stands.

        Of a role that could not be looked at nothing is known, so its alarms stand.
        """
        standing = dict(self._raised)
        for alarm in self._before:
            if (alarm.key, alarm.severity) in standing:
                continue
            if alarm.role_arn in looked_at:
                await self._send(alarm, cleared=True)
            else:
                standing[alarm.key, alarm.severity] = alarm
        return tuple(standing.values())

    async def _send(self, alarm: Alarm, *, cleared: bool = False) -> None:
        at: datetime = await self._tools.store.records.now()
        alert = Alert(alarm.key, alarm.severity, alarm.summary, at, {"role": alarm.role_arn})
        await self._tools.alerts.send(alert.clear(at) if cleared else alert)
