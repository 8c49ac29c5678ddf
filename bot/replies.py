"""Say what a command answers, before any surface has rendered it.

Every text in here is untrusted until a renderer has made it literal for its own markup: reasons, resources and names
are written by whoever asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from approvers.card import Card

MAX_ROWS = 20
"""Rows of one answer; more than that nobody reads on a phone."""
MAX_CHOICES = 100
"""Choices of one picker: as many as chat platforms take."""
BULLET = "• "
"""Begins a line that belongs to the one before it."""
RowButton = Literal["show", "review", "revoke"]


@dataclass(frozen=True)
class Row:
    """One request in a list: its handle, what it is, a smaller line below, and what can be done from here.

    Attributes:
        request: the request's id, which buttons name; None for a row that has none.
        shown: the digest of what the row's card would show; it travels with a click.
    """

    request: str | None
    handle: str
    title: str
    detail: str
    buttons: tuple[RowButton, ...] = ()
    shown: str = ""


@dataclass(frozen=True)
class Choice:
    """One entry of a picker; picking it runs `command` as if the person had typed it."""

    label: str
    command: str


@dataclass(frozen=True)
class Reply:
    """The private answer to one command.

    Attributes:
        hidden: how many rows there are beyond those given.
        choices: a picker, where the command lacked an id.
        card: the whole card of one request.
        form: the name of a form that the surface opens instead of answering.
        follow: ids of requests whose end the surface reports as it is proven.
        link: label and address of one link that is ours.
    """

    title: str
    lines: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    hidden: int = 0
    choices: tuple[Choice, ...] = ()
    card: Card | None = None
    form: Literal["request", "break_glass"] | None = None
    follow: tuple[str, ...] = ()
    link: tuple[str, str] | None = None
