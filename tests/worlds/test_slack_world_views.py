"""The world's modals, triggers and answer addresses: how long they live, how often they work, who may use them."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from tests.worlds.slack import CannotDo, Clock, Message, SlackWorld, View
from tests.worlds.slack.echo import Echo
from tests.worlds.test_slack_world_hands import app, as_json, button, card, form, modal, plain, posted, slack

__all__ = ["app", "posted", "slack"]  # fixtures


async def opened(app: Echo, slack: SlackWorld, posted: Message, view: dict[str, Any] | None = None) -> View:
    """Open a modal out of a click and return it."""
    trigger = (await slack.click("U02", posted, "go")).trigger_id
    assert (await app.call("views.open", trigger_id=trigger, view=view or form()))["ok"]
    return slack.views("U02")[-1]


# --- triggers


async def test_a_trigger_opens_one_view_for_its_person(app: Echo, slack: SlackWorld, posted: Message) -> None:
    trigger = (await slack.click("U02", posted, "go")).trigger_id
    assert await app.error("views.open", trigger_id=trigger, view=modal(colour="red")) == "invalid_arguments"
    assert await app.error("views.open", trigger_id=trigger, view=modal()) == ""  # what was refused did not use it up
    assert await app.error("views.open", trigger_id=trigger, view=modal()) == "exchanged_trigger_id"
    assert [len(slack.views(user)) for user in ("U02", "U03")] == [1, 0]


async def test_a_trigger_lives_three_seconds(app: Echo, slack: SlackWorld, posted: Message) -> None:
    assert isinstance(slack.clock, Clock)
    early = (await slack.click("U02", posted, "go")).trigger_id
    late = (await slack.click("U02", posted, "go")).trigger_id
    slack.clock.advance(2.5)
    assert await app.error("views.open", trigger_id=early, view=modal()) == ""
    slack.clock.advance(0.6)
    assert await app.error("views.open", trigger_id=late, view=modal()) == "expired_trigger_id"


@pytest.mark.parametrize("trigger", ["junk", "", "1.2.abc", None], ids=["junk", "empty", "unknown", "none"])
async def test_junk_is_no_trigger(app: Echo, trigger: str | None) -> None:
    assert await app.error("views.open", trigger_id=trigger, view=modal()) == "invalid_trigger_id"


# --- views


async def test_three_views_lie_on_each_other(app: Echo, slack: SlackWorld, posted: Message) -> None:
    outside = (await slack.click("U02", posted, "go")).trigger_id
    await opened(app, slack, posted, modal({"type": "actions", "elements": [button("more")]}))
    assert await app.error("views.push", trigger_id=outside, view=modal()) == "not_found"
    for depth in (2, 3):
        trigger = (await slack.click("U02", slack.views("U02")[-1], "more")).trigger_id
        pushed = await app.call(
            "views.push", trigger_id=trigger, view=modal({"type": "actions", "elements": [button("more")]})
        )
        assert pushed["view"]["root_view_id"] == slack.views("U02")[0].id
        assert len(slack.views("U02")) == depth
    trigger = (await slack.click("U02", slack.views("U02")[-1], "more")).trigger_id
    assert await app.error("views.push", trigger_id=trigger, view=modal()) == "push_limit_reached"
    with pytest.raises(CannotDo, match="in front"):
        await slack.click("U02", slack.views("U02")[0], "more")


async def test_views_are_updated_by_id_and_hash(app: Echo, slack: SlackWorld, posted: Message) -> None:
    old = await opened(app, slack, posted)
    new = modal({"type": "section", "text": plain("after")})
    assert (await app.call("views.update", view_id=old.id, hash=old.hash, view=new))["ok"]
    assert "after" in slack.views("U02")[-1].visible_text()
    assert await app.error("views.update", view_id=old.id, hash=old.hash, view=new) == "hash_conflict"
    assert await app.error("views.update", view_id="V99", view=new) == "not_found"
    assert await app.error("views.update", view=new) == "invalid_arguments"
    assert await app.error("views.update", view_id=old.id, view={**new, "type": "home"}) == "invalid_arguments"
    await slack.close_view("U02", slack.views("U02")[-1])
    assert await app.error("views.update", view_id=old.id, view=new) == "not_found"


async def test_an_external_id_belongs_to_one_view(app: Echo, slack: SlackWorld, posted: Message) -> None:
    await opened(app, slack, posted, modal(external_id="ours"))
    trigger = (await slack.click("U03", posted, "go")).trigger_id
    assert await app.error("views.open", trigger_id=trigger, view=modal(external_id="ours")) == "duplicate_external_id"
    assert (await app.call("views.update", external_id="ours", view=modal(external_id="ours")))["ok"]


async def test_a_view_has_a_size(app: Echo, slack: SlackWorld, posted: Message) -> None:
    trigger = (await slack.click("U02", posted, "go")).trigger_id
    huge = modal(*[{"type": "section", "text": plain("x" * 2900)}] * 90)
    assert await app.error("views.open", trigger_id=trigger, view=huge) == "view_too_large"


async def test_clicks_in_a_modal_carry_what_was_typed(app: Echo, slack: SlackWorld, posted: Message) -> None:
    view = form()
    view["blocks"].append({"type": "actions", "elements": [button("preview")]})
    shown = await opened(app, slack, posted, view)
    await slack.click("U02", shown, "preview", typed={"words": {"words": "hi"}})
    body = app.heard[-1]
    assert body["view"]["state"]["values"]["words"]["words"]["value"] == "hi"
    assert body["container"] == {"type": "view", "view_id": shown.id} and "response_url" not in body


async def test_a_closed_view_is_told_where_asked_for(app: Echo, slack: SlackWorld, posted: Message) -> None:
    assert await slack.close_view("U02", await opened(app, slack, posted)) is None
    shown = await opened(app, slack, posted, modal(notify_on_close=True))
    assert (await slack.close_view("U02", shown)) is not None
    assert (app.heard[-1]["type"], slack.views("U02")) == ("view_closed", [])


# --- submits


async def test_a_submit_carries_the_values_and_closes(app: Echo, slack: SlackWorld, posted: Message) -> None:
    assert (await slack.submit("U02", await opened(app, slack, posted), {"words": {"words": "hello"}})).ok
    state = app.heard[-1]["view"]["state"]["values"]
    assert state == {"words": {"words": {"type": "plain_text_input", "value": "hello"}}}
    assert slack.views("U02") == []


@pytest.mark.parametrize(
    ("given", "complaint"),
    [({}, "required"), ({"words": {"words": ""}}, "required"), ({"words": {"words": "x" * 11}}, "at most 10")],
    ids=["nothing", "empty", "too long"],
)
async def test_the_client_does_not_send_what_it_can_see_is_wrong(
    app: Echo, slack: SlackWorld, posted: Message, given: dict[str, Any], complaint: str
) -> None:
    shown = await opened(app, slack, posted)
    delivery = await slack.submit("U02", shown, given)
    assert complaint in str(delivery.user_error)
    assert (len(app.heard), slack.views("U02")) == (1, [shown])


async def test_forms_have_only_their_inputs(app: Echo, slack: SlackWorld, posted: Message) -> None:
    with pytest.raises(CannotDo, match="no input"):
        await slack.submit("U02", await opened(app, slack, posted), {"other": {"words": "x"}})
    with pytest.raises(CannotDo, match="no submit"):
        await slack.submit("U02", await opened(app, slack, posted, modal()), {})


async def test_initial_values_and_choices_are_submitted(app: Echo, slack: SlackWorld, posted: Message) -> None:
    first, second = ({"text": plain(name), "value": name} for name in ("one", "two"))

    def field(name: str, element: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {
            "type": "input",
            "block_id": name,
            "label": plain(name),
            "element": {"action_id": name, **element},
            **more,
        }

    view = modal(
        field("text", {"type": "plain_text_input", "initial_value": "kept"}),
        field("role", {"type": "static_select", "options": [first, second]}),
        field("more", {"type": "checkboxes", "options": [first, second], "initial_options": [first]}),
        field("who", {"type": "users_select"}, optional=True),
        field("minutes", {"type": "number_input", "is_decimal_allowed": False, "min_value": "1", "max_value": "60"}),
        submit=plain("Send"),
    )
    shown = await opened(app, slack, posted, view)
    wrong = await slack.submit("U02", shown, {"role": {"role": "two"}, "minutes": {"minutes": "61"}})
    assert "from 1 to 60" in str(wrong.user_error)
    with pytest.raises(CannotDo, match="offers"):
        await slack.submit("U02", shown, {"role": {"role": "three"}})
    assert (await slack.submit("U02", shown, {"role": {"role": "two"}, "minutes": {"minutes": "15"}})).ok
    values = app.heard[-1]["view"]["state"]["values"]
    assert values["text"]["text"]["value"] == "kept"
    assert values["role"]["role"]["selected_option"]["value"] == "two"
    assert [it["value"] for it in values["more"]["more"]["selected_options"]] == ["one"]
    assert values["who"]["who"]["selected_user"] is None
    assert values["minutes"]["minutes"]["value"] == "15"


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ({"response_action": "errors", "errors": {"words": "Say more."}}, ["Say more."]),
        ({"response_action": "update", "view": modal({"type": "section", "text": plain("Done")})}, ["Done"]),
        ({"response_action": "push", "view": modal({"type": "section", "text": plain("More")})}, ["Words", "More"]),
        ({"response_action": "clear"}, []),
    ],
    ids=["errors", "update", "push", "clear"],
)
async def test_a_submit_is_answered(
    app: Echo, slack: SlackWorld, posted: Message, answer: dict[str, Any], seen: list[str]
) -> None:
    shown = await opened(app, slack, posted)
    app.answers.append(as_json(answer))
    assert (await slack.submit("U02", shown, {"words": {"words": "hello"}})).ok
    views = slack.views("U02")
    assert len(views) == (2 if answer["response_action"] == "push" else bool(seen))
    assert all(word in view.visible_text() for word, view in zip(seen, views, strict=True))


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(text="ok"),
        as_json({"response_action": "errors", "errors": {"other": "No such input."}}),
        as_json({"response_action": "errors", "errors": {}}),
        as_json({"response_action": "update", "view": modal(title=plain("x" * 25))}),
        as_json({"response_action": "update"}),
        as_json({"response_action": "explode"}),
        as_json({"text": "hello"}),
        web.Response(status=500),
    ],
    ids=["words", "other input", "no errors", "bad view", "no view", "unknown", "message", "500"],
)
async def test_a_submit_answered_badly_stays_open_with_an_error(
    app: Echo, slack: SlackWorld, posted: Message, answer: web.Response
) -> None:
    shown = await opened(app, slack, posted)
    app.answers.append(answer)
    delivery = await slack.submit("U02", shown, {"words": {"words": "hello"}})
    assert delivery.user_error and not delivery.ok
    assert slack.views("U02") == [shown]


# --- answer addresses


async def test_an_answer_address_works_five_times(app: Echo, slack: SlackWorld, posted: Message) -> None:
    url = (await slack.click("U02", posted, "go")).response_url
    assert (await app.respond(url, text="", replace_original=False))[0] == 400  # a refusal is no use
    for number in range(5):
        assert await app.respond(url, text=f"line {number}", replace_original=False) == (200, "")
    assert await app.respond(url, text="one more", replace_original=False) == (404, "used_url")
    assert [it.text for it in slack.ephemerals("U02")] == [f"line {number}" for number in range(5)]
    assert slack.messages("C01") == [posted]


async def test_an_answer_address_works_for_half_an_hour(app: Echo, slack: SlackWorld, posted: Message) -> None:
    assert isinstance(slack.clock, Clock)
    url = (await slack.click("U02", posted, "go")).response_url
    slack.clock.advance(29 * 60)
    assert await app.respond(url, text="in time", replace_original=False) == (200, "")
    slack.clock.advance(2 * 60)
    assert await app.respond(url, text="late", replace_original=False) == (404, "expired_url")
    assert (await app.respond(url + "0", text="x"))[0] == 404


async def test_an_answer_takes_the_place_of_the_message_unless_told_not_to(
    app: Echo, slack: SlackWorld, posted: Message
) -> None:
    url = (await slack.click("U02", posted, "go")).response_url
    await app.respond(url, text="private", replace_original=False)
    await app.respond(url, text="public", replace_original=False, response_type="in_channel")
    await app.respond(url, text="in its place")
    assert [it.text for it in slack.ephemerals("U02")] == ["private"]
    assert [it.text for it in slack.messages("C01")] == ["in its place", "public"]
    await app.respond(url, delete_original=True)
    assert [it.text for it in slack.messages("C01")] == ["public"]


async def test_a_private_message_can_be_replaced_by_its_click_only(app: Echo, slack: SlackWorld) -> None:
    command = await slack.command("U02", "/countersign", "list", channel="C01")
    await app.respond(command.response_url, text="list", blocks=card(), replace_original=True)
    await app.respond(command.response_url, text="again", replace_original=True)  # cannot replace: a second message
    shown = slack.ephemerals("U02")
    assert [it.text for it in shown] == ["list", "again"]
    url = (await slack.click("U02", shown[0], "go")).response_url
    await app.respond(url, text="changed", replace_original=True)
    assert [it.text for it in slack.ephemerals("U02")] == ["changed", "again"]


@pytest.mark.parametrize(
    "body",
    [{"blocks": [{"type": "section"}]}, {"text": "x", "response_type": "all"}, {"text": "x", "colour": "red"}],
    ids=["blocks", "response_type", "field"],
)
async def test_an_answer_is_checked_like_a_message(
    app: Echo, slack: SlackWorld, posted: Message, body: dict[str, Any]
) -> None:
    url = (await slack.click("U02", posted, "go")).response_url
    assert (await app.respond(url, **body))[0] == 400
    assert slack.ephemerals("U02") == [] and slack.refusals
