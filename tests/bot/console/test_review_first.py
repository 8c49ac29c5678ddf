from tests.bot.console.conftest import Visitor, note
from tests.bot.console.world import World


async def test_what_is_read_whole_first_is_approved_on_its_own_page(world: World, visitor: Visitor) -> None:
    view, plain = await world.ask_high(), await world.ask()
    await visitor.be("robin")
    _, page = await visitor.get("/console/")
    assert f'id="approve-{plain.request.id}"' in page
    assert f'id="approve-{view.request.id}"' not in page
    assert f'id="review-{view.request.id}" href="/console/requests/{view.request.id}"' in page
    assert f'id="deny-{view.request.id}"' in page
    assert f'id="approve-{view.request.id}"' in (await visitor.get(f"/console/requests/{view.request.id}"))[1]
    _, page = await visitor.review(view.request.id, "approve", back="request")
    assert note(page) == f"You approved {view.request.handle}, and that was enough."


async def test_an_approval_from_the_list_does_not_count_where_the_whole_has_to_be_read(
    world: World, visitor: Visitor
) -> None:
    high, cut = await world.ask_high(), await world.ask(reason="Because of the report. " * 1_500)
    await visitor.be("robin")
    for view in (high, cut):
        for back in ("list", "", "/console/"):
            _, page = await visitor.review(view.request.id, "approve", back=back)
            assert note(page) == "This one has to be read whole: press Review, and approve there."
        assert await world.codes(view.request.id) == ["review_first"] * 3
        assert (await world.deps.reader.look(view.request.id)).request.state == "PENDING"
        _, page = await visitor.review(view.request.id, "deny", back="list")
        assert note(page).startswith("You denied")


async def test_whoever_the_roster_has_lost_is_refused_on_the_record(world: World, visitor: Visitor) -> None:
    live, view = await world.ask(), await world.ask()
    await visitor.be("kim")
    await visitor.review(live.request.id, "approve")
    token, shown = await visitor.field("form_token"), await visitor.field("shown")
    await world.lose("kim")
    forms = {
        f"/console/requests/{view.request.id}/review": {"verdict": "deny", "shown": shown},
        f"/console/grants/{live.request.id.replace('req_', 'grt_')}/revoke": {},
        "/console/requests/req_00000000000000000000000000/review": {"verdict": "approve", "shown": shown},
    }
    for path, fields in forms.items():
        status, page = await visitor.post(path, form_token=token, **fields)
        assert status == 401
        assert "Countersign does not know you any more: user:kim is not in countersign.toml" in page
    assert await world.codes(view.request.id) == await world.codes(live.request.id) == ["unknown_person"]
    assert (await world.deps.reader.look(view.request.id)).request.state == "PENDING"
    refused = (await world.records(view.request.id))[-1]
    assert (refused["by"]["person"], refused["by"]["iss"], refused["data"]["verdict"]) == (None, "console", "deny")
    assert (await world.records(live.request.id))[-1]["data"]["verdict"] == "revoke"


async def test_without_their_form_token_nothing_is_recorded_of_them_either(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    await visitor.be("kim")
    await world.lose("kim")
    status, _ = await visitor.post(f"/console/requests/{view.request.id}/review", verdict="deny", form_token="x" * 43)
    assert status == 403
    assert await world.kinds(view.request.id) == ["request.submitted"]


async def test_somebody_in_no_group_revokes_nothing_and_that_is_recorded(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    await visitor.be("robin")
    await visitor.review(view.request.id, "approve")
    await world.lose("kim", more='[person.kim]\nemail = "kim@example.com"\n')
    await visitor.be("kim")
    token = await visitor.field("form_token")
    _, page = await visitor.post(f"/console/grants/{view.request.id.replace('req_', 'grt_')}/revoke", form_token=token)
    assert "Only reviewers" in note(page)
    assert await world.codes(view.request.id) == ["not_a_reviewer"]
