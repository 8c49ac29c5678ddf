"""What everybody must be able to see, reach and read: hostile text, narrow screens, names, contrast."""

from itertools import pairwise

import pytest

from approvers.action import Access
from tests.bot.console.screens import Open, Screen, chromium, look, pytestmark_browser, stage
from tests.bot.console.world import BUCKET, World

__all__ = ["chromium", "look", "stage"]
pytestmark = pytestmark_browser

HOSTILE = (
    "</bdi></p><script>alert(1)</script><img src=x onerror=alert(2)><style>*{display:none}</style>"
    "<meta http-equiv=refresh content='0;url=//evil.example'>\u202egnp.exe\u2066 Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢ " + "W" * 40_000
)
UNNAMED = """() => [...document.querySelectorAll("a,button,summary,textarea,select,input[type=text],pre[tabindex]")]
    .filter(one => one.checkVisibility() && !(one.innerText.trim() || one.getAttribute("aria-label")
        || (one.id && document.querySelector(`label[for="${one.id}"]`))))
    .map(one => one.outerHTML.slice(0, 200))"""
DOUBLE_IDS = """() => { const ids = [...document.querySelectorAll("[id]")].map(one => one.id);
    return ids.filter((id, at) => ids.indexOf(id) !== at); }"""
DANGLING = """() => [...document.querySelectorAll("[aria-labelledby]")]
    .filter(one => !document.getElementById(one.getAttribute("aria-labelledby")))
    .map(one => one.outerHTML.slice(0, 200))"""
HEADINGS = """() => [...document.querySelectorAll("h1, h2, h3, h4")].map(one => Number(one.tagName[1]))"""
SMALL = """() => [...document.querySelectorAll("button, .deny > summary, .you > summary, nav a")]
    .filter(one => one.checkVisibility()).map(one => [one.innerText, one.getBoundingClientRect()])
    .filter(([_, box]) => box.height < 44 || box.width < 44)
    .map(([text, box]) => `${text} ${box.width}×${box.height}`)"""
FAINT = """() => {
    const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
    const light = ([r, g, b]) => { const f = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
    const ground = one => { for (; one; one = one.parentElement) {
        const colour = parse(getComputedStyle(one).backgroundColor); if (colour[3] === 1) return colour; }
        return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255]; };
    const found = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const one = walk.currentNode.parentElement;
        if (!walk.currentNode.nodeValue.trim() || !one.checkVisibility() || one.closest(".visually-hidden")) continue;
        const [a, b] = [light(parse(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${one.className} ${walk.currentNode.nodeValue.trim()}`);
    }
    return found; }"""


async def scene(stage: World, look: Open, **options: object) -> tuple[Screen, list[str]]:
    """Fill every part of the list: waiting with warnings, live, ended, denied; return the pages to look at."""
    both = Access(
        role="analytics",
        actions=("s3:GetObject", "s3:PutObject"),
        resources=(f"{BUCKET}/2026/*", f"{BUCKET}/{'deep/' * 60}*"),
    )
    live, ended, _ = await stage.ask(), await stage.ask(), await stage.ask(reason="")
    await stage.ask(resource=f"{BUCKET}/2026/*", access=both, reason=HOSTILE, ticket="x" * 200)
    screen = await look("robin", **options)
    for view in (live, ended):
        await screen.press(view.request.id, "Approve")
        await screen.page.locator("section.live").locator(f"#card-{view.request.id} .countdown").wait_for()
        await screen.settle()
    await screen.press(ended.request.id, "Revoke")
    await screen.page.locator("section.ended").locator(f"#card-{ended.request.id}").wait_for()
    await screen.page.locator(".deny > summary").first.click()
    return screen, [
        "/console/",
        f"/console/requests/{ended.request.id}",
        "/console/policy",
        "/console/reviewers",
        "/console/search?actor=report-bot",
        "/console/reports",
        "/console/stop",
        "/console/stop/of/all",
        "/console/nothing",
    ]


async def test_hostile_text_does_nothing(stage: World, look: Open) -> None:
    view = await stage.ask(reason=HOSTILE, ticket="<img src=x onerror=alert(3)>")
    screen = await look("robin")
    for path in ("/console/", f"/console/requests/{view.request.id}"):
        await screen.open(path)
        await screen.says("<script>alert(1)</script>")
        await screen.says("⟨U+202E⟩gnp.exe⟨U+2066⟩")
        assert await screen.page.locator("main img, main script, main style, main meta").count() == 0
        assert screen.page.url == stage.url + path


async def test_a_violation_would_be_noticed(look: Open) -> None:
    screen = await look("robin")
    await screen.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=//evil.example/x.png>')")
    await screen.page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: '1'}))")
    await screen.page.wait_for_function("document.scripts.length > 1")
    assert len([text for text in screen.complaints if "Content Security Policy" in text]) == 2
    screen.complaints.clear()


@pytest.mark.parametrize("width", [360, 320])
async def test_a_phone_scrolls_in_one_direction_only(stage: World, look: Open, width: int) -> None:
    screen, pages = await scene(stage, look, width=width, height=740)
    for path in (None, *pages):
        if path:
            await screen.open(path)
        for part in await screen.page.locator("details").all():
            await part.evaluate("one => { one.open = true }")
        assert await screen.page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert await screen.page.evaluate(SMALL) == [], path


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_everything_can_be_read_and_has_a_name(stage: World, look: Open, colours: str) -> None:
    screen, pages = await scene(stage, look, color_scheme=colours, reduced_motion="reduce")
    for path in (None, *pages, "/console/sign-in"):
        if path:
            await screen.open(path)
        for part in await screen.page.locator("details").all():
            await part.evaluate("one => { one.open = true }")
        for check in (UNNAMED, DOUBLE_IDS, DANGLING, FAINT):
            assert await screen.page.evaluate(check) == [], (path, check[:60])
        levels = await screen.page.evaluate(HEADINGS)
        assert levels[0] == 1, path
        assert all(after - before <= 1 for before, after in pairwise(levels)), (path, levels)
        for landmark in ("main", "banner"):
            assert await screen.page.get_by_role(landmark).count() == 1, (path, landmark)  # type: ignore[arg-type]
        assert await screen.page.locator("html[lang=en]").count() == 1


async def test_buttons_of_many_cards_can_be_told_apart(stage: World, look: Open) -> None:
    views = [await stage.ask() for _ in range(3)]
    screen = await look("robin")
    for view in views:
        name = f"Approve for 15 min {view.request.handle}"
        assert await screen.page.get_by_role("button", name=name).count() == 1
        assert await screen.page.get_by_role("article", name="agent:report-bot wants s3:GetObject").count() == 3


async def test_nothing_moves_for_those_who_do_not_want_it(stage: World, look: Open) -> None:
    screen = await look("robin", reduced_motion="reduce")
    view = await stage.ask()
    await screen.card(view.request.id).wait_for()
    assert await screen.page.evaluate("document.getAnimations().length") == 0
