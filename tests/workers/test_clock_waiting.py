"""The clock over the desk's store: it raises levels, reminds, tells on-call, follows new rules, and ends what waits."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from approvers.answer import answer
from approvers.card import render
from approvers.errors import Forbidden
from approvers.request import Because, RequestState
from bot.postings_record import Cards, Copy
from bot.reading import View
from tests.bot.postings_town import Sink
from tests.bot.test_desk import World
from tests.worlds import samples
from tests.worlds.dues import looked_after
from tests.worlds.texts import records_of
from workers.clock.due import Clock
from workers.clock.waiting import Waiting
from workers.policies import apply
from workers.queue import Queue
from workers.stores import layout
from workers.stores.port import Commit

MINUTES = 'levels        = [{ after = "0m", ask = ["group:sre", "place:console"] }]'
LADDER = 'levels = [{ after = "0m", ask = ["place:console"] }, { after = "10m", ask = ["group:sre"] }]'
POLICY = samples.POLICY_TEXT.replace(MINUTES, LADDER, 1)
assert POLICY != samples.POLICY_TEXT
ONE_SEAT = POLICY.replace("{ sre = 2 }", "{ sre = 1 }")
ONLY_DANA = samples.ROSTER_TEXT.replace('people = ["dana", "robin", "alex", "kim"]', 'people = ["dana"]').replace(
    'owners       = ["user:dana"]', 'owners = ["user:kim"]'
)
"""Dana is the human behind the agent, and nobody else is left who has a seat."""
assert ONLY_DANA != samples.ROSTER_TEXT and ONE_SEAT != POLICY
DUE = Cards(copies=(Copy(surface="slack", to="C01"),))
SHOWN = Cards(copies=(Copy(surface="slack", to="C01", channel="C01", message="1.0", state="posted"),))


class Watched(World):
    """The desk's world with a clock and somebody on call."""

    def __init__(self) -> None:
        super().__init__()
        self.alerts = Sink()
        self.waiting = Waiting(self.store, self.policies, self.alerts)

    async def at(self, view: View, minutes: float) -> list[str]:
        """Let time pass until then, doing what falls due on the way at its moment; returns a word for each."""
        until, words = view.request.submitted_at + timedelta(minutes=minutes), []
        while True:
            handout = await looked_after(self.store)
            words += [await self.waiting.look_after(item) for item in handout.items]
            await self.waiting.settle()
            if not handout.items:
                if self.time + handout.next_in > until:
                    self.time = max(self.time, until)
                    return words
                self.time += handout.next_in

    async def cards(self, view: View, cards: Cards) -> None:
        key = layout.cards_key(view.request.id)
        version = (await self.store.records.read([key])).records[key].version
        await self.store.records.commit(
            Commit(at=self.time, expects={key: version}, puts={key: cards.model_dump_json()})
        )

    async def now(self, view: View):
        return (await self.reader.look(view.request.id)).request

    async def events(self) -> list[str]:
        return [json.loads(line)["type"] for _, line in await self.store.outbox.unread()]


@pytest.fixture
async def world() -> Watched:
    watched = Watched()
    await watched.start(policy=POLICY)
    return watched


async def test_the_ladders_next_level_is_one_move_with_its_record_and_its_event(world: Watched):
    view = await world.ask()
    await world.cards(view, SHOWN)
    assert await world.at(view, 9.99) == ["early"]
    assert (await world.now(view)).level == 0
    assert await world.at(view, 10) == ["escalated"]
    after = await world.now(view)
    assert (after.state, after.level, after.level_since) == (RequestState.PENDING, 1, world.time)
    assert await world.types(view.request.id) == ["request.submitted", "request.escalated"]
    assert await world.events() == ["request.submitted", "request.escalated"]
    assert world.alerts.keys == []


async def test_one_delivered_copy_is_no_alert_and_its_silence_is_called_silence(world: Watched):
    view = await world.ask()
    await world.cards(view, SHOWN)
    assert await world.at(view, 30) == ["early", "escalated", "noted", "expired"]
    assert (await world.now(view)).because is Because.NOBODY_ANSWERED
    assert world.alerts.keys == []
    assert (await world.events())[-2:] == ["request.reminded", "request.expired"]


async def test_without_any_chat_nobody_is_alarmed(world: Watched):
    view = await world.ask()
    await world.at(view, 30)
    assert (await world.now(view)).because is Because.NOBODY_ANSWERED
    assert world.alerts.keys == []


async def test_what_reaches_nobody_asks_the_next_level_early_then_on_call_and_ends_as_our_fault(world: Watched):
    view = await world.ask()
    await world.cards(view, DUE)
    assert await world.at(view, 2) == ["escalated"]
    assert (await world.now(view)).unreached_at == world.time
    assert world.alerts.keys == []
    await world.at(view, 4)
    assert world.alerts.keys == [f"request.unreached:{view.request.id}"]
    (alert,) = world.alerts.sent
    assert alert.severity == "critical" and view.request.handle in alert.summary
    await world.at(view, 6)
    assert set(world.alerts.keys) == {f"request.unreached:{view.request.id}"}, "repeated while it holds"
    await world.at(view, 30)
    assert (await world.now(view)).because is Because.NOBODY_REACHED
    assert await world.types(view.request.id) == [
        "request.submitted", "request.unreached", "request.escalated", "request.expired"
    ]  # fmt: skip


async def test_the_alert_is_over_when_somebody_was_shown_it_or_has_answered(world: Watched):
    first = await world.ask()
    await world.cards(first, DUE)
    await world.at(first, 4)
    await world.cards(first, SHOWN)
    await world.at(first, 5)
    assert (await world.now(first)).unreached_at is None
    assert world.alerts.keys[-1] == f"-request.unreached:{first.request.id}"
    second = await world.ask("k2", ttl_seconds=60)
    await world.cards(second, DUE)
    await world.at(second, 4.5)
    assert (await world.now(second)).unreached_at
    await world.click(second, "robin")
    assert await world.at(second, 4.5) == ["decided"]
    assert world.alerts.keys[-1] == f"-request.unreached:{second.request.id}"


async def test_a_group_that_four_eyes_empties_is_told_at_once_and_the_next_level_asked(world: Watched):
    await apply(world.store.records, policy=ONE_SEAT, roster=ONLY_DANA, by="user:kim", why="all others left")
    await world.policies.refresh()
    late = await world.ask()
    assert await world.at(late, 0) == ["escalated"], "before anything else is due"
    assert world.alerts.keys == ["group.empty:sre"]
    assert (await world.now(late)).empty == ("sre",)
    assert (await world.types(late.request.id))[1:] == ["request.unfillable", "request.escalated"]


async def test_rules_that_change_have_everything_that_waits_looked_at(world: Watched):
    view = await world.ask()
    await world.cards(view, SHOWN)
    clock = Clock(world.store, Queue("redis://127.0.0.1:1/0", job_seconds=9), timedelta(seconds=20), world.alerts)
    await apply(world.store.records, policy=ONE_SEAT, roster=ONLY_DANA, by="user:kim", why="all others left")
    await clock.recall(layout.WAITING, layout.request_key)
    await clock.attend()
    await clock.leave()
    assert world.alerts.keys == ["group.empty:sre"]
    assert (await world.now(view)).level == 1
    await apply(world.store.records, policy=POLICY, roster=samples.ROSTER_TEXT, by="user:kim", why="robin is back")
    await world.policies.refresh()
    await world.at(view, 1)
    assert world.alerts.keys == ["group.empty:sre", "-group.empty:sre"]


async def test_a_review_and_a_level_at_once_lose_neither(world: Watched):
    view = await world.ask(action="s3:PutObject", access={**samples.BODY["access"], "actions": ["s3:GetObject"]})
    assert view.request.ruling.seats == {"sre": 2}
    await world.cards(view, SHOWN)
    await world.at(view, 9)
    world.time = view.request.submitted_at + timedelta(minutes=10)
    (item,) = (await world.store.due.claim("clock", most=9, lease=timedelta(seconds=20))).items
    await world.click(view, "robin")
    assert await world.waiting.look_after(item) == "escalated"
    after = await world.now(view)
    assert (after.level, [one.reviewer for one in after.reviews]) == (1, ["user:robin"])


async def test_an_item_that_was_handed_on_changes_nothing(world: Watched):
    view = await world.ask()
    await world.cards(view, DUE)
    world.time += timedelta(minutes=2)
    (late,) = (await world.store.due.claim("clock", most=9, lease=timedelta(seconds=1))).items
    world.time += timedelta(seconds=2)
    (item,) = (await world.store.due.claim("clock", most=9, lease=timedelta(seconds=1))).items
    assert await world.waiting.look_after(late) == "fenced"
    assert await world.waiting.look_after(item) == "escalated"


async def test_nobody_reached_is_in_the_answer_and_a_long_poll_hears_of_it(world: Watched):
    view = await world.ask()
    await world.cards(view, DUE)
    await world.at(view, 2)
    found = await world.reader.look(view.request.id)
    assert found.version > view.version
    assert answer(found.request, None, found.version)["nobody_reached"] is True


FILLING = POLICY.replace('ask = ["group:sre"] }]', 'ask = ["group:oncall"], may_fill = "dba", alert = true }]').replace(
    "[quorum.one]\nseats  = { sre = 1 }", "[quorum.one]\nseats  = { dba = 1 }"
)
DBA = samples.ROSTER_TEXT + '[person.ana]\n[group.dba]\npeople = ["ana"]\n'
assert FILLING.count("may_fill") == FILLING.count("dba = 1") == 1


async def test_from_a_level_on_its_groups_may_fill_the_seats_and_on_call_hears_until_it_is_decided(world: Watched):
    await apply(world.store.records, policy=FILLING, roster=DBA, by="user:kim", why="test")
    await world.policies.refresh()
    view = await world.ask()
    await world.cards(view, SHOWN)
    with pytest.raises(Forbidden, match=r"Asked: dba\.$"):
        await world.click(view, "kim")
    assert (await world.at(view, 10))[-1] == "escalated"
    after = await world.now(view)
    assert (after.fill_in, after.alerted_at) == ((("oncall", "dba"),), world.time)
    assert render(after, None).asked.endswith("1 of dba; oncall may fill in for dba.")
    bodies = await records_of(world.store, view.request.id)
    assert bodies[-1]["data"] == {"level": 2, "why": "time", "may_fill": ["oncall for dba"]}
    assert world.alerts.keys == [f"request.escalated:{view.request.id}"]
    with pytest.raises(Forbidden, match="oncall may fill in for dba"):
        await world.click(view, "robin")
    done = (await world.click(view, "kim")).request
    assert (done.state, done.reviews[0].groups, done.reviews[0].raised) == (
        "APPROVED",
        ("oncall", "sre", "dba"),
        ("dba",),
    )
    bodies = await records_of(world.store, view.request.id)
    assert next(one for one in bodies if one["type"] == "review.recorded")["data"]["raised"] == ["dba"]
    assert await world.at(view, 10) == ["decided"]
    assert world.alerts.keys[-1] == f"-request.escalated:{view.request.id}"
    assert (await world.store.signals.counts())["alerts:request.escalated"] == 1


async def test_a_ladder_that_has_lost_the_level_since_opens_nothing(world: Watched):
    """What was opened by the clock, and is not in today's policy any more, counts for nobody."""
    await apply(world.store.records, policy=FILLING, roster=DBA, by="user:kim", why="test")
    await world.policies.refresh()
    view = await world.ask()
    await world.cards(view, SHOWN)
    await world.at(view, 10)
    without = FILLING.replace(', may_fill = "dba"', "")
    await apply(world.store.records, policy=without, roster=None, by="user:kim", why="no more")
    with pytest.raises(Forbidden) as refused:
        await world.click(view, "kim")
    assert refused.value.code == "no_seat"


async def test_a_level_that_alerts_is_over_when_the_request_expires(world: Watched):
    await apply(world.store.records, policy=FILLING, roster=DBA, by="user:kim", why="test")
    await world.policies.refresh()
    view = await world.ask()
    await world.cards(view, SHOWN)
    await world.at(view, 30)
    key = f"request.escalated:{view.request.id}"
    assert [one for one in world.alerts.keys if key in one][-1] == f"-{key}"
    assert (await world.now(view)).alerted_at is None


async def test_a_first_level_may_open_seats_and_alert_at_once(world: Watched):
    first = FILLING.replace('ask = ["place:console"] }', 'ask = ["group:oncall"], may_fill = "dba", alert = true }')
    await apply(world.store.records, policy=first, roster=DBA, by="user:kim", why="test")
    await world.policies.refresh()
    view = await world.ask()
    assert view.request.fill_in == (("oncall", "dba"),)
    assert await world.at(view, 0) == ["noted"]
    assert world.alerts.keys == [f"request.escalated:{view.request.id}"]
    assert (await world.click(view, "kim")).request.state == "APPROVED"


async def test_a_level_whose_groups_fill_in_ends_the_want_of_people_at_once(world: Watched):
    alone = DBA.replace('[group.dba]\npeople = ["ana"]', '[group.dba]\npeople = ["dana"]').replace(
        'owners       = ["user:dana"]', 'owners = ["user:robin"]'
    )
    await apply(world.store.records, policy=FILLING, roster=alone, by="user:kim", why="test")
    await world.policies.refresh()
    view = await world.ask()
    assert await world.at(view, 0) == ["escalated"]
    after = await world.now(view)
    assert (after.level, after.empty) == (1, ())
    assert world.alerts.keys == [f"request.escalated:{view.request.id}"]
