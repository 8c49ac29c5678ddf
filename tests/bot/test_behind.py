"""The person behind an agent is told what came of its asks: privately, once, and wherever they can be reached."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot.behind import Behind, by_policy
from bot.behind_record import Told, told_key
from bot.behind_words import LONGEST
from bot.notifier import Event, Notifier
from bot.surfaces.port import OutcomeUnknown, Refused, SurfaceError, Unreachable
from tests.bot.postings_town import Town
from tests.bot.test_desk import person
from tests.worlds import samples
from tests.worlds.boards import Board
from workers.stores.port import Commit, Store, Unavailable

TENANT = "8f1c2a40-5b7e-4d3f-9a61-0c2d4e6f8a10"
ACCOUNT = f"{TENANT}:{TENANT}"
DANA = samples.ROSTER_TEXT.replace("[person.dana]", f'[person.dana]\nslack = "T01:U0DANA"\nteams = "{ACCOUNT}"')


class Phone(Board):
    """A board that may fail to tell, as a platform does."""

    def __init__(self, name: str, account: str) -> None:
        super().__init__(name, people=(account,))
        self.faults: list[SurfaceError] = []
        self.tries = 0

    async def tell(self, account: str, text: str) -> None:
        self.tries += 1
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, OutcomeUnknown):
                await super().tell(account, text)
            raise fault
        await super().tell(account, text)

    @property
    def said(self) -> list[str]:
        return [text for _, text in self.whispers]


class Deaf:
    """Records that cannot be written when what was told is to be noted."""

    def __init__(self, store: Store) -> None:
        self._records, self.left = store.records, 1

    def __getattr__(self, name: str):
        return getattr(self._records, name)

    async def commit(self, commit: Commit) -> None:
        if self.left and any(key.startswith("told:") and '"said":["' in text for key, text in commit.puts.items()):
            self.left -= 1
            raise Unavailable("gone")
        await self._records.commit(commit)


@pytest.fixture
async def town() -> Town:
    town = await Town().start(DANA)
    town.surfaces |= {"slack": Phone("slack", "U0DANA"), "teams": Phone("teams", ACCOUNT)}
    return town


def behind(town: Town) -> Behind:
    return Behind(town.store, town.policies, town.reader, town.surfaces)


def phone(town: Town, name: str = "slack") -> Phone:
    found = town.surfaces[name]
    assert isinstance(found, Phone)
    return found


@asynccontextmanager
async def listening(town: Town, listener: Behind | None = None) -> AsyncIterator[None]:
    task = asyncio.create_task(Notifier(town.store, [listener or behind(town)]).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.002)


async def test_each_step_is_told_once_and_privately(town: Town):
    async with listening(town):
        view = await town.ask()
        await town.quiet()
        assert phone(town).said == []
        for step in (town.click, town.mint, town.revoke, town.prove):
            await step(view)
            await town.quiet()
    decided, live, ended = phone(town).said
    assert decided.startswith(f"{view.request.handle}, READ customer-exports/2026/*")
    assert "Approved by robin at " in decided and "Live since" not in decided
    assert ": Live since " in live and ", until " in live
    assert "Ended " in ended and "Live since" not in ended and "revoked by kim" in ended.lower()
    assert (phone(town, "teams").said, phone(town).messages(), phone(town).count("post")) == ([], [], 0)


async def test_a_denial_says_who_and_why(town: Town):
    async with listening(town):
        view = await town.ask()
        await town.click(view, verdict="deny", reason="Ask for\none day, <!channel>")
        await town.quiet()
    (said,) = phone(town).said
    assert "Denied by robin at " in said and said.endswith(": Ask for ⏎ one day, <!channel>")


async def test_who_asked_by_form_is_told_and_own_withdrawal_is_no_news(town: Town):
    async with listening(town):
        mine = await town.desk.submit(person("dana"), samples.action(actor={"id": "user:dana"}, ttl_seconds=61), "f1")
        await town.click(mine)
        await town.quiet()
        other = await town.desk.submit(person("dana"), samples.action(actor={"id": "user:dana"}, ttl_seconds=62), "f2")
        await town.desk.cancel(person("dana"), other.request.id)
        await town.quiet()
    (said,) = phone(town).said
    assert said.startswith(mine.request.handle)


async def test_what_policy_answers_and_who_has_no_account_is_told_nobody(town: Town):
    async with listening(town):
        only = {"action": "s3:ListAllMyBuckets", "resource": "*", "data_classes": None}
        quick = await town.ask(**only, access=None)
        alone = await town.ask(actor={"id": "agent:report-bot", "on_behalf_of": "user:robin"})
        await town.click(alone, "alex", verdict="deny")
        await town.quiet()
    assert quick.request.state != "PENDING"
    assert phone(town).said == phone(town, "teams").said == []
    assert phone(town).tries == 0


async def test_where_one_platform_refuses_the_next_is_tried(town: Town):
    phone(town).faults = [Refused("not_in_channel")]
    async with listening(town):
        await town.click(await town.ask())
        await town.quiet()
    assert (phone(town).said, len(phone(town, "teams").said)) == ([], 1)


async def test_what_nobody_takes_is_let_go(town: Town):
    phone(town).faults, phone(town, "teams").faults = [Refused("a")], [Refused("b")]
    async with listening(town):
        await town.click(await town.ask())
        await town.quiet()
        assert phone(town).tries == 1


async def test_it_waits_while_a_platform_is_away_and_says_what_stands_then(town: Town):
    phone(town).faults = [Unreachable("away", after_seconds=0.01)] * 5
    async with listening(town):
        view = await town.ask()
        await town.click(view)
        await town.mint(view)
        await town.quiet()
    assert sum("Approved by robin" in said for said in phone(town).said) == 1
    assert sum("Live since" in said for said in phone(town).said) == 1


async def test_a_lost_answer_is_tried_once_more_and_no_third_time(town: Town):
    phone(town).faults = [OutcomeUnknown("no answer")] * 5
    async with listening(town):
        await town.click(await town.ask())
        await town.quiet()
    assert phone(town).tries == 2


async def test_another_process_says_what_the_first_did_not_and_repeats_nothing(town: Town):
    phone(town).faults = [Unreachable("away", after_seconds=60)]
    view, told = await town.ask(), await town.ask()
    async with listening(town):
        await town.click(view)
        await town.until(lambda: phone(town).tries)
    async with listening(town):
        await town.click(told)
        await town.quiet()
    assert sorted(line.partition(",")[0] for said in phone(town).said for line in said.split("\n")) == sorted(
        [view.request.handle, told.request.handle]
    )
    async with listening(town, behind(town)):
        await town.mint(view)
        await town.quiet()
    assert "Approved" not in phone(town).said[-1]


async def test_a_store_that_was_away_when_it_was_told_makes_no_double(town: Town, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bot.behind.AGAIN_SECONDS", 0.01)
    listener = behind(town)
    records = Deaf(town.store)
    listener._records = records  # type: ignore[assignment]
    async with listening(town, listener):
        view = await town.ask()
        await town.click(view)
        await town.quiet()
    assert (records.left, phone(town).tries) == (0, 1)
    stored = (await town.store.records.read([told_key(view.request.id)])).records[told_key(view.request.id)]
    assert Told.model_validate_json(stored.json) == Told(said=("decided",))


async def test_many_outcomes_at_once_make_few_messages(town: Town):
    views = [await town.ask() for _ in range(45)]
    for view in views:
        await town.click(view, verdict="deny", reason="Not today. " * 30)
    async with listening(town):
        await town.quiet()
    lines = [line for said in phone(town).said for line in said.split("\n")]
    assert sorted(line.partition(",")[0] for line in lines) == sorted(view.request.handle for view in views)
    assert len(phone(town).said) <= 4 and max(map(len, phone(town).said)) < LONGEST + 20 * 60


def test_what_was_begun_and_not_sent_may_be_tried_again():
    once = Told().begun(["decided"])
    assert once.trying == {"decided": 1} and once.unsaid(["decided"]) == Told()
    assert once.begun(["decided"]).begun(["decided"]) == Told(said=("decided",))
    assert once.done(["decided"]).begun(["decided"]) == Told(said=("decided",))


def test_only_policy_answers_right_after_the_ask():
    def events(*kinds: str) -> list[Event]:
        return [Event(str(n), kind, samples.NOW, "req_1", None) for n, kind in enumerate(kinds)]

    assert by_policy(events("request.submitted", "request.approved")) == {"1"}
    assert by_policy(events("request.submitted", "review.recorded", "request.approved")) == set()
    assert by_policy(events("request.approved")) == set()
