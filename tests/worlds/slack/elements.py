"""The parts inside blocks, as Slack's reference gives them: texts, options, confirm dialogs, elements, rich text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.worlds.slack.shapes import (
    Check,
    array,
    boolean,
    exactly_one,
    one_of,
    pattern,
    problem,
    shape,
    string,
    typed,
    url,
    whole,
)


def plain(longest: int, shortest: int = 1) -> Check:
    """A text object that may only be plain_text."""
    return typed("plain_text", {"plain_text": shape({"text": string(longest, shortest)}, emoji=boolean)})


def any_text(longest: int, shortest: int = 1) -> Check:
    """A text object, plain_text or mrkdwn."""
    kinds = {
        "plain_text": shape({"text": string(longest, shortest)}, emoji=boolean),
        "mrkdwn": shape({"text": string(longest, shortest)}, verbatim=boolean),
    }
    return typed("text object", kinds)


ID = string(255, 1)
USER_ID = pattern(r"[UW][A-Z0-9]{1,20}")
CHANNEL_ID = pattern(r"[CDG][A-Z0-9]{1,20}")
DATE = pattern(r"\d{4}-\d{2}-\d{2}")
TIME = pattern(r"[0-2]\d:[0-5]\d")

CONFIRM = shape(
    {"title": plain(100), "text": any_text(300), "confirm": plain(30), "deny": plain(30)},
    style=one_of("primary", "danger"),
)
DISPATCH = shape(
    trigger_actions_on=array(one_of("on_enter_pressed", "on_character_entered"), 2),
)


def option(text: Check, *, with_url: bool = False) -> Check:
    extra: dict[str, Check] = {"url": url(3000, "http", "https", "slack")} if with_url else {}
    return shape({"text": text, "value": string(150, 1)}, description=plain(75), **extra)


PLAIN_OPTION = option(plain(75))
ANY_OPTION = option(any_text(75))
GROUP = shape({"label": plain(75), "options": array(PLAIN_OPTION, 100)})


def _choices(value: Mapping[str, Any]) -> Iterator[Any]:
    options = value.get("options", [])
    groups = value.get("option_groups", [])
    yield from options if isinstance(options, list) else []
    for group in groups if isinstance(groups, list) else []:
        if isinstance(group, dict) and isinstance(group.get("options"), list):
            yield from group["options"]


def initial_is_offered(value: Mapping[str, Any], path: str) -> Iterator[str]:
    """An initial option must be one of those that are offered, in full."""
    offered = list(_choices(value))
    initial = [value["initial_option"]] if "initial_option" in value else value.get("initial_options", [])
    for one in initial if isinstance(initial, list) else []:
        if one not in offered:
            yield problem("initial option must match one of the options", path)


def _select(needed: Mapping[str, Check] | None = None, *rules: Any, **more: Check) -> Check:
    allowed: dict[str, Check] = {
        "action_id": ID,
        "placeholder": plain(150),
        "confirm": CONFIRM,
        "focus_on_load": boolean,
        **more,
    }
    return shape(needed, *rules, **allowed)


_STATIC: dict[str, Check] = {"options": array(PLAIN_OPTION, 100), "option_groups": array(GROUP, 100)}
_EITHER = (exactly_one("options", "option_groups"), initial_is_offered)
_MANY: dict[str, Check] = {"max_selected_items": whole(1, 100)}
_ENABLED: dict[str, Check] = {"response_url_enabled": boolean}
_FILTER = shape(
    include=array(one_of("im", "mpim", "private", "public"), 4),
    exclude_external_shared_channels=boolean,
    exclude_bot_users=boolean,
)
_TALKS: dict[str, Check] = {"default_to_current_conversation": boolean, "filter": _FILTER}

SELECTS: dict[str, Check] = {
    "static_select": _select(None, *_EITHER, initial_option=PLAIN_OPTION, **_STATIC),
    "external_select": _select(None, initial_option=PLAIN_OPTION, min_query_length=whole(0, 1000)),
    "users_select": _select(None, initial_user=USER_ID),
    "conversations_select": _select(None, initial_conversation=string(30, 1), **_TALKS, **_ENABLED),
    "channels_select": _select(None, initial_channel=CHANNEL_ID, **_ENABLED),
}
MULTI_SELECTS: dict[str, Check] = {
    "multi_static_select": _select(None, *_EITHER, initial_options=array(PLAIN_OPTION, 100), **_STATIC, **_MANY),
    "multi_external_select": _select(
        None, initial_options=array(PLAIN_OPTION, 100), min_query_length=whole(0, 1000), **_MANY
    ),
    "multi_users_select": _select(None, initial_users=array(USER_ID, 100), **_MANY),
    "multi_conversations_select": _select(None, initial_conversations=array(string(30, 1), 100), **_TALKS, **_MANY),
    "multi_channels_select": _select(None, initial_channels=array(CHANNEL_ID, 100), **_MANY),
}
_STYLE = one_of("primary", "danger")
BUTTON = shape(
    {"text": plain(75)},
    action_id=ID,
    url=url(3000, "http", "https", "mailto", "slack"),
    value=string(2000),
    style=_STYLE,
    confirm=CONFIRM,
    accessibility_label=string(75, 1),
    agent_prompt=string(4000),
    agent_prompt_display=string(4000),
    visible_to_user_ids=array(USER_ID, 10),
)
PICKED: dict[str, Check] = {"action_id": ID, "confirm": CONFIRM, "focus_on_load": boolean}
_BOXES: dict[str, Check] = {"options": array(ANY_OPTION, 10)}
CHECKBOXES = shape(_BOXES, initial_is_offered, initial_options=array(ANY_OPTION, 10), **PICKED)
RADIO = shape(_BOXES, initial_is_offered, initial_option=ANY_OPTION, **PICKED)
OVERFLOW = shape({"options": array(option(plain(75), with_url=True), 5)}, action_id=ID, confirm=CONFIRM)
DATEPICKER = shape(initial_date=DATE, placeholder=plain(150), **PICKED)
TIMEPICKER = shape(initial_time=TIME, placeholder=plain(150), timezone=string(100), **PICKED)
DATETIMEPICKER = shape(initial_date_time=whole(1_000_000_000, 9_999_999_999), **PICKED)
IMAGE = shape(
    {"alt_text": string(2000, 1)},
    exactly_one("image_url", "slack_file"),
    image_url=url(3000),
    slack_file=shape(None, exactly_one("id", "url"), id=string(255, 1), url=url(3000)),
)
WORKFLOW_BUTTON = shape(
    {
        "text": plain(75),
        "workflow": shape(
            {
                "trigger": shape(
                    {"url": url(3000)},
                    customizable_input_parameters=array(shape({"name": ID, "value": string(3000)}), 100),
                )
            }
        ),
    },
    action_id=ID,
    style=_STYLE,
    accessibility_label=string(75, 1),
)


def _written(longest: int = 3000, **more: Check) -> Check:
    rules: dict[str, Check] = {"dispatch_action_config": DISPATCH, "focus_on_load": boolean, "placeholder": plain(150)}
    return shape(None, action_id=ID, initial_value=string(longest), **rules, **more)


INPUTS: dict[str, Check] = {
    "plain_text_input": _written(multiline=boolean, min_length=whole(0, 3000), max_length=whole(1, 3000)),
    "email_text_input": _written(),
    "url_text_input": _written(),
    "number_input": shape(
        {"is_decimal_allowed": boolean},
        action_id=ID,
        initial_value=string(100),
        min_value=string(100),
        max_value=string(100),
        dispatch_action_config=DISPATCH,
        focus_on_load=boolean,
        placeholder=plain(150),
    ),
    "file_input": shape(None, action_id=ID, filetypes=array(string(20, 1), 100), max_files=whole(1, 10)),
}
_PICKERS: dict[str, Check] = {
    "checkboxes": CHECKBOXES,
    "radio_buttons": RADIO,
    "datepicker": DATEPICKER,
    "timepicker": TIMEPICKER,
}
_PRESSED: dict[str, Check] = {"button": BUTTON, "overflow": OVERFLOW, "workflow_button": WORKFLOW_BUTTON}
_MOMENT: dict[str, Check] = {"datetimepicker": DATETIMEPICKER}

IN_ACTIONS = typed("actions element", {**_PRESSED, **SELECTS, **_PICKERS, **_MOMENT})
IN_SECTION = typed("section accessory", {**_PRESSED, **SELECTS, **MULTI_SELECTS, **_PICKERS, "image": IMAGE})
_SMALL_BUTTON = shape({"text": plain(75), "value": string(2000)}, accessibility_label=string(75, 1))
IN_CONTEXT_ACTIONS = typed(
    "context_actions element",
    {
        "feedback_buttons": shape({"positive_button": _SMALL_BUTTON, "negative_button": _SMALL_BUTTON}, action_id=ID),
        "icon_button": shape(
            {"icon": one_of("trash"), "text": plain(75)},
            action_id=ID,
            value=string(2000),
            confirm=CONFIRM,
            accessibility_label=string(75, 1),
            visible_to_user_ids=array(USER_ID, 10),
        ),
    },
)
IN_CONTEXT = typed(
    "context element",
    {
        "image": IMAGE,
        "plain_text": shape({"text": string(3000, 1)}, emoji=boolean),
        "mrkdwn": shape({"text": string(3000, 1)}, verbatim=boolean),
    },
)


def in_input(rich: Check) -> Check:
    """What an input block may hold; `rich` is the shape of a rich text's initial value."""
    rich_input = shape(
        None,
        action_id=ID,
        initial_value=rich,
        dispatch_action_config=DISPATCH,
        focus_on_load=boolean,
        placeholder=plain(150),
        min_lines=whole(1, 100),
        max_lines=whole(1, 100),
    )
    shapes: dict[str, Check] = {
        **INPUTS,
        **SELECTS,
        **MULTI_SELECTS,
        **_PICKERS,
        **_MOMENT,
        "rich_text_input": rich_input,
    }
    return typed("input element", shapes)
