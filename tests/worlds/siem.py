"""Take JSON lines over HTTP as a SIEM's collector does, and remember which records came."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class SiemSink:
    """Listen on loopback; a context manager. `records` are the records in the order in which they came first."""

    def __init__(self) -> None:
        self.records: dict[int, dict[str, Any]] = {}
        self.tokens: set[str | None] = set()
        self._arrived = threading.Condition()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.take(body, self.headers.get("Authorization"))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="siem", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/in"

    def take(self, body: bytes, token: str | None) -> None:
        with self._arrived:
            self.tokens.add(token)
            for line in body.splitlines():
                row = json.loads(line)
                self.records.setdefault(row["position"], row["record"])
            self._arrived.notify_all()

    def wait_for(self, position: int, timeout: float = 10.0) -> dict[int, dict[str, Any]]:
        """Return what came once the record at that position did."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: position in self.records, timeout), sorted(self.records)
            return dict(self.records)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
