"""Serve the page on which people look for a request: by who, on what, when, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from approvers.card import render, visible
from approvers.errors import Malformed
from approvers.grant import ProofKind
from approvers.request import Because
from bot.deps import Deps
from bot.incoming import check_query, number
from bot.searching import Found, Hit, Searching
from bot.searching_query import AS, FIELDS, FLAGS, STATES, parse
from bot.surfaces.console_guard import SIGNED_IN
from bot.surfaces.console_shell import Shell

HOME = "/console/search"
SHOWN = 25
"""Requests of one page."""
CHOICES: Mapping[str, tuple[str, ...]] = {
    "as": AS, "state": STATES, "because": tuple(Because), "proof": tuple(ProofKind),
}  # fmt: skip
LABELS: Mapping[str, str] = {
    "person": "Person or caller",
    "as": "As the one who",
    "actor": "Actor",
    "resource": "Resource",
    "action": "Action",
    "role": "Role",
    "from": "Asked from",
    "to": "Asked before",
    "state": "Stands at",
    "because": "Because",
    "proof": "Proof of the end",
    "flagged": "Flagged by monitoring",
    "break_glass": "Taken by break-glass",
}
HINTS: Mapping[str, str] = {
    "person": "dana, or caller:report-bot",
    "actor": "report-bot",
    "resource": "arn:aws:s3:::exports/, or *secret*",
    "action": "s3:Get*",
    "role": "analytics",
}


@dataclass(frozen=True)
class Shown:
    """One request as the list shows it."""

    path: str
    handle: str
    headline: str
    asked_at: str
    phase: str
    status: str


class Search:
    """Render the form, and what it finds."""

    def __init__(self, deps: Deps, shell: Shell) -> None:
        self._deps, self._shell, self._searching = deps, shell, Searching(deps)

    async def page(self, request: web.Request) -> web.Response:
        """Show the form and, once something is asked, one step of the search."""
        given = {name: request.query.get(name, "") for name in FIELDS}
        context: dict[str, Any] = {
            "title": "Search", "given": given, "labels": LABELS, "hints": HINTS, "choices": CHOICES, "flags": FLAGS,
            "found": None, "shown": (), "more": "", "fault": "",
        }  # fmt: skip
        status = 200
        try:
            check_query(request, (*FIELDS, "after"))
            before = number(request, "after", 10**9 - 1)
            if request.query:
                context |= await self._found(request, given, before)
        except Malformed as error:
            context["fault"], status = visible(error.detail, 300), 400
        return await self._shell.page(request, "search.html", context, status=status)

    async def _found(self, request: web.Request, given: Mapping[str, str], before: int | None) -> Mapping[str, Any]:
        query = parse(given, await self._deps.store.records.now())
        found = await self._searching.search(request[SIGNED_IN].identity, query, before=before, limit=SHOWN)
        return {"found": found, "shown": [_shown(hit) for hit in found.hits], "more": _more(given, found)}


def _shown(hit: Hit) -> Shown:
    card = render(hit.view.request, hit.view.grant)
    return Shown(
        path=f"/console/requests/{card.request_id}",
        handle=card.handle,
        headline=card.push,
        asked_at=f"{hit.view.request.submitted_at:%Y-%m-%d %H:%M} UTC",
        phase=card.phase,
        status=card.status,
    )


def _more(given: Mapping[str, str], found: Found) -> str:
    """Return the address of the next step; empty where there is none."""
    if found.go_on is None:
        return ""
    wanted = {name: text for name, text in given.items() if text}
    return f"{HOME}?{urlencode({**wanted, 'after': found.go_on})}"
