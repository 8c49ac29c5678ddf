"""Commands over the whole web process and a worker: private answers, usage on mistakes, every refusal a record."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from approvers.audit import By
from approvers.errors import CountersignError, Forbidden, Inadmissible
from bot.commands import ON_CARDS, Commands
from bot.commits import Click
from bot.identity import Identity
from bot.proving import milestones, progress, proven, unproven
from bot.reading import NotFound, View
from bot.replies import BULLET, MAX_ROWS, Reply
from tests.bot.console.world import World, demo_files, serve
from tests.worlds.texts import records_of
from workers.policies import apply

NAMES = ["list", "active", "revoke", "freeze", "show", "why", "audit", "unfreeze", "console", "away", "request", "help"]


def person(name: str, *scopes: str) -> Identity:
    held = frozenset(scopes or ("review", "read", "request"))
    return Identity(f"user:{name}", held, By(f"user:{name}", "slack", f"T01/{name}"), "slack")


class Town:
    """A served process, and people who type. Kim is on call; eve is in no group."""

    def __init__(self, world: World) -> None:
        self.world, self.deps = world, world.deps
        self.commands = Commands(world.deps, prefix="/countersign ")

    async def types(self, name: str, text: str) -> Reply:
        return await self.commands.run(person(name), text)

    async def refused(self, name: str, text: str, kind: type[CountersignError]) -> CountersignError:
        with pytest.raises(kind) as caught:
            await self.types(name, text)
        return caught.value

    async def live(self, **changes: object) -> View:
        """Ask, approve, and wait until the credential is there."""
        view = await self.world.ask(**changes)
        await self.deps.desk.review(Click(person("robin"), view.request.id, "approve"))
        return await self.deps.reader.wait(view.request.id, after=None, timeout=timedelta(seconds=5))

    async def last(self) -> dict:
        return (await records_of(self.deps.store, "sys"))[-1]


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    async with serve() as world:
        _, roster = demo_files()
        roster += '\n[person.eve]\n[group.duty]\npeople = ["kim"]\noncall = true\n'
        await apply(world.deps.store.records, policy=None, roster=roster, by="ops", why="people on call")
        await world.deps.policies.refresh()
        yield Town(world)


async def test_help_has_every_command_once_with_a_line(town: Town) -> None:
    reply = await town.types("eve", "help")
    assert [line.split()[1] for line in reply.lines[:-1]] == NAMES
    assert all(line.startswith("/countersign ") and " · " in line for line in reply.lines[:-1])
    assert (await town.types("eve", "")).lines == reply.lines
    assert "Write: /countersign revoke [ID" in "\n".join((await town.types("eve", "help revoke")).lines)


async def test_list_shows_mine_first_and_says_so(town: Town) -> None:
    assert (await town.types("robin", "list")).title == "Nothing waits."
    answered = await town.world.ask(action="s3:PutObject", access=None)  # takes two people
    await town.deps.desk.review(Click(person("robin"), answered.request.id, "approve"))
    mine = await town.world.ask()
    reply = await town.types("robin", "list")
    assert reply.title == "2 wait, 1 for you"
    assert [row.request for row in reply.rows] == [mine.request.id, answered.request.id]
    assert [row.detail.startswith("waits for you") for row in reply.rows] == [True, False]
    assert {row.buttons for row in reply.rows} == {("review",)}
    assert all(len(row.shown) == 32 for row in reply.rows)
    assert (await town.types("dana", "list")).title == "2 wait, none for you"


async def test_what_needs_others_only_does_not_wait_for_me(town: Town) -> None:
    policy, roster = demo_files()
    policy = policy.replace("{ sre = 1 }", "{ sre = 1, dba = 1 }", 1)
    roster += '\n[person.eve]\n[group.dba]\npeople = ["eve"]\n'
    await apply(town.deps.store.records, policy=policy, roster=roster, by="ops", why="two groups")
    await town.deps.policies.refresh()
    view = await town.world.ask()
    assert (await town.types("alex", "list")).title == "1 waits, 1 for you"
    await town.deps.desk.review(Click(person("robin"), view.request.id, "approve"))
    assert (await town.types("alex", "list")).title == "1 waits, none for you"
    assert (await town.types("eve", "list")).title == "1 waits, 1 for you"


async def test_a_long_list_shows_twenty_and_counts_the_rest(town: Town) -> None:
    for _ in range(MAX_ROWS + 3):
        await town.world.ask()
    reply = await town.types("robin", "list")
    assert (len(reply.rows), reply.hidden, reply.title) == (20, 3, "23 wait, 23 for you")


@pytest.mark.parametrize("name", ["show", "why", "audit"])
async def test_without_an_id_there_is_a_picker_whose_choices_work(town: Town, name: str) -> None:
    assert (await town.types("robin", name)).title == "Nothing waits and nothing is live."
    waits, live = await town.world.ask(), await town.live()
    reply = await town.types("alex", name)
    assert [choice.command for choice in reply.choices] == [f"{name} {one.request.id}" for one in (waits, live)]
    assert reply.choices[0].label.startswith(waits.request.handle)
    picked = await town.types("alex", reply.choices[1].command)
    assert picked.title.startswith(live.request.handle)


async def test_show_is_the_card_found_by_any_spelling_of_the_id(town: Town) -> None:
    view = await town.world.ask()
    for text in (view.request.handle.lower(), f"`{view.request.handle}`", view.request.id, view.request.id.lower()):
        reply = await town.types("alex", f"show {text}")
        assert reply.card is not None and reply.card.request_id == view.request.id
    assert reply.link == ("Open in the console", f"http://127.0.0.1:8080/console/requests/{view.request.id}")


async def test_what_has_ended_is_found_by_its_handle_for_who_answered(town: Town) -> None:
    view = await town.world.ask()
    await town.deps.desk.review(Click(person("robin"), view.request.id, "deny", "Not now."))
    assert (await town.types("robin", f"audit {view.request.handle}")).title.startswith(view.request.handle)
    error = await town.refused("alex", f"audit {view.request.handle}", NotFound)
    assert "req_" in error.detail


async def test_why_names_rules_conditions_points_seats_and_who_is_barred(town: Town) -> None:
    view = await town.world.ask_high(ticket=None)
    text = "\n".join((await town.types("alex", f"why {view.request.handle}")).lines)
    for words in (
        "People are asked by review-exports, review-pii.",
        "Rule review-exports (review): Customer exports are read with a second signature.",
        f"{BULLET}access_level: the rule wants Read, the request has Read",
        "Risk HIGH ",
        f"{BULLET}+5 no ticket",
        "Needs 1 of sre: 0 so far",
        f"{BULLET}not dana: the human behind the agent",
    ):
        assert words in text


async def test_why_tells_of_a_near_miss(town: Town) -> None:
    view = await town.world.ask(
        action="s3:ListAllMyBuckets", access=None, resource="arn:aws:s3:::", ttl_seconds=1200, data_classes=()
    )
    lines = (await town.types("alex", f"why {view.request.id}")).lines
    assert any("Nearly allowed by allow-bucket-names" in line and "20 min" in line for line in lines)


async def test_why_says_first_what_is_answered_and_what_the_policy_in_force_would_say(town: Town) -> None:
    view = await town.world.ask()
    lines = (await town.types("alex", f"why {view.request.id}")).lines
    assert lines[1].startswith("PEOPLE ARE ASKED: 1 of sre")
    assert not any("in force now" in line for line in lines)
    policy, _ = demo_files()
    await apply(
        town.deps.store.records, policy=policy.replace("{ sre = 1 }", "{ sre = 2 }"), roster=None, by="o", why=""
    )
    await town.deps.policies.refresh()
    lines = (await town.types("alex", f"why {view.request.id}")).lines
    assert lines[3].startswith("Under the policy in force now: review (2 of sre).")


async def test_audit_tells_the_chain_and_whether_it_is_whole(town: Town) -> None:
    view = await town.live()
    reply = await town.types("alex", f"audit {view.request.handle}")
    assert reply.title == f"{view.request.handle}: 6 records, the chain is whole"
    assert any("robin approves" in line for line in reply.lines)
    chain = town.deps.store.log._state.chains[view.request.id]  # somebody with the store's password
    chain[1] = chain[1].replace(b"approve", b"approvE")
    assert "BROKEN" in (await town.types("alex", f"audit {view.request.handle}")).title


async def test_active_says_until_when_and_offers_revoke(town: Town) -> None:
    assert (await town.types("alex", "active")).title == "Nothing is live."
    view = await town.live()
    for text in ("active", "active agent:report-bot", "active report-bot", "active actor:agent:report-bot"):
        reply = await town.types("alex", text)
        assert [row.request for row in reply.rows] == [view.request.id]
    assert reply.rows[0].buttons == ("revoke",)
    assert f"ends {view.grant.ends_at:%H:%M:%S} UTC, in 14 min" in reply.rows[0].detail
    other = await town.types("alex", "active agent:other")
    assert (other.title, other.choices[0].command) == ("Nothing of agent:other is live.", "active agent:report-bot")


async def test_a_dry_run_shows_what_it_hits_and_does_nothing(town: Town) -> None:
    view = await town.live()
    reply = await town.types("alex", "revoke all —dry-run")
    assert reply.title == "Would revoke 1"
    assert reply.lines[0].startswith("Nothing was done. Only people on call may revoke all")
    assert [row.request for row in reply.rows] == [view.request.id]
    assert "To do it: /countersign revoke all" in (await town.types("kim", "revoke all --dry-run")).lines[0]
    assert (await town.deps.reader.look(view.request.id)).grant.state == "ACTIVE"


async def test_revoke_names_what_it_hit_and_what_to_follow(town: Town) -> None:
    views = [await town.live() for _ in range(2)]
    one = await town.types("alex", f"revoke {views[0].request.handle} “key leaked”")
    assert (one.title, one.follow, one.lines) == ("Revoking 1: proof follows", (views[0].request.id,), ())
    settled = [found async for found in town.deps.revocations.follow(one.follow, timedelta(seconds=5))]
    assert settled[-1][0].grant.ending.reason == "key leaked"
    rest = await town.types("alex", "revoke role analytics")
    assert rest.follow == (views[1].request.id,)
    assert "freeze REASON stops that" in rest.lines[0]
    again = await town.types("alex", f"revoke {views[0].request.id}")
    assert again.title == f"{views[0].request.handle} has no live credential"
    assert again.lines[0].startswith("Ended")


async def test_revoke_alone_offers_what_is_live_and_all_is_for_on_call(town: Town) -> None:
    view = await town.live()
    assert [one.command for one in (await town.types("alex", "revoke")).choices] == [f"revoke {view.request.id}"]
    error = await town.refused("alex", "revoke all", Forbidden)
    assert error.code == "not_on_call"
    record = await town.last()
    assert (record["type"], record["by"]["person"]) == ("call.refused", "user:alex")
    assert (record["data"]["code"], record["data"]["route"]) == ("not_on_call", "command revoke")
    assert (await town.types("kim", "revoke all")).title == "Revoking 1: proof follows"
    assert (await town.refused("eve", "revoke role:analytics", Forbidden)).code == "not_a_reviewer"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("revoke analitics", "analytics"),
        ("revoke all --dry", "did you mean --dry-run?"),
        ("freeze", "Say why"),
        ("unfreeze  ", "Say why"),
        ("away until Mon", "until when"),
        ("away until never to alex", "not a day"),
    ],
    ids=["target", "flag", "freeze", "unfreeze", "away", "day"],
)
async def test_a_mistake_is_answered_with_the_usage_and_nothing_is_done(town: Town, text: str, words: str) -> None:
    before = len(await town.deps.store.log.chain("sys"))
    reply = await town.types("kim", text)
    assert words in reply.title
    assert reply.lines[0].startswith(f"Write: /countersign {text.split(maxsplit=1)[0]} ")
    assert len(await town.deps.store.log.chain("sys")) == before


async def test_a_typo_is_answered_with_the_nearest_command(town: Town) -> None:
    reply = await town.types("robin", "revok K7QF")
    assert (reply.title, reply.lines[0]) == ("There is no command 'revok'", "Did you mean /countersign revoke?")
    assert (await town.types("robin", "frobnicate")).lines == ("/countersign help shows all.",)


@pytest.mark.parametrize("word", sorted(ON_CARDS))
async def test_nothing_is_decided_by_a_command(town: Town, word: str) -> None:
    view = await town.world.ask()
    listed = await town.types("robin", word)
    assert listed.rows[0].request == view.request.id
    shown = await town.types("robin", f"{word} {view.request.handle}")
    assert shown.card is not None
    assert f"There is no command {word}" in shown.title
    assert (await town.deps.reader.look(view.request.id)).request.state == "PENDING"


async def test_freeze_and_unfreeze(town: Town) -> None:
    view = await town.world.ask()
    reply = await town.types("alex", "freeze “odd reads”")
    assert (reply.title.partition(":")[0], reply.lines[0]) == ("Frozen", "Because: odd reads")
    with pytest.raises(Forbidden, match="odd reads"):
        await town.deps.desk.review(Click(person("robin"), view.request.id, "approve"))
    assert (await town.types("alex", "freeze again")).lines[0].startswith("By alex, since ")
    assert (await town.refused("alex", "unfreeze fine", Forbidden)).code == "not_on_call"
    assert (await town.types("kim", "unfreeze false alarm")).title.startswith("Not frozen any more")
    assert (await town.types("kim", "unfreeze twice")).title == "Nothing was frozen"


async def test_away_lends_shows_and_takes_back(town: Town) -> None:
    assert (await town.types("alex", "away")).title == "Nobody is away"
    view = await town.world.ask()
    assert (await town.types("eve", "list")).title == "1 waits, none for you"
    reply = await town.types("alex", "away until 3d → eve")
    assert reply.title.startswith("eve answers for you until ")
    assert (await town.types("robin", "away")).lines[0].startswith("eve answers for alex until ")
    listed = await town.types("eve", "list")
    assert (listed.title, listed.rows[0].request) == ("1 waits, 1 for you", view.request.id)
    shown = await town.types("robin", f"show {view.request.handle}")
    assert any("eve answers for alex" in line for line in shown.card.stand_ins)
    assert (await town.types("alex", "away off")).title == "Your seats are yours alone again"
    assert (await town.types("alex", "away back")).title == "You had lent your seats to nobody"
    assert "your own seats" in (await town.refused("alex", "away 3d alex", Inadmissible)).detail


async def test_console_makes_a_link_that_signs_in_once(town: Town) -> None:
    reply = await town.types("robin", "console")
    assert reply.link is not None
    assert reply.link[1].startswith("http://127.0.0.1:8080/console/sign-in/csl_")
    record = await town.last()
    assert (record["type"], record["data"]["person"]) == ("link.made", "user:robin")
    assert reply.link[1].rpartition("/")[2] not in json.dumps(record)


async def test_request_opens_the_form_and_programs_use_no_commands(town: Town) -> None:
    assert (await town.types("robin", "request")).form == "request"
    caller = Identity("caller:report-bot", frozenset({"request"}), By("caller:report-bot", "api-key", "k"), "api")
    with pytest.raises(Forbidden, match="people do"):
        await town.commands.run(caller, "list")


@pytest.mark.parametrize(
    ("total", "steps"),
    [(1, {1}), (3, {1, 2, 3}), (4, {1, 2, 3, 4}), (5, {2, 3, 4, 5}), (500, {125, 250, 375, 500})],
)
def test_progress_is_told_at_most_four_times_and_always_at_the_end(total: int, steps: set[int]) -> None:
    assert milestones(total) == steps


async def test_progress_tells_each_proof_once(town: Town) -> None:
    views = [await town.live() for _ in range(2)]
    ids = [view.request.id for view in views]
    first = await town.types("alex", f"revoke {views[0].request.handle}")
    _ = [found async for found in town.deps.revocations.follow(first.follow, timedelta(seconds=5))]
    now = await town.deps.reader.views(ids)
    reply = progress(now, set())
    assert reply.title == "Proven 1 of 2"
    assert [line.partition(":")[0] for line in reply.lines] == [views[0].request.handle]
    assert "refused 3 of 3 probes" in reply.lines[0]
    assert [view.request.id for view in proven(now)] == ids[:1]
    assert unproven(now, set(ids[:1])).lines == (
        f"Not proven yet: {views[1].request.handle}. Countersign goes on until it is, and the cards will say so.",
    )
