"""A flood in Teams: a few cards and one list, within its limits and rate; rows open pages, several are denied."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from approvers.action import Access, Action, Actor
from approvers.request import RequestState
from bot.commits import Click
from bot.digests import CARDS_PER_MINUTE
from bot.postings_record import Cards, change
from bot.reading import View
from bot.surfaces import teams_digest
from bot.surfaces.port import Lists
from bot.surfaces.teams_clicks import ACTIONS
from bot.surfaces.teams_limits import check_sendable
from bot.surfaces.teams_surface import TeamsSurface
from bot.surfaces.teams_text import TARGET, size
from tests.bot.slack.gallery import CONSOLE
from tests.bot.teams import gallery
from tests.bot.teams.schema import faults, live_markup, seen, verbs
from tests.bot.teams.town import BUCKET, CHANNEL, GUEST, NOBODY, OUTSIDER, TeamsTown, button, open_town, person, read
from tests.worlds.stopwatch import own_time
from tests.worlds.teams import Message

MANY = 100
"""Each caller may have a hundred waiting; two ask."""
DENY = "deny_many"


@pytest.fixture
async def town() -> AsyncIterator[TeamsTown]:
    """One card a minute, so that nothing has to wait for the pace."""
    async with open_town(cards_per_minute="1") as town:
        yield town


@pytest.fixture
async def usual() -> AsyncIterator[TeamsTown]:
    async with open_town() as town:
        yield town


async def listed(town: TeamsTown, words: str) -> Message:
    """Return the list once it says so."""

    def look() -> Message | None:
        texts = ((one, one.visible_text()) for one in town.teams.messages(CHANNEL) if one.ours and one.card)
        found = [one for one, text in texts if ("in one list" in text or "of this list" in text) and words in text]
        return found[-1] if found else None

    found = await town.teams.until(look, 120, f"a list with {words!r}")
    assert found is not None
    return found


async def noted(town: TeamsTown, request: str, since: str = "") -> str:
    """Wait until the record of the request's cards knows what the message shows, and that it is another face."""
    async with asyncio.timeout(60):
        while True:
            known = await change(town.store.records, request, lambda cards: cards)
            if faces := {one.face for one in known.copies} - {"", since}:
                return faces.pop()
            await asyncio.sleep(0.005)


async def flood(town: TeamsTown, count: int) -> list[View]:
    """Ask so often, all at once."""
    return await asyncio.gather(*(ask(town, number) for number in range(count)))


async def ask(town: TeamsTown, number: int) -> View:
    """Ask as the agent, and as a person too: one caller may have a hundred waiting."""
    if number % 2:
        return await town.ask()
    path = f"{BUCKET}/2027/{number:03}/*"
    access = Access(role="analytics", actions=("s3:GetObject",), resources=(path,))
    action = Action(
        action="s3:GetObject", resource=path, environment="prod", reason="Look why the job failed", ttl_seconds=900,
        actor=Actor(id="user:alex"), access=access,
    )  # fmt: skip
    return await town.deps.desk.submit(person("alex"), action, f"alex-{number}")


def rows(shown: Message) -> list[str]:
    """Return what can be ticked."""
    (choices,) = [it for name, it in shown.inputs().items() if name == "rows"]
    return [choice["value"] for choice in choices["choices"]]


async def look(town: TeamsTown, row: str) -> View:
    return await town.deps.reader.look(row.partition(".")[0])


async def test_a_hundred_at_once_make_few_messages_and_all_count_as_shown(usual: TeamsTown) -> None:
    town = usual
    before = len(town.teams.messages(CHANNEL))
    began = own_time()
    views = await flood(town, MANY)
    rest = MANY - CARDS_PER_MINUTE
    shown = await listed(town, f"{rest} of {rest} ")
    assert own_time() - began < 15
    assert len(town.teams.messages(CHANNEL)) - before == CARDS_PER_MINUTE + 1
    assert f"and {rest - 20} more: they are in the console." in shown.visible_text()
    assert "App Home" not in shown.visible_text()
    assert len([one for one in shown.actions() if one.title == "Review"]) == 20
    assert shown.summary == f"{rest} of {rest} requests in one list wait for an answer"
    assert town.teams.refusals == []

    async def reached(view: View) -> bool:
        return all(copy["message"] for copy in await town.copies_kept(view))

    async with asyncio.timeout(60):
        while not all([await reached(view) for view in views]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_row_leads_to_its_page_and_leaves_the_list_when_decided(town: TeamsTown) -> None:
    await flood(town, 4)
    shown = await listed(town, "3 of 3 ")
    name = rows(shown)[0].partition(".")[0]
    assert [one.url for one in shown.actions() if one.title == "Review" and name in str(one.url)] == [
        f"{town.deps.settings.base_url}/console/requests/{name}"
    ]
    view = await town.deps.reader.look(name)
    assert view.request.handle in shown.visible_text()
    shown_there = rows(shown)[0].partition(".")[2]
    await town.deps.desk.review(Click(person("robin"), name, "approve", "", shown_there, whole=True))
    shown = await listed(town, "2 of 3 ")
    assert name not in json.dumps(shown.card)
    assert town.teams.refusals == []


@pytest.mark.parametrize("fallback", [False, True], ids=["execute", "submit"])
async def test_several_are_denied_each_for_itself_with_the_reason(town: TeamsTown, fallback: bool) -> None:
    await flood(town, 4)
    shown = await listed(town, "3 of 3 ")
    chosen = rows(shown)
    inputs = {"rows": ",".join(chosen[:2]), "preset": "not_now"}
    delivery = await town.teams.click("robin", shown, DENY, inputs, fallback=fallback)
    assert delivery.ok
    said = await town.line("robin", "denied.") if fallback else read(delivery)
    assert said == "2 of 2 denied."
    denied = [await look(town, row) for row in chosen]
    assert [view.request.state for view in denied] == ["DENIED", "DENIED", "PENDING"]
    assert [view.request.reviews[0].reason for view in denied[:2]] == ["Not now.", "Not now."]
    records = [one for view in denied[:2] for one in await town.records(view) if one["type"] == "review.recorded"]
    assert [one["data"]["shown"] for one in records] == [row.partition(".")[2] for row in chosen[:2]]
    await listed(town, "1 of 3 ")
    assert town.teams.refusals == []


async def test_the_ledger_says_who_answered_on_the_list(town: TeamsTown) -> None:
    await flood(town, 3)
    shown = await listed(town, "2 of 2 ")
    row = rows(shown)[0]
    await town.press("robin", shown, DENY, inputs={"rows": row})
    await listed(town, "1 of 2 ")
    await town.stop()  # what goes on after the answer has ended by now
    (copy,) = await town.copies_kept(await look(town, row))
    assert (copy["message"], copy["acted_by"]) == (shown.id, "user:robin")


async def test_a_list_that_is_clicked_before_it_is_noted_is_not_taken_for_a_card(town: TeamsTown) -> None:
    await flood(town, 3)
    shown = await listed(town, "2 of 2 ")
    row = rows(shown)[0]
    name = row.partition(".")[0]
    face = await noted(town, name)
    await town.press("robin", shown, DENY, inputs={"rows": row})
    await listed(town, "1 of 2 ")
    await noted(town, name, since=face)  # or its note comes after the next line
    await change(town.store.records, name, lambda _: Cards())
    assert "0 of 1 denied." in await town.press("alex", shown, DENY, inputs={"rows": row})
    await town.stop()
    assert await change(town.store.records, name, lambda cards: cards) == Cards()


async def test_what_was_decided_meanwhile_is_told_and_the_rest_is_denied(town: TeamsTown) -> None:
    await flood(town, 3)
    shown = await listed(town, "2 of 2 ")
    asked = {(await look(town, row)).request.action.actor.id: row for row in rows(shown)}
    agents = asked["agent:report-bot"]
    assert await town.press("alex", shown, DENY, inputs={"rows": agents}) == "1 of 1 denied."
    said = await town.press("robin", shown, DENY, inputs={"rows": ",".join(rows(shown))})  # on a screen from before
    assert said.startswith("1 of 2 denied.")
    assert "decided already" in said
    shown = await listed(town, "All 2 requests of this list are decided")
    assert not [one for one in shown.actions() if one.decides]


class Stuck:
    """Stand before a store's records, and never answer a commit that denies this request."""

    def __init__(self, records: Any, request: str) -> None:
        self._records, self._request = records, request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    async def commit(self, commit: Any, *given: Any, **more: Any) -> Any:
        if self._request in repr(commit) and "DENIED" in repr(commit):
            await asyncio.Event().wait()
        return await self._records.commit(commit, *given, **more)


async def test_where_the_store_is_stuck_what_counts_is_told_and_the_rest_is_not_called_denied(town: TeamsTown) -> None:
    await flood(town, 3)
    shown = await listed(town, "2 of 2 ")
    first, second = rows(shown)
    town.door._records = Stuck(town.door._records, second.partition(".")[0])
    said = await town.press("robin", shown, DENY, inputs={"rows": f"{first},{second}"})
    assert said.startswith("1 of 2 denied. Not recorded: this took too long")
    assert [(await look(town, row)).request.state for row in (first, second)] == ["DENIED", "PENDING"]


async def test_who_may_not_deny_is_refused_row_by_row(town: TeamsTown) -> None:
    await flood(town, 3)
    shown = await listed(town, "2 of 2 ")
    row = rows(shown)[0]
    assert "Choose at least one" in str((await town.teams.click("bob", shown, DENY)).user_error)
    assert (await town.press("bob", shown, DENY, inputs={"rows": row})).startswith("0 of 1 denied.")
    assert await town.refusals(await look(town, row)) == ["no_seat"]


@pytest.mark.parametrize("name", [NOBODY, GUEST, OUTSIDER])
async def test_a_stranger_decides_nothing_and_is_no_record_on_each_row(town: TeamsTown, name: str) -> None:
    await flood(town, 3)
    shown = await listed(town, "2 of 2 ")
    said = await town.press(name, shown, DENY, inputs={"rows": ",".join(rows(shown))})
    assert "denied." not in said
    for row in rows(shown):
        assert await town.kinds(await look(town, row)) == ["request.submitted"]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "Choose at least one"),
        ({"rows": ",,"}, "Choose at least one"),
        ({"rows": ["ROW"]}, "Choose at least one"),
        ({"rows": "ROW", "preset": "because"}, "older version"),
        ({"rows": "ROW", "preset": {"a": 1}}, "older version"),
        ({"rows": "req_1.x,no,.."}, "0 of 3 denied."),
        ({"rows": "OLD"}, "0 of 1 denied."),
        ({"rows": "ROW", "trigger": "automatic"}, "older version"),
    ],
    ids=str,
)
async def test_whatever_else_is_sent_decides_nothing(town: TeamsTown, inputs: dict[str, Any], words: str) -> None:
    await flood(town, 2)
    shown = await listed(town, "1 of 1 ")
    (row,) = rows(shown)
    sent = json.loads(json.dumps(inputs).replace("ROW", row).replace("OLD", f"{row.partition('.')[0]}.{'0' * 32}"))
    trigger = sent.pop("trigger", "manual")
    data = {**button(shown, DENY).data, **sent}
    assert words in read(await town.teams.execute("robin", shown, DENY, data, trigger=trigger))
    assert (await look(town, row)).request.state is RequestState.PENDING


async def test_a_list_that_teams_will_not_draw_becomes_one_sentence(town: TeamsTown) -> None:
    await town.ask()
    await town.teams.until(lambda: [one for one in town.teams.messages(CHANNEL) if one.card], 8, "a card")
    town.teams.faults.status("post", 413, times=1)
    await flood(town, 2)
    shown = await listed(town, "of ")
    assert verbs(dict(shown.card or {})) == ["Open in the console"]


def test_the_surface_draws_lists_and_a_list_never_approves() -> None:
    assert issubclass(TeamsSurface, Lists)
    assert DENY in ACTIONS
    made = teams_digest.message(gallery.digest(20, 195), console=CONSOLE)
    assert verbs(made) == ["Review"] * 20 + ["Deny several…", DENY, "Open in the console"]


@pytest.mark.parametrize(
    "sign", ["x", "`", "*a* <at>all</at> ", "\U0001f525é", "⟨U+202E⟩", "a\n", gallery.NASTY], ids=ascii
)
def test_whatever_is_in_the_rows_teams_will_take_it(sign: str) -> None:
    made = teams_digest.message(gallery.digest(20, 195, sign * 300), console=CONSOLE)
    check_sendable(made)
    assert faults(made) == [] and live_markup(made) == []
    assert size(made) <= TARGET
    count = len([one for one in made["body"] if one["type"] == "ColumnSet"])
    assert count >= 10
    assert f"and {195 - count} more: they are in the console." in seen(made)
