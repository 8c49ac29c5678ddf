"""Rich text: the block in which nothing is parsed, and its sub-elements."""

from __future__ import annotations

from tests.worlds.slack.elements import CHANNEL_ID, USER_ID
from tests.worlds.slack.shapes import Check, array, boolean, one_of, pattern, shape, string, typed, url, whole

_STYLES = ("bold", "italic", "strike", "code", "underline", "highlight", "client_highlight", "unlink")
STYLE = shape(None, **dict.fromkeys(_STYLES, boolean))
_LINK = shape({"url": url(3000, "http", "https", "mailto", "slack")}, text=string(3000, 1), unsafe=boolean, style=STYLE)
_TEXT = shape({"text": string(40_000, 1)}, style=STYLE)
_INLINE: dict[str, Check] = {
    "text": _TEXT,
    "link": _LINK,
    "user": shape({"user_id": USER_ID}, style=STYLE),
    "usergroup": shape({"usergroup_id": pattern(r"S[A-Z0-9]{1,20}")}, style=STYLE),
    "channel": shape({"channel_id": CHANNEL_ID}, style=STYLE),
    "team": shape({"team_id": pattern(r"T[A-Z0-9]{1,20}")}, style=STYLE),
    "emoji": shape({"name": string(100, 1)}, unicode=string(100), skin_tone=whole(1, 6), style=STYLE),
    "broadcast": shape({"range": one_of("here", "channel", "everyone")}, style=STYLE),
    "color": shape({"value": pattern(r"#[0-9a-fA-F]{6}")}, style=STYLE),
    "date": shape(
        {"timestamp": whole(0, 9_999_999_999), "format": string(200, 1)},
        url=url(3000),
        fallback=string(500, 1),
        style=STYLE,
    ),
}
_ANY_INLINE = typed("rich text element", _INLINE)
_VERBATIM = typed("preformatted element", {"text": _TEXT, "link": _LINK})
_BORDER = whole(0, 1)
_SECTION = shape({"elements": array(_ANY_INLINE, 1000, 0)})
_SECTIONS = typed("list item", {"rich_text_section": _SECTION})

RICH_TEXT = shape(
    {
        "elements": array(
            typed(
                "rich text object",
                {
                    "rich_text_section": _SECTION,
                    "rich_text_list": shape(
                        {"style": one_of("bullet", "ordered"), "elements": array(_SECTIONS, 1000)},
                        indent=whole(0, 8),
                        offset=whole(0, 10_000),
                        border=_BORDER,
                    ),
                    "rich_text_preformatted": shape(
                        {"elements": array(_VERBATIM, 1000)}, border=_BORDER, language=string(50, 1)
                    ),
                    "rich_text_quote": shape({"elements": array(_ANY_INLINE, 1000)}, border=_BORDER),
                },
            ),
            1000,
        )
    },
    block_id=string(255, 1),
)
