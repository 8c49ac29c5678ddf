"""Carry one sentence over a redirect: what came of the last click, and on which card it belongs.

It travels in a short-lived cookie under a digest that only the same session can make, so that any web process can show
it and nobody can plant one.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from dataclasses import asdict, dataclass

from aiohttp import web

from approvers.card import visible
from bot.sessions import SignedIn

COOKIE = "countersign-note"
LASTS_SECONDS = 60
MAX_TEXT = 500


@dataclass(frozen=True)
class Note:
    """Hold the sentence, the request it is about, and whether it is good news."""

    on: str
    text: str
    good: bool


def put(response: web.StreamResponse, who: SignedIn, note: Note, *, secure: bool) -> None:
    """Send the note along; `secure`: over https only."""
    short = Note(note.on, visible(note.text, MAX_TEXT), note.good)
    text = base64.urlsafe_b64encode(json.dumps(asdict(short)).encode()).decode()
    value = f"{text}.{_mac(who, text)}"
    response.set_cookie(
        COOKIE, value, max_age=LASTS_SECONDS, path="/console", httponly=True, samesite="Strict", secure=secure
    )


def take(request: web.Request, who: SignedIn) -> Note | None:
    """Return the note that came along; None if there is none, or if it is not of this session."""
    text, _, mac = request.cookies.get(COOKIE, "").partition(".")
    if not text or not hmac.compare_digest(mac.encode(), _mac(who, text).encode()):
        return None
    try:
        return Note(**json.loads(base64.urlsafe_b64decode(text)))
    except (binascii.Error, ValueError, TypeError):  # written by another version of this program
        return None


def drop(response: web.StreamResponse) -> None:
    """Forget the note: it has been shown."""
    response.del_cookie(COOKIE, path="/console")


def _mac(who: SignedIn, text: str) -> str:
    return who.mac(f"note:{text}")
