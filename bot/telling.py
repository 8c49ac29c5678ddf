"""Tell an audit record in one plain sentence, and show its bytes harmlessly. Pure; the record stays the truth.

The sentences are `approvers.storytelling`'s: add one for a new kind of record there (`storytelling_words`, or
`storytelling_sys` for what stands under `sys`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from approvers import storytelling
from approvers.card import visible
from approvers.storytelling import WORDS
from approvers.storytelling_words import BAD, plain_name
from approvers.texts import restore

__all__ = ["BAD", "MAX_RAW", "WORDS", "Line", "name", "place", "raw", "tell", "told"]

MAX_RAW = 20_000
"""Characters of a record shown on a page; `countersign audit show --json` prints any record whole."""
Data = Mapping[str, Any]


@dataclass(frozen=True)
class Line(storytelling.Line):
    """One record, told, and the record as stored, for surfaces that show it."""

    raw: str


def tell(body: bytes, texts: Mapping[str, str] | None = None) -> Line:
    """Return the line of a stored record, with its texts put back. A kind that has no words is told by its name."""
    record = json.loads(body)
    return told(record if texts is None else restore(record, texts))


def told(record: Data) -> Line:
    """Return the line of a record whose texts are in place."""
    line = storytelling.line_of(record)
    return Line(**{name: getattr(line, name) for name in line.__dataclass_fields__}, raw=raw(record))


def raw(record: Data) -> str:
    """Return a record as people read it: what is invisible spelled out, its line breaks kept, cut where it is long."""
    text = visible(json.dumps(record, indent=2, ensure_ascii=False), MAX_RAW)
    return text.replace("whole in the record]", "`countersign audit show` prints all of it]")


def place(via: str) -> str:
    """Return where an answer was given: `in the console`, `over the API`."""
    return {"console": "in the console", "api": "over the API", "slack": "in Slack", "teams": "in Teams"}.get(via, via)


def name(principal: str) -> str:
    """Return what people call a principal: `dana` for `user:dana`, everything else with its kind."""
    return visible(plain_name(principal), 120)
