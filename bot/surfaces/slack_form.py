"""Render the form with which people ask. Each block is named after the field of the request that it fills."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from approvers.card_text import visible
from bot.request_form import BREAK_GLASS, RISKS, TTLS, WARNING
from bot.surfaces.slack_text import Block, clamp, emoji, line, plain, rich, words

MAX_OPTIONS = 100


def request_form(
    roles: Sequence[str],
    environments: Sequence[str],
    *,
    values: Mapping[str, str] | None = None,
    break_glass: bool = False,
    require: Collection[str] = (),
) -> Block:
    """Return the form. `block_id` and `action_id` of an input are the field's name.

    Args:
        roles: the names of the roster's roles; over 100 they are typed instead of picked.
        environments: the policy's environments, in the order in which they are offered.
        values: what to fill in at first, by field.
        break_glass: whether it asks for break-glass: it says so, and carries that where nobody types.
        require: which of the optional fields have to be filled in.
    """
    given = values or {}
    fields = [
        _pick("role", "Role", [(role, role) for role in roles], given),
        _type("actions", "Actions", "s3:GetObject", given, hint="One per line; the first is the headline.", lines=True),
        _type("resources", "Resources", "arn:aws:s3:::bucket/path/*", given, hint="One per line, as ARNs.", lines=True),
        _pick("environment", "Environment", [(name, name) for name in environments], given),
        _pick("ttl_seconds", "For how long", TTLS, {"ttl_seconds": "900", **given}),
        _type("reason", "Reason", "What is it for?", given, lines=True),
        _type("ticket", "Ticket", "INC-42", given, optional="ticket" not in require),
        _type("data_classes", "Data in play", "pii, payments", given, optional=True),
        _type("undo", "How to undo it", "Restore the object's old version", given, optional=True, lines=True),
        _pick("risk", "Risk, if you know it to be higher", RISKS, given, optional=True),
    ]
    made: Block = {
        "type": "modal",
        "callback_id": "cs_request_view",
        "title": plain("Ask for access", 24),
        "submit": plain("Ask", 24),
        "close": plain("Cancel", 24),
        "blocks": fields,
    }
    if not break_glass:
        return made
    warned = rich([line(emoji("rotating_light"), words(f" {WARNING}", bold=True))], "cs_break_glass")
    return {
        **made,
        "title": plain("Break glass", 24),
        "submit": plain("Take it now", 24),
        "private_metadata": BREAK_GLASS,
        "blocks": [warned, *fields],
    }


def _type(
    name: str,
    label: str,
    example: str,
    given: Mapping[str, str],
    *,
    hint: str = "",
    lines: bool = False,
    optional: bool = False,
) -> Block:
    element: Block = {
        "type": "plain_text_input",
        "action_id": name,
        "multiline": lines,
        "max_length": 3_000,
        "placeholder": plain(example, 150),
    }
    if given.get(name):
        element["initial_value"] = clamp(visible(given[name], 3_000), 3_000)
    return _input(name, label, element, optional=optional, hint=hint)


def _pick(
    name: str, label: str, choices: Sequence[tuple[str, str]], given: Mapping[str, str], *, optional: bool = False
) -> Block:
    if not 1 <= len(choices) <= MAX_OPTIONS or any(len(value) > 75 for value, _ in choices):
        return _type(name, label, "Its name", given, optional=optional)
    options = [{"text": plain(shown, 75), "value": value} for value, shown in choices]
    element: Block = {
        "type": "static_select",
        "action_id": name,
        "placeholder": plain("Choose", 150),
        "options": options,
    }
    first = next((option for option in options if option["value"] == given.get(name)), None)
    if first or len(options) == 1:
        element["initial_option"] = first or options[0]
    return _input(name, label, element, optional=optional)


def _input(name: str, label: str, element: Block, *, optional: bool, hint: str = "") -> Block:
    made: Block = {"type": "input", "block_id": name, "label": plain(label, 2_000), "element": element}
    return {**made, "optional": optional, **({"hint": plain(hint, 2_000)} if hint else {})}
