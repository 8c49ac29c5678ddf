"""Look at one grant over HTTP with the standard library alone: what `helper` needs of the API, and no more.

`transport` is the client's way. This one is for a process that an AWS SDK starts for each look: it must be there at
once, has one thing to ask, and may block.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self
from urllib.parse import quote, urlsplit

from approvers.errors import CountersignError
from countersign.address import check_key, check_url
from countersign.clock import clock_ahead
from countersign.errors import BadAnswer, Unreachable, problem

HELD_SECONDS, ANSWER_SECONDS = 50, 15
PATIENCE_SECONDS = 10.0
"""For how long an absent server is tried again: SDKs give a helper about a minute."""
PAUSES = (0.1, 0.3, 1.0, 2.0, 3.0, 5.0)
UNAVAILABLE = frozenset({429, 502, 503, 504})
SETTLING = ("PENDING", "MINTING")


class _Later(Exception):
    """Say that the same call may go through later, and the error to raise if not."""

    def __init__(self, error: CountersignError) -> None:
        super().__init__(error.detail)
        self.error = error


class Looking:
    """One connection. `ahead`: how much the server's clock is ahead of this machine's."""

    def __init__(self, base_url: str, api_key: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Check address and key. Raises BadSetting with the remedy."""
        self._patience = patience_seconds
        self._base = urlsplit(check_url(base_url))
        self._headers = {"Authorization": f"Bearer {check_key(api_key)}", "Accept": "application/json",
                         "Content-Type": "application/json", "User-Agent": "countersign"}  # fmt: skip
        self._connection: http.client.HTTPConnection | None = None
        self.ahead = timedelta()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def settled(self, name: str) -> Mapping[str, Any]:
        """Return a request, by an id of it or of its grant or by its handle, as soon as it is settled."""
        request = "req_" + name.removeprefix("grt_") if name.startswith("grt_") else name
        path = f"/v1/requests/{quote(request, safe='')}?wait={HELD_SECONDS}"
        while True:
            answer = self._call("GET", path, HELD_SECONDS)
            if not {"id", "state", "handle", "agent_message", "because", "grant"} <= answer.keys():
                raise BadAnswer("The answer is not a request of Countersign's.")
            state = answer["grant"]["state"] if answer["grant"] else None
            if answer["state"] != "PENDING" and state not in SETTLING:
                return answer

    def credential(self, grant: str) -> Mapping[str, Any]:
        """Return a grant's credential, open or sealed; the same one each time."""
        return self._call("POST", f"/v1/grants/{quote(grant, safe='')}/credential", 0)

    def _call(self, method: str, path: str, held: int) -> dict[str, Any]:
        began, tries = time.monotonic(), 0
        while True:
            try:
                return self._once(method, path, held)
            except _Later as later:
                self._close()
                pause = PAUSES[min(tries, len(PAUSES) - 1)]
                if time.monotonic() - began + pause > self._patience:
                    raise later.error from later.__cause__
            tries += 1
            time.sleep(pause)

    def _once(self, method: str, path: str, held: int) -> dict[str, Any]:
        connection = self._open()
        connection.timeout = held + ANSWER_SECONDS
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        try:
            connection.request(method, self._base.path + path, b"{}" if method == "POST" else None, self._headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            address = self._base.geturl()
            raise _Later(
                Unreachable(f"{address} does not answer ({why}). Check COUNTERSIGN_URL and the server.")
            ) from error
        self.ahead = clock_ahead(response.headers.get("Date"), self.ahead)
        return _read(response.status, bool(response.headers.get("Retry-After")), body)

    def _open(self) -> http.client.HTTPConnection:
        if self._connection is None:
            host, port = self._base.hostname or "", self._base.port
            secure = self._base.scheme == "https"
            self._connection = (
                http.client.HTTPSConnection(host, port, context=ssl.create_default_context())
                if secure
                else http.client.HTTPConnection(host, port)
            )
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _read(status: int, retry_after: bool, body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    named = answer if isinstance(answer, dict) and isinstance(answer.get("code"), str) else {}
    if status >= 400:
        error = problem(status, named.get("code", "no_problem_document"),
                        str(named.get("detail") or f"HTTP {status}, without words from Countersign."))  # fmt: skip
        raise _Later(error) if status in UNAVAILABLE or (status == 409 and retry_after) else error
    if not 200 <= status < 300 or not isinstance(answer, dict):
        raise BadAnswer(f"HTTP {status} that is no answer of Countersign's; set COUNTERSIGN_URL to the final address.")
    return answer
