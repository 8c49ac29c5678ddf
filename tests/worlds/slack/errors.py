"""How the world says no: Slack's error name, its words, and an HTTP status where that is not 200."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Refused(Exception):
    """A method's refusal: `{"ok": false, "error": …}`."""

    def __init__(self, error: str, messages: Sequence[str] = (), *, status: int = 200, **more: Any) -> None:
        super().__init__(error)
        self.error = error
        self.messages = list(messages)
        self.status = status
        self.more = more

    def body(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"ok": False, "error": self.error, **self.more}
        if self.messages:
            answer["errors"] = [line.removeprefix("[ERROR] ") for line in self.messages]
            answer["response_metadata"] = {"messages": self.messages}
        return answer
