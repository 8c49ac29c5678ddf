"""Read what a caller sends, strictly: body, query, headers. What is not understood is refused by name."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from approvers.action import malformed
from approvers.errors import Malformed
from approvers.strict_json import load
from bot.problems import MAX_BODY, Problem

M = TypeVar("M", bound=BaseModel)
LONGEST_WAIT_SECONDS = 50
"""Common proxies cut a connection that is idle for 60 s (callers.md 1)."""
LONGEST_KEY = 200
_DIGITS = re.compile(r"[0-9]{1,9}")
_WAIT = re.compile(r"wait=(\"?)([0-9]{1,9})\1")


async def read_body(request: web.Request) -> bytes:
    """Return the body of a JSON request.

    Raises:
        Problem: `wrong_content_type`.
        HTTPRequestEntityTooLarge: over `MAX_BODY`.
        Malformed: it never came whole.
    """
    if request.headers.get("Content-Type") != "application/json" and not _is_json(request):
        raise Problem(
            "wrong_content_type",
            "Send the body as JSON in UTF-8, with `Content-Type: application/json`.",
            field="Content-Type",
        )
    if (request.content_length or 0) > MAX_BODY:
        raise web.HTTPRequestEntityTooLarge(MAX_BODY, request.content_length or 0)
    try:
        return await request.read()
    except ConnectionResetError as error:  # its sender hung up: nobody hears this, and it is no fault of ours
        raise Malformed("the connection was lost in the middle of the body") from error


def _is_json(request: web.Request) -> bool:
    return request.content_type == "application/json" and (request.charset or "utf-8").lower() in ("utf-8", "utf8")


async def read_model(request: web.Request, model: type[M]) -> M:
    """Return the body as a model; no body at all is an empty object. Raises Malformed."""
    raw: Any = load(await read_body(request)) if request.body_exists else {}
    if not isinstance(raw, dict):
        raise Malformed("the body must be a JSON object")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise malformed(error) from error


def idempotency_key(request: web.Request) -> str:
    """Return the Idempotency-Key. Raises Problem (`idempotency_key_missing`), or Malformed."""
    values = request.headers.getall("Idempotency-Key", ())
    if not values:
        raise Problem(
            "idempotency_key_missing",
            "Send an Idempotency-Key: one per ask, the same on each retry, such as run id and call id.",
            field="Idempotency-Key",
        )
    key = values[0]
    if len(values) > 1 or not 1 <= len(key) <= LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise Malformed(
            f"Idempotency-Key must be one header of 1 to {LONGEST_KEY} printable ASCII characters",
            field="Idempotency-Key",
        )
    return key


def preferred_wait(request: web.Request) -> timedelta:
    """Return how long the caller prefers to wait (RFC 7240), at most 50 s; other preferences are none of ours."""
    for value in request.headers.getall("Prefer", ()):
        for preference in value.split(","):
            name = preference.partition(";")[0].replace(" ", "").lower()
            if match := _WAIT.fullmatch(name):
                return timedelta(seconds=min(int(match[2]), LONGEST_WAIT_SECONDS))
            if name.partition("=")[0] == "wait":
                raise Malformed("Prefer: wait takes whole seconds, such as wait=30", field="Prefer")
    return timedelta()


def check_query(request: web.Request, known: Collection[str]) -> None:
    """Refuse parameters that are not known, or stand twice. Raises Malformed."""
    if not request.query_string:
        return
    for name in request.query:
        if name not in known:
            raise Malformed(
                f"{name[:64]} is not a parameter here; there is {', '.join(known) or 'none'}", field=name[:64]
            )
        if len(request.query.getall(name)) > 1:
            raise Malformed(f"{name} stands twice; send it once", field=name)


def number(request: web.Request, name: str, most: int) -> int | None:
    """Return a whole number from the query; None if it is not there. Raises Malformed."""
    text = request.query.get(name)
    if text is None:
        return None
    if not _DIGITS.fullmatch(text) or int(text) > most:
        raise Malformed(f"{name} must be a whole number from 0 to {most}", field=name)
    return int(text)


def flag(request: web.Request, name: str) -> bool:
    """Return a parameter that is either there (`?mine`, `mine=1`, `mine=true`) or not. Raises Malformed."""
    text = request.query.get(name)
    if text not in (None, "", "1", "true"):
        raise Malformed(f"{name} takes no value but 1; leave it out for no", field=name)
    return text is not None
