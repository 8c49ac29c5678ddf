"""Answer AWS calls in the shape of AWS, meaning nothing: only to see what the gate does to requests and answers."""

from __future__ import annotations

import http.server
import itertools
import threading
from dataclasses import dataclass
from email.message import Message
from typing import Self

ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><AssumedRoleId>AROA:grant-1</AssumedRoleId>
<Arn>arn:aws:sts::000000000000:assumed-role/r/grant-1</Arn></AssumedRoleUser>
<Credentials><AccessKeyId>ASIA{n}</AccessKeyId><SecretAccessKey>secret+/{n}</SecretAccessKey>
<SessionToken>token=={n}</SessionToken><Expiration>2026-11-20T10:15:00Z</Expiration></Credentials>
</AssumeRoleResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleResponse>"""


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: Message
    body: bytes

    def body_holds(self, content: bytes) -> bool:
        """Tell whether this is the body, plain or in one `aws-chunked` chunk."""
        return content in self.body


class AwsStub:
    """Listen on loopback; a context manager."""

    DATE = "Fri, 20 Nov 2026 10:00:00 GMT"

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        numbers = itertools.count(1)
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                stub.requests.append(Seen(self.command, self.path, self.headers, body))
                content = b"{}" if self.headers.get("X-Amz-Target") else b""
                if b"Action=AssumeRole" in body:
                    content = ASSUMED.format(n=next(numbers)).encode()
                elif b"Action=" in body:
                    content = b"<DeleteRolePolicyResponse/>"
                self.send_response_only(200)
                self.send_header("Date", stub.DATE)
                self.send_header("ETag", '"stub"')
                self.send_header("Content-Length", "12345" if self.command == "HEAD" else str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
