"""The methods that say who and where: auth, users, user groups, conversations, team, bots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.worlds.slack.blocks import HOME, MODAL, message_problems, too_long, view_problems
from tests.worlds.slack.board import APP_ID, BOT, BOT_USER, Board
from tests.worlds.slack.content import flag, json_arg
from tests.worlds.slack.errors import Refused
from tests.worlds.slack.state import Channel, User

Args = Mapping[str, Any]


def auth_test(board: Board, _args: Args) -> dict[str, Any]:
    answer = {
        "url": f"https://{board.domain}.slack.com/",
        "team": board.domain,
        "user": "countersign",
        "team_id": board.team_id,
        "user_id": BOT_USER,
        "bot_id": BOT,
        "is_enterprise_install": False,
    }
    return answer | ({"enterprise_id": board.enterprise_id} if board.enterprise_id else {})


def team_info(board: Board, _args: Args) -> dict[str, Any]:
    team: dict[str, Any] = {"id": board.team_id, "name": board.domain, "domain": board.domain, "email_domain": ""}
    if board.enterprise_id:
        team |= {"enterprise_id": board.enterprise_id, "enterprise_name": "Acme Holding"}
    return {"team": team}


def bots_info(board: Board, args: Args) -> dict[str, Any]:
    if args.get("bot") != BOT:
        raise Refused("bot_not_found")
    return {"bot": {"id": BOT, "app_id": APP_ID, "user_id": BOT_USER, "name": "countersign", "deleted": False}}


def _shown(board: Board, user: User) -> dict[str, Any]:
    return user.shown(with_email="users:read.email" in board.app.scopes)


def users_info(board: Board, args: Args) -> dict[str, Any]:
    user = board.users.get(str(args["user"]))
    if user is None:
        raise Refused("user_not_found")
    if user.hidden:
        raise Refused("user_not_visible")
    return {"user": _shown(board, user)}


def users_lookup(board: Board, args: Args) -> dict[str, Any]:
    for user in board.users.values():
        if user.email and user.email.lower() == str(args["email"]).lower() and not user.flags.get("deleted"):
            return {"user": _shown(board, user)}
    raise Refused("users_not_found")


def users_list(board: Board, args: Args) -> dict[str, Any]:
    return paged("members", [_shown(board, user) for user in board.users.values() if not user.hidden], args)


def _groups(board: Board, args: Args) -> None:
    if board.free_plan:
        raise Refused("plan_upgrade_required")
    if board.org_token and not args.get("team_id"):
        raise Refused("missing_argument", ["[ERROR] an organisation's token needs team_id"])


def usergroups_list(board: Board, args: Args) -> dict[str, Any]:
    _groups(board, args)
    shown = []
    for group in board.groups.values():
        if group.disabled and not flag(args, "include_disabled"):
            continue
        one: dict[str, Any] = {
            "id": group.id,
            "team_id": board.team_id,
            "is_usergroup": True,
            "name": group.handle,
            "handle": group.handle,
            "date_delete": 1700000000 if group.disabled else 0,
        }
        if flag(args, "include_users"):
            one["users"] = list(group.members)
        shown.append(one)
    return {"usergroups": shown}


def usergroup_members(board: Board, args: Args) -> dict[str, Any]:
    _groups(board, args)
    group = board.groups.get(str(args["usergroup"]))
    if group is None or (group.disabled and not flag(args, "include_disabled")):
        raise Refused("no_such_subteam")
    return {"users": list(group.members)}


def _channel(board: Board, args: Args) -> Channel:
    """Return a conversation that the app may see, with the scope for its kind."""
    channel = board.channels.get(str(args["channel"]))
    if channel is None or (channel.is_private and not channel.bot_in):
        raise Refused("channel_not_found")
    scope = "im:read" if channel.is_im else "groups:read" if channel.is_private else "channels:read"
    if scope not in board.app.scopes:
        raise Refused("missing_scope", needed=scope, provided=",".join(sorted(board.app.scopes)))
    return channel


def conversations_info(board: Board, args: Args) -> dict[str, Any]:
    return {"channel": _channel(board, args).shown(board.team_id)}


def conversations_members(board: Board, args: Args) -> dict[str, Any]:
    channel = _channel(board, args)
    return paged("members", sorted(channel.members) + ([BOT_USER] if channel.bot_in else []), args)


def conversations_list(board: Board, args: Args) -> dict[str, Any]:
    kinds = set(str(args.get("types", "public_channel")).split(","))
    listed = []
    for channel in board.channels.values():
        kind = "im" if channel.is_im else "private_channel" if channel.is_private else "public_channel"
        if kind in kinds and (channel.bot_in or kind == "public_channel"):
            listed.append(channel.shown(board.team_id))
    return paged("channels", listed, args)


def conversations_open(board: Board, args: Args) -> dict[str, Any]:
    if args.get("channel"):
        return {"channel": {"id": _channel(board, args).id}}
    named = [it for it in str(args.get("users", "")).split(",") if it]
    if len(named) != 1:
        raise Refused("not_enough_users" if not named else "missing_scope", needed="mpim:write")
    user = board.users.get(named[0])
    if user is None:
        raise Refused("user_not_found")
    if user.hidden:
        raise Refused("user_not_visible")
    if user.flags.get("deleted"):
        raise Refused("user_disabled")
    if user.flags.get("is_bot"):
        raise Refused("cannot_dm_bot")
    known = any(it.is_im and user.id in it.members for it in board.channels.values())
    channel = {"id": board.direct(user.id).id}
    return {"channel": channel, "no_op": known, "already_open": known}


def blocks_validate(_board: Board, args: Args) -> dict[str, Any]:
    """Check a payload without a token: exactly one of blocks, message, view."""
    named = [name for name in ("blocks", "message", "view") if name in args]
    if len(named) != 1:
        raise Refused("invalid_arguments", ["[ERROR] exactly one of blocks, message, view is required"])
    value = json_arg(args, named[0], "invalid_arguments")
    if named[0] == "view":
        problems = view_problems(value, HOME if isinstance(value, dict) and value.get("type") == HOME else MODAL)
    else:
        blocks = value.get("blocks", []) if named[0] == "message" and isinstance(value, dict) else value
        problems = message_problems(blocks)
        if not problems and too_long(blocks):
            raise Refused("msg_blocks_too_long")
    if problems:
        raise Refused("invalid_blocks", problems)
    return {}


def paged(name: str, everything: Sequence[Any], args: Args) -> dict[str, Any]:
    """Return one page, at most 1000 (100 unless asked for), and the cursor of the next."""
    start = args.get("cursor") or "0"
    if not str(start).isdigit():
        raise Refused("invalid_cursor")
    size = int(args.get("limit") or 100)
    if not 0 < size <= 1000:
        raise Refused("invalid_limit")
    first, last = int(start), int(start) + size
    following = str(last) if last < len(everything) else ""
    return {name: list(everything[first:last]), "response_metadata": {"next_cursor": following}}
