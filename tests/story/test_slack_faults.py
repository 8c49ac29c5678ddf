"""Slack away, slow, limiting, silent after it has stored; the web process killed and doubled: one truth in the channel.

Messages are counted in the workspace's channel, never in our records.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.story.slack_town import ACCOUNTS, CHANNEL, ChatTown, chat_town
from tests.worlds.gate import Call
from tests.worlds.slack import Message

QUORUM = "0 of 2"
POST = "chat.postMessage"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatTown]:
    with chat_town(tmp_path_factory.mktemp("town")) as of:
        yield of
        assert of.web.stop() == 0
        assert b"Traceback" not in of.web.output


@pytest.fixture
def of(built: ChatTown) -> Iterator[ChatTown]:
    """Every test leaves a workspace that works, and sent nothing that Slack would not draw."""
    built.slack.faults.up()
    yield built
    built.slack.faults.up()
    built.gate.reset()
    assert built.slack.refusals == []


def posts(of: ChatTown, request: str) -> int:
    """Return how many messages about this request are in the channel."""
    return len(of.screens.cards(request))


def buttons(card: Message) -> set[str]:
    return {one.action_id for one in card.buttons()}


def settled(of: ChatTown) -> None:
    """Return once whatever is owed was told: a card that was asked for later is there."""
    of.screens.card(of.write(), QUORUM)


def test_while_slack_is_away_everything_else_works_and_then_all_cards_come_in_order(of: ChatTown) -> None:
    of.slack.faults.down()
    asked = [of.write() for _ in range(5)]
    before = len(of.slack.messages(CHANNEL))
    page = of.pages()[-1].decode()
    assert all(of.call("report-bot", "GET", f"/v1/requests/{one}")["handle"] in page for one in asked)
    of.review("robin", asked[1], "deny")
    assert of.state(asked[1]) == "DENIED"
    assert len(of.slack.messages(CHANNEL)) == before
    of.slack.faults.up()
    of.slack.faults.rate_limit(POST, "1")  # back, and at once too much for it
    for request in asked:
        of.screens.card(request)
    settled(of)
    there = of.slack.messages(CHANNEL)[before : before + 5]
    assert [next(one for one in asked if one in json.dumps(card.blocks)) for card in there] == asked
    assert [posts(of, one) for one in asked] == [1] * 5
    assert [bool(buttons(card) & {"cs_approve", "cs_deny"}) for card in there] == [True, False, True, True, True]
    assert "Denied by robin" in there[1].visible_text()


def test_a_slow_slack_delays_the_card_and_nothing_else(of: ChatTown) -> None:
    of.slack.faults.hold(POST)
    request = of.write()
    of.screens.until(lambda: posts(of, request), "a post whose answer is long in coming")
    of.review("robin", request)
    other = of.write()
    of.review("alex", other, "deny")
    assert (of.state(other), posts(of, other)) == ("DENIED", 0)
    of.slack.faults.release()
    of.screens.card(request, "1 of 2")
    of.screens.card(other, "Denied by alex")
    assert (posts(of, request), posts(of, other)) == (1, 1)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("1", 1.0), ("1.5", 1.5), ("date", 0.9), (None, 1.0)],
    ids=["integer", "float", "date", "none"],
)
def test_a_rate_limit_is_waited_out_as_long_as_it_says(of: ChatTown, header: str | None, seconds: float) -> None:
    of.slack.faults.rate_limit(POST, header)
    earlier = len(of.slack.calls(POST))
    request = of.write()
    of.screens.card(request, QUORUM)
    first, second = (call.at for call in of.slack.calls(POST)[earlier : earlier + 2])
    assert second - first >= seconds
    assert posts(of, request) == 1


@pytest.mark.parametrize(
    ("clicked", "lost"), [(0, 1), (1, 1), (0, 2)], ids=["first_copy", "second_copy", "both_answers_lost"]
)
def test_a_lost_answer_makes_one_double_at_most_and_a_click_on_either_works(
    of: ChatTown, clicked: int, lost: int
) -> None:
    of.slack.faults.drop_after(POST, times=lost)
    request = of.write()
    copies = [of.screens.card(request, QUORUM, nth=nth) for nth in (0, 1)]
    settled(of)
    assert posts(of, request) == 2
    of.screens.press("robin", copies[clicked], "cs_deny")
    of.screens.hears("robin", "You denied")
    assert of.state(request) == "DENIED"
    of.screens.card(request, "Denied by robin", nth=clicked)
    of.screens.press("alex", copies[1 - clicked], "cs_approve")
    of.screens.hears("alex", "is decided already: DENIED by user:robin")
    for nth in (0, 1):
        card = of.screens.card(request, "Denied by robin", nth=nth)
        assert not buttons(card) & {"cs_approve", "cs_deny", "cs_deny_why", "cs_review"}
    assert posts(of, request) == 2
    assert of.kinds(request).count("review.recorded") == 1
    of.screens.learns("dana", of.call("report-bot", "GET", f"/v1/requests/{request}")["handle"], "Denied by robin")


def is_record_of_cards(call: Call) -> bool:
    return call.name == "EVALSHA:commit" and any(b"cards:req_" in word for word in call.request)


def test_killed_after_the_post_and_before_the_record_the_double_is_adopted(of: ChatTown) -> None:
    """The first record says that a post begins; the second, which says where it is, is never written."""
    hold = of.gate.hold(2, "before", only=is_record_of_cards)
    request = of.write()
    hold.wait()
    assert posts(of, request) == 1
    of.web.kill()
    hold.drop()
    of.gate.reset()
    of.again()
    first, second = (of.screens.card(request, QUORUM, nth=nth) for nth in (0, 1))
    of.screens.press("robin", first, "cs_approve")
    of.screens.hears("robin", "1 of 2")
    for nth in (0, 1):
        assert "robin approved" in of.screens.card(request, "1 of 2", nth=nth).visible_text()
    of.screens.press("alex", second, "cs_deny")
    of.screens.hears("alex", "You denied")
    for nth in (0, 1):
        assert not buttons(of.screens.card(request, "Denied by alex", nth=nth)) & {"cs_approve", "cs_deny"}
    assert posts(of, request) == 2


def test_a_restart_between_post_and_decision_edits_the_card_that_is_there(of: ChatTown) -> None:
    request = of.write()
    card = of.screens.card(request, QUORUM)
    assert of.web.stop() == 0
    of.again()
    of.screens.press("robin", card, "cs_deny")
    edited = of.screens.card(request, "Denied by robin")
    assert (edited.ts, posts(of, request)) == (card.ts, 1)


def test_two_web_processes_post_one_card_and_each_takes_clicks(of: ChatTown) -> None:
    with of.another() as address:
        asked = [of.write() for _ in range(2)]
        of.base_url, first = address, of.base_url
        asked += [of.write() for _ in range(2)]
        try:
            for request in asked:
                of.screens.card(request, QUORUM)
            for url, name, progress in ((address, "robin", "1 of 2"), (first, "alex", "Denied by alex")):
                of.connect(url)
                of.screens.press(name, of.screens.card(asked[0]), "cs_approve" if name == "robin" else "cs_deny")
                of.screens.card(asked[0], progress)
        finally:
            of.base_url = first
            of.connect()
        assert [posts(of, one) for one in asked] == [1] * 4
        assert of.kinds(asked[0]).count("review.recorded") == 2


def test_what_slack_sends_again_is_done_once(of: ChatTown) -> None:
    request = of.write()
    delivery = of.screens.press("robin", of.screens.card(request, QUORUM), "cs_approve")
    of.screens.hears("robin", "1 of 2")
    for _ in range(3):
        assert of.slack.replay(delivery).status == 200
    assert of.kinds(request).count("review.recorded") == 1
    assert "review.refused" not in of.kinds(request)
    body = urlencode({"payload": json.dumps(delivery.payload)}).encode()
    other = {"Content-Type": "application/x-www-form-urlencoded", **of.slack.sign(body, time.time() + 7)}
    assert of.slack.send_raw(body, other).status == 200
    of.screens.hears("robin", "You have answered this request already")
    assert of.kinds(request).count("review.recorded") == 1

    opened = {"type": "app_home_opened", "user": ACCOUNTS["robin"], "channel": "D0", "tab": "home"}
    earlier = len(of.slack.calls("views.publish"))
    for _ in range(3):
        assert of.slack.event(opened, event_id="Ev0SAME").status == 200
    assert of.slack.event({**opened, "user": ACCOUNTS["alex"]}, event_id="Ev0NEXT").status == 200
    of.screens.until(lambda: of.slack.home(ACCOUNTS["alex"]), "alex's Home")
    of.screens.until(lambda: of.slack.home(ACCOUNTS["robin"]), "robin's Home")
    assert len(of.slack.calls("views.publish")) == earlier + 2
