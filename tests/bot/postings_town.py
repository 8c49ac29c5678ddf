"""A store, the desk, a strict board, and web processes that come and go: what the tests of the postings live in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from approvers import grant as grants
from approvers.grant import Grant, Proof, ProofKind
from approvers.ids import grant_of
from bot.commits import Click
from bot.deps import make_desk
from bot.directory import Directory
from bot.notifier import Notifier
from bot.postings import Postings
from bot.reading import Reader, View
from bot.surfaces.port import Surface
from tests.bot.test_desk import caller, person
from tests.worlds import samples
from tests.worlds.boards import Board
from workers.alerts import Alert
from workers.policies import Policies, apply
from workers.stores import layout
from workers.stores.memory import memory_store
from workers.stores.port import Commit, Records, Snapshot, Store, Unavailable, transact

ONE_PLACE = samples.ROSTER_TEXT.replace("[place.console]", '[place.console]\nslack = "C01"')
TWO_PLACES = f'{ONE_PLACE}\n[place.audit]\nslack = "C02"\ngroups = ["sre"]\n'
PEOPLE = samples.ROSTER_TEXT.replace("[person.robin]", '[person.robin]\nslack = "T01:U0ROBIN"')


class Sink:
    """Alerts as they were sent."""

    def __init__(self) -> None:
        self.sent: list[Alert] = []

    async def send(self, alert: Alert) -> None:
        self.sent.append(alert)

    @property
    def keys(self) -> list[str]:
        return [("-" if alert.cleared else "") + alert.key for alert in self.sent]


class Forgetful:
    """A store's records that cannot be reached just when the first post is to be noted."""

    def __init__(self, records: Records) -> None:
        self._records, self.left = records, 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    async def commit(self, commit: Commit) -> None:
        if self.left and "cards:posted" in commit.counts:
            self.left -= 1
            raise Unavailable("gone")
        await self._records.commit(commit)


class Town:
    """What there is besides the processes; `web()` starts one, and there may be several."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or memory_store(lambda: datetime.now(UTC))
        self.policies = Policies(self.store.records, self.store.signals)
        self.reader = Reader(self.store)
        self.desk = make_desk(self.store, self.policies, self.reader, Directory(self.policies))
        self.board, self.alerts = Board(people=("U0ROBIN", "U0EVE")), Sink()
        self.surfaces: dict[str, Surface] = {"slack": self.board}
        self.asked = 0

    async def start(self, roster: str = ONE_PLACE) -> Town:
        await apply(self.store.records, policy=samples.POLICY_TEXT, roster=roster, by="user:dana", why="test")
        await self.policies.refresh()
        return self

    def postings(self) -> Postings:
        return Postings(self.store, self.policies, self.reader, self.surfaces, self.alerts)

    @asynccontextmanager
    async def web(self, postings: Postings | None = None) -> AsyncIterator[Notifier]:
        """Run one web process's notifier, and stop it as a process is stopped."""
        notifier = Notifier(self.store, [postings or self.postings()])
        task = asyncio.create_task(notifier.run())
        try:
            yield notifier
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.002)  # by then its lease has ended, and the next one need not wait for that

    # ---- what people and callers do

    async def ask(self, **changes: object) -> View:
        self.asked += 1
        changes = {"reason": f"ask {self.asked}", "ttl_seconds": 60 + self.asked, **changes}
        return await self.desk.submit(caller(), samples.action(**changes), f"k{self.asked}")

    async def click(self, view: View, name: str = "robin", verdict: str = "approve", reason: str = "") -> View:
        return await self.desk.review(Click(person(name), view.request.id, verdict, reason))

    async def cards(self, view: View) -> str:
        return (
            (await self.store.records.read([layout.cards_key(view.request.id)]))
            .records[layout.cards_key(view.request.id)]
            .json
        )

    async def move(self, view: View, name: str, change: Callable[[Grant, datetime], Grant]) -> None:
        """Move a grant as a worker would, with its event."""
        request, grant = view.request.id, grant_of(view.request.id)
        key = layout.grant_key(grant)

        def step(seen: Snapshot):
            after = change(self.reader.parse_grant(seen, grant), seen.now)
            part = layout.grant_changed(seen.records[key], after, at=seen.now, request=view.request)
            event = layout.event(name, seen.now, request=request, grant=grant)
            return layout.commit(seen.now, part, events=[event]), None

        await transact(self.store.records, [key], step)

    async def mint(self, view: View) -> None:
        def minted(grant: Grant, now: datetime) -> Grant:
            claimed = grants.claim(grant, now, timedelta(hours=1))
            ends = now + timedelta(seconds=grant.plan.ttl_seconds)
            return grants.minted(claimed, now, access_key_id="ASIAEXAMPLE", ends_at=ends, expiration=ends)

        await self.move(view, "grant.minted", minted)

    async def revoke(self, view: View) -> None:
        await self.move(
            view,
            "grant.revoke_requested",
            lambda grant, now: grants.end(grant, "revoke", now, by="user:kim", reason=""),
        )

    async def prove(self, view: View) -> None:
        def proven(grant: Grant, now: datetime) -> Grant:
            proof = Proof(kind=ProofKind.PROBE_DENIED, at=now, seconds="2.100", refused=3, asked=3, detail="")
            return grants.proven(grant, proof, deny_written=True)

        await self.move(view, "grant.revoked", proven)

    # ---- waiting

    async def until(self, true: Callable[[], object], seconds: float = 10) -> None:
        """Wait until something is so. Nobody tells us what a process does by itself: we look."""
        async with asyncio.timeout(seconds):
            while not true():  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def quiet(self, most: int = 0, seconds: float = 10) -> None:
        """Wait until everything is told, or so many events are left."""
        async with asyncio.timeout(seconds):
            while len(await self.store.outbox.unread()) > most:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
