"""Draw the app's two icons as PNG: two ticks, one behind the other. Pure, and the same bytes each time."""

from __future__ import annotations

import functools
import math
import struct
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise

GREEN, FAINT, WHITE = (0x1D, 0x3B, 0x2F), (0x7F, 0xA8, 0x94), (0xFF, 0xFF, 0xFF)
COLOR_SIZE, OUTLINE_SIZE = 192, 32
_FIRST = ((0.20, 0.50), (0.36, 0.67), (0.62, 0.32))
_SECOND = ((0.40, 0.58), (0.51, 0.70), (0.80, 0.32))
_WIDTH = 0.075
Point = tuple[float, float]
Rgb = tuple[int, int, int]
Rgba = tuple[int, int, int, int]


@functools.cache
def color() -> bytes:
    """Return the icon in full colour, 192 by 192."""

    def pixel(x: float, y: float, sharp: float) -> Rgba:
        behind = _mixed(GREEN, FAINT, _ink(_FIRST, x, y, _WIDTH, sharp))
        gap = _mixed(behind, GREEN, _ink(_SECOND, x, y, _WIDTH * 2, sharp))
        return (*_mixed(gap, WHITE, _ink(_SECOND, x, y, _WIDTH, sharp)), 255)

    return _png(COLOR_SIZE, pixel)


@functools.cache
def outline() -> bytes:
    """Return the icon in white on nothing, 32 by 32."""

    def pixel(x: float, y: float, sharp: float) -> Rgba:
        first = _ink(_FIRST, x, y, _WIDTH, sharp) * (1 - _ink(_SECOND, x, y, _WIDTH * 2, sharp))
        return (*WHITE, round(255 * max(first, _ink(_SECOND, x, y, _WIDTH, sharp))))

    return _png(OUTLINE_SIZE, pixel)


def _ink(line: Sequence[Point], x: float, y: float, width: float, sharp: float) -> float:
    """Return how much of a pixel a line of this width covers, from 0 to 1; `sharp` is pixels per unit."""
    distance = min(_distance(x, y, start, end) for start, end in pairwise(line))
    return min(1.0, max(0.0, (width / 2 - distance) * sharp + 0.5))


def _distance(x: float, y: float, start: Point, end: Point) -> float:
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = ((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy)
    along = min(1.0, max(0.0, along))
    return math.hypot(x - start[0] - along * dx, y - start[1] - along * dy)


def _mixed(under: Rgb, over: Rgb, share: float) -> Rgb:
    red, green, blue = (round(low + (high - low) * share) for low, high in zip(under, over, strict=True))
    return red, green, blue


def _png(size: int, pixel: Callable[[float, float, float], Rgba]) -> bytes:
    """Return a square picture with 8 bits for each of red, green, blue and opacity."""
    rows = bytearray()
    for row in range(size):
        rows.append(0)  # no filter
        for column in range(size):
            rows += bytes(pixel((column + 0.5) / size, (row + 0.5) / size, size))
    head = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
