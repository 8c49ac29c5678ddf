"""Tell on-call what keeps cards from people, beside the posting itself: an alert's own timeout must hold nothing up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from workers import logs
from workers.alerts import Alert, Alerts
from workers.stores.port import Commit, Records, StoreError

_log = logs.get_logger(__name__)


class Alarms:
    """Raise alerts, each once until it is cleared."""

    def __init__(self, records: Records, alerts: Alerts) -> None:
        self._records, self._alerts = records, alerts
        self._raised: dict[tuple[str, str], Alert | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def sound(self, kind: str, which: str, summary: str) -> None:
        """Raise `cards.KIND:WHICH`, in the background; nothing where it stands already."""
        if (kind, which) not in self._raised:
            self._raised[kind, which] = None
            self._start(self._sound(kind, which, summary))

    def once(self, kind: str, which: str, summary: str) -> None:
        """Raise an alert that nothing clears, such as one about a single card."""
        self._start(self._sound(kind, which, summary, kept=False))

    def clear(self, kind: str, which: str) -> None:
        """Say that it is over, if it was raised."""
        if alert := self._raised.pop((kind, which), None):
            self._start(self._clear(alert))

    async def settle(self) -> None:
        """Wait for what is under way: an alert never takes longer than its own timeout."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the loop itself keeps tasks by weak references only
        task.add_done_callback(self._tasks.discard)

    async def _sound(self, kind: str, which: str, summary: str, *, kept: bool = True) -> None:
        try:
            now = await self._records.now()
            alert = Alert(f"cards.{kind}:{which}", "warning", summary, now)
            if kept and (kind, which) not in self._raised:
                return  # over already
            if kept:
                self._raised[kind, which] = alert
            await self._alerts.send(alert)
            await self._records.commit(Commit(at=now, counts={f"alerts:cards.{kind}": 1}))
        except StoreError as error:
            self._raised.pop((kind, which), None)
            _log.error("cards.alert_not_counted", kind=kind, which=which, why=str(error), summary=summary)

    async def _clear(self, alert: Alert) -> None:
        try:
            await self._alerts.send(alert.clear(await self._records.now()))
        except StoreError as error:
            _log.warning("cards.alert_not_cleared", key=alert.key, why=str(error))
