"""Offer, at the end of Review, to approve less: a shorter time, fewer actions, tighter resources; and read it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from approvers.narrowing import Narrow, Offer
from bot.narrow_form import ACTIONS, FIELDS, LABELS, MAX_TYPED, RESOURCES, TTL, field_of, sentence, times, to_narrow
from bot.surfaces.slack_text import Block, clamp, plain

SUBMIT = "Approve as narrowed"
MOST_BOXES = 10
"""Checkboxes in one group; more actions are picked from a list."""
MAX_COMPLAINT = 500
Found = Mapping[str, tuple[str, Mapping[str, Any]]]
"""Field → the block it stands in, and what it holds."""


def inputs(offer: Offer, tag: str) -> list[Block]:
    """Return the inputs, filled with what was asked. `tag` makes block ids new, so that no client keeps old values."""
    head: Block = {"type": "header", "block_id": f"cs_less_{tag}", "text": plain("Or approve less", 150)}
    made = [head]
    if offer.ttls:
        options = [_option(shown, value) for value, shown in times(offer)]
        pick = {"type": "static_select", "options": options, "initial_option": options[-1]}
        made.append(_input(TTL, pick, tag))
    if offer.actions:
        options = [_option(name, name) for name in offer.actions]
        kind = "checkboxes" if len(options) <= MOST_BOXES else "multi_static_select"
        made.append(_input(ACTIONS, {"type": kind, "options": options, "initial_options": options}, tag))
    if offer.resources:
        typed = {"type": "plain_text_input", "multiline": True, "max_length": MAX_TYPED}
        made.append(_input(RESOURCES, {**typed, "initial_value": clamp("\n".join(offer.resources), MAX_TYPED)}, tag))
    return made


def wish(view: Mapping[str, Any]) -> Narrow:
    """Return what the sent form wants. Raises Malformed, with its field."""
    found = _found(view)
    ttl, actions, resources = (found[name][1] if name in found else None for name in FIELDS)
    return to_narrow(
        ttl=None if ttl is None else _value(ttl.get("selected_option")),
        actions=None if actions is None else [_value(one) for one in _list(actions.get("selected_options"))],
        resources=None if resources is None else str(resources.get("value") or ""),
    )


def complaint(view: Mapping[str, Any], field: str, detail: str) -> dict[str, str] | None:
    """Return a refusal as Slack shows it, at the block of its field; None where the form has no fields."""
    found = _found(view)
    if not found:
        return None
    block, _ = found[field_of(field, [name for name in FIELDS if name in found])]
    return {block: clamp(sentence(detail), MAX_COMPLAINT)}


def _found(view: Mapping[str, Any]) -> Found:
    state = view.get("state")
    values = state.get("values") if isinstance(state, dict) else None
    pairs = [
        (name, (block, held))
        for block, inner in (values.items() if isinstance(values, dict) else ())
        for name, held in (inner.items() if isinstance(inner, dict) else ())
        if name in FIELDS and isinstance(held, dict)
    ]
    return dict(pairs)


def _value(option: Any) -> str:
    return str(option.get("value", "")) if isinstance(option, dict) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _option(shown: str, value: str) -> Block:
    return {"text": plain(shown, 75), "value": value}


def _input(name: str, element: Block, tag: str) -> Block:
    made: Block = {"type": "input", "block_id": f"cs_less_{name}_{tag}", "label": plain(LABELS[name], 2_000)}
    return {**made, "optional": False, "element": {**element, "action_id": name}}
