"""The views methods: modals are opened with a trigger and lie on a stack, a Home is published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.worlds.slack.blocks import HOME, MODAL, VIEW_BYTES, view_problems
from tests.worlds.slack.board import Board
from tests.worlds.slack.content import json_arg
from tests.worlds.slack.errors import Refused
from tests.worlds.slack.state import View

Args = Mapping[str, Any]
DEEPEST = 3


def read_view(board: Board, args: Args, surface: str, instead_of: View | None = None) -> dict[str, Any]:
    """Check and return a view payload, with the ids that Slack gives; `instead_of` may keep its external_id."""
    view = json_arg(args, "view", "invalid_arguments")
    if len(json.dumps(view, ensure_ascii=False).encode()) > VIEW_BYTES:
        raise Refused("view_too_large")
    if problems := view_problems(view, surface):
        raise Refused("invalid_arguments", problems)
    if external := view.get("external_id"):
        holder = board.find_view(external_id=external)
        if holder is not None and (instead_of is None or holder.id != instead_of.id):
            raise Refused("duplicate_external_id")
    return {**view, "blocks": board.named(view["blocks"])}


def _added(board: Board, user: str, payload: dict[str, Any], under: View | None) -> View:
    name = f"V{board.number():08d}"
    return View(name, user, payload, board.new_hash(), under.root if under else name, under.id if under else None)


def open_view(board: Board, args: Args) -> dict[str, Any]:
    trigger = board.trade(args.get("trigger_id"))
    payload = read_view(board, args, MODAL)
    trigger.used = True
    view = _added(board, trigger.user, payload, None)
    board.stacks[trigger.user] = [view]
    board.touch()
    return {"view": board.shown_view(view)}


def push(board: Board, args: Args) -> dict[str, Any]:
    trigger = board.trade(args.get("trigger_id"))
    stack = board.stack(trigger.user)
    if trigger.view is None or trigger.view not in {view.id for view in stack}:
        raise Refused("not_found")
    payload = read_view(board, args, MODAL)
    view = push_on(board, trigger.user, payload)
    trigger.used = True
    return {"view": board.shown_view(view)}


def push_on(board: Board, user: str, payload: dict[str, Any]) -> View:
    """Lay a view on top of a person's stack, of which there are at most 3."""
    stack = board.stack(user)
    if len(stack) >= DEEPEST:
        raise Refused("push_limit_reached")
    view = _added(board, user, payload, stack[-1])
    board.stacks[user] = [*stack, view]
    board.touch()
    return view


def change(board: Board, view: View, payload: dict[str, Any]) -> View:
    """Put new content into an open view."""
    return board.set_view(replace(view, payload=payload, hash=board.new_hash(), errors={}))


def update(board: Board, args: Args) -> dict[str, Any]:
    if bool(args.get("view_id")) == bool(args.get("external_id")):
        raise Refused("invalid_arguments", ["[ERROR] exactly one of view_id and external_id is required"])
    old = board.find_view(view_id=args.get("view_id"), external_id=args.get("external_id"))
    if old is None:
        raise Refused("not_found")
    if args.get("hash") and args["hash"] != old.hash:
        raise Refused("hash_conflict")
    return {"view": board.shown_view(change(board, old, read_view(board, args, old.type, old)))}


def publish(board: Board, args: Args) -> dict[str, Any]:
    if not board.app.home:
        raise Refused("not_enabled")
    user = board.users.get(str(args["user_id"]))
    if user is None or user.flags.get("deleted"):
        raise Refused("invalid_arguments", ["invalid `user_id`"])
    old = board.homes.get(user.id)
    if args.get("hash") and (old is None or args["hash"] != old.hash):
        raise Refused("hash_conflict")
    payload = read_view(board, args, HOME, old)
    if old:
        return {"view": board.shown_view(change(board, old, payload))}
    view = _added(board, user.id, payload, None)
    return {"view": board.shown_view(board.set_view(view))}
