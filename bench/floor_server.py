"""The floor of intake: the same aiohttp server, reading the same body and making one Lua call of the same size.

It authenticates nobody, checks nothing, rules on nothing. The call is `commit.lua` itself over the store's own
connections, with the arguments of a real ask, of which only the ids are new; the answer is as long as a real one.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
from pathlib import Path

from aiohttp import web

from approvers.times import to_ms
from workers.stores.link import Link, Script

ID, AT = "@@ID@@", "@@AT@@"


async def main() -> None:
    """Serve until SIGTERM. Reads the recorded call from the file in `FLOOR_CALL`."""
    call = json.loads(Path(os.environ["FLOOR_CALL"]).read_text())
    arguments, answer = call["arguments"], call["answer"].encode()
    varying = [index for index, value in enumerate(arguments) if isinstance(value, str) and ID in value]
    times = [index for index, value in enumerate(arguments) if value == AT]
    link, script = Link(os.environ["COUNTERSIGN_REDIS_URL"], "{cs}:"), Script("commit")
    seconds, micros = await link.call("TIME")
    link.clock.heard(int(seconds) * 1000 + int(micros) // 1000)

    async def ask(request: web.Request) -> web.Response:
        await request.read()
        now = link.clock.read()
        row, fresh = list(arguments), secrets.token_hex(8)
        for index in varying:
            row[index] = row[index].replace(ID, fresh)
        for index in times:
            row[index] = to_ms(now) if now else 0
        reply = await link.run(script, row)
        assert isinstance(reply, int), reply
        link.clock.heard(reply)
        return web.Response(body=answer, status=202, content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/requests", ask)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"listening on http://127.0.0.1:{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await runner.cleanup()
    await link.aclose()


if __name__ == "__main__":
    asyncio.run(main())
