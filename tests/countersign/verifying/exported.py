"""Export a history that the product itself has played, signed and given receipts for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from countersign.ops.exporting import export
from countersign.ops.exporting_folder import Folder
from countersign.ops.signed_log import newest
from tests.countersign.ops.export_world import no_bar
from tests.worlds.history import LEASE, History, Silent
from tests.worlds.signing import KEY
from workers.clock.notary import Notary
from workers.clock.receipting import Receipting
from workers.signing import Signers
from workers.stores.port import Commit


@dataclass
class SignedHistory(History):
    """A history whose clock also signs."""

    notary: Notary = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.notary = Notary(self.store, Signers(KEY, None), Silent())
        self.receipting = Receipting(self.store, self.notary, Silent())

    async def work(self) -> None:
        """Do what is due, receipts with it."""
        while items := (await self.store.due.claim("clock", most=20, lease=LEASE)).items:
            receipts = [item for item in items if item.member.startswith("receipt:")]
            for item in items:
                if item.member.startswith("request:"):
                    await self.waiting.look_after(item)
                elif item.member.startswith("owing:"):
                    await self.owing.look_after(item)
                elif item not in receipts:
                    await self.store.records.commit(Commit(at=self.time, attempt=item))
            if receipts:
                self.receipting.begin(receipts)
                await self.receipting.turn()
        await super().work()


async def exported(path: Path, seed: int = 3, requests: int = 12) -> Path:
    """Play so many requests to their end, and export the log as it was signed."""
    history = await SignedHistory(seed).begin()
    while history.asked < requests:
        await history.turn()
    return await export_of(history, path)


async def export_of(history: SignedHistory, path: Path) -> Path:
    """Let everything come to its end, sign, and export."""
    await history.close()
    history.time += timedelta(minutes=5)
    await history.work()
    await history.notary.cover(await history.store.log.size())
    await export(history.store, Folder(path), (await newest(history.store, patience=None)).checkpoint, no_bar)
    return path
