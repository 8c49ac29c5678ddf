"""Take the README's pictures of the console from the running program: `python docs/pictures.py`.

Starts `countersign demo` in a folder of its own, asks and answers as its people do, and writes `docs/img/*.png`. Needs
Chromium and the demo's and developers' extras.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from countersign import Access, Actor, Client

HERE = Path(__file__).parent / "img"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--hide-scrollbars"]
STARTS_WITHIN_SECONDS = 120
BEHIND = Actor(id="agent:report-bot", on_behalf_of="user:dana")


@contextlib.contextmanager
def running_demo() -> Iterator[dict[str, Any]]:
    """Run the demo until the block ends; yield what it says of itself in demo.json."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "countersign", "demo", "--state", folder, "--port", "0"]
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603
        try:
            yield _ready(demo, Path(folder) / "demo.json")
        finally:
            demo.send_signal(signal.SIGINT)
            demo.communicate(timeout=60)


def _ready(demo: subprocess.Popen[str], file: Path) -> dict[str, Any]:
    give_up = time.monotonic() + STARTS_WITHIN_SECONDS
    while time.monotonic() < give_up and demo.poll() is None:
        with contextlib.suppress(OSError, ValueError):
            told: dict[str, Any] = json.loads(file.read_text())
            return told
        time.sleep(0.2)
    raise SystemExit(f"the demo did not start: {demo.communicate()[0] if demo.poll() is not None else 'too slow'}")


def ask(client: Client, told: dict[str, Any], path: str, reason: str, *actions: str) -> str:
    """Ask for one credential as report-bot does; return the request's id."""
    resource = f"arn:aws:s3:::{told['bucket']}/{path}"
    return client.request(
        action=actions[0],
        resource=resource,
        environment="prod",
        reason=reason,
        ttl_seconds=900,
        data_classes=["pii"],
        ticket="INC-42",
        undo="none needed, read only" if len(actions) == 1 else "the old report is kept as a version",
        actor=BEHIND,
        access=Access(role=told["role"], actions=actions, resources=(resource,)),
    ).id


def be(page: Page, address: str, person: str) -> None:
    """Sign in as one of the demo's people, or change over to another."""
    if page.locator(".you").count():
        page.locator(".you > summary").click()
    else:
        page.goto(f"{address}/console/")
    page.get_by_role("button", name=person, exact=True).click()
    page.locator(".you > summary", has_text=person).wait_for()


def play(page: Page, client: Client, told: dict[str, Any]) -> str:
    """Bring the list into a state worth a picture: one ended, one live, one that waits with warnings."""
    address = told["base_url"]
    ended = ask(client, told, "2026/06/*", "Compare June with the figures of finance", "s3:GetObject")
    live = ask(client, told, "2026/*", "Rebuild the weekly report, the job failed at 02:10", "s3:GetObject")
    be(page, address, "robin")
    for request in (ended, live):
        page.locator(f"#review-{request}").click()
        page.locator(f"#approve-{request}").click()
        page.locator(f"#note-{request}").wait_for()
        page.goto(f"{address}/console/")
        page.locator(f".live #card-{request} .countdown").wait_for()
        page.wait_for_timeout(700)  # the page takes no press on what has just moved
    page.locator(f"#revoke-{ended}").click()
    page.locator(f".ended #card-{ended} .proof").wait_for()
    waits = ask(client, told, "2026/07/*", "Write July's totals back into the report", "s3:GetObject", "s3:PutObject")
    page.locator(f"#card-{waits}").wait_for()
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    return ended


def shoot(browser: Browser, client: Client, told: dict[str, Any]) -> None:
    """Write every picture."""
    HERE.mkdir(exist_ok=True)
    context = browser.new_context(
        viewport={"width": 1200, "height": 800}, color_scheme="light", reduced_motion="reduce"
    )
    page = context.new_page()
    ended = play(page, client, told)
    page.screenshot(path=HERE / "console.png", full_page=True)
    page.set_viewport_size({"width": 390, "height": 1000})
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=HERE / "console-phone.png")
    page.set_viewport_size({"width": 1200, "height": 800})
    page.emulate_media(color_scheme="dark")
    page.goto(f"{told['base_url']}/console/requests/{ended}")
    page.screenshot(path=HERE / "console-request.png", full_page=True)
    context.close()


def main() -> None:
    """Start the demo and the browser, and take the pictures."""
    with running_demo() as told, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with Client(told["base_url"], told["api_key"]) as client:
            shoot(browser, client, told)
        browser.close()


if __name__ == "__main__":
    main()
