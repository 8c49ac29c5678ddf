"""The intake API's search: which requests were there, of whom, on what, and how they ended."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from approvers.errors import Malformed
from approvers.grant import GrantState, ProofKind
from approvers.request import Because, RequestState
from bot.deps import Deps
from bot.identity import Identity
from bot.incoming import check_query, number
from bot.intake import ANY, json_response
from bot.routes import Route
from bot.searching import MOST_FOUND, Searching, found_answer
from bot.searching_query import AS, FIELDS, STATES, parse

USUAL = 20


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FoundGrant(_Answer):
    """What came of the credential."""

    id: str
    state: GrantState
    ended_by: str | None
    proof: ProofKind | None
    flagged: str | None


class FoundRequest(_Answer):
    """One request that was found; `position` is where in the log it was asked."""

    request: str
    handle: str
    position: int
    asked_at: AwareDatetime
    principal: str
    actor: str
    on_behalf_of: str | None
    action: str
    resource: str
    environment: str
    role: str | None
    account: str | None
    state: RequestState
    because: Because
    decided_at: AwareDatetime | None
    decided_by: list[str]
    break_glass: bool
    after_review: str | None
    grant: FoundGrant | None


class TakenOutAnswer(_Answer):
    """How many of the log's first records were taken out of it, and when the first that is left was written."""

    records: int
    before: AwareDatetime


class SearchAnswer(_Answer):
    """What was found, newest first, and how far back the search has come."""

    found: list[FoundRequest]
    next: str | None = Field(description="Send it as `after` to go on; null: everything was searched.")
    back_to: AwareDatetime | None
    records_looked_at: int
    taken_out: TakenOutAnswer | None = Field(description="What cannot be found here any more; an export holds it.")


class IntakeSearch:
    """Handle searches."""

    def __init__(self, deps: Deps) -> None:
        self._deps, self._searching = deps, Searching(deps)

    async def search(self, request: web.Request, who: Identity) -> web.Response:
        """Answer with one step of a search: the reader's own requests, or all for those who oversee.

        Fewer may come than asked for, even none, while `next` says that there is more to search.
        """
        check_query(request, (*FIELDS, "after", "limit"))
        limit, before = number(request, "limit", MOST_FOUND), number(request, "after", 10**9 - 1)
        if limit == 0:
            raise Malformed(f"limit is a number from 1 to {MOST_FOUND}", field="limit")
        given = {name: text for name, text in request.query.items() if name in FIELDS}
        query = parse(given, await self._deps.store.records.now())
        return json_response(
            found_answer(await self._searching.search(who, query, before=before, limit=limit or USUAL))
        )


def routes(search: IntakeSearch) -> Sequence[Route]:
    """Return the row of the table that searches."""
    text, moment = {"type": "string"}, "a day or moment (UTC), or how long ago (`90d`); of the ask"
    flag = {"type": "string", "enum": ["1", "true"]}
    return (
        Route(
            "GET",
            "/v1/audit",
            search.search,
            "Search requests by who, what, when and how it ended",
            ANY,
            {200: ("What was found, newest first.", SearchAnswer)},
            query={
                "actor": (text, "Who acted, with or without its kind."),
                "person": (text, "Who asked, decided, revoked or is behind: `dana`, `caller:report-bot`."),
                "as": ({"type": "string", "enum": list(AS)}, "Which part that person played; left out: any."),
                "resource": (text, "The beginning of a resource, or a pattern with `*`."),
                "action": (text, "An action, or a pattern with `*`."),
                "role": (text, "The alias of a role."),
                "from": (text, f"From {moment}."),
                "to": (text, f"Before {moment}."),
                "state": ({"type": "string", "enum": list(STATES)}, "Of the request, or of its grant."),
                "because": ({"type": "string", "enum": list(Because)}, "Why it stands so."),
                "proof": ({"type": "string", "enum": list(ProofKind)}, "How the end was shown."),
                "flagged": (flag, "Only where monitoring saw what was not granted."),
                "break_glass": (flag, "Only uses of break-glass."),
                "after": (text, "`next` of the last answer."),
                "limit": ({"type": "integer", "minimum": 1, "maximum": MOST_FOUND}, f"How many at most ({USUAL})."),
            },
        ),
    )
