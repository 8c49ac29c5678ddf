"""Sort the ways in which a call to Slack fails: nothing happened, nobody knows, or it never will.

No text of Slack's or of the HTTP library goes into an error: it may hold an address with a token in it. What is told is
the method, and Slack's own word for the fault.
"""

from __future__ import annotations

import re

import aiohttp

from bot.surfaces.port import OutcomeUnknown, Refused, SurfaceError, Unreachable
from bot.waits import wait_seconds

__all__ = ["NO_ANSWER", "SlackRefused", "of_answer", "of_exception", "wait_seconds"]

PASSING = frozenset({"ratelimited", "rate_limited", "service_unavailable", "team_added_to_org", "request_timeout"})
"""Slack's words for: not done, ask again later."""
HALF_DONE = frozenset({"fatal_error", "internal_error"})
"""Slack's words for: something of it may have been done."""
UNSENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
"""Errors that come before anything was sent."""
NO_ANSWER = (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError, AttributeError)
"""What a call ends with if no answer comes, or none that can be read: for plain text the SDK raises AttributeError."""
_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")


class SlackRefused(Refused):
    """Slack said no; `error` is its own word, such as `channel_not_found`."""

    def __init__(self, method: str, error: str) -> None:
        """Name the method and the word."""
        super().__init__(f"Slack refused {method}: {error}")
        self.error = error


def of_answer(method: str, status: int, word: object, retry_after: str | None, *, once: bool) -> SurfaceError:
    """Return the error of an answer that is not `ok`.

    Args:
        method: what was called.
        status: of the HTTP answer.
        word: its `error`, if it had one.
        retry_after: its header, if it had one.
        once: whether doing it twice would show (a post would be doubled).
    """
    error = word if isinstance(word, str) and _WORD.fullmatch(word) else f"http_{status}"
    if status in (429, 503) or error in PASSING:
        return Unreachable(f"Slack puts off {method}: {error}", after_seconds=wait_seconds(retry_after))
    if status >= 500 or error in HALF_DONE or error == "http_200":
        return _unsure(method, error, once=once)
    return SlackRefused(method, error)


def of_exception(method: str, error: Exception, *, once: bool) -> SurfaceError:
    """Return the error of a call that got no answer."""
    if isinstance(error, UNSENT):
        return Unreachable(f"Slack cannot be reached for {method}: {type(error).__name__}")
    return _unsure(method, type(error).__name__, once=once)


def _unsure(method: str, why: str, *, once: bool) -> SurfaceError:
    if once:
        return OutcomeUnknown(f"Slack may or may not have done {method}: {why}")
    return Unreachable(f"Slack did not answer {method}: {why}")
