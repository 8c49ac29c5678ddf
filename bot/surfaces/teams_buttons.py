"""Make the buttons of cards and lists. What they carry names the request and the digest of what was shown, no more."""

from __future__ import annotations

from approvers.card import DENY_PRESETS, Card
from bot.surfaces.teams_fields import choice, typed
from bot.surfaces.teams_text import Block, label, words

MAX_WORDS = 1_000
"""Characters of a denial's own words."""
MAX_LABEL = 75
Target = tuple[str, str]
"""The id of a request, and the digest of what was shown of it."""


def target(card: Card) -> Target:
    """Return what a click on this card names."""
    return card.request_id, card.shown


def execute(
    verb: str, title: str, about: Target | None, *, spoken: str = "", style: str | None = None, inputs: bool = False
) -> Block:
    """Return a button that calls us; an old client sends the same as a message.

    Args:
        verb: what it is for. `refresh` is never a decision.
        title: its label.
        about: what it names; None where it names no request.
        spoken: what a screen reader says, for the label alone names no request.
        style: `positive` or `destructive`.
        inputs: whether what was filled in travels with it.
    """
    data = {"verb": verb} | (dict(zip(("rid", "shown"), about, strict=True)) if about else {})
    common: Block = {
        "title": label(title, MAX_LABEL),
        "data": data,
        "associatedInputs": "auto" if inputs else "none",
        **({"style": style} if style else {}),
    }
    made: Block = {"type": "Action.Execute", "verb": verb, **common}
    return {
        **made,
        **({"tooltip": label(spoken, 150)} if spoken else {}),
        "fallback": {"type": "Action.Submit", **common},
    }


def approve(card: Card) -> Block:
    """Return Approve with its length."""
    title = next((one.label for one in card.buttons if one.verb == "approve"), "Approve")
    return execute("approve", title, target(card), spoken=f"{title}: {card.handle}", style="positive")


def less(card: Card) -> Block:
    """Return the button that brings the form to approve less."""
    return execute("less", "Approve less…", target(card), spoken=f"Approve less of {card.handle}")


def approve_less(card: Card) -> Block:
    """Return the button of that form."""
    spoken = f"Approve {card.handle} as narrowed"
    return execute(
        "approve_less", "Approve as narrowed", target(card), spoken=spoken, style="positive", inputs=True
    )  # fmt: skip


def deny(card: Card) -> Block:
    """Return Deny: one tap, no question asked."""
    return execute("deny", "Deny", target(card), spoken=f"Deny {card.handle}")


def deny_because(card: Card) -> Block:
    """Return the button that unfolds a denial with reasons: one of ours, the reviewer's own words, or both."""
    choices = [(name, text.removesuffix(".")) for name, text in DENY_PRESETS.items()]
    why = "Why not? The agent reads this."
    return {
        "type": "Action.ShowCard",
        "title": "Deny because…",
        "card": {
            "type": "AdaptiveCard",
            "body": [
                words(why, weight="Bolder"),
                choice("preset", "A ready reason", choices, placeholder="Choose a reason"),
                typed(
                    "words", "Or your own words", placeholder="Say what to ask for instead", most=MAX_WORDS, lines=True
                ),
            ],
            "actions": [
                execute("deny_why", "Deny", target(card), spoken=f"Deny {card.handle} because of this", inputs=True)
            ],
        },
    }


def details(card: Card) -> Block:
    """Return Details."""
    return execute("details", "Details", target(card), spoken=f"Details of {card.handle}")


def revoke(card: Card) -> Block:
    """Return Revoke, which stays while the grant lives, with the card's words for it."""
    words = next((one.label for one in card.buttons if one.verb == "revoke"), "Revoke")
    return revoke_row(target(card), card.handle, words)


def revoke_row(about: Target, handle: str, words: str = "Revoke") -> Block:
    """Return Revoke for one of a list."""
    return execute("revoke", words, about, spoken=f"{words} {handle}", style="destructive")


def after_review(card: Card) -> list[Block]:
    """Return what somebody else can say of a use of break-glass; none where nothing is owed."""
    if not any(one.verb == "justified" for one in card.buttons):
        return []
    why = "Why was it not justified? Everybody who was told reads this."
    unfolded: Block = {
        "type": "Action.ShowCard",
        "title": "Not justified…",
        "card": {
            "type": "AdaptiveCard",
            "body": [
                words(why, weight="Bolder"),
                typed("words", "Your words", placeholder="Say what was wrong", most=MAX_WORDS, lines=True),
            ],
            "actions": [
                execute("unjustified", "Not justified", target(card), spoken=f"Not justified: {card.handle}",
                        inputs=True)
            ],
        },
    }  # fmt: skip
    taken = execute("justified", "Justified", target(card), spoken=f"Justified: {card.handle}", style="positive")
    return [taken, unfolded]


def show(about: Target, handle: str) -> Block:
    """Return Show, for a row of a list."""
    return execute("show", "Show", about, spoken=f"Show {handle}")


def back(about: Target) -> Block:
    """Return the button that brings the card itself back, where something else has taken its place for one person."""
    return execute("refresh", "Back to the request", about)


def review(request: str, console: str) -> list[Block]:
    """Return Review, which opens all of it in the console, where it is also answered."""
    return [{**one, "style": "positive"} for one in link(console, f"requests/{request}", "Review")]


def link(console: str, page: str = "", title: str = "Open in the console") -> list[Block]:
    """Return the link to a page of the console, or nothing where there is no address.

    `console` is the server's own address, with or without the `/console` at its end.
    """
    base = console.rstrip("/").removesuffix("/console")
    return [url(title, f"{base}/console/{page}")] if base.startswith(("https://", "http://")) else []


def url(title: str, address: str) -> Block:
    """Return a link of ours."""
    return {"type": "Action.OpenUrl", "title": label(title, MAX_LABEL), "url": address}


def row(actions: list[Block], **look: object) -> list[Block]:
    """Return buttons beside each other, as an element; none for none."""
    return [{"type": "ActionSet", "actions": actions, **look}] if actions else []
