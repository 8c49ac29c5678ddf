"""What the product exports, the verifier finds whole: asks, answers, receipts, texts, as desk and clock write them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from countersign.ops.exporting import export, note_made
from countersign.ops.exporting_folder import Folder
from countersign.ops.signed_log import newest
from countersign.verifying.checks import Checks
from countersign.verifying.core import Key
from countersign.verifying.verify import Verified, verify
from tests.bot.postings_town import Sink
from tests.countersign.ops.export_world import World, held, no_bar
from tests.workers.test_receipting import Town
from workers.clock.receipting import Receipting
from workers.signing import SigningKey, public_of
from workers.stores.memory import memory_store

KEY = SigningKey.generate("export.countersign.invalid/log")


class Office(Town):
    """A town whose log is signed by the real notary."""

    def __init__(self) -> None:
        super().__init__(memory_store(lambda: datetime.now(UTC)))
        self.world = World(self.store, key=KEY)

    def receipting(self, _ledger: object = None) -> Receipting:
        return Receipting(self.store, self.world.notary, Sink())

    async def exported(self, path: Path) -> Verified:
        """Sign, export, verify."""
        await self.sign()
        await self.world.sign()
        signed = await newest(self.store)
        await note_made(
            self.store, await export(self.store, Folder(path), signed.checkpoint, no_bar), to="folder", by="x"
        )
        key = Key.parse(public_of(KEY).text)
        return verify(path, [key], checks=Checks(path).all, everything=True)


@pytest.fixture
async def office() -> Office:
    office = Office()
    await office.start()
    return office


async def test_what_is_exported_verifies_and_so_does_what_is_added(office: Office, tmp_path: Path) -> None:
    await office.approve(await office.ask())
    await office.click(await office.ask(), "robin", "deny")
    waiting = await office.ask(reason="a text that is erased later")
    found = await office.exported(tmp_path / "e")
    assert [one for one in found.findings if one.grave] == []
    assert found.size == await office.store.log.size() - 1
    assert found.counts["receipts"] == 2
    assert found.counts["texts"] >= 3

    await office.approve(waiting)
    await office.world.erase(waiting.request.id)
    found = await office.exported(tmp_path / "e")
    assert [one for one in found.findings if one.grave] == []
    assert found.counts["receipts"] == 3
    assert b"erased later" not in b"".join(held(tmp_path / "e").values())
    assert b'"type":"export.made"' in held(tmp_path / "e")["records.jsonl"]
