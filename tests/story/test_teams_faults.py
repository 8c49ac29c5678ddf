"""Teams silent after it has stored, limiting, without a token, without the app; the web process killed: one truth.

Messages are counted in the tenant's channel, never in our records.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.story import slack_town
from tests.story.teams_town import BothTown, Desks, both_town, fresh, verbs
from tests.worlds.gate import Call
from tests.worlds.teams import Message

QUORUM = "0 of 2"
UNFIT = {400, 404, 413, 429}
"""Statuses with which the tenant says of what was written that it is nonsense, nowhere, or too much."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BothTown]:
    with both_town(tmp_path_factory.mktemp("town")) as of:
        yield of
        assert of.web.stop() == 0
        assert b"Traceback" not in of.web.output


@pytest.fixture
def of(built: BothTown) -> Iterator[BothTown]:
    """Every test leaves a tenant that works; it was never asked again too early, nor sent what it would not draw."""
    yield built
    built.teams.faults.up()
    built.teams.tokens.up()
    built.gate.reset()
    assert built.teams.violations == []
    assert [one for one in built.teams.refusals if one.status in UNFIT and one.method != "member"] == []


def decisions(card: Message) -> set[str]:
    return set(verbs(card)) & {"approve", "deny", "deny_why"}


def settled(of: BothTown, desks: Desks) -> None:
    """Return once whatever is owed was told: a card that was asked for later is there."""
    desks.card(of.write(), QUORUM)


@pytest.mark.parametrize(
    ("clicked", "lost"), [(0, 1), (1, 1), (0, 2)], ids=["first_copy", "second_copy", "both_answers_lost"]
)
def test_a_lost_answer_makes_one_double_at_most_and_a_click_on_either_works(
    of: BothTown, clicked: int, lost: int
) -> None:
    desks = fresh(of.desks, of.valkey, f"lost{clicked}{lost}")
    of.teams.faults.drop_after("post", lost)
    request = of.write()
    copies = [desks.card(request, QUORUM, nth=nth) for nth in (0, 1)]
    settled(of, desks)
    assert len(desks.cards(request)) == 2
    assert "You denied" in desks.press("robin", copies[clicked], "deny")
    assert of.state(request) == "DENIED"
    desks.card(request, "Denied by robin", nth=clicked)
    assert "is decided already: DENIED by user:robin" in desks.press("alex", copies[1 - clicked], "approve")
    for nth in (0, 1):
        assert not decisions(desks.card(request, "Denied by robin", nth=nth))
    assert len(desks.cards(request)) == 2
    assert of.kinds(request).count("review.recorded") == 1


def test_killed_after_the_post_and_before_the_record_the_double_is_adopted(of: BothTown) -> None:
    """That a post begins is written down; where it arrived never is."""
    desks = fresh(of.desks, of.valkey, "killed")
    arrived = f'"channel":"{desks.channel}'.encode()

    def says_where(call: Call) -> bool:
        return call.name == "EVALSHA:commit" and any(arrived in word for word in call.request)

    hold = of.gate.hold(1, "before", only=says_where)
    request = of.write()
    hold.wait()
    assert len(desks.cards(request)) == 1
    of.web.kill()
    with of.valkey.client() as client:
        assert client.delete("{cs}:leader") == 1  # as in ten seconds, when the dead process's lease is over
    hold.drop()
    of.gate.reset()
    of.again()
    first, second = (desks.card(request, QUORUM, nth=nth) for nth in (0, 1))
    assert "1 of 2" in desks.press("robin", first, "approve")
    for nth in (0, 1):
        assert "robin approved" in desks.card(request, "1 of 2", nth=nth).visible_text()
    assert "You denied" in desks.press("alex", second, "deny")
    for nth in (0, 1):
        assert not decisions(desks.card(request, "Denied by alex", nth=nth))
    assert len(desks.cards(request)) == 2


def test_a_limit_is_waited_out_until_the_date_that_it_names(of: BothTown) -> None:
    desks = fresh(of.desks, of.valkey, "limited")
    until = (datetime.now(UTC) + timedelta(seconds=3)).replace(microsecond=0)
    of.teams.faults.status("post", 429, format_datetime(until, usegmt=True), html=True)
    earlier = len(of.teams.calls("create"))
    request = of.write()
    desks.card(request, QUORUM)
    first, second = of.teams.calls("create")[earlier:]
    assert (first.status, second.status) == (429, 201)
    assert first.at < until.timestamp() <= second.at < until.timestamp() + 1.5
    assert len(desks.cards(request)) == 1


def test_while_no_token_is_to_be_had_slack_console_api_and_clicks_go_on(of: BothTown) -> None:
    desks = fresh(of.desks, of.valkey, "tokens", slack=slack_town.CHANNEL)
    before = of.write()
    card = desks.card(before, QUORUM)
    desks.press("robin", card, "details")  # from here on, who robin is stays known for a minute
    of.teams.tokens.hang()
    of.teams.tokens.expire()
    request = of.write()
    of.teams.until(lambda: of.teams.tokens.waiting, 10.0, "somebody who waits for a token")

    began = time.monotonic()
    of.screens.press("robin", of.screens.card(request, QUORUM), "cs_approve")
    of.screens.hears("robin", "1 of 2")
    assert of.call("report-bot", "GET", f"/v1/requests/{request}")["handle"] in of.pages()[-1].decode()
    of.review("alex", before, "deny")
    assert of.review("alex", request)["state"] == "APPROVED"
    assert "is decided already: DENIED by user:alex" in desks.press("robin", card, "approve")
    assert time.monotonic() - began < 5, "somebody waited for the sign-in service"
    assert of.teams.tokens.waiting == 1
    assert desks.cards(request) == []

    of.teams.tokens.up()
    assert not decisions(desks.card(request, "robin, alex"))
    assert not decisions(desks.card(before, "Denied by alex"))
    assert len(desks.cards(request)) == len(desks.cards(before)) == 1


def test_removed_from_the_channel_is_an_alert_and_back_again_shows_what_waits(of: BothTown) -> None:
    desks = fresh(of.desks, of.valkey, "removed")
    desks.card(of.write(), QUORUM)
    assert all(one.ok for one in of.teams.uninstall(desks.channel))
    lost = f"teams.removed:{desks.channel}"
    alert = next(one for one in of.sink.wait_for(1) if one["key"] == lost)
    assert alert["severity"] == "critical" and "nobody sees a card there" in alert["summary"]
    request = of.write()
    of.teams.until(lambda: of.teams.refusals, 10.0, "a card that is refused")
    assert desks.cards(request) == []
    of.review("robin", request)
    assert all(one.ok for one in of.teams.install(desks.channel))
    assert "robin approved" in desks.card(request, "1 of 2").visible_text()
    assert len(desks.cards(request)) == 1
    of.teams.until(lambda: lost not in of.sink.firing, 10.0, "the alert to be cleared")


def test_what_teams_delivers_again_counts_once_whichever_process_hears_it(of: BothTown) -> None:
    desks = fresh(of.desks, of.valkey, "again")
    request = of.write()
    delivery = of.teams.click("robin", desks.card(request, QUORUM), "approve")
    with of.another() as address:
        of.teams.connect(f"{address}/api/messages")
        try:
            assert of.teams.redeliver(delivery).ok
            assert "You denied" in desks.press("alex", desks.card(request, "1 of 2"), "deny")
        finally:
            of.teams.connect(f"{of.base_url}/api/messages")
    desks.card(request, "Denied by alex")
    assert len(desks.cards(request)) == 1
    assert of.kinds(request).count("review.recorded") == 2
    assert "review.refused" not in of.kinds(request)
