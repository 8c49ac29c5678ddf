"""A policy that changes between a card and the click on it: a refusal in words, and a card that asks anew."""

from __future__ import annotations

from tests.approvers.rules_world import edited
from tests.bot.teams.town import TeamsTown, rules, verbs

TWO = edited(rules()[0], "[quorum.one]\nseats  = { sre = 1 }", "[quorum.one]\nseats  = { sre = 2 }")
STOP = '[rule.stop]\neffect = "deny"\nowner = "sre"\nnote = "Stop."\nwhen = { role = ["analytics"] }\n'


async def test_a_click_under_a_stricter_policy_is_refused_in_words_and_the_card_asks_anew(town: TeamsTown) -> None:
    view = await town.ask()
    old = await town.card(view, "1 of sre")
    await town.apply(policy=TWO)
    said = await town.press("robin", old, "approve")
    assert "What applies to this has changed: it needs 2 of sre now, was 1 of sre. Look again, then decide." in said
    fresh = await town.card(view, "2 of sre")
    assert len(town.copies(view)) == 1
    for name in ("robin", "alex"):
        assert (await town.now(view)).request.state == "PENDING"
        await town.press(name, fresh, "approve")
    await town.card(view, "Approved")
    assert (await town.kinds(view))[:5] == [
        "request.submitted", "request.reruled", "review.refused", "review.recorded", "review.recorded",
    ]  # fmt: skip
    assert town.teams.refusals == []


async def test_a_click_under_a_policy_that_denies_by_now_closes_the_card(town: TeamsTown) -> None:
    view = await town.ask()
    old = await town.card(view)
    await town.apply(policy=rules()[0] + STOP)
    said = await town.press("robin", old, "approve")
    assert f"What applies to this has changed: stop: Stop; {view.request.handle} is denied now." in said
    closed = await town.card(view, "Denied by policy (stop)")
    assert not {"approve", "deny"} & verbs(closed)
