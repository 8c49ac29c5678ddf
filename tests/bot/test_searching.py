"""Each planted request is found by each of its fields, nobody finds another's, and bad input is told what to write."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from approvers.action import Access, Actor
from approvers.audit import By, Draft
from approvers.errors import Malformed
from approvers.times import stamp
from bot.commits import Click
from bot.identity import Identity
from bot.reading import View
from bot.searching import Searching, found_answer
from bot.searching_query import FIELDS, Query, parse
from tests.bot.console.world import BOT, BUCKET, World, serve
from tests.worlds.samples import NOW
from tests.worlds.stopwatch import own_time
from tests.worlds.web import Web
from workers.stores.memory import memory_store
from workers.stores.port import Commit

READER = Identity("caller:auditor", frozenset({"read"}), By("caller:auditor", "api-key", "k"), "api")
OTHER = Identity("caller:other-bot", frozenset({"request"}), By("caller:other-bot", "api-key", "k"), "api")
in_town = pytest.mark.asyncio(loop_scope="module")
WAIT = timedelta(seconds=5)
BEGAN = datetime.now(UTC)
"""What `day 0` means in the searches below."""
MORE = """
[caller.other-bot]
kind = "agent"
owners = ["user:alex"]
actors = ["agent:other"]
on_behalf_of = "never"
"""


def person(name: str) -> Identity:
    return Identity(f"user:{name}", frozenset({"review", "read"}), By(f"user:{name}", "api-key", name), "api")


@dataclass
class Town:
    """A served process whose clock a test sets, and what was asked in it, by name."""

    world: World
    days: int = 0
    asked: dict[str, str] = field(default_factory=dict)

    async def keep(self, name: str, view: View) -> View:
        self.asked[name] = view.request.id
        return view

    async def found(self, who: Identity = READER, **given: str) -> set[str]:
        """Return the names of what a search finds, gone on with until it ends."""
        searching = Searching(self.world.deps)
        names = {request: name for name, request in self.asked.items()}
        now = await self.world.deps.store.records.now()
        for name, text in given.items():
            if text.startswith("day "):
                given[name] = stamp(BEGAN + timedelta(days=int(text[4:])))
        found: set[str] = set()
        before: int | None = None
        while True:
            step = await searching.search(who, parse(given, now), before=before, limit=2, most=7)
            hits = {names[hit.view.request.id] for hit in step.hits}
            assert not hits & found, "found twice"
            found |= hits
            if step.go_on is None:
                return found
            assert before is None or step.go_on < before
            before = step.go_on


async def planted(town: Town) -> Town:
    desk, wait = town.world.deps.desk, town.world.deps.reader.wait

    async def settled(view: View) -> View:
        return await wait(view.request.id, after=None, timeout=WAIT)

    view = await town.keep("revoked", await town.world.ask())
    await desk.review(Click(person("robin"), view.request.id, "approve"))
    live = await settled(view)
    assert live.grant
    await town.world.deps.custody.revoke(person("kim"), live.grant.id, "enough")
    view = await town.keep("denied", await town.world.ask(resource=f"{BUCKET}/other/secret.csv", access=None))
    await desk.review(Click(person("alex"), view.request.id, "deny", "Not now."))
    town.days = 3
    await town.keep("by_rule", await town.world.ask(reason=""))
    town.days = 6
    view = await town.keep("waits", await town.world.ask_two())
    await desk.review(Click(person("robin"), view.request.id, "approve"))
    elsewhere = Access(role="analytics", actions=("s3:GetObject",), resources=(f"{BUCKET}/2031/*",))
    wanted: dict[str, Any] = {"resource": f"{BUCKET}/2031/*", "access": elsewhere, "actor": Actor(id="agent:other")}
    action = view.request.action.model_copy(update={"action": "s3:GetObject", "ttl_seconds": 60, **wanted})
    await town.keep("others", await desk.submit(OTHER, action, "k1"))
    return town


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town() -> AsyncIterator[Town]:
    found: list[Town] = []
    store = memory_store(lambda: datetime.now(UTC) + timedelta(days=found[0].days if found else 0))
    async with serve(store, more=MORE) as world:
        found.append(Town(world))
        yield await planted(found[0])


ALL = {"revoked", "denied", "by_rule", "waits", "others"}
OURS = ALL - {"others"}
SEARCHES: dict[str, tuple[dict[str, str], set[str]]] = {
    "everything": ({}, ALL),
    "actor": ({"actor": "agent:other"}, {"others"}),
    "bare actor": ({"actor": "report-bot"}, OURS),
    "no such actor": ({"actor": "bot"}, set()),
    "asked": ({"person": "caller:other-bot", "as": "asked"}, {"others"}),
    "decided": ({"person": "alex", "as": "decided"}, {"denied"}),
    "answered, not decided yet": ({"person": "user:robin", "as": "decided"}, {"revoked", "waits"}),
    "revoked": ({"person": "kim", "as": "revoked"}, {"revoked"}),
    "revoked by nobody": ({"person": "robin", "as": "revoked"}, set()),
    "behind": ({"person": "dana", "as": "behind"}, OURS),
    "any part": ({"person": "kim"}, {"revoked"}),
    "prefix": ({"resource": f"{BUCKET}/other/"}, {"denied"}),
    "glob": ({"resource": f"{BUCKET}/other/*.csv"}, {"denied"}),
    "glob that patterns may cover": ({"resource": "*/secret.csv"}, ALL - {"waits"}),
    "what a pattern covers": ({"resource": f"{BUCKET}/2031/07/report.csv"}, {"others"}),
    "no prefix": ({"resource": "secret.csv"}, set()),
    "action": ({"action": "s3:putobject"}, {"waits"}),
    "actions": ({"action": "s3:Get*"}, ALL - {"waits"}),
    "role": ({"role": "analytics"}, ALL - {"denied"}),
    "from": ({"from": "day 5"}, {"waits", "others"}),
    "to": ({"to": "day 2"}, {"revoked", "denied"}),
    "between": ({"from": "day 2", "to": "day 4"}, {"by_rule"}),
    "ago": ({"from": "4d"}, {"by_rule", "waits", "others"}),
    "denied": ({"state": "denied"}, {"denied", "by_rule"}),
    "grant state": ({"state": "REVOKED"}, {"revoked"}),
    "because": ({"because": "rule"}, {"by_rule"}),
    "proof": ({"proof": "probe_denied"}, {"revoked"}),
    "no proof": ({"proof": "expired"}, set()),
    "flagged": ({"flagged": "1"}, set()),
    "break-glass": ({"break_glass": "1"}, set()),
    "both": ({"state": "DENIED", "person": "alex", "resource": "arn:aws:s3", "from": "2026-11-01"}, {"denied"}),
}


@pytest.mark.parametrize("name", SEARCHES)
@in_town
async def test_each_needle_is_found_by_each_field(town: Town, name: str) -> None:
    given, expected = SEARCHES[name]
    if name == "proof":
        view = await town.world.deps.reader.wait(town.asked["revoked"], after=None, timeout=WAIT)
        while view.grant is None or view.grant.proof is None:
            view = await town.world.deps.reader.wait(view.request.id, after=view.version, timeout=WAIT)
    assert await town.found(**given) == expected


@in_town
async def test_nobody_finds_what_is_anothers(town: Town) -> None:
    assert await town.found(OTHER) == {"others"}
    assert await town.found(BOT) == OURS
    assert await town.found(OTHER, person="dana") == set()
    assert await town.found(Identity("user:alex", frozenset({"request"}), OTHER.by, "api")) == {"others"}, "its owner"
    assert await town.found(Identity("user:dana", frozenset({"request"}), OTHER.by, "api")) == OURS, "behind them"
    assert await town.found(Identity("user:nobody", frozenset({"request"}), OTHER.by, "api")) == set()


@in_town
async def test_steps_are_bounded_and_say_how_far_they_came(town: Town) -> None:
    searching = Searching(town.world.deps)
    size = await town.world.deps.store.log.size()
    first = await searching.search(READER, Query(action="x:*"), most=3)
    assert (list(first.hits), first.looked_at, first.go_on) == ([], 3, size - 2)
    one = await searching.search(READER, Query(), limit=1)
    assert len(one.hits) == 1 and one.go_on == one.hits[0].position
    assert found_answer(one)["next"] == str(one.go_on)
    whole = await searching.search(READER, Query())
    assert whole.go_on is None and whole.looked_at == size
    assert [hit.position for hit in whole.hits] == sorted((hit.position for hit in whole.hits), reverse=True)
    assert {hit.view.request.id for hit in whole.hits} == set(town.asked.values())


@in_town
async def test_what_takes_long_goes_on_in_the_next_step(town: Town) -> None:
    searching, found, before, steps = Searching(town.world.deps, seconds=0), list[str](), None, 0
    while steps == 0 or before is not None:
        step = await searching.search(READER, Query(), before=before)
        assert len(step.hits) <= 1, "one, so that it comes to an end, and no more"
        found += [hit.view.request.id for hit in step.hits]
        before, steps = step.go_on, steps + 1
    assert sorted(found) == sorted(town.asked.values())


@in_town
async def test_patterns_that_take_seconds_to_compare_are_found_where_they_begin_alike(town: Town) -> None:
    long = "*" + "a" * 2_000
    action = (await town.world.deps.reader.look(town.asked["waits"])).request.action
    view = await town.world.deps.reader.look(town.asked["waits"])
    request = view.request.model_copy(update={"action": action.model_copy(update={"resource": long})})
    view, began = View(request, None, 1), own_time()
    assert Query(resource="*" + "a" * 1_000 + "b").holds(view)
    assert Query(resource="*" + "a" * 1_000).holds(view)
    assert own_time() - began < 0.5, "three seconds, compared letter by letter"
    request = view.request.model_copy(update={"action": action.model_copy(update={"resource": f"arn:{long}"})})
    assert not Query(resource="urn:" + "a" * 1_000).holds(View(request, None, 1))


@in_town
async def test_a_moment_counts_to_the_millisecond(town: Town) -> None:
    view = (await Searching(town.world.deps).search(READER, Query(actor="agent:other"))).hits[0].view
    at, step = view.request.submitted_at, timedelta(milliseconds=1)
    assert [Query(since=at).holds(view), Query(since=at + step).holds(view)] == [True, False]
    assert [Query(until=at).holds(view), Query(until=at + step).holds(view)] == [False, True]


@in_town
async def test_other_records_are_passed_over(town: Town) -> None:
    told = {"body_sha256": "0" * 64, "sealed_to": "caller"}
    drafts = [Draft(f"req_{number:026}", "request.folded", BOT.by, "api", told) for number in range(1_200)]
    records = town.world.deps.store.records
    await records.commit(Commit(at=await records.now(), drafts=drafts))
    assert await town.found(state="DENIED", **{"from": "2026-11-01"}) == {"denied", "by_rule"}


@pytest.mark.parametrize(
    ("given", "name", "remedy"),
    [
        ({"state": "GONE"}, "state", "one of PENDING, APPROVED"),
        ({"because": "luck"}, "because", "one of waiting"),
        ({"proof": "word"}, "proof", "never_issued"),
        ({"as": "decided"}, "as", "write the person"),
        ({"as": "king", "person": "dana"}, "as", "asked, decided, revoked, behind"),
        ({"from": "yesterday"}, "from", "2026-10-01"),
        ({"to": "2026-13-01"}, "to", "write a day"),
        ({"from": "2026-10-02", "to": "2026-10-02"}, "to", "later"),
        ({"flagged": "maybe"}, "flagged", "no value but 1"),
        ({"resource": "x" * 3_000}, "resource", "at most 2,048"),
        ({"colour": "red"}, "colour", "actor, person"),
    ],
    ids=lambda one: "-".join(one) if isinstance(one, dict) else None,
)
def test_bad_input_names_the_field_and_what_to_write(given: dict[str, str], name: str, remedy: str) -> None:
    with pytest.raises(Malformed, match=remedy) as caught:
        parse(given, NOW)
    assert caught.value.field == name


async def test_over_http(quick_web: Web) -> None:
    mine = (await quick_web.ask("k1")).json["id"]
    got = await quick_web.call("GET", "/v1/audit?person=dana&as=behind&state=pending&limit=5", who="caller:auditor")
    assert [one["request"] for one in got.json["found"]] == [mine]
    assert got.json["next"] is None
    assert (await quick_web.call("GET", "/v1/audit", who="caller:other-bot")).json["found"] == []
    assert [one["request"] for one in (await quick_web.call("GET", "/v1/audit")).json["found"]] == [mine]
    ever = "from=0001-01-01&to=9999-12-31T23:59:59"
    assert len((await quick_web.call("GET", f"/v1/audit?{ever}")).json["found"]) == 1
    report = await quick_web.call("GET", f"/v1/reports/access?{ever}", who="caller:auditor")
    assert (report.status, report.json["summary"]["total"]["asked"]) == (200, 1)
    for query, name in (("state=x", "state"), ("limit=0", "limit"), ("after=x", "after"), ("who=dana", "who")):
        refused = await quick_web.call("GET", f"/v1/audit?{query}")
        assert (refused.code, refused.json["field"]) == ("malformed", name)
    document = json.loads((await quick_web.call("GET", "/openapi.json", who=None)).body)
    described = {one["name"] for one in document["paths"]["/v1/audit"]["get"]["parameters"]}
    assert described == {*FIELDS, "after", "limit"}
