"""Serve access reports as a page and as a file: who had what in a period, who said yes, how it ended."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from approvers.card import visible
from approvers.errors import Malformed
from approvers.reporting_period import period
from approvers.times import spell
from bot.deps import Deps
from bot.incoming import check_query
from bot.intake_reports import csv_answer
from bot.reports import Access, Reports
from bot.surfaces.console_shell import Shell

HOME = "/console/reports"
SHOWN = 100
"""Grants of the page, changes, and after-reviews owed; the file and the JSON have all."""
NAMED = 25
"""Actors, persons, roles and approvers of the page, of each those with most asks."""
NAMES = (("actor", "Actor"), ("person", "Person behind"), ("role", "Role"), ("approver", "Approver"))


class Choice(NamedTuple):
    """A period that one press picks."""

    words: str
    path: str


class ReportPages:
    """Render the page, and give the file."""

    def __init__(self, deps: Deps, shell: Shell) -> None:
        self._deps, self._shell, self._reports = deps, shell, Reports(deps.store)

    async def page(self, request: web.Request) -> web.Response:
        """Show the period's report; without a period, this month's."""
        now, status = await self._deps.store.records.now(), 200
        first, last = request.query.get("from", ""), request.query.get("to", "")
        context: dict[str, Any] = {
            "title": "Reports", "first": first or f"{now:%Y-%m-01}", "last": last, "fault": "", "made": None,
            "picks": choices(now), "names": NAMES, "spell": lambda seconds: spell(timedelta(seconds=seconds)),
        }  # fmt: skip
        try:
            check_query(request, ("from", "to"))
            since, until = period(context["first"], last, now)
            made = await self._reports.access(since, until)
            context |= await asyncio.to_thread(_shown, made, context["first"], last)
        except Malformed as error:
            context["fault"], status = visible(error.detail, 300), 400
        return await self._shell.page(request, "reports.html", context, status=status)

    async def file(self, request: web.Request) -> web.Response:
        """Return the grants of the period as CSV."""
        check_query(request, ("from", "to"))
        now = await self._deps.store.records.now()
        return await csv_answer(await self._reports.access(*period(*_asked(request), now)))


def _shown(made: Access, first: str, last: str) -> dict[str, Any]:
    """Return what the page shows of a report; made beside the event loop, for a long one takes a while."""
    report = made.report
    rows = list(report.rows())
    owed = [one for one in rows if one.after_review == "owed"]
    return {
        "made": made,
        "rows": rows[:SHOWN],
        "grants": len(rows),
        "summary": report.summary(),
        "named": NAMED,
        "owed": owed[:SHOWN],
        "changes": report.changes[:SHOWN],
        "stops": report.stops[:SHOWN],
        "hidden": {
            "owed": max(0, len(owed) - SHOWN),
            "told": sum(max(0, len(some) - SHOWN) for some in (report.changes, report.stops)),
        },
        "strange": report.strange,
        "file": f"{HOME}.csv?{urlencode({'from': first, **({'to': last} if last else {})})}",
    }


def choices(now: datetime) -> list[Choice]:
    """Return periods that people mostly want: the last days, this month, the one before."""
    this = now.replace(day=1)
    before = (this - timedelta(days=1)).replace(day=1)
    return [
        Choice("Last 7 days", f"{HOME}?from=7d"),
        Choice("This month", f"{HOME}?from={this:%Y-%m-%d}"),
        Choice("Last month", f"{HOME}?from={before:%Y-%m-%d}&to={this:%Y-%m-%d}"),
    ]


def _asked(request: web.Request) -> tuple[str, str]:
    return request.query.get("from", ""), request.query.get("to", "")
