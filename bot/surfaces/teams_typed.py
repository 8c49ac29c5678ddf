"""Read what a person wrote in Teams: mentions of people become names of the roster."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from bot.surfaces.teams_incoming import Incoming
from bot.surfaces.teams_parts import TeamsParts

MOST_MENTIONS = 3
"""Mentions that are looked up in one message: no command names more people than one."""


async def typed(parts: TeamsParts, call: Incoming) -> str:
    """Return the command's text; a mention of somebody whom the roster knows is `user:NAME`, of others `@Name`.

    A mention's own words are the sender's: who is meant is what Teams says of the id behind it.
    """
    text = call.text
    for shown, who in _mentions(call)[:MOST_MENTIONS]:
        if shown in text:
            person = await parts.people.named(who, call.conversation, call.route)
            bare = shown.removeprefix("<at>").removesuffix("</at>")
            text = text.replace(shown, f"user:{person.name}" if person else f"@{bare}", 1)
    return text


def _mentions(call: Incoming) -> list[tuple[str, str]]:
    """Return each mention of a person, as it reads in the text, and their id."""
    entities = call.raw.get("entities")
    return [found for entity in (entities if isinstance(entities, list) else []) if (found := _mention(entity))]


def _mention(entity: Any) -> tuple[str, str] | None:
    if not isinstance(entity, Mapping) or entity.get("type") != "mention":
        return None
    shown, mentioned = entity.get("text"), entity.get("mentioned")
    who = mentioned.get("id") if isinstance(mentioned, Mapping) else None
    if not (isinstance(shown, str) and isinstance(who, str) and who.startswith("29:")):
        return None
    return " ".join(html.unescape(shown).split()), who
