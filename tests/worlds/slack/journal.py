"""The record of every request, both ways, and of every refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class Exchange:
    """One request and its answer. `way` "in" came from the app, "out" went to it."""

    way: Literal["in", "out"]
    kind: Literal["api", "response_url", "http", "socket"]
    method: str
    """The method, the address's path, or what was delivered (block_actions, view_submission, command, event …)."""
    args: Mapping[str, Any]
    verb: str = "POST"
    status: int | None = None
    """None while it is under way, or when the connection was dropped without an answer."""
    answer: Any = None
    at: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Refusal:
    """Something that the workspace did not take."""

    method: str
    error: str
    messages: tuple[str, ...]
    args: Mapping[str, Any]
