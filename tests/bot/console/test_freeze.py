from approvers.audit import By
from bot.identity import Identity
from tests.bot.console.conftest import Visitor
from tests.bot.console.world import World

KIM = Identity("user:kim", frozenset({"operate"}), By("user:kim", "test", "kim"), "test")


async def test_the_banner_comes_and_goes_with_the_switch_and_approving_says_why_not(
    world: World, visitor: Visitor
) -> None:  # fmt: skip
    view = await world.ask()
    await visitor.be("robin")
    pages = ("/console/", f"/console/requests/{view.request.id}")
    for path in pages:
        assert "Approvals are stopped" not in (await visitor.get(path))[1]
    await world.deps.stops.freeze(KIM, "incident <7>")
    for path in pages:
        page = (await visitor.get(path))[1]
        assert "Approvals are stopped.</strong> incident &lt;7&gt;" in page
    _, page = await visitor.review(view.request.id, "approve")
    assert "Approvals are stopped: incident &lt;7&gt;" in page
    assert (await world.deps.reader.look(view.request.id)).request.state == "PENDING"
    await world.deps.stops.unfreeze(KIM, "over")
    for path in pages:
        assert "Approvals are stopped.</strong>" not in (await visitor.get(path))[1]
    await visitor.review(view.request.id, "approve")
    assert (await world.deps.reader.look(view.request.id)).request.state == "APPROVED"
