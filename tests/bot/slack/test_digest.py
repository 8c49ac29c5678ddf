"""A flood in Slack: a few cards and one list, within its limits and rate; rows are reviewed alone, denied together."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from approvers.action import Access, Action, Actor
from approvers.request import RequestState
from bot.digest import Digest, Row
from bot.digests import CARDS_PER_MINUTE
from bot.postings_record import Cards, change
from bot.reading import View
from bot.surfaces.slack_digest import deny_form, message
from bot.surfaces.slack_limits import check_sendable
from tests.bot.slack.town import ACCOUNTS, BUCKET, CHANNEL, NOBODY, SlackTown, open_town, person
from tests.worlds.slack import Message
from tests.worlds.stopwatch import own_time

MANY = 200
LONGEST_LAG = 2.0
"""Seconds; the loop shares its core with whatever else is tested, and with this Slack."""


@pytest.fixture
async def town() -> AsyncIterator[SlackTown]:
    """One card a minute, so that nothing has to wait for Slack's rate."""
    async with open_town(cards_per_minute="1") as town:
        yield town


@pytest.fixture
async def usual() -> AsyncIterator[SlackTown]:
    async with open_town() as town:
        yield town


async def listed(town: SlackTown, words: str) -> Message:
    """Return the list once it says so."""

    def look() -> Message | None:
        found = [one for one in town.slack.messages(CHANNEL) if "in one list" in json.dumps(one.blocks)
                 or "of this list" in json.dumps(one.blocks)]  # fmt: skip
        return found[-1] if found and words in found[-1].visible_text() else None

    found = await town.slack.until(look, 120, f"a list with {words!r}")
    assert found is not None
    return found


async def noted(town: SlackTown, request: str) -> None:
    """Wait until the record of the request's cards knows the message that shows it."""
    async with asyncio.timeout(60):
        while not (await change(town.store.records, request, lambda cards: cards)).reached:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def flood(town: SlackTown, count: int) -> list[View]:
    """Ask so often, all at once."""
    return await asyncio.gather(*(ask(town, number) for number in range(count)))


async def ask(town: SlackTown, number: int) -> View:
    """Ask as the agent, and as a person too: one caller may have a hundred waiting."""
    if number % 2:
        return await town.ask()
    body: dict[str, object] = {
        "action": "s3:GetObject",
        "resource": f"{BUCKET}/2027/{number:03}/*",
        "environment": "prod",
        "reason": "Look why the job failed",
        "ttl_seconds": 900,
        "actor": Actor(id="user:alex"),
        "access": Access(role="analytics", actions=("s3:GetObject",), resources=(f"{BUCKET}/2027/{number:03}/*",)),
    }
    return await town.deps.desk.submit(person("alex"), Action(**body), f"alex-{number}")  # type: ignore[arg-type]


class Lag:
    """Measure how long the loop keeps others waiting."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            before = own_time()
            await asyncio.sleep(0.005)
            self.longest = max(self.longest, own_time() - before - 0.005)

    async def stop(self) -> float:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return self.longest


async def test_two_hundred_at_once_make_few_messages_and_all_count_as_shown(
    usual: SlackTown, capsys: pytest.CaptureFixture[str]
):
    town = usual
    town.slack.faults.pace("chat.postMessage", every=1.0, burst=3)
    began = time.monotonic()
    views = await flood(town, MANY)
    lag = Lag()  # of telling them: the asks themselves never wait for anything in this store
    rest = MANY - CARDS_PER_MINUTE
    shown = await listed(town, f"{rest} of {rest} ")
    took, longest = time.monotonic() - began, await lag.stop()
    with capsys.disabled():
        posts, edits = len(town.slack.calls("chat.postMessage")), len(town.slack.calls("chat.update"))
        print(f"\n{MANY} asks: {posts} posts, {edits} edits, {took:.1f} s, loop lag at most {longest * 1000:.0f} ms")
    assert len(town.slack.messages(CHANNEL)) == CARDS_PER_MINUTE + 1
    assert posts <= CARDS_PER_MINUTE + 3 and edits <= 5  # Slack may count its seconds otherwise, and have us wait
    assert longest < LONGEST_LAG
    assert "and 175 more: App Home" in shown.visible_text() and len(shown.buttons()) >= 21
    assert all(refusal.error == "ratelimited" for refusal in town.slack.refusals)

    async def reached(view: View) -> bool:
        key = f"cards:{view.request.id}"
        text = (await town.store.records.read([key])).records[key].json
        return bool(text) and all(copy["message"] for copy in json.loads(text)["copies"])

    async with asyncio.timeout(60):
        while not all([await reached(view) for view in views]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_row_is_reviewed_and_leaves_the_list_when_decided(town: SlackTown):
    await flood(town, 4)
    shown = await listed(town, "3 of 3 ")
    row = next(one for one in shown.buttons() if one.action_id == "cs_digest_review")
    await town.click("robin", shown, "cs_digest_review", value=row.value)
    dialog = await town.dialog("robin", "cs_review_view")
    assert dialog.private_metadata == row.value
    await town.click("robin", dialog, "cs_approve")
    await listed(town, "2 of 3 ")
    assert (await town.deps.reader.look(row.value.partition(".")[0])).request.state is RequestState.APPROVED
    assert town.slack.refusals == []


async def test_a_list_that_is_clicked_before_it_is_noted_is_not_taken_for_a_card(town: SlackTown):
    await flood(town, 4)
    shown = await listed(town, "3 of 3 ")
    row = next(one for one in shown.buttons() if one.action_id == "cs_digest_review")
    name = row.value.partition(".")[0]
    await noted(town, name)  # or its note comes after the next line
    await change(town.store.records, name, lambda _: Cards())
    await town.click("robin", shown, "cs_digest_review", value=row.value)
    await town.dialog("robin", "cs_review_view")
    await town.stop()  # what goes on after the answer has ended by now
    assert await change(town.store.records, name, lambda cards: cards) == Cards()


async def test_several_are_denied_each_for_itself_with_the_reason(town: SlackTown):
    await flood(town, 4)
    shown = await listed(town, "3 of 3 ")
    await town.click("robin", shown, "cs_digest_deny")
    form = await town.dialog("robin", "cs_digest_view")
    rows = [option["value"] for option in form.blocks[0]["element"]["options"]]
    await town.slack.submit(ACCOUNTS["robin"], form, {"rows_0": {"rows": rows[:2]}, "why": {"why": "not_now"}})
    said = (await town.dialog("robin", "cs_notice_view")).visible_text()
    assert "2 of 2 denied." in said
    denied = [await town.deps.reader.look(row.partition(".")[0]) for row in rows]
    assert [view.request.state for view in denied] == ["DENIED", "DENIED", "PENDING"]
    assert all(view.request.reviews[0].reason for view in denied[:2])
    await listed(town, "1 of 3 ")


async def test_who_may_not_deny_is_refused_row_by_row_and_strangers_see_no_rows(town: SlackTown):
    await flood(town, 3)
    shown = await listed(town, "2 of 2 ")
    await town.click("bob", shown, "cs_digest_deny")
    form = await town.dialog("bob", "cs_digest_view")
    rows = [option["value"] for option in form.blocks[0]["element"]["options"]]
    empty = await town.slack.submit(ACCOUNTS["bob"], form, {})
    assert "Choose at least one" in str(empty.body)
    await town.slack.submit(ACCOUNTS["bob"], form, {"rows_0": {"rows": [rows[0]]}})
    assert "0 of 1 denied." in (await town.dialog("bob", "cs_notice_view")).visible_text()
    assert await town.refusals(await town.deps.reader.look(rows[0].partition(".")[0])) == ["no_seat"]
    await town.slack.click(NOBODY, shown, "cs_digest_deny")
    assert rows[0] not in json.dumps((await town.dialog(NOBODY, "cs_notice_view")).blocks)


async def test_the_person_behind_the_agent_is_told_directly(town: SlackTown):
    view = await town.ask()
    await town.click("robin", await town.card(view), "cs_deny")
    assert f"{view.request.handle}, READ" in (said := await town.heard("dana"))
    assert "Denied by robin at " in said


@pytest.mark.parametrize("text", ["x", "*a* <!channel> ", "\U0001f525é", "⟨U+202E⟩"], ids=ascii)
def test_whatever_is_in_the_rows_slack_will_take_it(text: str):
    rows = tuple(
        Row(f"req_{n:026d}", "0" * 32, "ABCD", (text * 200)[:160], (text * 90)[:120], "CRITICAL 100", "0 of 2", "10:00",
            "headline does not cover the credential")
        for n in range(20)
    )  # fmt: skip
    shown = Digest("slack:C0123456789:29920920", rows, 195, 195)
    made = message(shown, console="https://countersign.example.com")
    check_sendable(made)
    check_sendable(deny_form(shown))
    assert len([block for block in made["blocks"] if block["type"] == "section"]) >= 5
