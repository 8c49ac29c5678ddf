"""The intake API's evidence: the records of one request, as they are stored."""

from __future__ import annotations

import json
from collections.abc import Sequence

from aiohttp import web

from approvers.audit import SYSTEM
from approvers.checkpoint import read_checkpoint
from approvers.texts import restore
from approvers.times import stamp
from bot.deps import Deps
from bot.identity import Identity
from bot.incoming import check_query, flag
from bot.intake import ANY, Intake, json_response
from bot.problems import Problem
from bot.reading import NotFound
from bot.routes import Route
from bot.stories import chain_and_head
from bot.wire import AuditAnswer, CheckpointAnswer
from workers.stores import layout
from workers.stores.signed import signed_so_far

NOTE = (
    "Each record names the SHA-256 of the one before it (`prev`), so that none can be changed or taken out of the "
    "middle unseen. Whether the whole log is there, the signed checkpoints show: `GET /v1/audit/checkpoint`."
)


class IntakeAudit:
    """Handle what auditors ask."""

    def __init__(self, deps: Deps, intake: Intake) -> None:
        self._log, self._records, self._intake = deps.store.log, deps.store.records, intake

    async def chain(self, request: web.Request, who: Identity) -> web.Response:
        """Answer with the records of a request and its grant, or of `sys`, oldest first."""
        check_query(request, ("bodies",))
        subject = await self._subject(request, who)
        bodies, head = await chain_and_head(self._log, subject)
        texts = await self._log.texts([subject])
        records = [restore(json.loads(body), texts) for body in bodies]
        answer: dict[str, object] = {"subject": subject, "taken_out": head.n, "records": records, "note": NOTE}
        if flag(request, "bodies"):
            answer["texts"] = dict(texts)
            answer["bodies"] = [body.decode() for body in bodies]
        return json_response(answer)

    async def checkpoint(self, _request: web.Request, _who: Identity) -> web.Response:
        """Answer with the newest signed checkpoint of the log."""
        seen = await self._records.read([layout.NOTARY])
        signed = signed_so_far(seen.records[layout.NOTARY])
        if signed is None or signed.at is None:
            raise NotFound("Nothing is signed yet: there are no records, or no clock has run.")
        checkpoint = read_checkpoint(signed.note)
        return json_response(
            {
                "note": signed.note,
                "origin": checkpoint.origin,
                "size": checkpoint.size,
                "root": checkpoint.root.hex(),
                "at": stamp(signed.at),
            }
        )

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
            "Read the newest signed checkpoint of the log",
            ANY,
            {200: ("The checkpoint: a C2SP signed note, and what it says.", CheckpointAnswer)},
            problems=("not_found",),
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
