"""Push every record of the log to a SIEM, as JSON lines over HTTP: in order, at least once, none skipped.

One clock sends at a time: it holds the cursor for a while, and moves it only after the other side has taken a batch.
Whatever else happens (no answer, 5xx, this process dies) the same records are sent again. A copy there is never the
evidence, and what it may not take holds up nothing else of the clock.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import aiohttp

from approvers.cases import NotARecord
from approvers.times import spell
from workers import logs
from workers.alerts import Alert, Alerts
from workers.clock.cursors import Cursor, Held, Line, look, move, page
from workers.settings import Settings
from workers.stores.port import Conflict, Store, StoreError, Truncated, Unavailable

NAME = "siem"
MOST_RECORDS, MOST_BYTES = 500, 1_000_000
LEASE = timedelta(seconds=60)
"""For how long one clock has the cursor; a post that takes longer than half of it is given up."""
POST_SECONDS = LEASE.total_seconds() / 2
LOOK_SECONDS = 1.0
SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 60.0
BEHIND_TIME, BEHIND_RECORDS = timedelta(minutes=5), 10_000
BEHIND, REFUSED = "siem.behind", "siem.refused"
TOO_MUCH = frozenset({400, 413, 422})
"""Answers that may be about one record of a batch, or about its size."""
UNREADABLE = (StoreError, ValueError, LookupError, TypeError)
"""What reading may raise where what comes next is gone, or is no record; out of a loop it would end the clock."""
Post = Callable[[bytes], Awaitable[int]]
"""Posts JSON lines; returns the answer's status, 0 for no answer. Never raises for what the other side does."""
_log = logs.get_logger(__name__)


class Streaming:
    """Send what is new, one batch a turn."""

    def __init__(self, store: Store, alerts: Alerts, post: Post) -> None:
        """Start with nothing held. `post` is asked one batch at a time."""
        self._store, self._alerts, self._post = store, alerts, post
        self._me = secrets.token_hex(8)
        self._most = MOST_RECORDS
        self._failed = 0
        self._answer = "not asked yet"
        self._raised: dict[str, Alert] = {}

    async def turn(self) -> None:
        """Send one batch, or wait a moment."""
        await asyncio.sleep(await self.send())

    async def send(self) -> float:
        """Send one batch if there is one and this clock has the cursor; returns the seconds to wait before the next."""
        try:
            return await self._send()
        except Conflict:
            return LOOK_SECONDS
        except Unavailable:
            raise  # the loop waits the store's absence out
        except UNREADABLE as error:
            await self._tell(BEHIND, f"The SIEM's next record cannot be read: {_why(error)}")
            return LONGEST_SECONDS

    async def _send(self) -> float:
        held = await self._hold()
        if held is None:
            return LOOK_SECONDS
        lines = await page(self._store.log, held.cursor.position, self._most)
        if not lines:
            await self._over()
            return LOOK_SECONDS
        return await self._deliver(held, lines)

    async def _hold(self) -> Held | None:
        """Take or keep the cursor; None while another clock has it. Raises Conflict."""
        held = await look(self._store.records, NAME)
        now, cursor = held.seen.now, held.cursor
        if cursor.holder != self._me and cursor.until is not None and now < cursor.until <= now + LEASE:
            return None
        if cursor.holder == self._me and cursor.until is not None and now + LEASE / 2 < cursor.until <= now + LEASE:
            return held
        return await move(self._store.records, NAME, held, self._mine(cursor.position, now))

    def _mine(self, position: int, now: datetime) -> Cursor:
        return Cursor(position=position, holder=self._me, until=now + LEASE)

    async def _deliver(self, held: Held, lines: list[Line]) -> float:
        body, count = _body(lines)
        status = await self._post(body)
        self._answer = f"HTTP {status}" if status else "no answer"
        if 200 <= status < 300:
            return await self._taken(held, lines[count - 1].position, lines)
        if status in TOO_MUCH and count > 1:
            self._most = max(1, count // 2)
            return 0.0
        if status in TOO_MUCH:
            await self._tell(
                REFUSED,
                f"The SIEM refuses record {lines[0].position} ({self._answer}), and nothing behind it is sent. To keep "
                f"it elsewhere and go on: `countersign audit stream --cursor {NAME} --limit 1`",
            )
        self._failed += 1
        await self._look_behind(lines)
        return float(min(LONGEST_SECONDS, SHORTEST_SECONDS * 2 ** min(self._failed - 1, 10)))

    async def _taken(self, held: Held, position: int, lines: list[Line]) -> float:
        """Move the cursor behind what was taken. Where somebody else moved it meanwhile, theirs counts."""
        try:
            fresh = await look(self._store.records, NAME)
            if fresh.version == held.version:
                await move(self._store.records, NAME, fresh, self._mine(position, fresh.seen.now))
        except Conflict:
            return LOOK_SECONDS
        self._failed, self._most = 0, min(MOST_RECORDS, self._most * 2)
        if REFUSED in self._raised:
            await self._clear(REFUSED)
        await self._look_behind(lines)
        return 0.0

    async def _look_behind(self, lines: list[Line]) -> None:
        """Tell on-call once the SIEM is far behind the log, and that it no longer is."""
        now, size = await self._store.records.now(), await self._store.log.size()
        late = now - datetime.fromisoformat(lines[0].record["at"])
        left = size - lines[0].position + 1
        if late < BEHIND_TIME and left <= BEHIND_RECORDS:
            await self._over()
            return
        what = f"The SIEM is {spell(late)} and {left:,} records behind the log; the last answer was {self._answer}."
        await self._tell(BEHIND, what)

    async def _over(self) -> None:
        if BEHIND in self._raised:
            await self._clear(BEHIND)

    async def _tell(self, key: str, summary: str) -> None:
        _log.warning("siem.troubled", kind=key, why=summary)
        self._raised[key] = Alert(key, "warning", summary, await self._store.records.now())
        await self._alerts.send(self._raised[key])

    async def _clear(self, key: str) -> None:
        await self._alerts.send(self._raised.pop(key).clear(await self._store.records.now()))


def _why(error: Exception) -> str:
    if isinstance(error, Truncated):
        skip = f"countersign audit stream --cursor {NAME} --after {error.size} --limit 0"
        return f"{error}. To go on behind them: `{skip}`"
    if isinstance(error, NotARecord):
        return f"{error}. Freeze, and keep the store as it is: nothing of ours writes that"
    if isinstance(error, StoreError):
        return str(error)
    return f"it, or the cursor, is malformed ({type(error).__name__})"


def _body(lines: list[Line]) -> tuple[bytes, int]:
    """Return as many lines as fit in one post (one at least), and how many those are."""
    body, count = b"", 0
    for line in lines:
        more = line.json()
        if count and len(body) + len(more) > MOST_BYTES:
            break
        body, count = body + more, count + 1
    return body, count


@asynccontextmanager
async def open_streaming(settings: Settings, store: Store, alerts: Alerts) -> AsyncIterator[Streaming | None]:
    """Give what the settings ask for; nothing without COUNTERSIGN_SIEM_URL."""
    if settings.siem_url is None:
        yield None
        return
    url = settings.siem_url.get_secret_value()
    headers = {"Content-Type": "application/x-ndjson"}
    if settings.siem_token:
        headers["Authorization"] = f"Bearer {settings.siem_token.get_secret_value()}"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=POST_SECONDS)) as session:

        async def post(body: bytes) -> int:
            try:
                async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                    return answer.status
            except (aiohttp.ClientError, TimeoutError):  # the error's text may hold the address, and that a token
                return 0

        yield Streaming(store, alerts, post)
