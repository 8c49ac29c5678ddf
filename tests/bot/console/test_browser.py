"""The scenes of the demo, and what a person does in them, clicked in a real Chromium."""

import json
import re
import time

from playwright.async_api import expect

from tests.bot.console.screens import Open, chromium, look, pytestmark_browser, stage
from tests.bot.console.world import BOT, World

__all__ = ["chromium", "look", "stage"]
pytestmark = pytestmark_browser


async def test_the_whole_story(stage: World, look: Open) -> None:
    view = await stage.ask()
    watcher = await look("alex")
    await watcher.mark()
    screen = await look("dana")
    await screen.press(view.request.id, "Approve for 15 min")
    note = screen.card(view.request.id).locator("[data-note]")
    await expect(note).to_have_text(re.compile("You are the human behind this agent; somebody else has to approve"))
    await expect(note).to_be_focused()

    await screen.be("robin")
    await screen.press(view.request.id, "Approve for 15 min")
    live = screen.page.locator("section.live").locator(f"#card-{view.request.id}")
    await expect(live.locator("[data-note]")).to_have_text(f"You approved {view.request.handle}, and that was enough.")
    await expect(live.locator(".countdown")).to_have_text(re.compile(r"^14 min \d\d s left$"))
    await expect(live.locator("[data-note]")).to_be_visible()  # the news did not wash it away
    first = await live.locator(".countdown").text_content()
    await expect(live.locator(".countdown")).not_to_have_text(first or "")

    await screen.press(view.request.id, "Revoke")
    for one in (screen, watcher):
        ended = one.page.locator("section.ended").locator(f"#card-{view.request.id}")
        await expect(ended.locator(".proof")).to_have_text(re.compile(r"refused 3 of 3 probes.*Revoked by robin"))
    assert await watcher.is_same_load()
    await screen.open(f"/console/requests/{view.request.id}")
    await screen.says("tries to approve, and is refused")
    await screen.says("each holding the hash of the one before: whole.")


async def test_everything_is_stopped_and_the_proofs_come_in_without_a_reload(stage: World, look: Open) -> None:
    views = [await stage.ask() for _ in range(2)]
    screen = await look("kim")
    for view in views:
        await screen.press(view.request.id, "Approve for 15 min")
        await screen.page.locator("section.live").locator(f"#card-{view.request.id} .countdown").wait_for()
        await screen.settle()
    await screen.page.get_by_role("link", name="Stop", exact=True).click()
    await screen.page.get_by_label("Why? Everybody who is refused reads it.").fill("a key has leaked")
    await screen.page.get_by_role("button", name="Freeze").click()
    await expect(screen.page.locator("[data-note]")).to_have_text("Frozen: no approval counts, and nothing is minted.")
    await screen.page.get_by_role("link", name="all", exact=True).click()
    await expect(screen.page.locator(".progress")).to_have_text("2 live would be ended.")
    await screen.page.get_by_label("Why? It goes into the record.").fill("a key has leaked")
    await screen.page.get_by_role("button", name="Revoke 2 now").click()
    await expect(screen.page.locator(".progress")).to_have_text("Nothing live matches.")
    await expect(screen.page.locator("section.ended .proof")).to_have_count(2)


async def test_deny_with_a_preset_and_words(stage: World, look: Open) -> None:
    view = await stage.ask()
    screen = await look("robin")
    await screen.card(view.request.id).locator(".deny > summary").click()
    await screen.page.get_by_label("Your words, if any. The agent reads them.").fill("Only 2026/07.")
    await screen.press(view.request.id, "Too broad, ask narrower")
    ended = screen.page.locator("section.ended").locator(f"#card-{view.request.id}")
    await expect(ended.locator("[data-note]")).to_have_text(re.compile(f"^You denied {view.request.handle}"))
    await ended.get_by_role("link").click()
    await screen.says("denies: Too broad, ask narrower. Only 2026/07.")


async def test_high_risk_is_read_whole_first_and_the_answer_counts_for_the_reviewer(stage: World, look: Open) -> None:
    view = await stage.ask_high()
    watcher, screen = await look("alex"), await look("robin", width=360)
    await watcher.open("/console/reviewers")
    await watcher.mark()
    await expect(screen.button(view.request.id, "Approve")).to_have_count(0)
    await screen.card(view.request.id).get_by_role("link", name=f"Review {view.request.handle}").click()
    await screen.page.wait_for_url(f"**/console/requests/{view.request.id}")
    await screen.press(view.request.id, "Approve for 15 min")
    note = screen.card(view.request.id).locator("[data-note]")
    await expect(note).to_have_text(f"You approved {view.request.handle}, and that was enough.")
    row = watcher.page.get_by_role("row", name="robin")
    await expect(row.get_by_role("cell")).to_have_text(["1", re.compile(r"^\d+\.\d s$"), "1"])
    assert await watcher.is_same_load()
    await screen.page.get_by_role("link", name="Reviewers").click()
    await expect(screen.page.get_by_role("columnheader")).to_have_count(4)


async def test_a_request_is_followed_on_its_own_page(stage: World, look: Open) -> None:
    view = await stage.ask()
    watcher = await look("dana")
    await watcher.open(f"/console/requests/{view.request.id}")
    await watcher.mark()
    await watcher.page.locator(".lines details summary").first.click()
    screen = await look("robin")
    await screen.press(view.request.id, "Approve")
    await watcher.says("mints the credential")
    await watcher.press(view.request.id, "Revoke")
    await watcher.says("proves the end: refused 3 of 3 probes")
    await expect(watcher.card(view.request.id).locator("[data-note]")).to_be_visible()


async def test_news_leave_what_the_reader_does_alone(stage: World, look: Open) -> None:
    asked = [await stage.ask() for _ in range(5)]
    screen = await look("robin", height=500)
    await screen.mark()
    card = screen.card(asked[2].request.id)
    await card.locator(".points summary").click()
    await card.locator(".deny > summary").click()
    words = card.get_by_role("textbox")
    await words.fill("Half a sent")
    await words.evaluate("box => box.setSelectionRange(3, 7)")
    top = await words.evaluate("box => box.getBoundingClientRect().top")
    await stage.ask()
    await stage.deps.desk.cancel(BOT, asked[0].request.id)  # above: everything moves up, but not under the eye
    await expect(screen.card(asked[0].request.id).locator(".state")).to_have_text("CANCELLED")
    await expect(screen.page.locator("section.waiting .count")).to_have_text("5")
    await expect(words).to_be_focused()
    await expect(words).to_have_value("Half a sent")
    assert await words.evaluate("box => [box.selectionStart, box.selectionEnd]") == [3, 7]
    assert await card.locator(".points").evaluate("one => one.open")
    assert abs(await words.evaluate("box => box.getBoundingClientRect().top") - top) < 3
    assert await screen.is_same_load()


async def test_news_are_announced_and_counted_in_the_title(stage: World, look: Open) -> None:
    screen = await look("robin")
    await expect(screen.page).to_have_title("Requests · Countersign")
    view = await stage.ask()
    announced = screen.page.locator("#announce")
    await expect(announced).to_have_text(re.compile(f"^New request {view.request.handle}: report-bot → READ"))
    await expect(announced).to_have_attribute("aria-live", "polite")
    await expect(screen.page).to_have_title("(1) Requests · Countersign")
    await stage.deps.desk.cancel(BOT, view.request.id)
    await expect(announced).to_have_text(re.compile(f"^{view.request.handle}: Withdrawn"))
    await expect(screen.page).to_have_title("Requests · Countersign")


async def test_a_press_meant_for_what_stood_there_before_does_nothing(stage: World, look: Open) -> None:
    first, second = await stage.ask(), await stage.ask()
    screen = await look("robin")
    press = """([gone, next]) => new Promise(done => new MutationObserver((_, watch) => {
        if (document.getElementById(gone)?.closest("section.waiting")) return;
        watch.disconnect();
        const press = new MouseEvent("click", {bubbles: true, cancelable: true, detail: 1});
        document.getElementById(next).dispatchEvent(press);
        done(press.defaultPrevented);
    }).observe(document.getElementById("live"), {childList: true, subtree: true}))"""
    names = [f"card-{first.request.id}", f"approve-{second.request.id}"]
    await screen.page.evaluate(f"window.pressed = ({press})({json.dumps(names)}); 0")
    await stage.deps.desk.cancel(BOT, first.request.id)
    assert await screen.page.evaluate("window.pressed")
    await expect(screen.page.locator("#announce")).to_have_text(re.compile("The list moved as you pressed"))
    assert (await stage.deps.reader.look(second.request.id)).request.state == "PENDING"
    await screen.settle()
    await screen.press(second.request.id, "Approve")
    await screen.says(f"You approved {second.request.handle}")


async def test_focus_goes_with_a_card_that_moves(stage: World, look: Open) -> None:
    view = await stage.ask()
    screen = await look("dana")
    await screen.button(view.request.id, "Approve").focus()
    other = await look("robin")
    await other.press(view.request.id, "Approve")
    moved = screen.page.locator("section.live").locator(f"#card-{view.request.id}")
    await expect(moved).to_be_focused()


async def test_only_with_the_keyboard(stage: World, look: Open) -> None:
    view = await stage.ask()
    screen = await look()
    await screen.open()
    keys = screen.page.keyboard

    async def tab_to(words: str) -> list[str]:
        passed = []
        for _ in range(40):
            await keys.press("Tab")
            name = str(await screen.page.evaluate("document.activeElement.innerText"))
            outline = await screen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid", f"the focus cannot be seen on {name!r}"
            passed.append(name)
            if words in name:
                return passed
        raise AssertionError(f"{words!r} was not reached: {passed}")

    assert (await tab_to("robin"))[0] == "Skip to the content"
    await keys.press("Enter")
    await screen.page.locator(".you").wait_for()
    await screen.page.wait_for_load_state()
    passed = await tab_to("Approve for 15 min")
    order = [
        "Skip",
        "Countersign",
        "Requests",
        "Policy",
        "Reviewers",
        "robin",
        view.request.handle,
        "Why MEDIUM",
        "Approve",
    ]
    at = [next(place for place, name in enumerate(passed) if word in name) for word in order]
    assert at == sorted(at)
    await keys.press("Enter")
    await screen.says(f"You approved {view.request.handle}, and that was enough.")


async def test_a_link_signs_in_with_a_press_and_only_once(stage: World, look: Open) -> None:
    link = await stage.link("kim")
    screen, late = await look(), await look()
    await screen.page.goto(link)
    await late.page.goto(link)
    await screen.page.get_by_role("button", name="Sign in as kim").click()
    await expect(screen.page.locator(".you > summary")).to_have_text(re.compile("kim"))
    await late.page.get_by_role("button", name="Sign in as kim").click()
    await late.says("each link signs in once")
    await late.open("/console/policy")
    await late.says("Sign in")


async def test_a_link_in_chat_opens_the_page_of_who_is_signed_in(stage: World, look: Open) -> None:
    view = await stage.ask()
    screen = await look("robin")
    elsewhere = stage.url.replace("127.0.0.1", "localhost")  # another site, as a chat's web page is
    await screen.page.goto(f"{elsewhere}/console/sign-in")
    address = f"{stage.url}/console/requests/{view.request.id}"
    await screen.page.evaluate("place => location.assign(place)", address)
    await screen.page.wait_for_url(address)
    await screen.says("Timeline")
    await expect(screen.page.locator(".you > summary")).to_have_text(re.compile("robin"))


async def test_signed_out_elsewhere_is_told(stage: World, look: Open) -> None:
    screen = await look("robin")
    second = await screen.page.context.new_page()
    await second.goto(f"{stage.url}/console/policy")
    await second.locator(".you > summary").click()
    await second.get_by_role("button", name="Sign out").click()
    await stage.ask()  # ends the poll under way
    await screen.says("You are signed out.")


async def test_a_cut_line_is_told_and_mends(stage: World, look: Open) -> None:
    screen = await look("robin")
    await screen.mark()
    line = screen.page.locator("#connection")
    await expect(line).to_be_hidden()
    await screen.page.context.set_offline(True)
    await stage.ask()
    view = await stage.ask()
    await expect(line).to_have_text(re.compile("Not connected"))
    await screen.page.context.set_offline(False)
    await expect(line).to_be_hidden()
    await expect(screen.card(view.request.id)).to_be_visible()
    assert await screen.is_same_load()


async def test_the_countdown_goes_by_the_stores_clock(stage: World, look: Open) -> None:
    view = await stage.ask()
    screen = await look("robin")
    await screen.page.clock.set_fixed_time(time.time() - 3_600)
    await screen.open()
    clock = screen.card(view.request.id).locator(".countdown")
    await expect(clock).to_have_text(re.compile(r"^(29 min \d\d|30 min 00) s to answer"))


async def test_without_javascript_it_works_and_says_what_is_missing(stage: World, look: Open) -> None:
    view = await stage.ask()
    screen = await look("robin", java_script_enabled=False)
    await expect(screen.card(view.request.id).locator(".countdown")).to_have_text(re.compile("^until .* UTC$"))
    await screen.press(view.request.id, "Approve")
    await screen.says(f"You approved {view.request.handle}, and that was enough.")
    await expect(screen.page.get_by_role("link", name="Load it again")).to_be_visible()
