"""Notice from the web process what nobody else tells: that no clock lives, or that the store's time has gone back."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from approvers.times import gone_back
from workers import logs
from workers.alerts import Alert, Alerts
from workers.stores.port import Commit, Store, StoreError

SILENT_AFTER = timedelta(seconds=30)
LOOK_EVERY = timedelta(seconds=5)
KEY = "clock.silent"
BACK = "store.time_back"
_log = logs.get_logger(__name__)


class ClockWatch:
    """Raise an alert while no clock has beaten for a while, and clear it when one beats again."""

    def __init__(self, store: Store, alerts: Alerts, *, silent_after: timedelta = SILENT_AFTER) -> None:
        self._store, self._alerts, self._silent_after = store, alerts, silent_after
        self._since: datetime | None = None
        self._raised: Alert | None = None
        self._latest: datetime | None = None
        self._back: Alert | None = None

    async def run(self, every: timedelta = LOOK_EVERY) -> None:
        """Look for ever; an absent store is somebody else's alert."""
        while True:
            try:
                await self.look()
            except StoreError as error:
                _log.warning("clock.not_watched", why=type(error).__name__)
            await asyncio.sleep(every.total_seconds())

    async def look(self) -> None:
        """Compare the last beat, or our own start where there was none yet, with the store's time."""
        now, beats = await self._store.records.now(), await self._store.signals.beats()
        await self._look_back(now)
        self._since = self._since or now
        last = beats.get("clock")
        silent = now - (last or self._since) >= self._silent_after
        if silent:
            await self._raise(now, last)
        elif self._raised:
            await self._alerts.send(self._raised.clear(now))
            self._raised = None

    async def _look_back(self, now: datetime) -> None:
        """Tell that the store's time is earlier than it was; over once it has caught up."""
        latest = self._latest or now
        if gone_back(latest, now):
            summary = (
                f"The store's time was {latest:%H:%M:%S} UTC and is {now:%H:%M:%S}: it has gone backwards. What was "
                "asked or opened later is neither decided nor minted until it is right. Set the store host's clock."
            )
            self._back = Alert(BACK, "critical", summary, now)
            await self._alerts.send(self._back)
        elif self._back is not None and now >= latest:
            await self._alerts.send(self._back.clear(now))
            self._back = None
        self._latest = max(latest, now)

    async def _raise(self, now: datetime, last: datetime | None) -> None:
        when = f"since {last:%H:%M:%S} UTC" if last else "since this process started"
        alert = Alert(
            KEY,
            "critical",
            f"No clock process has beaten {when}: nothing expires, and no credential is minted or ended. Start one.",
            now,
        )
        if self._raised is None:
            self._raised = alert
            await self._store.records.commit(Commit(at=now, counts={f"alerts:{KEY}": 1}))
        await self._alerts.send(alert)
