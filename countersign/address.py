"""Read where the server is and with which key, and refuse what cannot be either; with the standard library alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from countersign.errors import BadSetting


def settings(environ: Mapping[str, str] = os.environ, url: str | None = None) -> tuple[str, str]:
    """Return address and API key from the environment. Raises BadSetting that says what to export."""
    address, key = url or environ.get("COUNTERSIGN_URL", ""), environ.get("COUNTERSIGN_API_KEY", "")
    if not address:
        raise BadSetting("COUNTERSIGN_URL is not set: export the server's address (or pass --url)", field="url")
    if not key:
        raise BadSetting("COUNTERSIGN_API_KEY is not set: export the key that `countersign keys new` printed")
    return address, key


def verify_key(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the verifier keys that receipts are checked by, or None: then they are not."""
    return environ.get("COUNTERSIGN_VERIFY_KEY") or None


def check_url(url: str) -> str:
    """Return the address without a trailing slash. Raises BadSetting with the remedy."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise BadSetting(f"{url!r} is no address: write it like https://countersign.example.com", field="url")
    if parts.username or parts.password:
        raise BadSetting("the address may hold no user or password: the key goes into COUNTERSIGN_API_KEY", field="url")
    return url.rstrip("/")


def check_key(key: str) -> str:
    """Return the API key if it can be one. Raises BadSetting that does not repeat it."""
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise BadSetting("COUNTERSIGN_API_KEY is empty or holds characters that no key has", field="api_key")
    return key


def harmless(text: str) -> str:
    """Return text with a space for each character that moves the cursor, hides or reorders: control, bidi and such."""
    return "".join(char if char.isprintable() else " " for char in text)
