"""Take the pictures of the Teams cards: `python docs/teams_pictures.py WORK_FOLDER` (for developers only).

The cards are the golden ones of the tests, drawn by the public renderer of Adaptive Cards, not by Teams: good for
order, length and what Markdown makes of hostile text. Needs Node, Chromium, the developers' extra, and once, in the
work folder, `npm install adaptivecards@3.0.6 markdown-it@14 @fontsource/open-sans sharp`. Every card is drawn light
and dark, as on a desk and on a phone, into `WORK_FOLDER/shots`; those of `KEPT` are written to `docs/img`, smaller.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from playwright.sync_api import Browser, sync_playwright  # noqa: E402

from tests.bot.teams import gallery  # noqa: E402

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files"]
WIDTHS = {"desk": 680, "phone": 390}
KEPT = {
    "medium-light-desk": "teams-card",
    "medium-light-phone": "teams-card-phone",
    "half-dark-desk": "teams-card-dark",
    "mismatch-light-desk": "teams-card-review",
    "medium-unfolded": "teams-card-deny",
    "live-light-desk": "teams-card-live",
    "ended-light-desk": "teams-card-ended",
    "denied-light-desk": "teams-card-denied",
    "reply-list-light-desk": "teams-list",
    "form-light-desk": "teams-form",
}


def shoot(browser: Browser, folder: Path, shots: Path) -> None:
    """Draw and photograph every card in both themes and widths, and one with its denial unfolded."""
    shutil.rmtree(shots, ignore_errors=True)
    shots.mkdir(parents=True)
    made = {**gallery.messages(), **gallery.others()}
    for device, width in WIDTHS.items():
        page = browser.new_page(viewport={"width": width, "height": 200}, device_scale_factor=1.5)
        page.goto((folder / "page.html").as_uri())
        for name, card in made.items():
            for theme in ("light", "dark"):
                page.evaluate("([card, theme]) => show(card, theme, false)", [card, theme])
                page.evaluate("Promise.all([...document.fonts].map((font) => font.load().catch(() => 0)))")
                page.screenshot(path=shots / f"{name}-{theme}-{device}.png", full_page=True)
        if device == "desk":
            page.evaluate("([card]) => show(card, 'light', true)", [made["medium"]])
            page.screenshot(path=shots / "medium-unfolded.png", full_page=True)
        page.close()


def main() -> None:
    """Draw, photograph, keep some."""
    folder = Path(sys.argv[1]).resolve()
    shutil.copy(HERE / "teams_pictures" / "page.html", folder / "page.html")
    shots = folder / "shots"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        shoot(browser, folder, shots)
        browser.close()
    pairs = [(shots / f"{shot}.png", HERE / "img" / f"{name}.png") for shot, name in KEPT.items()]
    shutil.copy(HERE / "slack_pictures" / "shrink.mjs", folder / "shrink.mjs")
    subprocess.run(["node", "shrink.mjs", *(str(one) for pair in pairs for one in pair)], cwd=folder, check=True)  # noqa: S603, S607


if __name__ == "__main__":
    main()
