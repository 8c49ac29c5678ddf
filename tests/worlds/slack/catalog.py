"""Every method of the Web API that this world has: who may call it, with which scope and which arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.worlds.slack import methods_chat as chat
from tests.worlds.slack import methods_people as people
from tests.worlds.slack import methods_views as views
from tests.worlds.slack.board import Board

_MESSAGE = frozenset({
    "text", "blocks", "attachments", "markdown_text", "as_user", "icon_emoji", "icon_url", "link_names", "parse",
    "username", "thread_ts",
})  # fmt: skip
_PAGE = frozenset({"cursor", "limit"})


@dataclass(frozen=True)
class Method:
    """One method. `scope` "" needs none; `kind` is the token it takes."""

    run: Callable[[Board, Mapping[str, Any]], dict[str, Any]]
    scope: str = ""
    needed: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    kind: Literal["bot", "app", "none"] = "bot"


def _method(
    run: Any, scope: str = "", needed: str = "", allowed: frozenset[str] | str = "", kind: Any = "bot"
) -> Method:
    more = frozenset(allowed.split()) if isinstance(allowed, str) else allowed
    return Method(run, scope, frozenset(needed.split()), more, kind)


METHODS: dict[str, Method] = {
    "auth.test": _method(people.auth_test),
    "blocks.validate": _method(people.blocks_validate, allowed="blocks message view", kind="none"),
    "bots.info": _method(people.bots_info, "users:read", "bot", "team_id"),
    "chat.delete": _method(chat.delete, "chat:write", "channel ts", "as_user"),
    "chat.getPermalink": _method(chat.permalink, "", "channel message_ts"),
    "chat.postEphemeral": _method(chat.post_ephemeral, "chat:write", "channel user", _MESSAGE),
    "chat.postMessage": _method(
        chat.post_message,
        "chat:write",
        "channel",
        _MESSAGE | {"metadata", "mrkdwn", "reply_broadcast", "unfurl_links", "unfurl_media"},
    ),
    "chat.update": _method(
        chat.update,
        "chat:write",
        "channel ts",
        (_MESSAGE - {"icon_emoji", "icon_url", "username", "thread_ts"}) | {"metadata", "reply_broadcast", "file_ids"},
    ),
    "conversations.info": _method(
        people.conversations_info, "channels:read|groups:read|im:read", "channel", "include_locale include_num_members"
    ),
    "conversations.list": _method(
        people.conversations_list, "channels:read|groups:read", "", _PAGE | {"types", "exclude_archived", "team_id"}
    ),
    "conversations.members": _method(
        people.conversations_members, "channels:read|groups:read|im:read", "channel", _PAGE
    ),
    "conversations.open": _method(
        people.conversations_open, "im:write", "", "channel users prevent_creation return_im"
    ),
    "team.info": _method(people.team_info, "team:read", "", "team domain"),
    "usergroups.list": _method(
        people.usergroups_list, "usergroups:read", "", "include_count include_disabled include_users team_id"
    ),
    "usergroups.users.list": _method(
        people.usergroup_members, "usergroups:read", "usergroup", "include_disabled team_id"
    ),
    "users.info": _method(people.users_info, "users:read", "user", "include_locale"),
    "users.list": _method(people.users_list, "users:read", "", _PAGE | {"include_locale", "team_id"}),
    "users.lookupByEmail": _method(people.users_lookup, "users:read.email", "email"),
    "views.open": _method(views.open_view, "", "view", "trigger_id interactivity_pointer"),
    "views.publish": _method(views.publish, "", "user_id view", "hash"),
    "views.push": _method(views.push, "", "view", "trigger_id interactivity_pointer"),
    "views.update": _method(views.update, "", "view", "view_id external_id hash"),
}
