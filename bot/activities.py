"""Read what a grant's session was seen doing, for pages and for the API."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from approvers.activity import Activity
from approvers.activity_answer import activity_answer
from approvers.grant import Grant
from bot.identity import Identity
from bot.incoming import check_query
from bot.intake import ANY, Intake, json_response
from bot.reading import NotFound
from bot.routes import Route
from bot.wire_activity import ActivityAnswer
from workers.stores import layout
from workers.stores.port import Records


async def activity_of(records: Records, grant: Grant) -> Activity | None:
    """Return the record of what the grant's session did; None where nobody has looked yet."""
    key = layout.activity_key(grant.id)
    record = (await records.read([key])).records[key]
    return Activity.model_validate_json(record.json) if record.version else None


class IntakeActivity:
    """Handle what callers and overseers ask about what a session did."""

    def __init__(self, records: Records, intake: Intake) -> None:
        self._records, self._intake = records, intake

    async def read(self, request: web.Request, who: Identity) -> web.Response:
        """Answer with calls, flags, writes and what was never used: to its own caller, and to those who oversee."""
        check_query(request, ())
        view = await self._intake.own(request, who)
        if view.grant is None:
            raise NotFound(f"{view.request.id} has opened no grant.")
        return json_response(activity_answer(view.grant, await activity_of(self._records, view.grant)))


def routes(activities: IntakeActivity) -> Sequence[Route]:
    """Return the rows of the table that speak of activity."""
    return (
        Route(
            "GET",
            "/v1/grants/{id}/activity",
            activities.read,
            "Read what a grant's session did",
            ANY,
            {200: ("What was seen so far.", ActivityAnswer)},
            problems=("not_found",),
        ),
    )
