"""What a session did, over HTTP, on its page, on its card and in its thread."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from approvers.activity import Activity
from approvers.activity_flags import Scope, looked
from approvers.audit import Draft
from approvers.card import render
from approvers.grant import Grant
from approvers.ids import grant_of
from bot.postings_lines import lines
from bot.reading import View
from bot.telling import tell
from bot.wire_activity import ActivityAnswer
from tests.bot.postings_town import Town
from tests.bot.test_intake_grants import live_grant
from tests.worlds import samples
from tests.worlds.trail import a_call
from tests.worlds.web import Web
from workers.stores import layout
from workers.stores.port import Commit, Records, Snapshot, transact
from workers.tools import WORKER

HOSTILE = "arn:aws:s3:::<script>alert(1)</script>\u202egnp"


def misdeeds(grant: Grant) -> Activity:
    """A session that read once, tried elsewhere five times, and reached for more rights."""
    at = grant.minted_at
    calls = [a_call(at), *[a_call(at, "s3:DeleteBucket", HOSTILE, error="AccessDenied")] * 5,
             a_call(at, "iam:CreateUser", "", error="AccessDenied")]  # fmt: skip
    numbered = [replace(call, id=f"{n:012}") for n, call in enumerate(calls)]
    return looked(Activity(grant_id=grant.id), numbered, Scope(grant.plan), at=at + timedelta(minutes=1))


async def note(records: Records, grant_id: str, activity: Activity) -> None:
    part = layout.put(layout.activity_key(grant_id), 0, activity.model_dump_json())
    await records.commit(layout.commit(await records.now(), part))


async def test_its_own_caller_and_those_who_oversee_read_it_and_nobody_else(web: Web):
    grant_id = await live_grant(web)
    grant = (await web.deps.reader.look(grant_id.replace("grt_", "req_"))).grant
    await note(web.store.records, grant_id, misdeeds(grant))
    path = f"/v1/grants/{grant_id}/activity"
    for who in (samples.CALLER, "user:robin", "user:kim"):
        got = await web.call("GET", path, who=who)
        told = ActivityAnswer.model_validate(got.json)
        assert (got.status, told.watched, told.calls, told.refusals) == (200, True, 7, 6)
    assert {flag.kind: flag.points for flag in told.flags} == {
        "refusals": 60, "escalation": 30, "outside_action": 10, "outside_resource": 10
    }  # fmt: skip
    assert [(one.name, one.through, one.refused) for one in told.used] == [
        ("s3:GetObject", 1, 0), ("s3:DeleteBucket", 0, 5), ("iam:CreateUser", 0, 1)
    ]  # fmt: skip
    assert told.proposal.resources == ["arn:aws:s3:::customer-exports/2026/report.csv"]
    assert "\u202e" not in json.dumps(got.json, ensure_ascii=False)
    stranger = await web.call("GET", path, who="caller:other-bot")
    assert (stranger.status, stranger.code) == (404, "not_found")


async def test_what_nobody_looked_at_says_so(web: Web):
    grant_id = await live_grant(web)
    got = (await web.call("GET", f"/v1/grants/{grant_id}/activity")).json
    ActivityAnswer.model_validate(got)
    assert (got["watched"], got["summary"]) == (False, "Nobody has looked at what it does.")
    asked = (await web.ask("k2")).json["id"]
    none = await web.call("GET", f"/v1/grants/{asked}/activity")
    assert (none.status, none.code) == (404, "not_found")


def test_the_card_and_its_thread_say_what_was_seen_with_a_button_while_it_lives():
    request = samples.request().model_copy(update={"state": "APPROVED", "because": "quorum"})
    live = samples.grant("ACTIVE").model_copy(
        update={"flagged": "20 points: s3:DeleteBucket refused.", "flag_points": 20}
    )
    card = render(request, live)
    assert card.facts[0].label == "Flagged"
    assert [button.verb for button in card.buttons] == ["revoke"]
    said = {line.key: line.text for line in lines(request, live)}
    assert said["flagged 20"] == "Monitoring saw 20 points: s3:DeleteBucket refused."
    worse = {line.key for line in lines(request, live.model_copy(update={"flag_points": 60}))}
    assert "flagged 60" in worse - said.keys()
    told = list(lines(request, samples.grant("REVOKED").model_copy(update={"report": "Used nothing."})))[-1]
    assert (told.key, told.text) == ("reported", "Used nothing.")


async def test_the_thread_tells_once_what_was_seen_and_what_was_used():
    town = await Town().start()
    async with town.web():
        view = await town.ask()
        for step in (town.click, town.mint):
            await step(view)
        await town.quiet()
        for points in (20, 20, 60):
            seen = {"flagged": f"{points} points.", "flag_points": points}
            await told(town, view, "grant.flagged", seen)
        assert town.board.one().card.facts[0].text == "60 points."
        await town.revoke(view)
        await town.prove(view)
        for _ in range(2):
            await told(town, view, "grant.reported", {"report": "Used nothing."})
    lines = [line for line in town.board.one().lines if line.startswith(("Monitoring", "Used"))]
    assert lines == ["Monitoring saw 20 points.", "Monitoring saw 60 points.", "Used nothing."]


async def told(town: Town, view: View, kind: str, changes: dict) -> None:
    """Note it in the grant's record as a worker does, with its event."""
    key = layout.grant_key(grant_of(view.request.id))

    def step(seen: Snapshot):
        grant = town.reader.parse_grant(seen, key.removeprefix("grant:")).model_copy(update=changes)
        line = layout.event(kind, seen.now, request=view.request.id, grant=grant.id)
        return layout.commit(seen.now, layout.grant_noted(seen.records[key], grant), events=[line]), None

    await transact(town.store.records, [key], step)
    await town.quiet()


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("grant.flagged", {"points": 20, "said": "calls refused (20)"}, "20 points: calls refused (20)."),
        ("grant.reported", {"text": "Used nothing."}, "tells what was granted against what was used. Used nothing."),
        ("grant.kill_requested", {"ending": {"reason": "70 points"}}, "kills it: 70 points"),
    ],
)
def test_its_records_are_told_in_a_sentence(kind: str, data: dict, words: str):
    commit = Commit(at=samples.NOW, drafts=[Draft("req_1", kind, WORKER, "worker", data)])
    (entry,) = commit.entries()
    line = tell(entry.body, entry.texts)
    assert words in line.words
    assert line.bad == (kind != "grant.reported")
