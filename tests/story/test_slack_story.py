"""The main job as people live it in Slack, between the real processes and a strict workspace, over HTTP alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.sources import ROOT
from tests.story.slack_town import (
    ACCOUNTS,
    BUCKET,
    CHANNEL,
    PAYLOAD,
    SECOND,
    VENDOR,
    WRITE,
    Screens,
    furnished_slack,
    roster,
    slack_env,
)
from tests.story.test_story import check_every_chain, collect
from tests.story.town import Town, town
from tests.worlds.slack import Message, Slack

FORM = {
    "role": "analytics",
    "actions": "s3:GetObject",
    "resources": f"{BUCKET}/2026/*",
    "environment": "prod",
    "ttl_seconds": "900",
    "reason": "Look at one export; the payload is wrong",
    "data_classes": "pii",
}


@dataclass
class Life:
    of: Town
    slack: Slack
    people: Screens


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with furnished_slack() as slack:
        folder = tmp_path_factory.mktemp("town")
        with town(folder, roster=roster(CHANNEL, SECOND), web=slack_env(slack)) as of:
            slack.connect(f"{of.base_url}/slack/events")
            yield Life(of, slack, Screens(slack))


@pytest.fixture
def life(stage: Life) -> Iterator[Life]:
    """Slack takes everything that it is sent, without a complaint."""
    yield stage
    assert stage.slack.refusals == []
    assert stage.slack.warnings == []


def fields(form: dict[str, str]) -> dict[str, dict[str, str]]:
    return {name: {name: text} for name, text in form.items()}


def actions_of(card: Message) -> list[str]:
    return [one.action_id for one in card.buttons()]


def test_a_person_asks_with_the_form_and_is_denied_in_words(life: Life) -> None:
    """From a channel and with a text that both hold the word `payload`, to a denial in the dialog."""
    people, of = life.people, life.of
    people.type("kim", "request payload", channel=PAYLOAD)
    form = people.dialog("kim", "cs_request_view")
    assert life.slack.submit(ACCOUNTS["kim"], form, fields(FORM)).ok
    told = people.dialog("kim", "cs_notice_view").visible_text()
    assert "waits" in told and "1 of sre until" in told

    life.slack.wait_for_message(CHANNEL)
    request = people.newest()
    card = people.card(request, "READ customer-exports/2026/* in prod-payments")
    shown = card.visible_text()
    for words in ("Look at one export; the payload is wrong", "HIGH", "0 of 1", "You are asked because", "pii"):
        assert words in shown, shown
    assert actions_of(card) == ["cs_review", "cs_deny", "cs_deny_why", "cs_details", "cs_console"]

    people.press("kim", card, "cs_deny")
    people.hears("kim", "You asked for this yourself")
    people.press("robin", card, "cs_review")
    review = people.dialog("robin", "cs_review_view")
    assert f"{BUCKET}/2026/*" in review.visible_text()
    assert {"cs_approve", "cs_deny", "cs_deny_why"} <= {one.action_id for one in review.buttons()}
    shown_digest = review.button("cs_deny").value
    assert life.slack.choose(ACCOUNTS["robin"], review, "cs_deny_why", f"words.{shown_digest}").ok
    words = people.dialog("robin", "cs_deny_view")
    said = {"words": {"words": "Not *all* of 2026, <!channel>: ask for one file"}}
    assert life.slack.submit(ACCOUNTS["robin"], words, said).ok
    assert "You denied" in people.dialog("robin", "cs_notice_view").visible_text()

    for channel in (CHANNEL, SECOND):
        ended = people.card(request, "Denied by robin", channel)
        assert "Not *all* of 2026, <!channel>: ask for one file" in ended.visible_text()
        assert actions_of(ended) == ["cs_details", "cs_console"]
        lines = people.until(lambda at=ended: len(people.thread(at)) == 2 and people.thread(at), "two lines")
        assert lines[0].startswith("Denied by robin at")
        assert re.fullmatch(r"Log [0-9,]+ · root [0-9a-f]{64}", lines[1]), lines
        assert len(people.cards(request, channel)) == 1
    people.type("kim", f"show {request} payload=x", channel=PAYLOAD)
    people.hears("kim", "ask for one file")
    settled = of.call("kim", "GET", f"/v1/requests/{request}")
    assert (settled["state"], settled["human_decision"]) == ("DENIED", True)


def test_two_people_approve_and_on_call_takes_it_away_again(life: Life) -> None:
    """The agent asks over HTTP; dana is behind it; robin and alex approve; kim revokes, and sees the proof."""
    people, of = life.people, life.of
    request = of.ask(**WRITE)["id"]
    card = people.card(request, "0 of 2")
    for words in ("WRITE customer-exports/2026/report.csv", "report-bot", "dana", "2 of sre", "prod-payments"):
        assert words in card.visible_text()
    assert card.text.startswith("report-bot → WRITE customer-exports/2026/report.csv in prod-payments, 15 min")

    people.press("dana", card, "cs_approve")
    people.hears("dana", "the human behind this agent")
    people.press(VENDOR, card, "cs_approve")
    people.hears(VENDOR, "belongs to another organisation")
    people.press("robin", card, "cs_approve")
    people.hears("robin", "1 of 2")
    card = people.card(request, "1 of 2")
    assert "robin approved" in card.visible_text()
    people.press("robin", card, "cs_approve")
    people.hears("robin", "You have answered this request already")
    people.press("alex", card, "cs_approve")
    people.hears("alex", "that was enough")

    card = people.card(request, "Live, approved by robin, alex")
    assert actions_of(card) == ["cs_revoke", "cs_details", "cs_console"]
    secret = collect(of, request)
    assert of.aws.write(secret) == "allow"
    assert of.aws.read(secret) == "implicit_deny"

    handle = of.call("report-bot", "GET", f"/v1/requests/{request}")["handle"]
    people.type("robin", "revoke all")
    people.hears("robin", "Only people on call may revoke all")
    people.type("kim", f"revoke {handle} --dry-run")
    people.hears("kim", handle)
    assert of.aws.write(secret) == "allow"
    people.type("kim", f"revoke {handle} payload leaked")
    people.hears("kim", "Revoking 1: proof follows")
    proof = people.hears("kim", "Proven 1 of 1")
    assert re.search(r"Ended .*, refused 3 of 3 probes, \d+\.\d s after the request", proof)
    assert of.aws.write(secret) == "explicit_deny"
    for channel in (CHANNEL, SECOND):
        ended = people.card(request, "refused 3 of 3 probes", channel)
        assert "Revoked by kim" in ended.visible_text() and "report.csv" in ended.visible_text()
        assert actions_of(ended) == ["cs_details", "cs_console"]
        lines = people.until(lambda at=ended: len(people.thread(at)) == 5 and people.thread(at), "five lines")
        told = [line.split()[0] for line in lines if not line.startswith("Log ")]
        assert told == ["Approved", "Live", "Revoking", "Ended"], lines
        assert len(people.cards(request, channel)) == 1
    records = of.call("report-bot", "GET", f"/v1/audit/{request}")["records"]
    assert [one["data"]["code"] for one in records if one["type"] == "review.refused"] == [
        "four_eyes",
        "external",
        "already_reviewed",
    ]
    assert [one["by"]["sub"] for one in records if one["type"] == "review.recorded"] == ["T01/U02", "T01/U03"]


def test_revoke_all_is_on_calls_alone_and_ends_what_is_live(life: Life) -> None:
    people, of = life.people, life.of
    live = [of.approved(data_classes=[], resource=f"{BUCKET}/2026/{name}") for name in ("a", "b")]
    for request in live:
        people.card(request, "Live, approved by robin")
    people.type("kim", "revoke all payload")
    people.hears("kim", "Proven 2 of 2")
    people.card(live[0], "refused 3 of 3 probes")


def test_every_chain_is_whole(life: Life) -> None:
    check_every_chain(life.of)
    for process in (life.of.web, life.of.worker, life.of.clock):
        assert process.stop() == 0
        assert b"Traceback" not in process.output


def imported(path: Path) -> set[str]:
    """Return every module that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


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
    assert {path.name for path in seen} >= {"slack_town.py", "town.py", "world.py", "samples.py", "processes.py"}
