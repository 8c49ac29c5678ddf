"""The record of every request, both ways, and of every refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class Exchange:
    """One request and its answer. `way` "in" came from the app, "out" went to it."""

    way: Literal["in", "out"]
    kind: Literal["issuer", "token", "connector", "activity"]
    method: str
    """Of the connector: create, post, put, delete, member, members; of an activity: its type or the invoke's name."""
    path: str = ""
    body: bytes = b""
    status: int | None = None
    """None while it is under way, or when the connection was dropped without an answer."""
    answer: Any = None
    at: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Refusal:
    """Something that the world did not take."""

    method: str
    status: int
    code: str
    message: str
    path: str = ""


class Refused(Exception):
    """Answer with this status and the connector's error body."""

    def __init__(self, status: int, code: str, message: str = "", sub_code: str | None = None, wait: int = 0) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message, self.sub_code, self.wait = status, code, message, sub_code, wait

    def body(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"error": {"code": self.code, "message": self.message or self.code}}
        return shown | ({"subCode": self.sub_code} if self.sub_code else {})
