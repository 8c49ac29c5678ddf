"""Decode what Slack sends, once it is proven that Slack sent it. Pure.

A click brings its whole message along, percent-encoded: some ten thousand characters, which the standard library's
`unquote` takes longer over than the rest of the ingress takes together.
"""

from __future__ import annotations

import binascii
import json
import re
from typing import Any
from urllib.parse import parse_qsl

_ODD = re.compile(rb"%(?![0-9A-Fa-f]{2})")
"""A percent sign that begins no escape."""


def parse_body(raw: bytes, content_type: str) -> dict[str, Any]:
    """Decode a proven body. Raises ValueError if it is not one of Slack's.

    Events are JSON; clicks are a form with one field `payload`, which is JSON; commands are a plain form, any value of
    which may hold the word "payload": so it is the field's name that counts, never the text.
    """
    if content_type == "application/json":
        body = _load(raw.decode())
    elif content_type == "application/x-www-form-urlencoded":
        form = parse_form(raw)
        body = _load(form["payload"]) if "payload" in form else form
    else:
        raise ValueError("unexpected content type")
    if not isinstance(body, dict):
        raise ValueError("not an object")
    return body


def parse_form(raw: bytes) -> dict[str, str]:
    """Decode a form's fields; of one that comes twice the last counts. Raises ValueError if it is not UTF-8."""
    if _ODD.search(raw):
        return dict(parse_qsl(raw.decode(), keep_blank_values=True, errors="strict"))
    pairs = (field.partition(b"=") for field in raw.split(b"&") if field)
    return {_unquoted(name): _unquoted(value) for name, _, value in pairs}


def _unquoted(text: bytes) -> str:
    """Undo the percent-encoding of text whose every percent sign begins an escape.

    Then it is quoted-printable text with another sign, for which there is a decoder in C.
    """
    plain = text.replace(b"+", b" ")
    return binascii.a2b_qp(plain.replace(b"=", b"%3D").replace(b"%", b"=")).decode()


def _load(text: str) -> Any:
    """Read JSON, but no half of a character (a lone surrogate): it could not be stored."""
    value = json.loads(text)
    if "\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()
    return value
