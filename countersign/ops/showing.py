"""Show that a stranger can check the log: receipts by a key alone, an export, a text forgotten, a forged copy refused.

Every command runs as a process of its own. What verifies has an empty environment: no store, no address, no secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from approvers.request import Receipt
from bot.postings_lines import witnessed
from countersign.ops.cast import Json, NotAsTold, expect
from countersign.ops.fittings import signing_key
from countersign.ops.forging import forge
from countersign.ops.player import PATIENCE_SECONDS, Player
from countersign.receipts import verify_receipt
from workers.signing import public_of

Scene = Callable[[], Awaitable[str]]
EXPORT, KEPT = "export", "kept.txt"
HANDED = {"report": "APPROVED", "denied": "DENIED", "knock": "EXPIRED"}
"""The requests of earlier scenes whose receipts are kept, and what each must say."""


class Done(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Return what it printed."""
        return self.out.splitlines()


class Evidence:
    """The scenes of an auditor, played on what the story has left."""

    def __init__(self, player: Player) -> None:
        """Take who acts."""
        self._play = player
        state = player.stage.ground.folder.path
        self._state, self._export, self._kept = state, state / EXPORT, state / KEPT
        self._key = public_of(signing_key(player.stage.ground)).text

    def scenes(self) -> list[tuple[str, Scene]]:
        """Return the scenes in their order."""
        return [
            ("each decision has its receipt, checked by the public key alone", self.receipts),
            ("two people approve an action without a credential; its receipt is good for once", self.once),
            ("the log is exported while everything runs, and is whole to a stranger", self.whole),
            ("what somebody typed is forgotten, and the log is as whole as before", self.forgotten),
            ("a forged copy, chained anew, is refused", self.forged),
        ]

    async def receipts(self) -> str:
        """Check the receipts of a yes, a no and a silence, and keep them outside: two whole, one as chat prints it."""
        kept = []
        for name, decision in HANDED.items():
            jws = await self._receipt(name)
            said = verify_receipt(jws, key=self._key, request=self._play.id(name), decision=decision)
            chat = Receipt(at=said.iat, jws=jws, key="", root=said.log.root, size=said.log.size)
            kept.append(f"Denied by alex\n{witnessed(chat)}" if name == "denied" else jws)
        self._kept.write_text("".join(f"{one}\n" for one in kept))
        return f"{len(kept)} receipts, the last: {said.decision} ({said.because}), log {said.log.size}; key {self._key}"

    async def once(self) -> str:
        """Have an action approved by two, act on its receipt, and see that it is good for no second time."""
        request = await self._approved("act")
        said = verify_receipt(await self._receipt("act"), key=self._key, request=request)
        body = {"action_digest": said.action_digest}
        first = await self._play.callers.call("agent", "POST", f"/v1/requests/{request}/consume", body)
        expect("the first use", first.status, 200)
        second = await self._play.callers.call("agent", "POST", f"/v1/requests/{request}/consume", body)
        expect("the second use", second.status, 409)
        people = " and ".join(one.person.removeprefix("user:") for one in said.reviewers)
        return f"{people} said yes; the second time: {second.body['detail']}"

    async def whole(self) -> str:
        """Export while requests come and go; verify without a store, by the key and by what was kept."""
        made = asyncio.create_task(self._exported())
        try:
            await self._approved("meanwhile")
            await self._receipt("meanwhile")
            size = await made
        finally:
            made.cancel()
        return "\n".join((f"countersign audit export: {size}", *await self._is_whole()))

    async def forgotten(self) -> str:
        """Erase what was typed about the denied request, export again, and verify."""
        request, typed = self._play.id("denied"), b"too broad, ask narrower"
        if typed not in (self._export / "texts.jsonl").read_bytes():
            raise NotAsTold("the export does not hold what alex typed")
        erase = ("--request", request, "--why", "the demo's scene", "--by", "user:kim", "--state", self._state)
        erased = await _command("audit", "erase", *erase)
        expect("the exit code of erase", erased.code, 0)
        await self._exported()
        for file in (one for one in self._export.rglob("*") if one.is_file()):
            if typed in file.read_bytes():
                raise NotAsTold(f"{file.name} still holds what alex typed")
        return "\n".join((f"countersign audit erase: {erased.lines[0]}", *await self._is_whole()))

    async def forged(self) -> str:
        """Make a no into a yes, chain that request's records anew, put the sums right, and have it verified."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(shutil.copytree(self._export, Path(folder) / EXPORT))
            line = forge(copy, self._play.id("denied"))
            if not line:
                raise NotAsTold("the export holds no denial to forge")
            done = await self._verified(copy)
        expect("the exit code", done.code, 1)
        if not done.lines[0].startswith("NOT WHOLE: records.jsonl"):
            raise NotAsTold(f"it says {done.lines[0]}")
        return f"line {line} was forged. It says: {done.lines[0]}"

    async def _approved(self, name: str) -> str:
        """Ask to act without a credential, and have robin and kim say yes."""
        body = {**self._play.report(600), "action": "payments:Refund", "resource": "order/4711"}
        reply = await self._play.callers.ask({key: body[key] for key in body if key not in ("access", "public_key")})
        expect("the status", reply.status, 202)
        self._play.asked[name] = request = str(reply.body["id"])
        for who in ("robin", "kim"):
            expect(f"{who}'s answer", (await self._play.callers.review(who, request, "approve")).status, 200)
        return request

    async def _receipt(self, name: str) -> str:
        def there(one: Json) -> bool:
            return one["receipt"] is not None

        request = await self._play.callers.until(self._play.id(name), there, PATIENCE_SECONDS)
        return str(request["receipt"]["jws"])

    async def _exported(self) -> str:
        done = await _command("audit", "export", self._export, "--by", "user:kim", "--state", self._state)
        if done.code:
            raise NotAsTold(f"export ended with {done.code}: {done.err}")
        return f"size and root {done.lines[0]}"

    async def _verified(self, folder: Path) -> Done:
        return await _command("audit", "verify", folder, "--key", self._key, "--witness", self._kept)

    async def _is_whole(self) -> tuple[str, ...]:
        done = await self._verified(self._export)
        if done.code or f"agrees with {len(HANDED)} outside witnesses" not in done.lines[-1]:
            raise NotAsTold(f"verify ended with {done.code}: {done.out}{done.err}")
        return done.lines[0], done.lines[1], done.lines[-1]


async def _command(*words: str | Path) -> Done:
    """Run `countersign …` with nothing in its environment."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", "countersign", *map(str, words)), env={}, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    return Done(process.returncode or 0, out.decode(), err.decode())
