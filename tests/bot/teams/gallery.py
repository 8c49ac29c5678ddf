"""Make every card that Teams shows, of the states that Slack's gallery makes: for golden files and pictures.

`python -m tests.bot.teams.gallery` writes the golden files anew; look at the difference before keeping it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from approvers.card import render
from bot.digest import Digest
from bot.digest import Row as Waiting
from bot.replies import BULLET, Choice, Reply, Row
from bot.surfaces import teams_card, teams_digest, teams_replies
from tests.bot.slack.gallery import CONSOLE, LINES, cards, spelled
from tests.worlds import samples

GOLDEN = Path(__file__).parent / "golden"
REQUEST, SHOWN = f"req_{'0' * 26}", "a" * 32
NASTY = (
    "[click](https://evil.example) ![x](https://evil.example/p.png) **bold** _it_ ~~gone~~ `code` <b>tag</b> &lt; "
    "<at>all</at> {{DATE(2026-11-20T10:00:00Z, LONG)}} https://evil.example www.evil.example # head \u202egnp.exe"
)
"""What would be a link, an image, markup, a tag, an entity, a mention or a date, if it were not escaped."""


def messages() -> dict[str, dict[str, Any]]:
    """Return the message of each card."""
    made = {name: teams_card.message(card, console=CONSOLE) for name, card in cards().items()}
    lines = "\n".join(("1. first", "- second", "> third", "    fourth", "***", f"| a | b | {NASTY}"))
    marked = render(samples.request(reason=f"{NASTY}\n\n{lines}", ticket="# INC  42", undo=NASTY), None)
    return {**made, "markup": teams_card.message(marked, console=CONSOLE)}


def replies() -> dict[str, Reply]:
    """Return an answer of each kind that commands give."""
    states = cards()
    wait = Row(REQUEST, "K7QF", "report-bot → READ customer-exports/2026/* in prod-payments, 15 min",
               "waits for you · HIGH 60 · 0 of 1 · until 10:30 UTC", ("review",), SHOWN)  # fmt: skip
    live = Row(REQUEST, "M2XA", "deploy-bot → WRITE shop-assets/*", "live until 10:15 UTC", ("show", "revoke"), SHOWN)
    return {
        "list": Reply(
            "2 wait, 1 for you", rows=(wait, Row(REQUEST, "P9RD", NASTY, NASTY, ("review",), SHOWN)), hidden=3
        ),
        "active": Reply("1 credential is live", rows=(live,), link=("Open in the console", f"{CONSOLE}/console/")),
        "which": Reply(
            "Revoke which?", choices=(Choice("K7QF report-bot", "revoke K7QF"), Choice("All", "revoke all"))
        ),
        "why": Reply("Why K7QF", lines=("review-exports matched.", f"{BULLET}environment is prod", f"{BULLET}{NASTY}")),
        "show": Reply("K7QF", card=states["medium"]),
        "live": Reply("K7QF", card=states["live"], lines=("Careful: its end is near.",)),
    }


def digest(
    rows: int, waiting: int, words: str = "report-bot → READ customer-exports/2026/* in prod-payments"
) -> Digest:
    """Return a list of so many rows, of so many that wait."""
    made = tuple(
        Waiting(f"req_{n:026d}", f"{n:032x}", f"K{n:03d}", f"{words} {n}"[:900], "agent:report-bot for dana", "HIGH 60",
                "0 of 1", "10:30", "headline does not cover the credential" if n == 1 else "")
        for n in range(rows)
    )  # fmt: skip
    return Digest("teams:19:prod@thread.tacv2:29920920", made, waiting, waiting)


def others() -> dict[str, dict[str, Any]]:
    """Return the cards that are not a request's own: details, notices, the form, answers to commands."""
    made = cards()
    form = {"roles": ["analytics", "reporting"], "environments": ["prod", "staging", "dev"]}
    values = {"role": "reporting", "actions": "s3:GetObject", "resources": "everything", "reason": "Weekly report"}
    return {
        "card-said": teams_card.message(made["live"], console=CONSOLE, said="You approved it, and that was enough."),
        "card-noted": teams_card.message(made["half"], console=CONSOLE, channel_note="Bob, this reaches you for Ana."),
        "card-offline": teams_card.message(made["high"], console=""),
        "details": teams_card.details(made["live"], LINES, CONSOLE),
        "details-waiting": teams_card.details(made["cut"], LINES[:1], CONSOLE),
        "form-break-glass": teams_card.request_form(**form, break_glass=True, require=("reason", "ticket")),
        "notice": teams_card.notice("Already denied by robin.", title="Too late", back=(REQUEST, SHOWN)),
        "list": teams_digest.message(digest(3, 5), console=CONSOLE),
        "list-empty": teams_digest.message(digest(0, 0), console=CONSOLE),
        "form": teams_card.request_form(**form),
        "form-refused": teams_card.request_form(**form, values=values, problem=("resources", "Name ARNs.")),
        **{f"reply-{name}": teams_replies.render(reply, CONSOLE) for name, reply in replies().items()},
    }


def write() -> None:
    """Write every golden file, and remove those that nothing makes any more."""
    GOLDEN.mkdir(exist_ok=True)
    made = {f"{name}.json": spelled(one) for name, one in {**messages(), **others()}.items()}
    for old in GOLDEN.glob("*.json"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (GOLDEN / name).write_text(text)


if __name__ == "__main__":
    write()
