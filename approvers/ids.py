"""Make ids and short handles from a time and random bytes that are passed in.

A request and the grant that it may open share one ULID, so that either id leads to the other: `req_X` and `grt_X`.
"""

from __future__ import annotations

from datetime import datetime

from approvers.times import to_ms

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [high + low for high in CROCKFORD for low in CROCKFORD]
HANDLE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # no 0 or 1: people read and type handles
HANDLE_LENGTH = 4


def ulid(now: datetime, randomness: bytes) -> str:
    """Return a 26-character ULID of the time (48 bits of milliseconds) and 10 random bytes."""
    if len(randomness) != 10:
        raise ValueError("a ULID takes 10 random bytes")
    number = (to_ms(now) << 80) | int.from_bytes(randomness)
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)])


def request_id(now: datetime, randomness: bytes) -> str:
    """Return a new request id, `req_…`."""
    return f"req_{ulid(now, randomness)}"


def grant_of(request: str) -> str:
    """Return the id of the one grant that this request may open."""
    return f"grt_{request.removeprefix('req_')}"


def request_of(grant: str) -> str:
    """Return the id of the request that opened this grant."""
    return f"req_{grant.removeprefix('grt_')}"


def handle(randomness: bytes) -> str:
    """Return a short handle such as `K7QF` from 4 random bytes; the store keeps it unique among what is open."""
    if len(randomness) != HANDLE_LENGTH:
        raise ValueError(f"a handle takes {HANDLE_LENGTH} random bytes")
    return "".join(HANDLE_ALPHABET[byte % len(HANDLE_ALPHABET)] for byte in randomness)
