"""A gate in front of an AWS endpoint: counts requests, names them `sts:AssumeRole`, keeps each credential issued.

The name is the service of the signature's scope, and the `Action=` field, the `X-Amz-Target`, or method and path.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from tests.worlds.gate import Call, Cut, Gate, has_gone

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect", "upgrade", "te", "trailer"}
STS = "{https://sts.amazonaws.com/doc/2011-06-15/}"


@dataclass(frozen=True)
class Answer:
    """An answer to give in AWS's place."""

    status: int
    body: bytes
    content_type: str = "text/xml"


def _error(status: int, code: str, message: str) -> Answer:
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, f"<ErrorResponse>{error}</ErrorResponse>".encode())


THROTTLED = _error(400, "Throttling", "Rate exceeded")
SERVER_ERROR = _error(500, "InternalFailure", "The request processing has failed.")
UNAVAILABLE = _error(503, "ServiceUnavailable", "Try again later.")
DENIED = _error(403, "AccessDenied", "User is not authorized to perform this.")


@dataclass(frozen=True)
class Issued:
    """One credential that AWS gave out."""

    session: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expiration: datetime


class AwsGate(Gate):
    """Speak HTTP on loopback, in front of an endpoint URL."""

    def __init__(self, upstream: str, **options: Any) -> None:
        self._upstream = upstream.rstrip("/")
        self._issued: list[Issued] = []
        super().__init__(**options)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def issued(self) -> list[Issued]:
        """Every credential of an AssumeRole answer, also those whose answer was held, cut or never arrived."""
        return list(self._issued)

    async def _start(self) -> int:
        timeout = aiohttp.ClientTimeout(total=120)
        self._session = aiohttp.ClientSession(
            auto_decompress=False, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
        )
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)  # type: ignore[arg-type]
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self._runner.addresses[0][1]

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        if request.headers.get("Expect", "").lower() == "100-continue" and transport:
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await request.read()
        client = transport.get_extra_info("peername")[1] if transport else 0
        call = self._arrive(name_of(request, body), client, body)

        def gone() -> bool:
            return has_gone(transport)

        try:
            if instead := await self._meet(call, "before", gone):
                return _to_response(instead)
            response = await self._forward(request, body, call)
            await self._meet(call, "after", gone)
            return response
        except (Cut, aiohttp.ClientError):  # with the other side away, we are away too
            if transport:
                transport.abort()
            return web.Response()

    async def _forward(self, request: web.BaseRequest, body: bytes, call: Call) -> web.Response:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP]
        async with self._session.request(
            request.method,
            URL(self._upstream + request.raw_path, encoded=True),
            headers=headers,
            data=body or None,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
        ) as answer:
            content = await answer.read()
            call.status = answer.status
            if self._record:
                call.answer = content
            if call.name == "sts:AssumeRole" and answer.status == 200:
                self._issued.append(read_issued(content))
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP]
            if request.method == "HEAD" and (length := answer.headers.get("Content-Length")):
                kept.append(("Content-Length", length))
            return web.Response(status=answer.status, headers=CIMultiDict(kept), body=content or None)


def name_of(request: web.BaseRequest, body: bytes) -> str:
    """Name a request: `sts:AssumeRole`, `iam:PutRolePolicy`, `s3:GET /bucket/key`."""
    scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request", request.headers.get("Authorization", ""))
    service = scope[1] if scope else "unsigned"
    if target := request.headers.get("X-Amz-Target"):
        return f"{service}:{target.rpartition('.')[2]}"
    form = "x-www-form-urlencoded" in request.headers.get("Content-Type", "")
    if form and (action := parse_qs(body.decode()).get("Action")):
        return f"{service}:{action[0]}"
    return f"{service}:{request.method} {request.path}"


def read_issued(body: bytes) -> Issued:
    """Read the credential out of an AssumeRole answer."""
    result = ET.fromstring(body).find(f"{STS}AssumeRoleResult")
    assert result is not None, body

    def text(path: str) -> str:
        found = result.findtext("/".join(STS + step for step in path.split("/")))
        assert found, path
        return found

    return Issued(
        text("AssumedRoleUser/Arn").rpartition("/")[2],
        text("Credentials/AccessKeyId"),
        text("Credentials/SecretAccessKey"),
        text("Credentials/SessionToken"),
        datetime.fromisoformat(text("Credentials/Expiration")),
    )


def _to_response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers={"Content-Type": answer.content_type})
