"""Write logs that nobody reads, have notaries sign them, and open what they signed."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from approvers.audit import By, Draft
from approvers.notes import key_id
from approvers.tree import leaf_hash, tree_root
from tests.bot.postings_town import Sink
from tests.worlds.signing import KEY
from workers.clock.notary import Notary
from workers.signing import Signers, SigningKey
from workers.stores import layout
from workers.stores.port import Commit, Store
from workers.stores.signed import Signed

NEW = SigningKey("new.countersign.invalid/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


class Seconds:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def write(store: Store, count: int) -> None:
    """Append records of a subject that nobody reads."""
    size = await store.log.size()
    for number in range(size, size + count):
        draft = Draft(f"of:{number}", "test.done", By(None, "test", "test"), "api", {"n": number})
        await store.records.commit(Commit(at=NOW, drafts=[draft]))


async def root_of(store: Store, size: int | None = None) -> bytes:
    bodies = await store.log.tail(0, 100_000)
    return tree_root([leaf_hash(body) for body in bodies[:size]])


def opened(note: str, key: SigningKey = KEY) -> str:
    """Return the text of a note if the key signed it; written apart from the product."""
    text, _, lines = note.rpartition("\n\n")
    for line in lines.splitlines():
        _, name, blob = line.split(" ")
        raw = base64.b64decode(blob)
        if name == key.name and raw[:4] == key_id(key.name, key.public):
            Ed25519PublicKey.from_public_bytes(key.public).verify(raw[4:], f"{text}\n".encode())
            return f"{text}\n"
    raise AssertionError(f"{key.name} did not sign")


async def state(store: Store) -> Signed:
    seen = await store.records.read([layout.NOTARY])
    return Signed.model_validate_json(seen.records[layout.NOTARY].json)


def notary(store: Store, key: SigningKey = KEY, before: SigningKey | None = None, **how: object) -> Notary:
    return Notary(store, Signers(key, before), how.pop("alerts", Sink()), **how)  # type: ignore[arg-type]
