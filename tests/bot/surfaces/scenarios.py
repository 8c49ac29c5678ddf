"""What holds on every surface, as short stories. Each is written once, and told on each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.bot.surfaces.driver import World

Scenario = Callable[[World], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {}
HOSTILE = "<!channel> <@U02> *bold* _x_ ~y~ `code` @here #general https://evil.example [a](http://b.example) &lt;b&gt;"

GUESTS = {"chat": ("Guests", ["guest"]), "console": ("Nobody is signed in", [])}
"""What a guest hears, and what goes on record. A chat proves who its guests are; the console lets none in, and what
nobody is proven to have sent is nobody's record."""


def scenario(story: Scenario) -> Scenario:
    """Add a story; its name is its title."""
    SCENARIOS[story.__name__] = story
    return story


@scenario
async def a_card_is_posted_with_what_decides(on: World) -> None:
    request = await on.driver.ask(reason="Rebuild the weekly report")
    text = await on.driver.reads(request, "customer-exports", "15 min", "prod-payments", "report-bot", "dana")
    assert "Rebuild the weekly report" in text
    assert {"approve", "deny"} <= await on.driver.offers(request)
    assert await on.copies(request) == 1


@scenario
async def approve(on: World) -> None:
    request = await on.driver.ask()
    assert "that was enough" in await on.driver.approve("robin", request)
    await on.driver.reads(request, "live", "robin")
    assert await on.driver.offers(request) == {"revoke"}


@scenario
async def deny_with_a_reason(on: World) -> None:
    request = await on.driver.ask()
    assert "You denied" in await on.driver.deny("robin", request, "Ask for one file.")
    await on.driver.reads(request, "denied", "robin", "Ask for one file.")
    assert await on.driver.offers(request) == set()
    assert await on.reasons(request) == ["Ask for one file."]


@scenario
async def break_glass_and_its_after_review(on: World) -> None:
    request = await on.driver.take()
    assert await on.state(request) == "APPROVED"
    await on.driver.reads(request, "break-glass: read", "nobody (break-glass of dana)", "owed until")
    assert not {"approve", "deny", "review"} & await on.driver.offers(request)
    assert "You took this yourself" in await on.driver.found("dana", request, "justified")
    assert "not yours" in await on.driver.found("bob", request, "justified")
    assert "not justified" in await on.driver.found("robin", request, "unjustified", "There was time.")
    await on.driver.reads(request, "found not justified by robin", "There was time.")


@scenario
async def quorum_progress(on: World) -> None:
    request = await on.driver.ask("two")
    assert "1 of 2" in await on.driver.approve("robin", request)
    await on.driver.reads(request, "1 of 2")
    assert await on.state(request) == "PENDING"
    assert "that was enough" in await on.driver.approve("alex", request)
    await on.driver.reads(request, "live")


@scenario
async def a_vote_of_somebody_else_makes_no_screen_old(on: World) -> None:
    request = await on.driver.ask("two")
    screen = await on.driver.screen(request)
    await on.driver.approve("robin", request)
    assert "that was enough" in await on.driver.approve("alex", request, screen)


@scenario
async def high_risk_is_read_whole_first(on: World) -> None:
    request = await on.driver.ask("high")
    await on.driver.reads(request, "high")
    assert await on.driver.offers(request) == {"review", "deny"}
    assert "that was enough" in await on.driver.approve("robin", request)


@scenario
async def a_late_click(on: World) -> None:
    request = await on.driver.ask()
    screen = await on.driver.screen(request)
    await on.driver.approve("robin", request)
    words = await on.driver.deny("alex", request, screen=screen)
    assert "decided already" in words
    assert "robin" in words
    assert await on.refusals(request) == ["already_decided"]


@scenario
async def two_at_once(on: World) -> None:
    request = await on.driver.ask()
    screen = await on.driver.screen(request)
    words = await asyncio.gather(*(on.driver.approve(who, request, screen) for who in ("robin", "alex")))
    assert sorted("that was enough" in one for one in words) == [False, True]
    assert sorted("decided already" in one for one in words) == [False, True]
    assert await on.refusals(request) == ["already_decided"]


@scenario
async def one_person_one_vote(on: World) -> None:
    request = await on.driver.ask("two")
    await on.driver.approve("robin", request)
    assert "answered" in await on.driver.approve("robin", request)
    assert await on.state(request) == "PENDING"
    assert await on.refusals(request) == ["already_reviewed"]


@scenario
async def a_stranger(on: World) -> None:
    request = await on.driver.ask()
    assert "does not know" in await on.driver.approve("stranger", request)
    assert await on.refusals(request) == ["unknown_person"]
    assert await on.state(request) == "PENDING"


@scenario
async def a_guest(on: World) -> None:
    request = await on.driver.ask()
    words, recorded = GUESTS.get(on.name, GUESTS["chat"])
    assert words in await on.driver.deny("guest", request)
    assert await on.refusals(request) == recorded
    assert await on.state(request) == "PENDING"


@scenario
async def the_human_behind_the_agent(on: World) -> None:
    request = await on.driver.ask()
    assert "somebody else has to approve" in await on.driver.approve("dana", request)
    assert await on.refusals(request) == ["four_eyes"]


@scenario
async def somebody_without_a_seat(on: World) -> None:
    request = await on.driver.ask()
    assert "no seat for you" in await on.driver.approve("bob", request)
    assert await on.refusals(request) == ["no_seat"]


@scenario
async def too_late(on: World) -> None:
    request = await on.driver.ask()
    screen = await on.driver.screen(request)
    await on.pass_minutes(31)
    assert "expired" in await on.driver.approve("robin", request, screen)
    assert await on.refusals(request) == ["expired"]


@scenario
async def an_outdated_card(on: World) -> None:
    request = await on.driver.ask()
    screen = on.driver.forged(await on.driver.screen(request))
    assert "out of date" in await on.driver.approve("robin", request, screen)
    assert await on.refusals(request) == ["outdated_card"]
    assert "that was enough" in await on.driver.approve("robin", request)


@scenario
async def a_restart_between_post_and_decision(on: World) -> None:
    request = await on.driver.ask()
    screen = await on.driver.screen(request)
    await on.restart()
    assert "that was enough" in await on.driver.approve("robin", request, screen)
    await on.driver.reads(request, "live")
    assert await on.copies(request) == 1


@scenario
async def an_unreachable_platform(on: World) -> None:
    await on.cut()
    request = await on.driver.ask()
    assert await on.copies(request) == 0
    await on.mend()
    await on.driver.reads(request, "customer-exports")
    assert "that was enough" in await on.driver.approve("robin", request)
    assert await on.copies(request) == 1


@scenario
async def oversized_text(on: World) -> None:
    request = await on.driver.ask(reason="Because of the report. " * 1_500 + "The last word is heron.")
    assert "heron" not in await on.driver.reads(request, "customer-exports", "more characters")
    assert await on.driver.offers(request) == {"review", "deny"}
    assert "heron" in await on.driver.whole("alex", request)
    assert "that was enough" in await on.driver.approve("robin", request)


@scenario
async def hostile_text(on: World) -> None:
    request = await on.driver.ask(reason=f"{HOSTILE} \u202egnp.exe\u2066")
    text = await on.driver.reads(request, "U+202E", "U+2066")
    assert HOSTILE in text
    markup = await on.driver.parsed(request)
    assert not [word for word in HOSTILE.split() if word in markup]
    assert await on.state(request) == "PENDING"


@scenario
async def revoke_with_proof(on: World) -> None:
    request = await on.driver.ask()
    await on.driver.approve("robin", request)
    await on.driver.reads(request, "live")
    first, last = await on.driver.revoke("alex", request)
    assert "You revoked" in first
    assert "refused 3 of 3 probes" in last
    await on.driver.reads(request, "refused 3 of 3 probes")
    assert await on.driver.offers(request) == set()


@scenario
async def who_may_not_revoke(on: World) -> None:
    request = await on.driver.ask()
    await on.driver.approve("robin", request)
    await on.driver.reads(request, "live")
    assert "Only reviewers" in (await on.driver.revoke("bob", request))[0]
    assert await on.refusals(request) == ["not_a_reviewer"]


@scenario
async def commands_answer_privately(on: World) -> None:
    request = await on.driver.ask()
    await on.driver.reads(request, "customer-exports")
    assert "customer-exports" in await on.driver.command("robin", "list")
    assert "review-exports" in await on.driver.command("robin", f"why {request}")
    assert "does not know" in await on.driver.command("stranger", "list")
    assert await on.copies(request) == 1


@scenario
async def commands_tell_the_whole_story(on: World) -> None:
    request = await on.driver.ask()
    await on.driver.reads(request, "customer-exports")
    assert "Rebuild the weekly report" in await on.driver.command("alex", f"show {request}")
    assert "customer-exports" not in await on.driver.command("alex", "active")
    await on.driver.approve("robin", request)
    await on.driver.reads(request, "live")
    assert "customer-exports" not in await on.driver.command("alex", "list")
    assert "customer-exports" in await on.driver.command("alex", "active")
    told = await on.driver.command("alex", f"audit {request}")
    assert told.index("asks for") < told.index("robin approves")
    assert "whole" in told


@scenario
async def a_command_that_revokes(on: World) -> None:
    request = await on.driver.ask()
    await on.driver.approve("robin", request)
    await on.driver.reads(request, "live")
    assert "Only reviewers" in await on.driver.command("bob", f"revoke {request}")
    await on.driver.reads(request, "live")
    assert "evok" in await on.driver.command("alex", f"revoke {request}")
    await on.driver.reads(request, "refused 3 of 3 probes", "alex")
