"""Read who is on call from schedules kept elsewhere: a source of groups over HTTPS, each schedule one small JSON.

    {"on_call": ["dana@example.com", "user:robin"], "until": "2026-11-21T08:00:00Z"}

What cannot be read, names nobody, or is over is no answer: the group is then unknown, whoever depends on it is refused,
and on-call hears of it once, until it reads again. An answer is kept until it ends, and no longer than a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import aiohttp
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from approvers.errors import CountersignError
from approvers.roster import Roster
from approvers.roster_models import Schedule
from approvers.seating import NotKnown
from bot.directory import Members
from bot.issuers_keys import read_small
from workers import logs
from workers.alerts import Alert, Alerts
from workers.policies import Policies
from workers.stores.port import StoreError

KEY = "schedule.unreadable"
"""The kind of the alert; the schedule's name follows behind a colon."""
KEPT = timedelta(minutes=1)
PAUSE = timedelta(seconds=2)
"""How long a schedule that could not be read is not asked again."""
EVERY_SECONDS = 60.0
PATIENCE = timedelta(seconds=1.2)
"""Less than the directory waits: who clicked hears what is wrong with the schedule."""
MOST_BYTES = 64 * 1024
_log = logs.get_logger(__name__)


class Answer(BaseModel):
    """What a schedule answers: who is on call (an e-mail address or `user:NAME` each), and how long that holds."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    on_call: Annotated[list[Annotated[str, Field(min_length=1, max_length=320)]], Field(min_length=1, max_length=100)]
    until: AwareDatetime | None = None


@dataclass(frozen=True)
class _Read:
    """One reading: an answer or why there is none, of which address, when, and until when it stands."""

    answer: Answer | NotKnown
    url: str
    at: datetime
    until: datetime


class Schedules:
    """Be a source of groups: the group's id is the name of a `[schedule.NAME]`."""

    def __init__(
        self,
        policies: Policies,
        now: Callable[[], Awaitable[datetime]],
        alerts: Alerts,
        token: str | None = None,
        *,
        patience: timedelta = PATIENCE,
    ) -> None:
        """Read nothing yet; `now` is the store's clock, `token` goes to every schedule as a bearer token."""
        self._policies, self._now, self._alerts = policies, now, alerts
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._timeout = aiohttp.ClientTimeout(total=patience.total_seconds())
        self._kept: dict[str, _Read] = {}
        self._reading: dict[str, asyncio.Task[_Read]] = {}
        self._raised: dict[str, Alert] = {}
        self._telling: set[asyncio.Task[None]] = set()

    async def members(self, group: str) -> Members:
        """Return who is on call by this schedule. Raises NotKnown."""
        roster = self._policies.current.roster
        schedule = roster.schedules.get(group)
        if schedule is None:
            raise NotKnown(f"there is no on-call schedule {group} any more")
        read = await self._look(schedule)
        people = frozenset() if isinstance(read.answer, NotKnown) else _people(read.answer, roster)
        if isinstance(read.answer, NotKnown) or not people:
            error = read.answer if isinstance(read.answer, NotKnown) else _nobody(group)
            self._raise(group, error, read.at)
            raise NotKnown(error.detail)
        self._clear(group, read.at)
        return Members(f"schedule:{group}", people, tuple(sorted(set(read.answer.on_call))), read.at)

    async def watch(self) -> None:
        """Look at every schedule that fills a group, every minute, so that trouble is heard of before a click."""
        while True:
            with contextlib.suppress(StoreError, CountersignError):
                await self.look_at_all()
            await asyncio.sleep(EVERY_SECONDS)

    async def look_at_all(self) -> None:
        """Look at every schedule that fills a group, once; what is no longer asked is no trouble."""
        roster = self._policies.roster
        used = {group.schedule for group in roster.groups.values() if group.schedule} if roster else set()
        for name in self._raised.keys() - used:
            self._clear(name, await self._now())
        for name in sorted(used):
            with contextlib.suppress(NotKnown):
                await self.members(name)

    async def aclose(self) -> None:
        """Stop reading, and let what is being told be told."""
        for task in self._reading.values():
            task.cancel()
        await asyncio.gather(*self._reading.values(), *self._telling, return_exceptions=True)

    async def _look(self, schedule: Schedule) -> _Read:
        kept, now = self._kept.get(schedule.name), await self._now()
        if kept and kept.url == schedule.url and kept.at <= now < kept.until:
            return kept
        task = self._reading.get(schedule.name)
        if task is None:
            task = self._reading[schedule.name] = asyncio.create_task(self._read(schedule))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be waiting any more
        found = await asyncio.shield(task)
        return found if found.url == schedule.url else await self._look(schedule)

    async def _read(self, schedule: Schedule) -> _Read:
        """Read a schedule once; everybody who asks meanwhile waits for the same reading."""
        try:
            told = await self._answer(schedule)
            now = await self._now()
            until = now + KEPT
            if isinstance(told, Answer):
                until = min(until, told.until or until)
                told = _trouble(told, self._policies.current.roster, schedule.name, now) or told
            if isinstance(told, NotKnown):
                until = now + PAUSE
            read = self._kept[schedule.name] = _Read(told, schedule.url, now, until)
            return read
        finally:
            del self._reading[schedule.name]

    async def _answer(self, schedule: Schedule) -> Answer | NotKnown:
        name = f"the on-call schedule {schedule.name}"
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout, headers=self._headers) as http,
                http.get(schedule.url, allow_redirects=False) as answer,
            ):
                return Answer.model_validate_json(await read_small(answer, MOST_BYTES))
        except TimeoutError:
            return NotKnown(f"{name} did not answer in time")
        except ValidationError as error:  # its words may quote the answer: only the place is told
            where = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"]) or "the whole"
            return NotKnown(f"{name} answered with something else than on_call and until: see {where[:80]}")
        except ValueError as error:
            return NotKnown(f"{name} answered {error}")
        except (aiohttp.ClientError, OSError) as error:
            return NotKnown(f"{name} cannot be reached: {type(error).__name__}")

    def _raise(self, name: str, error: NotKnown, at: datetime) -> None:
        if name not in self._raised:
            summary = (
                f"Who is on call is not known: {error.detail}. Whoever's say hangs on it is refused until it reads "
                "again. Look at the address of [schedule.NAME] in countersign.toml, and at what answers there."
            )
            self._raised[name] = Alert(f"{KEY}:{name}", "critical", summary, at)
            self._tell(self._alerts.send(self._raised[name]))

    def _clear(self, name: str, at: datetime) -> None:
        if alert := self._raised.pop(name, None):
            self._tell(self._alerts.send(alert.clear(at)))

    def _tell(self, work: Coroutine[Any, Any, None]) -> None:
        """Tell it beside: an alert may take longer than whoever clicked waits."""
        task = asyncio.create_task(work)
        self._telling.add(task)  # the loop itself keeps tasks by weak references only
        task.add_done_callback(self._telling.discard)


def _trouble(answer: Answer, roster: Roster, name: str, now: datetime) -> NotKnown | None:
    """Return why an answer that can be read is none all the same."""
    if answer.until is not None and answer.until <= now:
        return NotKnown(f"the on-call schedule {name} has answered for a time that is over")
    return None if _people(answer, roster) else _nobody(name)


def _nobody(name: str) -> NotKnown:
    return NotKnown(f"the on-call schedule {name} names nobody of countersign.toml")


def _people(answer: Answer, roster: Roster) -> frozenset[str]:
    """Return the people of the roster who are named; whom it does not know is nobody."""
    return frozenset(one for text in answer.on_call for one in _named(text, roster))


def _named(text: str, roster: Roster) -> Iterator[str]:
    if person := roster.person(text):
        yield person.name
    found = roster.by_email(text)
    if len(found) == 1:
        yield found[0].name
