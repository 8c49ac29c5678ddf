"""Take alerts over HTTP as strictly as Alertmanager (API v2) and PagerDuty (Events API v2) do, and remember them.

`POST /api/v2/alerts` and `POST /v2/enqueue`. `answer_next(503, 429)` makes the next posts fail first; `hang` makes it
take posts and never answer.
"""

from __future__ import annotations

import asyncio
import re
import threading
from datetime import UTC, datetime
from typing import Any, Self

from aiohttp import web

from tests.worlds.background import Background

LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
ROUTING_KEY = "R" * 32


class AlertSink:
    """Listen on loopback; a context manager."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        """Every accepted alert as {key, cleared, severity, summary, raw}."""
        self.seen = 0
        self.hang = False
        self._statuses: list[int] = []
        self._arrived = threading.Condition()
        self._background = Background("alert sink")
        self.port = self._background.run(self._start())

    def url(self, shape: str) -> str:
        return f"http://127.0.0.1:{self.port}" + ("/v2/enqueue" if shape == "pagerduty" else "/api/v2/alerts")

    def answer_next(self, *statuses: int) -> None:
        """Answer the next posts with these statuses, taking nothing."""
        self._statuses.extend(statuses)

    def wait_for(self, count: int, timeout: float = 10.0) -> list[dict[str, Any]]:
        """Return the accepted alerts once there are that many."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.posts) >= count, timeout):
                raise AssertionError(f"{len(self.posts)} alerts after {timeout:g} s, expected {count}: {self.posts}")
            return list(self.posts)

    def wait_seen(self, count: int, timeout: float = 10.0) -> None:
        """Return once that many posts have come, taken or not."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: self.seen >= count, timeout), f"{self.seen} posts"

    @property
    def firing(self) -> set[str]:
        """Return the keys that were raised and not cleared since."""
        state = {post["key"]: post["cleared"] for post in self.posts}
        return {key for key, cleared in state.items() if not cleared}

    def close(self) -> None:
        self._background.close(self._runner.cleanup)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    async def _start(self) -> int:
        app = web.Application()
        app.router.add_post("/api/v2/alerts", self._alertmanager)
        app.router.add_post("/v2/enqueue", self._pagerduty)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return self._runner.addresses[0][1]

    async def _alertmanager(self, request: web.Request) -> web.Response:
        return await self._take(request, read_alertmanager, web.json_response({}))

    async def _pagerduty(self, request: web.Request) -> web.Response:
        return await self._take(request, read_pagerduty, web.json_response({"status": "success"}, status=202))

    async def _take(self, request: web.Request, read: Any, accepted: web.Response) -> web.Response:
        with self._arrived:
            self.seen += 1
            self._arrived.notify_all()
        if self.hang:
            await asyncio.Event().wait()
        if self._statuses:
            return web.Response(status=self._statuses.pop(0))
        try:
            posts = read(await request.json())
        except (ValueError, KeyError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        with self._arrived:
            self.posts.extend(posts)
            self._arrived.notify_all()
        return accepted


def read_alertmanager(body: Any) -> list[dict[str, Any]]:
    """Read a post as Alertmanager would; ValueError, KeyError or TypeError where it answers 400."""
    if not isinstance(body, list) or not body:
        raise ValueError("not a list of alerts")
    return [_read_prometheus(entry) for entry in body]


def _read_prometheus(entry: Any) -> dict[str, Any]:
    if unknown := set(entry) - {"labels", "annotations", "startsAt", "endsAt", "generatorURL"}:
        raise ValueError(f"unknown fields {unknown}")
    for names in (entry["labels"], entry.get("annotations", {})):
        for name, value in names.items():
            if not LABEL.fullmatch(name) or not isinstance(value, str):
                raise ValueError(f"bad label pair {name!r}: {value!r}")
    if not any(entry["labels"].values()):
        raise ValueError("at least one label pair required")
    starts, ends = (_time(entry[name]) if name in entry else None for name in ("startsAt", "endsAt"))
    if starts and ends and starts > ends:
        raise ValueError("start time must be before end time")
    return {
        "key": entry["labels"]["key"],
        "cleared": starts is None and ends is not None,
        "severity": entry["labels"]["severity"],
        "summary": entry["annotations"]["summary"],
        "raw": entry,
    }


def read_pagerduty(body: Any) -> list[dict[str, Any]]:
    """Read a post as PagerDuty would; ValueError, KeyError or TypeError where it answers 400."""
    if body["routing_key"] != ROUTING_KEY:
        raise ValueError("invalid routing key")
    if body["event_action"] not in {"trigger", "resolve"} or not 0 < len(body["dedup_key"]) <= 255:
        raise ValueError("invalid event")
    payload = body.get("payload", {})
    if body["event_action"] == "trigger":
        if not 0 < len(payload["summary"]) <= 1024 or not payload["source"]:
            raise ValueError("invalid payload")
        if payload["severity"] not in {"critical", "error", "warning", "info"}:
            raise ValueError("invalid severity")
        _time(payload["timestamp"])
    return [
        {
            "key": body["dedup_key"].removeprefix("countersign:"),
            "cleared": body["event_action"] == "resolve",
            "severity": payload.get("severity"),
            "summary": payload.get("summary"),
            "raw": body,
        }
    ]


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment.astimezone(UTC)
