"""Offer what people do about what was taken already: the after-review of a use of break-glass."""

from __future__ import annotations

from typing import Annotated

import typer

from countersign.client import AsyncClient
from countersign.commands.common import Json, Url, WrongOption, perform, put, put_json
from countersign.models import Request

VERDICTS = ("justified", "unjustified")


def after_review(
    request_id: Annotated[str, typer.Argument(metavar="ID", help="The request's id, its grant's id or its handle.")],
    verdict: Annotated[str, typer.Argument(metavar="VERDICT", help="justified or unjustified.")],
    reason: Annotated[str, typer.Option(help="Why; needed for unjustified, and everybody who was told reads it.")] = "",
    url: Url = None,
    json_: Json = False,
) -> None:
    """Say, with your own key, whether a use of break-glass was justified. Exit codes: 0 taken, 1 refused."""
    if verdict not in VERDICTS:
        raise WrongOption(f"write {' or '.join(VERDICTS)}, not {verdict!r}", field="VERDICT")

    async def work(client: AsyncClient) -> Request:
        return await client.after_review(request_id, verdict, reason)

    taken = perform(url, work)
    put_json(taken.raw()) if json_ else put(standing(taken))


def standing(request: Request) -> str:
    """Say in one line what was found of a use, and by whom."""
    found = request.after_review
    if found is None or found.verdict is None:
        return f"{request.label} is not reviewed yet"
    why = f": {found.reason}" if found.reason else ""
    return f"{request.label}, taken by {request.principal}, was {found.verdict}, says {found.by}{why}"
