"""Render the form with which people ask, as a card with inputs. Each input is named after the field that it fills."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from approvers.card_text import visible
from bot.request_form import BREAK_GLASS, RISKS, TTLS, WARNING
from bot.surfaces import teams_buttons as buttons
from bot.surfaces import teams_text as text
from bot.surfaces.teams_fields import choice, typed
from bot.surfaces.teams_text import TARGET, Block

MAX_TYPED = 3_000
"""Characters of a field."""
ROOMS = ((MAX_TYPED, 100), (1_200, 100), (400, 100), (400, 20))
"""How much of a typed field comes back with a complaint and how many choices a field has, until the form fits."""
TITLE, BROKEN = "Ask for access", "Break glass"


def request_form(
    roles: Sequence[str],
    environments: Sequence[str],
    *,
    values: Mapping[str, str] | None = None,
    problem: tuple[str, str] | None = None,
    break_glass: bool = False,
    require: Collection[str] = (),
) -> Block:
    """Return the form; its button has the verb `request` and carries the fields by their names.

    Args:
        roles: the names of the roster's roles; too many are typed instead of picked.
        environments: the policy's environments, in the order in which they are offered.
        values: what to fill in at first, by field.
        problem: field and sentence of a complaint, shown above that field.
        break_glass: whether it asks for break-glass: it says so, and its button has the verb `break_glass`.
        require: which of the optional fields have to be filled in.
    """
    for most, options in ROOMS:
        given = {name: text.clamp(visible(one, most), most) for name, one in (values or {}).items() if one}
        made = _form(_fields(roles, environments, given, options, require), problem, break_glass)
        if text.size(made) <= TARGET:
            break
    return made


def _form(fields: list[Block], problem: tuple[str, str] | None, break_glass: bool) -> Block:
    if problem:
        names = [one["id"] for one in fields]
        flag = text.marked(text.plain(problem[1], 600) or " ", weight="Bolder", color="Attention")
        fields.insert(names.index(problem[0]) if problem[0] in names else 0, flag)
    title = BROKEN if break_glass else TITLE
    head = [text.words(title, size="Large", weight="Bolder", style="heading")]
    if break_glass:
        head.append(text.words(WARNING, weight="Bolder", color="Attention"))
        ask = buttons.execute(BREAK_GLASS, "Take it now", None, spoken=title, style="destructive", inputs=True)
    else:
        ask = buttons.execute("request", "Ask", None, spoken=title, style="positive", inputs=True)
    return text.card([*head, *fields, *buttons.row([ask])], title)


def _fields(
    roles: Sequence[str], environments: Sequence[str], given: Mapping[str, str], most: int, require: Collection[str]
) -> list[Block]:
    undo = "How to undo it (optional)"
    ticket = "ticket" not in require
    return [
        _pick("role", "Role", [(one, one) for one in roles], given, most),
        _type("actions", "Actions, one per line; the first is the headline", "s3:GetObject", given, lines=True),
        _type("resources", "Resources as ARNs, one per line", "arn:aws:s3:::bucket/path/*", given, lines=True),
        _pick("environment", "Environment", [(one, one) for one in environments], given, most),
        _pick("ttl_seconds", "For how long", TTLS, {"ttl_seconds": "900", **given}, most),
        _type("reason", "Reason", "What is it for?", given, lines=True),
        _type("ticket", "Ticket (optional)" if ticket else "Ticket", "INC-42", given, optional=ticket),
        _type("data_classes", "Data in play (optional)", "pii, payments", given, optional=True),
        _type("undo", undo, "Restore the object's old version", given, optional=True, lines=True),
        _pick("risk", "Risk, if you know it to be higher (optional)", RISKS, given, most, optional=True),
    ]


def _type(
    name: str, title: str, example: str, given: Mapping[str, str], *, lines: bool = False, optional: bool = False
) -> Block:
    missing = "" if optional else "Fill this in."
    value = given.get(name, "")
    return typed(name, title, placeholder=example, most=MAX_TYPED, lines=lines, value=value, missing=missing)


def _pick(
    name: str,
    title: str,
    choices: Sequence[tuple[str, str]],
    given: Mapping[str, str],
    most: int,
    *,
    optional: bool = False,
) -> Block:
    if not 1 <= len(choices) <= most or any(len(value) > 75 for value, _ in choices):
        return _type(name, title, "Its name", given, optional=optional)
    values = [value for value, _ in choices]
    first = given.get(name) if given.get(name) in values else values[0] if len(values) == 1 and not optional else ""
    missing = "" if optional else "Choose one."
    return choice(name, title, list(choices), value=first or "", missing=missing)
