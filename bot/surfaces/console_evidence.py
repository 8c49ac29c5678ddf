"""Hand out the records of one request as they are stored: the exact bytes that were hashed, one a line."""

from __future__ import annotations

import json

from aiohttp import web

from bot.deps import Deps


class Evidence:
    """Serve stored bytes."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def records(self, request: web.Request) -> web.Response:
        """Return the chain of a request, found by id or handle. Raises NotFound."""
        found = await self._deps.reader.by_handle(request.match_info["id"])
        view = await self._deps.reader.look(found)
        bodies = await self._deps.store.log.chain(view.request.id)
        first = json.loads(bodies[0])["n"] if bodies else 1
        part = "" if first == 1 else f"-from-{first}"  # those before it were taken out of the log
        named = {"Content-Disposition": f'attachment; filename="{view.request.id}{part}.jsonl"'}
        text = b"".join(body + b"\n" for body in bodies)
        return web.Response(body=text, content_type="application/jsonl", charset="utf-8", headers=named)
