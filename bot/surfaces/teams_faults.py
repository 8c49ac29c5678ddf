"""Sort the ways in which a call to Teams fails: nothing happened, nobody knows, or it never will.

No text of the service's goes into an error. What is told is the call, the status, and the service's own word.
"""

from __future__ import annotations

import json
import re
from typing import Any

import aiohttp

from bot.surfaces.port import OutcomeUnknown, Refused, SurfaceError, Unreachable
from bot.waits import wait_seconds

PASSING = frozenset({401, 412, 429, 503})
"""Refused for now, so that a second try does no harm. After a 401 it brings another token."""
HALF_DONE = frozenset({408, 500, 502, 504})
"""Perhaps carried out."""
GONE = frozenset({403, 404})
TOO_BIG = 413
FIRST_PAUSE, TOKEN_PAUSE = 1.0, 0.1
"""Seconds before the next try; with another token there is little to wait for."""
UNSENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
"""Errors that come before anything was sent."""
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


class TeamsRefused(Refused):
    """Teams said no; `error` is its own word, such as `BotNotInConversationRoster`."""

    def __init__(self, call: str, status: int, error: str) -> None:
        """Name the call, the HTTP status and the word."""
        super().__init__(f"Teams refused {call}: {status} {error}".rstrip())
        self.status, self.error = status, error

    @property
    def gone(self) -> bool:
        """Tell whether the app, the conversation or the message is not there (any more)."""
        return self.status in GONE


class AskedToWait(Unreachable):
    """Teams has said how long to wait."""


def of_answer(call: str, status: int, body: bytes, retry_after: str | None, *, once: bool) -> SurfaceError:
    """Return the error of an answer that is no success.

    Args:
        call: what was called.
        status: of the HTTP answer; a redirect counts as an error, too.
        body: the answer's, JSON or not.
        retry_after: its header, if it had one.
        once: whether doing it twice would show (a post would be doubled).
    """
    word = _word(body)
    if status in PASSING:
        why = f"Teams puts off {call}: {status} {word}".rstrip()
        if retry_after:
            return AskedToWait(why, after_seconds=wait_seconds(retry_after))
        return Unreachable(why, after_seconds=TOKEN_PAUSE if status == 401 else FIRST_PAUSE)
    if status in HALF_DONE or status >= 500:
        return unsure(call, f"{status} {word}".rstrip(), once=once)
    return TeamsRefused(call, status, word)


def of_exception(call: str, error: Exception, *, once: bool) -> SurfaceError:
    """Return the error of a call that got no answer, or none that can be read."""
    if isinstance(error, UNSENT):
        return Unreachable(f"Teams cannot be reached for {call}: {type(error).__name__}", after_seconds=FIRST_PAUSE)
    return unsure(call, type(error).__name__, once=once)


def unsure(call: str, why: str, *, once: bool) -> SurfaceError:
    """Return the error of a call that may have been carried out."""
    if once:
        return OutcomeUnknown(f"Teams may or may not have done {call}: {why}")
    return Unreachable(f"Teams did not answer {call}: {why}", after_seconds=FIRST_PAUSE)


def _word(body: bytes) -> str:
    """Return the service's word for the fault: its sub-code, else its code."""
    try:
        told: Any = json.loads(body)
        error = told.get("error")
        named = [told.get("subCode"), *((error.get("subCode"), error.get("code")) if isinstance(error, dict) else ())]
    except (ValueError, AttributeError, RecursionError):
        return ""
    return next((one for one in named if isinstance(one, str) and _WORD.fullmatch(one)), "")
