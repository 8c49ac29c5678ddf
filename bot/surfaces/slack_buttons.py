"""Make the buttons of cards, dialogs and lists. A value names the request and the digest of what was shown, no more."""

from __future__ import annotations

from approvers.card import DENY_PRESETS, Card
from bot.surfaces.slack_text import Block, clamp, plain

PRESET_LABELS = {"too_broad": "Too broad, ask narrower", "not_now": "Not now", "unknown_agent": "Unknown agent"}
OTHER_WORDS = "words"
"""The choice that asks for the reviewer's own words."""


def value(card: Card) -> str:
    """Return what a click on this card carries."""
    return f"{card.request_id}.{card.shown}"


def button(action: str, label: str, carried: str, spoken: str, style: str | None = None) -> Block:
    """Return a button; `spoken` is what a screen reader says, for the label alone names no request."""
    made = {"type": "button", "action_id": action, "text": plain(label, 75), "value": carried}
    return {**made, "accessibility_label": clamp(spoken, 75), **({"style": style} if style else {})}


def approve(card: Card, *, confirmed: bool) -> Block:
    """Return Approve with its length; `confirmed` asks once more and names what it is for."""
    label = next((one.label for one in card.buttons if one.verb == "approve"), "Approve")
    made = button("cs_approve", label, value(card), f"{label}: {card.handle}", "primary")
    if confirmed:
        made["confirm"] = {
            "title": plain(f"{label}?", 100),
            "text": plain(card.title, 300),
            "confirm": plain("Approve", 30),
            "deny": plain("Back", 30),
        }
    return made


def deny(card: Card) -> Block:
    """Return Deny: one tap, no question asked."""
    return button("cs_deny", "Deny", value(card), f"Deny {card.handle}")


def deny_because(card: Card) -> Block:
    """Return the select that denies with a reason: one of ours, or the reviewer's own words."""
    choices = [(name, PRESET_LABELS[name]) for name in DENY_PRESETS] + [(OTHER_WORDS, "Other words…")]
    options = [{"text": plain(label, 75), "value": f"{name}.{value(card)}"} for name, label in choices]
    return {
        "type": "static_select",
        "action_id": "cs_deny_why",
        "placeholder": plain("Deny because…", 150),
        "options": options,
    }


def review(card: Card) -> Block:
    """Return Review, which opens all of it, with Approve and Deny at the end."""
    return button("cs_review", "Review", value(card), f"Review {card.handle}", "primary")


def less(card: Card) -> Block:
    """Return the button that opens Review for the form at its end, where Approve stands on the card."""
    return button("cs_review", "Approve less…", value(card), f"Approve less of {card.handle}")


def details(card: Card) -> Block:
    """Return Details."""
    return button("cs_details", "Details", value(card), f"Details of {card.handle}")


def revoke(card: Card) -> Block:
    """Return Revoke, which stays while the grant lives, with the card's words for it."""
    label = next((one.label for one in card.buttons if one.verb == "revoke"), "Revoke")
    return button("cs_revoke", label, value(card), f"{label} {card.handle}", "danger")


def after_review(card: Card) -> list[Block]:
    """Return what somebody else can say of a use of break-glass; none where nothing is owed."""
    if not any(one.verb == "justified" for one in card.buttons):
        return []
    return [
        button("cs_justified", "Justified", value(card), f"Justified: {card.handle}", "primary"),
        button("cs_unjustified", "Not justified…", value(card), f"Not justified: {card.handle}"),
    ]


def show(card: Card) -> Block:
    """Return Show, for a row of a list."""
    return button("cs_show", "Show", value(card), f"Show {card.handle}")


def console(address: str, page: str = "", label: str = "Open in the console") -> list[Block]:
    """Return the link to a page of the console, or nothing where there is no address.

    `address` is the server's own, with or without the `/console` at its end.
    """
    base = address.rstrip("/").removesuffix("/console")
    if not base.startswith(("https://", "http://")):
        return []
    made = {"type": "button", "action_id": "cs_console", "text": plain(label, 75), "url": f"{base}/console/{page}"}
    return [{**made, "accessibility_label": clamp(label, 75)}]
