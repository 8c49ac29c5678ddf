"""Every bad token and every bad body that has to be turned away at the door."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from tests.worlds.teams.issuer import Issuer, forged, hs256


@dataclass(frozen=True)
class Strange:
    """One call that has to be answered with 401. `authorization` None: the header is missing."""

    name: str
    activity: Mapping[str, Any]
    authorization: str | None


def strange(issuer: Issuer, activity: Mapping[str, Any], app_id: str, other_tenant: str) -> list[Strange]:
    """Return the whole matrix for an activity that is good by itself."""
    good = issuer.claims(app_id, str(activity["serviceUrl"]))
    headers = _headers(issuer, good) | {name: f"Bearer {it}" for name, it in _tokens(issuer, good).items()}
    found = [Strange(name, activity, it) for name, it in headers.items()]
    bearer = f"Bearer {issuer.sign(good)}"
    return found + [Strange(name, it, bearer) for name, it in _bodies(activity, other_tenant).items()]


def _headers(issuer: Issuer, good: Mapping[str, Any]) -> dict[str, str | None]:
    token = issuer.sign(good)
    return {
        "no header": None, "empty header": "", "bearer alone": "Bearer", "bearer and nothing": "Bearer ",
        "basic": "Basic " + base64.b64encode(b"app:secret").decode(), "no scheme": token, "garbage": "Bearer x",
        "garbage with dots": "Bearer a.b.c", "two dots": "Bearer ..", "not latin": "Bearer \xe9.\xe9.\xe9",
        "long garbage": "Bearer " + "A" * 5000, "half a token": f"Bearer {token[: len(token) // 2]}",
        "signature changed": f"Bearer {token[:-8]}AAAAAAAA", "two tokens": f"Bearer {token} {token}",
    }  # fmt: skip


def _tokens(issuer: Issuer, good: Mapping[str, Any]) -> dict[str, str]:
    now, kid = int(time.time()), issuer.signing.kid
    pem, sign = issuer.signing.public_pem(), issuer.sign

    def claim(**changes: Any) -> str:
        return sign({**good, **changes})

    return {
        "alg none": forged({"alg": "none", "typ": "JWT", "kid": kid}, good),
        "alg none with a signature": forged({"alg": "none", "typ": "JWT", "kid": kid}, good, b"x"),
        "alg missing": forged({"typ": "JWT", "kid": kid}, good, b"x"),
        "HS256 with the public key": hs256(good, pem, kid),
        "kid missing": sign(good, head={"kid": None}),
        "kid a list": forged({"alg": "RS256", "kid": [kid]}, good, b"x"),
        "kid a number": forged({"alg": "RS256", "kid": 1}, good, b"x"),
        "kid unknown": sign(good, head={"kid": "nobody"}),
        "kid of a path": sign(good, head={"kid": "../../etc/passwd"}),
        "foreign signature": sign(good, key=issuer.foreign),
        "payload no object": forged({"alg": "RS256", "kid": kid}, {}, b"x"),
        "aud wrong": claim(aud="33333333-bbbb-4bbb-8bbb-333333333333"),
        "aud missing": claim(aud=None),
        "aud of several": claim(aud=["somebody"]),
        "iss wrong": claim(iss="https://sts.windows.net/x/"),
        "iss missing": claim(iss=None),
        "expired": claim(exp=now - 400, nbf=now - 4000, iat=now - 4000),
        "exp missing": claim(exp=None),
        "exp no number": claim(exp="soon"),
        "nbf in the future": claim(nbf=now + 900),
        "serviceurl missing": claim(serviceurl=None),
        "serviceurl different": claim(serviceurl="https://smba.trafficmanager.net/amer/"),
        "serviceurl no string": claim(serviceurl=[good["serviceurl"]]),
    }


def _bodies(activity: Mapping[str, Any], other_tenant: str) -> dict[str, Mapping[str, Any]]:
    """Return bodies with which even a good token is no good."""

    def changed(data: Any = None, outer: Any = ..., **top: Any) -> dict[str, Any]:
        body = deepcopy(dict(activity)) | top
        if data is not None:
            body["channelData"] = data
        if outer is not ...:
            body["conversation"] = {**body["conversation"], "tenantId": outer}
        return body

    own = activity["channelData"]
    bare = {name: it for name, it in own.items() if name != "tenant"}
    nowhere = changed(bare)
    nowhere["conversation"] = {name: it for name, it in activity["conversation"].items() if name != "tenantId"}
    return {
        "tenant foreign": changed({**own, "tenant": {"id": other_tenant}}, other_tenant),
        "tenant contradictory": changed({**own, "tenant": {"id": other_tenant}}),
        "tenant contradictory in the conversation": changed(outer=other_tenant),
        "tenant missing": nowhere,
        "tenant no string": changed({**own, "tenant": {"id": [own["tenant"]["id"]]}}, [own["tenant"]["id"]]),
        "another channelId": changed(channelId="webchat"),
        "an emulator": changed(channelId="emulator"),
        "another serviceUrl": changed(serviceUrl="https://evil.example/"),
    }


def malformed(activity: Mapping[str, Any]) -> dict[str, bytes]:
    """Return bodies that are no activity."""

    def without(*names: str, **more: Any) -> bytes:
        return json.dumps({name: it for name, it in activity.items() if name not in names} | more).encode()

    return {
        "empty": b"", "no JSON": b"{nope", "a list": b"[]", "a string": b'"x"', "null": b"null", "a number": b"1",
        "not UTF-8": b'{"type": "\xff"}', "nested 100,000 deep": b"[" * 100_000, "type missing": without("type"),
        "type a number": without(type=1), "serviceUrl missing": without("serviceUrl"),
        "conversation missing": without("conversation"), "conversation a string": without(conversation="x"),
        "conversation without id": without(conversation={}), "recipient missing": without("recipient"),
        "from a list": without(**{"from": [1]}), "entities a string": without(entities="x"),
    }  # fmt: skip
