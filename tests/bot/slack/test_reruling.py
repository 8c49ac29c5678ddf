"""A policy that changes between a card and the click on it: a refusal in words, and a card that asks anew."""

from __future__ import annotations

from tests.approvers.rules_world import edited
from tests.bot.slack.town import SlackTown, rules

TWO = edited(rules()[0], "[quorum.one]\nseats  = { sre = 1 }", "[quorum.one]\nseats  = { sre = 2 }")
STOP = '[rule.stop]\neffect = "deny"\nowner = "sre"\nnote = "Stop."\nwhen = { role = ["analytics"] }\n'


async def test_a_click_under_a_stricter_policy_is_refused_in_words_and_the_card_asks_anew(town: SlackTown) -> None:
    view = await town.ask()
    old = await town.card(view, "1 of sre")
    await town.apply(policy=TWO)
    assert (await town.click("robin", old, "cs_approve")).ok
    said = await town.heard("robin")
    assert "What applies to this has changed: it needs 2 of sre now, was 1 of sre. Look again, then decide." in said
    fresh = await town.card(view, "2 of sre")
    assert len(town.copies(view)) == 1
    for name in ("robin", "alex"):
        assert (await town.now(view)).request.state == "PENDING"
        assert (await town.click(name, fresh, "cs_approve")).ok
        await town.heard(name)
    await town.card(view, "Approved")
    assert (await town.kinds(view))[:5] == [
        "request.submitted", "request.reruled", "review.refused", "review.recorded", "review.recorded",
    ]  # fmt: skip
    assert town.slack.refusals == []


async def test_a_click_under_a_policy_that_denies_by_now_closes_the_card(town: SlackTown) -> None:
    view = await town.ask()
    old = await town.card(view)
    await town.apply(policy=rules()[0] + STOP)
    assert (await town.click("robin", old, "cs_approve")).ok
    said = await town.heard("robin")
    assert f"What applies to this has changed: stop: Stop; {view.request.handle} is denied now." in said
    closed = await town.card(view, "Denied by policy (stop)")
    assert not {"cs_approve", "cs_deny", "cs_review"} & {one.action_id for one in closed.buttons()}
