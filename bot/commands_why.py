"""Explain a ruling to a person in chat: which rules decided and on what, whose seats, why it is risky, what nearly was.

Pure. For people only: to an agent the near misses would be a recipe.
"""

from __future__ import annotations

from approvers.card import visible
from approvers.explain import InForce, explain_request, lines
from approvers.request import Request
from workers.policies import Rulebook

MAX_LINE = 400


def why(request: Request, book: Rulebook | None = None) -> tuple[str, ...]:
    """Return the lines, most decisive first; `book` is what is in force, where that should be compared."""
    current = InForce(book.policy, book.policy_sha256) if book else None
    return tuple(visible(line, MAX_LINE) for line in lines(explain_request(request, current), request))
