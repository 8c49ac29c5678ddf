"""The world's Block Kit: every limit takes what fits exactly, and refuses one more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worlds.slack.blocks import HOME, MESSAGE, MODAL, block_problems, too_long, view_problems
from tests.worlds.slack.reading import buttons, visible_text

Build = Callable[[int], dict[str, Any]]


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def marked(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


def button(action: str = "a", **more: Any) -> dict[str, Any]:
    return {"type": "button", "action_id": action, "text": plain("Press"), **more}


def actions(*elements: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements), **more}


def option(value: str = "v", **more: Any) -> dict[str, Any]:
    return {"text": plain("o"), "value": value, **more}


def select(*options: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "static_select", "action_id": "s", "options": list(options), **more}


def confirm(**more: Any) -> dict[str, Any]:
    return {"title": plain("t"), "text": plain("x"), "confirm": plain("y"), "deny": plain("n"), **more}


def field(element: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    element = element or {"type": "plain_text_input", "action_id": "i"}
    return {"type": "input", "label": plain("l"), "element": element, **more}


def rich(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": list(elements)}


def section(text: str = "x", **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": marked(text), **more}


def many(count: int, one: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
    return [one(number) for number in range(count)]


def picture(**more: Any) -> dict[str, Any]:
    return {"type": "image", "image_url": "https://x.example/i.png", "alt_text": "a", **more}


def link(longest: int) -> str:
    return "https://x.example/" + "p" * (longest - len("https://x.example/"))


def container(*children: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "container", "title": plain("t"), "child_blocks": list(children), **more}


CARD = {"type": "card", "body": plain("b")}
TRASH = {"type": "icon_button", "icon": "trash", "text": plain("x")}
LIMITS: dict[str, tuple[int, Build]] = {
    "header text": (150, lambda n: {"type": "header", "text": plain("x" * n)}),
    "section text": (3000, lambda n: section("x" * n)),
    "section fields": (10, lambda n: {"type": "section", "fields": many(n, lambda _: marked("x"))}),
    "section field text": (2000, lambda n: {"type": "section", "fields": [plain("x" * n)]}),
    "block_id": (255, lambda n: {"type": "divider", "block_id": "x" * n}),
    "actions elements": (25, lambda n: actions(*many(n, lambda i: button(f"a{i}")))),
    "context elements": (10, lambda n: {"type": "context", "elements": many(n, lambda _: marked("x"))}),
    "button text": (75, lambda n: actions(button(text=plain("x" * n)))),
    "button value": (2000, lambda n: actions(button(value="x" * n))),
    "button url": (3000, lambda n: actions(button(url=link(n)))),
    "button label": (75, lambda n: actions(button(accessibility_label="x" * n))),
    "action_id": (255, lambda n: actions(button("x" * n))),
    "confirm title": (100, lambda n: actions(button(confirm=confirm(title=plain("x" * n))))),
    "confirm text": (300, lambda n: actions(button(confirm=confirm(text=marked("x" * n))))),
    "confirm yes": (30, lambda n: actions(button(confirm=confirm(confirm=plain("x" * n))))),
    "confirm no": (30, lambda n: actions(button(confirm=confirm(deny=plain("x" * n))))),
    "options": (100, lambda n: actions(select(*many(n, lambda i: option(f"v{i}"))))),
    "option text": (75, lambda n: actions(select(option(text=plain("x" * n))))),
    "option value": (150, lambda n: actions(select(option("x" * n)))),
    "option description": (75, lambda n: actions(select(option(description=plain("x" * n))))),
    "placeholder": (150, lambda n: actions(select(option(), placeholder=plain("x" * n)))),
    "checkboxes": (10, lambda n: actions({"type": "checkboxes", "options": many(n, lambda i: option(f"v{i}"))})),
    "radio buttons": (10, lambda n: actions({"type": "radio_buttons", "options": many(n, lambda i: option(f"{i}"))})),
    "overflow": (5, lambda n: actions({"type": "overflow", "options": many(n, lambda i: option(f"v{i}"))})),
    "input label": (2000, lambda n: field(label=plain("x" * n))),
    "input hint": (2000, lambda n: field(hint=plain("x" * n))),
    "input value": (3000, lambda n: field({"type": "plain_text_input", "initial_value": "x" * n})),
    "input max_length": (3000, lambda n: field({"type": "plain_text_input", "max_length": n})),
    "input files": (10, lambda n: field({"type": "file_input", "max_files": n})),
    "image alt": (2000, lambda n: picture(alt_text="x" * n)),
    "image title": (2000, lambda n: picture(title=plain("x" * n))),
    "image url": (3000, lambda n: picture(image_url=link(n))),
    "card title": (150, lambda n: {"type": "card", "title": plain("x" * n)}),
    "card body": (200, lambda n: {"type": "card", "body": marked("x" * n)}),
    "card actions": (3, lambda n: {"type": "card", "actions": many(n, lambda i: button(f"a{i}"))}),
    "markdown": (12_000, lambda n: {"type": "markdown", "text": "x" * n}),
    "carousel": (10, lambda n: {"type": "carousel", "elements": many(n, lambda _: CARD)}),
    "container": (10, lambda n: container(*many(n, lambda _: section()))),
    "container title": (150, lambda n: container(section(), title=plain("x" * n))),
    "table rows": (100, lambda n: {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]] * n}),
    "table columns": (20, lambda n: {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * n]}),
    "list indent": (8, lambda n: rich({"type": "rich_text_list", "style": "bullet", "indent": n, "elements": [
        {"type": "rich_text_section", "elements": [{"type": "text", "text": "x"}]}]})),
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_taken_and_one_more_is_not(name: str) -> None:
    limit, build = LIMITS[name]
    assert block_problems([build(limit)], MESSAGE) == []
    assert block_problems([build(limit + 1)], MESSAGE)


WRONG: dict[str, dict[str, Any]] = {
    "unknown block": {"type": "banner"},
    "block without type": {"text": plain("x")},
    "unknown field": section(colour="red"),
    "empty section text": section(""),
    "section without anything": {"type": "section"},
    "section text as string": {"type": "section", "text": "x"},
    "empty actions": actions(),
    "empty context": {"type": "context", "elements": []},
    "empty header": {"type": "header", "text": plain("")},
    "mrkdwn in a header": {"type": "header", "text": marked("x")},
    "mrkdwn in a button": actions(button(text=marked("x"))),
    "mrkdwn in an option": actions(select(option(text=marked("x")))),
    "mrkdwn in a placeholder": actions(select(option(), placeholder=marked("x"))),
    "emoji on mrkdwn": {"type": "section", "text": marked("x") | {"emoji": True}},
    "unknown style": actions(button(style="default")),
    "button without text": actions({"type": "button", "action_id": "a"}),
    "address without a scheme": actions(button(url="x.example/path")),
    "script address": actions(button(url="javascript:alert(1)")),
    "value as number": actions(button(value=5)),
    "half a confirm": actions(button(confirm={"title": plain("t"), "text": plain("x")})),
    "select without options": actions(select()),
    "options and groups": actions(select(option(), option_groups=[{"label": plain("g"), "options": [option()]}])),
    "option without value": actions(select({"text": plain("o")})),
    "initial option that is not offered": actions(select(option("v"), initial_option=option("w"))),
    "an action twice in one block": actions(button("a"), button("a")),
    "input without label": {"type": "input", "element": {"type": "plain_text_input"}},
    "button in an input": field(button()),
    "text input in actions": actions({"type": "plain_text_input", "action_id": "i"}),
    "button in a context": {"type": "context", "elements": [button()]},
    "alert in a message": {"type": "alert", "text": plain("x")},
    "image without alt": {"type": "image", "image_url": "https://x.example/i.png"},
    "empty rich text": rich(),
    "unknown rich text": rich({"type": "rich_text_table", "elements": []}),
    "text right in rich text": rich({"type": "text", "text": "x"}),
    "empty text in rich text": rich({"type": "rich_text_section", "elements": [{"type": "text", "text": ""}]}),
    "mrkdwn in rich text": rich({"type": "rich_text_section", "elements": [marked("x")]}),
    "unknown style in rich text": rich(
        {"type": "rich_text_section", "elements": [{"type": "text", "text": "x", "style": {"red": True}}]}
    ),
    "a user in preformatted": rich(
        {"type": "rich_text_preformatted", "elements": [{"type": "user", "user_id": "U02ABC"}]}
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_in_a_message_is_refused(name: str) -> None:
    assert block_problems([WRONG[name]], MESSAGE)


@pytest.mark.parametrize(
    ("block", "surfaces"),
    [
        ({"type": "alert", "text": plain("x"), "level": "warning"}, {MODAL}),
        ({"type": "markdown", "text": "x"}, {MESSAGE}),
        ({"type": "context_actions", "elements": [TRASH]}, {MESSAGE}),
        ({"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]]}, {MESSAGE, HOME}),
        (container(section()), {MESSAGE, HOME}),
        (section(), {MESSAGE, MODAL, HOME}),
        (field(), {MESSAGE, MODAL, HOME}),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "-".join(sorted(value)),
)  # fmt: skip
def test_a_block_belongs_to_its_surfaces(block: dict[str, Any], surfaces: set[str]) -> None:
    assert {name for name in (MESSAGE, MODAL, HOME) if block_problems([block], name) == []} == surfaces


def test_a_message_has_fifty_blocks_and_a_view_a_hundred() -> None:
    assert block_problems([section()] * 50, MESSAGE) == []
    assert block_problems([section()] * 51, MESSAGE)
    assert block_problems([section()] * 100, MODAL) == []
    assert block_problems([section()] * 101, HOME)


def test_block_ids_are_unique_and_actions_may_repeat_in_other_blocks() -> None:
    assert block_problems([section(block_id="b"), section(block_id="b")], MESSAGE)
    assert block_problems([actions(button("a")), actions(button("a"))], MESSAGE) == []


def test_markdown_has_one_limit_for_the_whole_message() -> None:
    assert block_problems([{"type": "markdown", "text": "x" * 6001}] * 2, MESSAGE)


def test_the_whole_message_has_a_length() -> None:
    assert not too_long([section("x" * 2900)] * 4)
    assert too_long([section("x" * 2900)] * 5)


def modal(**more: Any) -> dict[str, Any]:
    return {"type": "modal", "title": plain("t"), "blocks": [section()], **more}


@pytest.mark.parametrize(
    "view",
    [
        modal(title=plain("x" * 25)),
        modal(title=marked("x")),
        modal(submit=plain("x" * 25)),
        modal(close=plain("x" * 25)),
        modal(private_metadata="x" * 3001),
        modal(callback_id="x" * 256),
        modal(colour="red"),
        modal(blocks=[field()]),
        modal(blocks=[section("x" * 3001)]),
        {"type": "modal", "blocks": [section()]},
        {"type": "home", "blocks": [section()]},
        "view",
    ],
    ids=["title", "title kind", "submit", "close", "metadata", "callback", "field", "input without submit", "block",
         "no title", "wrong type", "no object"],
)  # fmt: skip
def test_a_wrong_modal_is_refused(view: Any) -> None:
    assert view_problems(view, MODAL)


def test_a_right_view_is_taken() -> None:
    assert view_problems(modal(blocks=[field()], submit=plain("x" * 24), private_metadata="x" * 3000), MODAL) == []
    assert view_problems({"type": "home", "blocks": [section()], "callback_id": "home"}, HOME) == []
    assert view_problems({"type": "home", "title": plain("t"), "blocks": []}, HOME)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["section", "actions", "button"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "text", "elements", "blocks", "block_id", "action_id", "options", "element",
                         "initial_option", "option_groups", "child_blocks", "url", "title"]), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@given(JSON)
def test_no_junk_breaks_the_checks(junk: Any) -> None:
    block_problems(junk, MESSAGE)
    block_problems([junk], MESSAGE)
    for surface in (MODAL, HOME):
        block_problems([junk], surface)
        view_problems(junk, surface)
        view_problems({"type": surface, "blocks": [junk]}, surface)


def test_reading_gathers_every_word_and_every_button() -> None:
    blocks = [
        {"type": "header", "text": plain("Head")},
        section("*bold*", fields=[plain("one"), marked("two")], accessory=button("look", value="v1")),
        rich(
            {"type": "rich_text_section", "elements": [
                {"type": "text", "text": "by "}, {"type": "user", "user_id": "U02"}, {"type": "emoji", "name": "key"}]},
            {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "rm -rf"}]},
            {"type": "rich_text_list", "style": "bullet", "elements": [
                {"type": "rich_text_section", "elements": [{"type": "text", "text": "item"}]}]},
        ),
        actions(button("go", confirm=confirm()), select(option("a"), option("b"), placeholder=plain("Deny because"))),
        {"type": "context", "elements": [marked("small"), picture()]},
    ]  # fmt: skip
    assert block_problems(blocks, MESSAGE) == []
    text = visible_text(blocks)
    for word in ("Head", "*bold*", "one", "two", "by <@U02>:key:", "rm -rf", "item", "Press", "Deny because", "small"):
        assert word in text.splitlines()
    assert [(one.action_id, one.value, one.options) for one in buttons(blocks)] == [
        ("look", "v1", ()), ("go", "", ()), ("s", "", ("a", "b"))]  # fmt: skip
