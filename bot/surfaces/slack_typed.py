"""Read the text of a slash command as the person typed it.

Slack escapes `& < >` in typed text, so whatever still stands in angle brackets is Slack's own: a mention, a channel or
a link. Mentions become names of the roster; the others become the words that the person saw.
"""

from __future__ import annotations

import re

from approvers.roster import Roster

_BRACKETS = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
"""In this order: `&amp;lt;` was typed as `&lt;`."""


def typed(text: str, roster: Roster, team: str | None) -> str:
    """Return the command's text; a mention of somebody whom the roster knows is `user:NAME`."""

    def plain(match: re.Match[str]) -> str:
        sign, target, label = match[1], match[2], match[3]
        if sign != "@":
            return label or target
        found = roster.by_slack(target, team)
        return f"user:{found[0].name}" if len(found) == 1 else f"@{label or target}"

    text = _BRACKETS.sub(plain, text)
    for entity, char in _ENTITIES:
        text = text.replace(entity, char)
    return text
