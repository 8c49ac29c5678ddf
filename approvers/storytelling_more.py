"""Say what else a record tells, in further sentences: on what, under which rules, with what proof. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta

from approvers.card_text import one_line
from approvers.storytelling_words import Data, plain_name, typed
from approvers.times import spell

MOST_RULES = 6
MOST_NAMES = 6
DIGEST = 16
"""Characters of a digest that a story prints; the record has all."""
MAX_CARD = 240
"""Characters of a card that a story prints; the record has all."""


def and_more(names: Iterable[str], most: int = MOST_NAMES) -> str:
    """Return the first names, and how many there are besides."""
    found = list(names)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def lasting(seconds: int) -> str:
    """Spell seconds for people: `15 min`."""
    return spell(timedelta(seconds=seconds))


def _submitted(data: Data) -> Iterator[str]:
    action, ruling = data["action"], data["ruling"]
    yield from _wanted(data)
    yield from _claims(data)
    if reason := typed(action.get("reason")):
        yield f"The reason given: {reason}"
    if undo := typed(action.get("undo")):
        yield f"To undo it: {undo}"
    if ticket := action.get("ticket"):
        yield f"Ticket: {ticket}"
    yield f"Policy sha256:{ruling['policy_sha256'][:DIGEST]} says {ruling['effect']}, {_rules(ruling)}."
    if ruling["seats"] and ruling["effect"] == "review":
        yield f"It takes {needs(ruling['seats'])}{_in_time(ruling)}."
    risk = ruling["risk"]
    points = "; ".join(f"{part['points']:+d} {part['why']}" for part in risk["points"])
    yield f"Risk: {risk['level']}, {risk['score']} points{f' ({points})' if points else ''}."
    if barred := ruling.get("barred"):
        yield f"May not answer: {and_more(map(plain_name, barred))}."


def _wanted(data: Data) -> Iterator[str]:
    action, plan = data["action"], data.get("plan")
    for_whom = action["actor"].get("on_behalf_of")
    yield f"{action['actor']['id']} acts" + (f", on behalf of {plain_name(for_whom)}." if for_whom else ".")
    if plan and plan.get("role"):
        yield (
            f"Wanted: role {plan['role']} in {plan['account']} ({plan['environment']}) for "
            f"{lasting(plan['ttl_seconds'])}: {and_more(plan['actions'])} on {and_more(plan['resources'])}."
        )
    elif not action.get("access"):
        yield "Wanted: a yes to exactly this action, once; no credential."


def _rules(ruling: Data) -> str:
    hits = ruling["rules"]
    if not hits:
        return "by its default"
    said = [f"{hit['name']} ({hit['note']})" if hit.get("note") else hit["name"] for hit in hits]
    return f"by {and_more(said, MOST_RULES)}"


def needs(seats: Mapping[str, int]) -> str:
    """Return how many people of which groups: `1 of sre and 2 of dba`."""
    return " and ".join(f"{count} of {group}" for group, count in sorted(seats.items())) or "nobody"


def _in_time(ruling: Data) -> str:
    seconds = ruling.get("expires_after_seconds")
    return f" within {lasting(seconds)}" if seconds else ""


def _reviewed(data: Data) -> Iterator[str]:
    if groups := data.get("own_groups") or data.get("groups"):
        yield f"Sits in {and_more(groups)}."
    if filled := [f"{helper} for {group}" for helper, group in data.get("fill_in", ())]:
        yield f"By then these may fill in: {and_more(filled)}."
    yield from _claims(data)
    yield from _shown(data)
    if raised := data.get("raised"):
        yield f"Raised since the ask: {and_more(map(str, raised))}."
    if sha := data.get("policy_sha256"):
        yield f"Counted under policy sha256:{sha[:DIGEST]}."


def _claims(data: Data) -> Iterator[str]:
    """Say what the person's or caller's own token proves."""
    if proof := data.get("proof"):
        yield f"Their token says: {and_more(f'{name} {value}' for name, value in proof.items())}."


def _shown(data: Data) -> Iterator[str]:
    """Say which card the person had before them, and what stood on it."""
    card = data.get("card") or {}
    if digest := data.get("shown"):
        yield f"Had card {digest[:DIGEST]} before them{'' if card.get('text') else _text_elsewhere(card)}."
    elif "shown" in data:
        was = f"; it stood as {card['digest'][:DIGEST]}" if card else ""
        yield f"No card came with the answer{was}{'' if card.get('text') else _text_elsewhere(card)}."
    if text := typed(card.get("text")):
        yield f"The card said: {one_line(text, MAX_CARD)}"


def _text_elsewhere(card: Data) -> str:
    return ", whose text stands with an earlier answer" if card else ""


def _decided(data: Data) -> Iterator[str]:
    if because := BECAUSE.get(data.get("because", "")):
        yield because
    if lent := data.get("lent"):
        yield "; ".join(f"{plain_name(taker)} answered for {plain_name(giver)}" for taker, giver in lent.items()) + "."


def _reruled(data: Data) -> Iterator[str]:
    ruling = data["ruling"]
    yield f"Policy sha256:{ruling['policy_sha256'][:DIGEST]} says {ruling['effect']}, {_rules(ruling)}."


def _opened(data: Data) -> Iterator[str]:
    plan = data["plan"]
    yield (
        f"Granted: {and_more(plan['actions'])} on {and_more(plan['resources'])} in {plan['account']}, for "
        f"{lasting(plan['ttl_seconds'])} from the mint on."
    )


def _ended(data: Data) -> Iterator[str]:
    proof = data.get("proof")
    if proof and proof.get("detail"):
        yield f"The provider's words: {proof['detail']}"


def _flagged(data: Data) -> Iterator[str]:
    for flag in data.get("flags", ()):
        if flag.get("calls"):
            yield f"First seen: {flag['calls'][0]}"


def _reported(data: Data) -> Iterator[str]:
    if less := data.get("proposal"):
        yield f"Narrower next time: {and_more(less['actions'])} on {and_more(less['resources'])}."


BECAUSE: Mapping[str, str] = {
    "rule": "Policy alone decided; no person was asked.",
    "quorum": "The people whom policy asks for have said yes.",
    "reviewer": "One no is enough.",
    "not_evaluated": "Policy could not be evaluated: that is no judgement on the ask.",
    "break_glass": "Nobody was asked first: it was taken by break-glass.",
    "nobody_answered": "Nobody answered in time; that is no denial.",
    "nobody_reached": "No reviewer was ever shown it; that is our fault, and no denial.",
    "withdrawn": "Who asked took it back.",
}
"""What each `because` of a decision means."""
MORE: Mapping[str, Callable[[Data], Iterable[str]]] = {
    "request.submitted": _submitted,
    "request.approved": _decided,
    "request.denied": _decided,
    "request.expired": _decided,
    "request.cancelled": _decided,
    "request.reruled": _reruled,
    "review.recorded": _reviewed,
    "review.refused": _shown,
    "grant.opened": _opened,
    "grant.revoked": _ended,
    "grant.flagged": _flagged,
    "grant.kill_requested": _flagged,
    "grant.reported": _reported,
}
"""What a kind of record says besides its first sentence."""
