"""Answer LookupEvents over HTTP as CloudTrail does: pages of fifty with a token, and refusals set from outside."""

from __future__ import annotations

import http.server
import json
import threading
from collections import deque
from typing import Any, Self

PAGE = 50


class TrailStub:
    """Listen on loopback; a context manager. `errors` are answered first, one for each request."""

    def __init__(self, entries: int) -> None:
        self.entries, self.errors, self.asked = entries, deque[str](), list[dict[str, Any]]()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(body | {"region": self.headers["Authorization"].split("/")[2]})
                status, answer = outer.answer(body)
                told = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.errors:
            return 400, {"__type": self.errors.popleft(), "message": "as set"}
        first = int(body.get("NextToken", "0"))
        last = min(first + PAGE, self.entries)
        more = {"NextToken": str(last)} if last < self.entries else {}
        return 200, {"Events": [entry(n) for n in range(first, last)], **more}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def entry(number: int) -> dict[str, Any]:
    event = {"awsRegion": "eu-west-1", "sourceIPAddress": "203.0.113.7"}
    return {"EventId": f"{number:012}", "EventName": "DescribeDBInstances", "EventSource": "rds.amazonaws.com",
            "EventTime": 1_795_000_000 - number, "CloudTrailEvent": json.dumps(event)}  # fmt: skip
