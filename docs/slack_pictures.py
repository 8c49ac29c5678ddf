"""Take the README's pictures of the Slack cards: `python docs/slack_pictures.py WORK_FOLDER` (for developers only).

The cards are the golden ones of the tests. Needs Node, Chromium, the developers' extra, and once, in the work folder,
the `npm install` that `slack_pictures/render.mjs` names. Every state is drawn light and dark, as on a desk and on a
phone, into `WORK_FOLDER/shots`; those named in `KEPT` are written to `docs/img`, smaller.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from playwright.sync_api import Browser, sync_playwright  # noqa: E402

from tests.bot.slack import gallery  # noqa: E402

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
WIDTHS = {"desk": 680, "phone": 390}
KEPT = {
    "medium-light-phone": "slack-card-phone",
    "medium-light-desk": "slack-card",
    "mismatch-light-desk": "slack-card-review",
    "half-dark-desk": "slack-card-dark",
    "revoking-light-desk": "slack-card-revoking",
    "expired-light-desk": "slack-card-expired",
    "live-light-desk": "slack-card-live",
    "ended-light-desk": "slack-card-ended",
    "denied-light-desk": "slack-card-denied",
    "view-review-light-desk": "slack-review",
    "view-home-light-desk": "slack-home",
    "view-details-light-desk": "slack-details",
}


def draw(folder: Path) -> Path:
    """Draw every card as a page."""
    pages = folder / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    pages.mkdir(parents=True)
    (folder / "cards.json").write_text(json.dumps({**gallery.messages(), **gallery.views()}))
    shutil.copy(HERE / "slack_pictures" / "render.mjs", folder / "render.mjs")
    subprocess.run(["node", "render.mjs", "cards.json", "pages"], cwd=folder, check=True)  # noqa: S607
    return pages


def shoot(browser: Browser, pages: Path, shots: Path) -> None:
    """Photograph every page in both widths."""
    shots.mkdir(exist_ok=True)
    for device, width in WIDTHS.items():
        page = browser.new_page(viewport={"width": width, "height": 200}, device_scale_factor=1.5)
        for source in sorted(pages.glob("*.html")):
            page.goto(source.as_uri())
            page.evaluate("Promise.all([...document.fonts].map((font) => font.load().catch(() => 0)))")
            page.screenshot(path=shots / f"{source.stem}-{device}.png", full_page=True)
        page.close()


def main() -> None:
    """Draw, photograph, keep some."""
    folder = Path(sys.argv[1]).resolve()
    pages, shots = draw(folder), folder / "shots"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        shoot(browser, pages, shots)
        browser.close()
    pairs = [(shots / f"{shot}.png", HERE / "img" / f"{name}.png") for shot, name in KEPT.items()]
    shutil.copy(HERE / "slack_pictures" / "shrink.mjs", folder / "shrink.mjs")
    subprocess.run(["node", "shrink.mjs", *(str(one) for pair in pairs for one in pair)], cwd=folder, check=True)  # noqa: S603, S607


if __name__ == "__main__":
    main()
