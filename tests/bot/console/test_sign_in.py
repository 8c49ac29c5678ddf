import json

import aiohttp
import pytest

from tests.bot.console.conftest import Visit, Visitor
from tests.bot.console.world import World, serve


@pytest.mark.parametrize("path", ["/console/", "/console/policy", "/console/requests/req_1", "/console/nothing"])
async def test_strangers_see_the_sign_in_page_and_nothing_else(world: World, visitor: Visitor, path: str) -> None:
    view = await world.ask()
    status, page = await visitor.get(path)
    assert status == 401
    assert "Sign in" in page
    assert view.request.handle not in page


async def test_strangers_get_no_news(visitor: Visitor) -> None:
    status, body = await visitor.get("/console/live")
    assert (status, set(json.loads(body))) == (401, {"detail"})


async def test_the_short_address_leads_to_the_console(visitor: Visitor) -> None:
    async with visitor.http.get("/console", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (308, "/console/")


async def test_opening_a_link_uses_nothing_up(world: World, visitor: Visitor) -> None:
    path = (await world.link("robin")).removeprefix(world.url)
    for _ in range(3):
        status, page = await visitor.get(path)
        assert status == 200
        assert "Sign in as robin" in page
    assert not visitor.cookies()
    assert await world.kinds("sys") == ["policy.applied", "roster.applied", "link.made"]


async def test_a_link_signs_in_once(world: World, visitor: Visitor) -> None:
    link = await world.link("robin")
    token = link.rpartition("/")[2]
    status, page = await visitor.post("/console/sign-in", token=token)
    assert status == 200
    assert "robin" in page
    for status, page in (
        await visitor.post("/console/sign-in", token=token),
        await visitor.get(link.removeprefix(world.url)),
    ):
        assert status == 410
        assert "each link signs in once" in page
    assert (await world.kinds("sys"))[-2:] == ["session.started", "sign_in.refused"]  # opening one is no attempt


async def test_a_link_for_somebody_who_has_left_is_refused(world: World, visitor: Visitor) -> None:
    token = (await world.link("ghost")).rpartition("/")[2]
    status, page = await visitor.post("/console/sign-in", token=token)
    assert status == 410
    assert "not in countersign.toml any more" in page


async def test_somebody_who_leaves_the_roster_is_out_at_once(world: World, visitor: Visitor) -> None:
    await visitor.be("kim")
    await world.lose("kim")
    status, page = await visitor.get("/console/")
    assert status == 401
    assert "Countersign does not know you any more: user:kim is not in countersign.toml" in page
    assert "Waiting" not in page


async def test_signing_out(world: World, visitor: Visitor) -> None:
    await visitor.be("robin")
    cookies = visitor.cookies()
    await visitor.post("/console/sign-out", form_token=await visitor.field("form_token"))
    assert (await visitor.get("/console/"))[0] == 401
    status, _ = await visitor.get("/console/", cookies=cookies)  # a copy of the cookie is worth nothing, either
    assert status == 401
    assert (await world.kinds("sys"))[-2:] == ["session.started", "session.ended"]


async def test_the_cookie_is_kept_from_scripts_and_other_sites(world: World, visitor: Visitor) -> None:
    async with visitor.http.post(
        "/console/sign-in/as", data={"person": "user:robin"}, headers={"Origin": world.url}, allow_redirects=False
    ) as answer:
        cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("countersign=css_")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))


async def test_behind_https_the_cookie_is_tied_to_the_host() -> None:
    async with serve(demo="false", public_url="https://approve.example.com") as world:
        token = (await world.link("robin")).rpartition("/")[2]
        headers = {"Host": "approve.example.com", "Origin": "https://approve.example.com"}
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                f"{world.url}/console/sign-in", data={"token": token}, headers=headers, allow_redirects=False
            ) as answer,
        ):
            assert answer.status == 303
            cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-countersign=css_")
    assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


async def test_the_chooser_is_for_demos_only(visit: Visit) -> None:
    async with serve(demo="false") as world:
        visitor = visit(world)
        assert "robin" not in (await visitor.get("/console/"))[1]
        status, _ = await visitor.post("/console/sign-in/as", person="user:robin")
        assert status == 404
        assert "session.started" not in await world.kinds("sys")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "10.0.0.1"])
async def test_another_name_for_this_address_opens_nothing(visitor: Visitor, host: str) -> None:
    status, page = await visitor.get("/console/", headers={"Host": host})
    assert status in (400, 403)
    assert "robin" not in page


@pytest.mark.parametrize(
    "place", ["//evil.example/", "https://evil.example/", "/\\evil.example", "/v1/requests", "/console//evil", "x\r\ny"]
)
async def test_after_choosing_one_stays_in_the_console(world: World, visitor: Visitor, place: str) -> None:
    async with visitor.http.post(
        "/console/sign-in/as",
        data={"person": "user:robin", "next": place},
        headers={"Origin": world.url},
        allow_redirects=False,
    ) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/console/")


async def test_a_page_asked_for_while_signed_out_comes_after_choosing(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    path = f"/console/requests/{view.request.id}"
    assert f'name="next" value="{path}"' in (await visitor.get(path))[1]
    status, page = await visitor.post("/console/sign-in/as", person="user:robin", next=path)
    assert status == 200
    assert "Timeline" in page
