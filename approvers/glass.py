"""Say whether break-glass is open to an ask: it stands in for a review, for a person whom the policy names, and once.

Until a use has had its after-review, it counts against the next one.
"""

from __future__ import annotations

from approvers.facts import Facts
from approvers.policy import Policy

_ELSE = "ask for a review: leave out break_glass"


def closed(policy: Policy, facts: Facts) -> str | None:
    """Return why break-glass is not open to this ask, and what to do; None where it is open."""
    terms = policy.break_glass
    if terms is None:
        return f"The policy has no break-glass; {_ELSE}."
    if facts.principal_kind != "person":
        return f"Break-glass is for people only, signed in as themselves; {_ELSE}."
    if not {facts.principal, *(f"group:{name}" for name in facts.groups)}.intersection(terms.who):
        return f"Break-glass is not open to you; {_ELSE}."
    said = {"reason": facts.reason, "ticket": facts.ticket or ""}
    if missing := [name for name in terms.require if not said[name].strip()]:
        return f"Break-glass needs a {' and a '.join(missing)}; name it, or {_ELSE}."
    if facts.owed >= terms.open_max:
        uses = "your last use is" if facts.owed == 1 else f"{facts.owed} of your uses are"
        return f"Break-glass is closed to you: {uses} not reviewed yet; have that done first, or {_ELSE}."
    return None
