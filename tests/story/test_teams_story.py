"""The main job as people live it in Teams, between the real processes and a strict tenant, over HTTP alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.sources import ROOT
from tests.story import slack_town
from tests.story.slack_town import WRITE, Screens, furnished_slack, slack_env
from tests.story.teams_town import (
    CHANNEL,
    GUEST,
    STRANGER,
    VENDOR,
    Desks,
    answer_in_console,
    fresh,
    furnished_teams,
    install,
    roster,
    verbs,
)
from tests.story.test_slack_story import imported
from tests.story.test_story import check_every_chain, collect
from tests.story.town import Refused, Town, town
from tests.worlds.slack import Slack
from tests.worlds.teams import Teams

ALREADY = "You have answered this request already"
WAITS = ["approve", "deny", "deny_why", "details"]
"""The verbs of a card of medium risk that waits for an answer."""


@dataclass
class Life:
    of: Town
    teams: Teams
    people: Desks
    slack: Slack


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with furnished_teams() as teams, furnished_slack() as slack:
        folder, env = tmp_path_factory.mktemp("town"), {**teams.settings(), **slack_env(slack)}
        with town(folder, roster=roster(teams, CHANNEL), web=env) as of:
            install(teams, of.base_url, CHANNEL)
            slack.connect(f"{of.base_url}/slack/events")
            yield Life(of, teams, Desks(teams), slack)


@pytest.fixture
def life(stage: Life) -> Iterator[Life]:
    """Teams takes everything that it is sent, without a complaint, and was asked to wait for nothing in vain."""
    yield stage
    assert stage.teams.refusals == []
    assert stage.teams.violations == []
    assert stage.slack.refusals == []


def test_two_people_approve_and_on_call_takes_it_away_again(life: Life) -> None:
    """The agent asks over HTTP; dana is behind it; robin and alex approve; kim revokes, and sees the proof."""
    people, of = life.people, life.of
    request = of.ask(**WRITE)["id"]
    card = people.card(request, "0 of 2")
    for words in ("WRITE customer-exports/2026/report.csv", "report-bot", "dana", "2 of sre", "prod-payments"):
        assert words in card.visible_text()
    assert card.summary.startswith("report-bot → WRITE customer-exports/2026/report.csv in prod-payments, 15 min")
    assert sorted(verbs(card)) == sorted(WAITS)

    assert "the human behind this agent" in people.press("dana", card, "approve")
    for name, words in ((VENDOR, "another organisation"), (GUEST, "Guests of"), (STRANGER, "does not know this")):
        told = people.press(name, card, "approve")
        assert words in told and "customer-exports" not in told
    assert "1 of 2" in people.press("robin", card, "approve")
    card = people.card(request, "1 of 2")
    assert "robin approved" in card.visible_text()
    assert ALREADY in people.press("robin", card, "approve")
    assert "that was enough" in people.press("alex", card, "approve")

    card = people.card(request, "Live, approved by robin, alex")
    assert sorted(verbs(card)) == ["details", "revoke"]
    secret = collect(of, request)
    assert of.aws.write(secret) == "allow"
    assert of.aws.read(secret) == "implicit_deny"

    handle = of.call("report-bot", "GET", f"/v1/requests/{request}")["handle"]
    people.say("robin", "revoke all", CHANNEL)
    people.hears("robin", "Only people on call may revoke all")
    people.say("kim", f"revoke {handle} --dry-run")
    people.hears("kim", handle)
    assert of.aws.write(secret) == "allow"
    people.say("kim", f"revoke {handle} leaked")
    people.hears("kim", "Revoking 1: proof follows")
    proof = people.hears("kim", "Proven 1 of 1")
    assert re.search(r"Ended .*, refused 3 of 3 probes, \d+\.\d s after the request", proof)
    assert of.aws.write(secret) == "explicit_deny"
    ended = people.card(request, "refused 3 of 3 probes")
    assert "Revoked by kim" in ended.visible_text() and "report.csv" in ended.visible_text()
    assert verbs(ended) == ["details"]
    assert len(people.cards(request)) == 1
    records = of.call("report-bot", "GET", f"/v1/audit/{request}")["records"]
    assert [one["data"]["code"] for one in records if one["type"] == "review.refused"] == [
        "four_eyes",
        "external",
        "guest",
        "unknown_person",
        "already_reviewed",
    ]
    robin, alex = (life.teams.account(name).replace(":", "/") for name in ("robin", "alex"))
    assert [one["by"]["sub"] for one in records if one["type"] == "review.recorded"] == [robin, alex]
    lines = people.until(lambda: len(people.thread(ended)) == 5 and people.thread(ended), "five lines in the thread")
    told = [line.split()[0] for line in lines if not line.startswith("Log ")]
    assert told == ["Approved", "Live", "Revoking", "Ended"], lines


def test_denied_in_words_of_ones_own_which_the_agent_reads(life: Life) -> None:
    people, of = fresh(life.people, life.of.valkey, "denied"), life.of
    request = of.ask(**WRITE)["id"]
    card = people.card(request, "0 of 2")
    words = "Not *all* of [2026](https://evil.example), {{DATE(2026-01-01T00:00:00Z)}}: ask for one file"
    assert "You denied" in people.press("robin", card, "deny_why", {"words": words})
    ended = people.card(request, "Denied by robin")
    assert words in ended.visible_text() and ended.live_markup() == []
    assert verbs(ended) == ["details"]
    assert "is decided already: DENIED by user:robin" in people.press("alex", card, "approve")
    settled = of.call("report-bot", "GET", f"/v1/requests/{request}")
    assert (settled["state"], settled["human_decision"]) == ("DENIED", True)
    assert words in str(settled)


def test_a_person_counts_once_wherever_they_answer(life: Life) -> None:
    """In Teams first, then in Slack, over the API and in the console; and the other way round."""
    of, slack = life.of, Screens(life.slack)
    people = fresh(life.people, of.valkey, "once", slack=slack_town.CHANNEL)
    first, second = (of.ask(**WRITE)["id"] for _ in range(2))
    assert "1 of 2" in people.press("robin", people.card(first, "0 of 2"), "approve")
    slack.press("robin", slack.card(first, "1 of 2"), "cs_approve")
    slack.hears("robin", ALREADY)
    with pytest.raises(Refused, match=ALREADY):
        of.review("robin", first)
    assert ALREADY in answer_in_console(of.base_url, "robin", first, "approve")

    assert "1 of 2" in answer_in_console(of.base_url, "alex", second, "approve")
    card = people.card(second, "1 of 2")
    assert ALREADY in people.press("alex", card, "approve")
    slack.press("robin", slack.card(second, "1 of 2"), "cs_approve")
    slack.hears("robin", "that was enough")
    assert "is decided already" in people.press("robin", card, "approve")
    for request, state, names in ((first, "PENDING", ["robin"]), (second, "APPROVED", ["alex", "robin"])):
        view = of.call("report-bot", "GET", f"/v1/requests/{request}")
        assert (view["state"], [it["reviewer"] for it in view["reviews"]]) == (state, [f"user:{it}" for it in names])


def test_a_click_that_teams_did_not_sign_decides_nothing(life: Life) -> None:
    """An approval as Teams would deliver it, with all that the token and the activity can get wrong."""
    people, of = fresh(life.people, life.of.valkey, "forged"), life.of
    request = of.ask(**WRITE)["id"]
    card = people.card(request, "0 of 2")
    looked = life.teams.click("robin", card, "details").activity
    action = looked["value"]["action"]
    pressed = {**action, "verb": "approve", "data": {**action["data"], "verb": "approve"}}
    approval = {**looked, "id": "f:approval", "value": {**looked["value"], "action": pressed}}
    for row in life.teams.strange(approval):
        assert life.teams.send_raw(row.activity, authorization=row.authorization).status == 401, row.name
    assert of.call("report-bot", "GET", f"/v1/requests/{request}")["reviews"] == []
    assert life.teams.send_raw(approval).status == 200
    assert people.card(request, "1 of 2")


def test_every_chain_is_whole(life: Life) -> None:
    check_every_chain(life.of)
    for process in (life.of.web, life.of.worker, life.of.clock):
        assert process.stop() == 0
        assert b"Traceback" not in process.output


def test_the_story_knows_nothing_of_the_process_it_talks_to() -> None:
    """Neither this file nor anything of the tests that it stands on imports from `bot`."""
    seen: set[Path] = set()
    waiting = [Path(__file__)]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        names = imported(path)
        assert not [name for name in names if name.partition(".")[0] == "bot"], path
        for name in names:
            if name.startswith("tests."):
                base = ROOT / name.replace(".", "/")
                waiting += [one for one in (base.with_suffix(".py"), base / "__init__.py") if one.exists()]
    assert {path.name for path in seen} >= {"teams_town.py", "issuer.py", "town.py", "world.py", "processes.py"}
