"""Tell how a table of PostgreSQL is opened and shut: one login per grant, made and ended by executables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from countersign.ops.cast import NotAsTold, expect
from countersign.ops.player import PATIENCE_SECONDS, Player
from countersign.ops.telling import proof_sentence

Scene = Callable[[], Awaitable[str]]
LEFT = (
    "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = '{0}'), count(*) FROM pg_stat_activity WHERE usename = '{0}'"
)


class Session:
    """An open connection: `psql`, which is fed line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Take the running program."""
        self._process = process

    async def said(self, sql: str) -> list[str]:
        """Run one statement and return the lines that come of it: rows, or the server's refusal."""
        assert self._process.stdin is not None and self._process.stdout is not None
        lines: list[str] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            self._process.stdin.write(f"{sql};\n\\echo .\n".encode())
            await self._process.stdin.drain()
            while (line := await self._process.stdout.readline()) and line != b".\n":
                lines.append(line.decode().rstrip())
        return lines


@asynccontextmanager
async def open_session(psql: Path, environment: Mapping[str, str]) -> AsyncIterator[Session]:
    """Connect with a credential's variables; cut at the end, if nobody has done so."""
    process = await asyncio.create_subprocess_exec(
        psql, "-XAtq", env={"PGCONNECT_TIMEOUT": "5", **environment}, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield Session(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class Tables:
    """The scenes of the database."""

    def __init__(self, player: Player, held: AsyncExitStack) -> None:
        """Take who acts, and what keeps a connection open between the scenes."""
        self._play, self._held = player, held
        self._session: Session | None = None
        self._login = ""

    def scenes(self) -> list[tuple[str, Scene]]:
        """Return the scenes in their order."""
        return [
            ("an agent gets one table of PostgreSQL, reads its rows, and is refused the next", self.reads),
            ("revoked: its open connection is cut, its login is gone, and that is proven", self.revokes),
        ]

    async def reads(self) -> str:
        """Ask for one table, let robin approve, connect with what was delivered, and try another table."""
        play = self._play
        reply = await play.callers.ask(play.table())
        expect("the state", reply.body["state"], "PENDING")
        play.asked["table"] = reply.body["id"]
        await play.press("robin", f"/console/requests/{reply.body['id']}/review", {"verdict": "approve"})
        environment = (await play.open(await play.active("table")))["environment"]
        play.secrets.append(("password", environment["PGPASSWORD"]))
        psql = play.stage.ground.postgres.programs / "psql"
        self._login = environment["PGUSER"]
        session = await self._held.enter_async_context(open_session(psql, environment))
        rows = await session.said("SELECT name FROM customers ORDER BY id")
        expect("what it reads", rows, ["Ada", "Grace"])
        refusal = await session.said("SELECT number FROM cards")
        expect("what it is told of another table", refusal, ["ERROR:  permission denied for table cards"])
        self._session = session
        return f"{self._login} reads {', '.join(rows)}\nPostgreSQL: {refusal[0]}"

    async def revokes(self) -> str:
        """Let alex press Revoke under the open connection, and see that nothing is left of it."""
        if self._session is None:
            raise NotAsTold("an earlier scene has not brought the connection that this one is about")
        play = self._play
        expect("the connection before", await self._session.said("SELECT 'open'"), ["open"])
        await play.press("alex", f"/console/grants/{play.id('table').replace('req_', 'grt_')}/revoke")
        proof = await play.proven("table", "probe_denied")
        done = await asyncio.to_thread(play.stage.ground.postgres.psql, LEFT.format(self._login))
        expect("logins and connections that are left", done.stdout.strip(), "0|0")
        cut = await self._session.said("SELECT name FROM customers")
        if not cut or "terminating connection" not in cut[0]:
            raise NotAsTold(f"the open connection was told: {cut}")
        return f"PostgreSQL: {cut[0]}\n{proof_sentence(proof)}"
