"""The intake API's reports: who had what in a period, as JSON or CSV."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic_core import to_json

from approvers.errors import Malformed
from approvers.reporting_period import period
from bot.deps import Deps
from bot.identity import Identity
from bot.incoming import check_query
from bot.intake import HEADERS, JSON_HEADERS
from bot.reports import Access, Reports, as_json, file_name, rows_as_csv
from bot.routes import Route

FORMATS = ("json", "csv")


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReportedLog(_Answer):
    """How much of the log the report was made from; `root` (hex) is that of the signed checkpoint of this size.

    `left_out`: how many newer records no checkpoint covers yet; the next report has them.
    """

    size: int
    root: str | None
    left_out: int


class ReportedTakenOut(_Answer):
    """How many of the log's first records were taken out of it, and when the first that is left was written.

    `requests`: those of which only later records are left; they count for nothing.
    """

    records: int
    before: AwareDatetime
    requests: list[str]


class ReportedChange(_Answer):
    """One record under `sys`: its number, when, by whom, and in plain words what."""

    at: AwareDatetime
    by: str
    kind: str
    said: str
    n: int


class ReportAnswer(_Answer):
    """Who had what in a period. Grants are those open in it, counts are of the requests asked for in it."""

    v: int
    since: AwareDatetime = Field(alias="from")
    to: AwareDatetime = Field(description="Not part of the period.")
    time_zone: str
    made_at: AwareDatetime
    log: ReportedLog
    taken_out: ReportedTakenOut | None = Field(description="What of the period an export holds, and this has not.")
    summary: dict[str, Any] = Field(description="`total`, and lists by actor, principal, person, role and approver.")
    changes: list[ReportedChange] = Field(description="Of policy, roster, keys and stand-ins.")
    stops: list[ReportedChange] = Field(description="Freezes, and revocations of many.")
    owed: list[str] = Field(description="Requests whose after-review is still owed.")
    not_read: list[str] = Field(description="Records of another shape than this version knows; they count for nothing.")
    grants: list[dict[str, Any]]


class IntakeReports:
    """Handle reports."""

    def __init__(self, deps: Deps) -> None:
        self._deps, self._reports = deps, Reports(deps.store)

    async def access(self, request: web.Request, _who: Identity) -> web.Response:
        """Answer with who had what between `from` and `to`, in UTC; `to` is not part of it."""
        check_query(request, ("from", "to", "format"))
        wanted = request.query.get("format", "json")
        if wanted not in FORMATS:
            raise Malformed(f"format is one of {', '.join(FORMATS)}", field="format")
        now = await self._deps.store.records.now()
        since, until = period(request.query.get("from", ""), request.query.get("to", ""), now)
        made = await self._reports.access(since, until)
        return await (csv_answer(made) if wanted == "csv" else json_answer(made))


async def json_answer(made: Access) -> web.Response:
    """Return a report as JSON; a long one is written beside the event loop, so that nobody else waits for it."""
    body = await asyncio.to_thread(lambda: to_json(as_json(made)))
    return web.Response(body=body, headers=JSON_HEADERS)


async def csv_answer(made: Access) -> web.Response:
    """Return the grants of a report as a file."""
    text = await asyncio.to_thread(lambda: "".join(rows_as_csv(made)))
    named = {"Content-Disposition": f'attachment; filename="{file_name(made)}"'}
    return web.Response(text=text, content_type="text/csv", charset="utf-8", headers={**HEADERS, **named})


def routes(reports: IntakeReports) -> Sequence[Route]:
    """Return the row of the table that reports."""
    text = {"type": "string"}
    return (
        Route(
            "GET",
            "/v1/reports/access",
            reports.access,
            "Report who had what in a period",
            frozenset({"read"}),
            {200: ("The report; with `format=csv` its grants alone, as CSV.", ReportAnswer)},
            query={
                "from": (text, "The first day or moment (UTC), or how long ago (`30d`)."),
                "to": (text, "The end, which is not part of the period; left out: now."),
                "format": ({"type": "string", "enum": list(FORMATS)}, "`json` (as if left out) or `csv`."),
            },
        ),
    )
