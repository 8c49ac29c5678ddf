"""The intake API's explanations: why policy answered a request as it did."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from approvers.explain import Explanation, InForce, explain_request, for_caller
from bot.deps import Deps
from bot.identity import Identity
from bot.incoming import check_query
from bot.intake import ANY, OVERSEERS, Intake, json_response
from bot.routes import Route


class CallerWhy(BaseModel):
    """What a caller reads of its own request: where it stands, and the notes of the rules that decided."""

    model_config = ConfigDict(extra="forbid")

    because: str
    notes: list[str]


class IntakePolicy:
    """Handle questions about rulings."""

    def __init__(self, deps: Deps, intake: Intake) -> None:
        self._policies, self._intake = deps.policies, intake

    async def why(self, request: web.Request, who: Identity) -> web.Response:
        """Answer people with everything; a caller with the notes only: the rest would be a recipe."""
        check_query(request, ())
        view = await self._intake.own(request, who)
        if not (who.is_person and who.scopes & OVERSEERS):
            return json_response(for_caller(view.request))
        book = self._policies.current
        found = explain_request(view.request, InForce(book.policy, book.policy_sha256))
        return json_response(found.model_dump(mode="json"))


def routes(policy: IntakePolicy) -> Sequence[Route]:
    """Return the rows of the table that explain."""
    return (
        Route(
            "GET",
            "/v1/requests/{id}/why",
            policy.why,
            "Read why policy answered so",
            ANY,
            {
                200: (
                    "Everything, for people who review, operate or read; the notes, for callers.",
                    Explanation | CallerWhy,
                )
            },
            problems=("malformed",),
        ),
    )
