"""Sign a request to AWS as of any moment (Signature Version 4): the judge's AWS has a clock of its own."""

from __future__ import annotations

import hashlib
import hmac
import urllib.error
import urllib.request
from datetime import datetime
from urllib.parse import urlsplit

REGION = "us-east-1"
Keys = tuple[str, str, str | None]
"""Access key id, secret access key, session token."""


def ask(method: str, url: str, body: bytes, keys: Keys, service: str, at: datetime) -> tuple[int, bytes]:
    """Send a signed request without a query; return status and body of the answer."""
    form = {"content-type": "application/x-www-form-urlencoded"} if body else {}
    headers = {**form, **_signed(method, url, body, keys, service, at, form)}
    asked = urllib.request.Request(url, body or None, headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def _signed(
    method: str, url: str, body: bytes, keys: Keys, service: str, at: datetime, form: dict[str, str]
) -> dict[str, str]:
    where, digest, moment = urlsplit(url), hashlib.sha256(body).hexdigest(), at.strftime("%Y%m%dT%H%M%SZ")
    key_id, secret, token = keys
    headers = {**form, "host": where.netloc, "x-amz-content-sha256": digest, "x-amz-date": moment}
    if token:
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"{method}\n{where.path or '/'}\n\n{lines}\n{names}\n{digest}"
    scope = f"{moment[:8]}/{REGION}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (moment[:8], REGION, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**{name: value for name, value in headers.items() if name != "host"}, "authorization": credential}
