"""Grow a log with everything that an export holds, sign it as the clock does, and read an export back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from approvers.audit import SYSTEM, Base, By, Draft, Head
from approvers.checkpoint import Checkpoint
from approvers.tree import Frontier, leaf_hash, tree_root
from countersign.ops.exporting import Exported, export
from countersign.ops.exporting_folder import Folder
from countersign.ops.signed_log import newest
from tests.bot.postings_town import Sink
from tests.worlds.receipts import KEY, claims
from workers.clock.notary import Notary
from workers.signing import Signers, SigningKey
from workers.stores import layout
from workers.stores.port import Commit, Log, Snapshot, Store, Truncated, transact

BY = By("user:robin", "test", "robin")
POLICY = "[rule.x]\n"
POLICY_SHA256 = hashlib.sha256(POLICY.encode()).hexdigest()


@contextmanager
def no_bar(_what: str, _total: int) -> Iterator[Callable[[int], None]]:
    yield lambda _done: None


@dataclass
class World:
    """One store, and the notary that signs it."""

    store: Store
    name: str = "export.countersign.invalid/log"
    asked: int = 0
    key: SigningKey | None = None
    notary: Notary = field(init=False)

    def __post_init__(self) -> None:
        self.notary = Notary(self.store, Signers(self.key or SigningKey.generate(self.name), None), Sink())

    async def rules(self, text: str = POLICY) -> None:
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        await self.add(
            Draft(SYSTEM, "policy.applied", BY, "command", {"sha256": sha256, "text": text, "was": None, "why": "test"})
        )

    async def add(self, *drafts: Draft, puts: dict[str, str] | None = None) -> None:
        def step(seen: Snapshot) -> tuple[Commit | None, None]:
            puts_now = puts or {}
            versions = {key: seen.records[key].version for key in puts_now}
            return Commit(at=seen.now, drafts=drafts, heads=seen.heads, puts=puts_now, expects=versions), None

        subjects = sorted({draft.subject for draft in drafts})
        await transact(self.store.records, [*(puts or {})], step, chains=subjects)

    async def ask(self, count: int = 1, **data: Any) -> list[str]:
        """Add requests of three records each, all in one commit; returns their ids."""
        ids = [f"ask-{self.asked + number:06}" for number in range(1, count + 1)]
        self.asked += count
        kinds = ("request.submitted", "review.recorded", "request.approved")
        drafts = [Draft(one, kind, BY, "test", {"seat": "sre", **data}) for one in ids for kind in kinds]
        await self.add(*drafts, puts={layout.request_key(one): json.dumps({"id": one}) for one in ids})
        return ids

    async def type(self, request: str, reason: str) -> None:
        """Add a record with a text that somebody typed."""
        kind, field_name = ("freeze.set", "why") if request == SYSTEM else ("review.recorded", "reason")
        await self.add(Draft(request, kind, BY, "test", {field_name: reason}))

    async def erase(self, request: str) -> None:
        """Forget what was typed about a request."""
        seen = await self.store.records.read([])
        marks = [*await self.store.log.texts([request])]
        await self.store.records.commit(Commit(at=seen.now, erase={request: marks}))

    async def sign(self) -> Checkpoint:
        return await self.notary.cover(await self.store.log.size())

    async def receipt(self, *requests: str) -> None:
        """Store the receipts of these requests, over the newest checkpoint."""
        signed = (await newest(self.store, patience=None)).checkpoint
        for one in requests:
            log = {"size": signed.size, "root": signed.root.hex()}
            jws = KEY.jws(claims(sub=one, log=log))
            receipt = {"jws": jws, "size": signed.size, "root": signed.root.hex()}
            await self.add(puts={layout.request_key(one): json.dumps({"id": one, "receipt": receipt})})

    async def export(self, path: Path, store: Store | None = None) -> Exported:
        return await export(
            store or self.store, Folder(path), (await newest(self.store, patience=None)).checkpoint, no_bar
        )

    async def bodies(self) -> list[bytes]:
        return await self.store.log.tail(0, 1_000_000)


def held(path: Path) -> dict[str, bytes]:
    """Return every file of an export by its name, without what says when it was made."""
    found = {one.relative_to(path).as_posix(): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()}
    if "manifest.json" in found:
        manifest = json.loads(found["manifest.json"])
        manifest.pop("made_at")
        manifest.pop("sha256")
        found["manifest.json"] = json.dumps(manifest, sort_keys=True).encode()
    return found


def check(path: Path) -> dict[str, Any]:
    """Return the manifest of an export that is whole: every file as it says, the records as they were signed."""
    manifest: dict[str, Any] = json.loads((path / "manifest.json").read_bytes())
    names = {one.relative_to(path).as_posix() for one in path.rglob("*") if one.is_file()}
    assert names == {*manifest["files"], "manifest.json"}
    for name, one in manifest["files"].items():
        content = (path / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (one["bytes"], one["sha256"]), name
    lines = (path / "records.jsonl").read_bytes().splitlines()
    assert len(lines) == manifest["log"]["records"]
    if not (path / "base.json").exists():
        assert tree_root([leaf_hash(line) for line in lines]).hex() == manifest["log"]["root"]
    return manifest


class Watched:
    """A log that counts what is asked of it, and breaks where a test wants that."""

    def __init__(self, log: Log, *, breaks_at: int | None = None, error: BaseException | None = None) -> None:
        self._log, self._breaks_at, self._error = log, breaks_at, error
        self.asked: list[tuple[int, int]] = []

    async def tail(self, after: int, limit: int = 500) -> list[bytes]:
        if self._breaks_at is not None and len(self.asked) >= self._breaks_at:
            assert self._error
            raise self._error
        self.asked.append((after, limit))
        return await self._log.tail(after, limit)

    async def texts(self, subjects: Sequence[str]) -> Mapping[str, str]:
        return await self._log.texts(subjects)

    async def base(self) -> Base:
        return await self._log.base()

    async def size(self) -> int:
        return await self._log.size()

    async def chain(self, subject: str) -> list[bytes]:
        return await self._log.chain(subject)


class Cut(Watched):
    """A log whose first records were taken out."""

    def __init__(self, log: Log, bodies: Sequence[bytes], heads: Mapping[str, Head]) -> None:
        super().__init__(log)
        frontier = Frontier()
        frontier.extend(bodies)
        self._base = Base(frontier.size, tuple(frontier.peaks), heads)

    async def base(self) -> Base:
        return self._base

    async def tail(self, after: int, limit: int = 500) -> list[bytes]:
        if after < self._base.size:
            raise Truncated(self._base.size)
        return await super().tail(after, limit)
