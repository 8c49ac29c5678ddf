"""The intake API's evidence: the records of one request, as they are stored."""

from __future__ import annotations

import json
from collections.abc import Sequence

from aiohttp import web

from approvers.audit import SYSTEM
from approvers.errors import NotBuilt
from bot.deps import Deps
from bot.identity import Identity
from bot.incoming import check_query, flag
from bot.intake import ANY, Intake, json_response
from bot.problems import Problem
from bot.routes import Route
from bot.wire import AuditAnswer

NOTE = (
    "Each record names the SHA-256 of the one before it (`prev`), so that none can be changed or taken out of the "
    "middle unseen. Signed checkpoints, which fix the whole log, are not built yet."
)


class IntakeAudit:
    """Handle what auditors ask."""

    def __init__(self, deps: Deps, intake: Intake) -> None:
        self._log, self._intake = deps.store.log, intake

    async def chain(self, request: web.Request, who: Identity) -> web.Response:
        """Answer with the records of a request and its grant, or of `sys`, oldest first."""
        check_query(request, ("bodies",))
        subject = await self._subject(request, who)
        bodies = await self._log.chain(subject)
        answer = {"subject": subject, "records": [json.loads(body) for body in bodies], "note": NOTE}
        if flag(request, "bodies"):
            answer["bodies"] = [body.decode() for body in bodies]
        return json_response(answer)

    async def checkpoint(self, _request: web.Request, _who: Identity) -> web.Response:
        """Refuse: there is no notary yet."""
        raise NotBuilt("signed checkpoints are not built yet")

    async def _subject(self, request: web.Request, who: Identity) -> str:
        """Return whose chain it is, if the caller may read it: its own, or any with the scope `read`."""
        if request.match_info["id"] == SYSTEM:
            if "read" not in who.scopes:
                raise Problem("missing_scope", f"The chain `{SYSTEM}` takes the scope read.", rule="scope")
            return SYSTEM
        view = await self._intake.own(request, who)
        return view.request.id


def routes(audit: IntakeAudit) -> Sequence[Route]:
    """Return the rows of the table that speak of evidence."""
    return (
        Route(
            "GET",
            "/v1/audit/checkpoint",
            audit.checkpoint,
            "Read the newest signed checkpoint (not built yet)",
            ANY,
            {},
            problems=("not_built",),
        ),
        Route(
            "GET",
            "/v1/audit/{id}",
            audit.chain,
            "Read the records of a request, or of `sys`",
            ANY,
            {200: ("The chain, oldest record first.", AuditAnswer)},
            query={"bodies": ({"type": "string", "enum": ["", "1", "true"]}, "The exact stored bytes as well.")},
        ),
    )
