"""Check a receipt without asking anybody: what whoever acts does before it acts.

A receipt is a compact JWS that Countersign's clock signs for each decision. Here is all that it takes to believe one:
the public key, known from elsewhere. One algorithm and one type are taken, and nothing that a receipt says about keys.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from approvers.action import Action, action_digest, malformed
from approvers.errors import CountersignError, Malformed
from approvers.notes import BadNote, PublicKey, parse_verifier
from approvers.strict_json import load
from approvers.times import stamp
from countersign.errors import BadSetting
from countersign.models import Ask, Request

ALGORITHM, TYPE = "EdDSA", "countersign-receipt+jwt"
MOST_CHARS = 65_536
"""The longest text that is looked at; a receipt has about a thousand characters."""
CLOCKS = timedelta(minutes=1)
"""How much earlier than Countersign's this machine's clock may be."""
_PART = re.compile(r"[A-Za-z0-9_-]+")


class BadReceipt(CountersignError):
    """The receipt is no proof: do not act. `field` names what is wrong with it."""

    code = "bad_receipt"


class _Claims(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class ReceiptLog(_Claims):
    """The log that a receipt names: how many records it held, and the root over them, in hex."""

    size: int = Field(ge=1, strict=True)
    root: str = Field(pattern=r"^[0-9a-f]{64}$")


class ReceiptReviewer(_Claims):
    """One person's answer; `seat_of`: for whom they stood in."""

    person: str
    verdict: str
    seat_of: str | None = None


class ReceiptClaims(_Claims):
    """What a receipt says, believed. Fields that this version does not know are kept (`model_extra`).

    Attributes:
        iss: the log's name.
        sub: the request's id.
        iat: when it was signed.
        exp: until when it may be acted upon.
        decision: APPROVED, DENIED, EXPIRED or CANCELLED; `because` says why.
        action_digest: of what was asked; `granted_digest`: of the plan that was granted, where there is a grant.
        ttl_seconds: for how long, as granted.
    """

    iss: str
    sub: str
    iat: AwareDatetime
    exp: AwareDatetime
    decision: str
    because: str
    action: str
    resource: str
    action_digest: str
    granted_digest: str | None
    policy_sha256: str
    rules: tuple[str, ...]
    reviewers: tuple[ReceiptReviewer, ...]
    principal: str
    actor: str
    grant: str | None
    ttl_seconds: int | None
    log: ReceiptLog


def verify_receipt(
    jws: str,
    *,
    key: str | Sequence[str],
    action_digest: str | None = None,
    request: str | None = None,
    at: datetime | None = None,
    decision: str | None = "APPROVED",
) -> ReceiptClaims:
    """Return what a receipt says, or raise: offline, by the public key alone.

    Args:
        jws: the receipt.
        key: the verifier keys of one Countersign, `NAME+ID+BASE64`; after a rotation, the old and the new one. Never
            those of two: each could then speak in the other's name.
        action_digest: of what is about to be done (`digest_of`); leave it out and you must compare it yourself.
        request: the request's id, where it is known.
        at: the moment that it must stand at; left out, now.
        decision: what must have been decided. None, for looking back: whatever was, however long ago.

    Raises:
        BadReceipt: with the reason, and in `field` the part that it speaks of.
        Malformed: a key is no verifier key, or `at` has no time zone.
    """
    keys = parse_keys(key)
    if at is not None and at.tzinfo is None:
        raise Malformed("the moment has no time zone: give one, such as datetime.now(UTC)", field="at")
    if not isinstance(jws, str) or len(jws) > MOST_CHARS:
        _refuse("jws", f"it is no receipt: a receipt is a text of at most {MOST_CHARS} characters")
    claims = _read(_opened(jws.strip(), keys))
    _check(claims, [*keys.values()], at or datetime.now(UTC), over=decision is None)
    if decision is not None and claims.decision != decision:
        _refuse("decision", f"it says {claims.decision} ({claims.because}), not {decision}: do not act")
    if request is not None and claims.sub != request:
        _refuse("sub", f"it is about {claims.sub}, not about {request}")
    if action_digest is not None and claims.action_digest != action_digest:
        _refuse("action_digest", f"it is about another action: {claims.action} on {claims.resource}: do not act")
    return claims


def receipt_of(request: Request, *, key: str | Sequence[str], action_digest: str | None = None) -> ReceiptClaims:
    """Return what the receipt in an answer proves of that request. Raises as `verify_receipt`."""
    if request.receipt is None:
        _refuse("jws", f"{request.label} has none yet: do not act, and ask again; a clock signs it")
    return verify_receipt(request.receipt.jws, key=key, request=request.id, action_digest=action_digest)


def digest_of(ask: Ask, *, principal: str, ttl_seconds: int | None = None) -> str:
    """Return the digest of an ask: what a receipt for it names.

    Args:
        ask: what is about to be done.
        principal: who asks, as Countersign calls them (`caller:NAME`).
        ttl_seconds: where the ask names none, what Countersign has filled in.

    Raises:
        Malformed: the ask lacks what every ask needs.
    """
    body = ask.body()
    if ask.parameters is not None:
        body["parameters"] = rfc8785.dumps(ask.parameters).decode()
    if ask.ttl_seconds is None:
        body["ttl_seconds"] = ttl_seconds
    try:
        return action_digest(principal, Action.model_validate(body))
    except ValidationError as error:
        raise malformed(error) from error


def check_keys(key: str | None) -> str | None:
    """Return verifier keys as they were set, or None where none are. Raises BadSetting where one is none."""
    try:
        return key if key and parse_keys(key) else None
    except Malformed as error:
        raise BadSetting(error.detail, field="verify_key") from error


def parse_keys(key: str | Sequence[str]) -> dict[str, PublicKey]:
    """Return verifier keys by their ids; a text may hold several, with spaces or new lines between."""
    texts = key.split() if isinstance(key, str) else [one for text in key for one in text.split()]
    if not texts:
        raise Malformed("no key is given: give the verifier key, NAME+ID+BASE64, that Countersign's operator published")
    try:
        return {key.id.hex(): key for key in map(parse_verifier, texts)}
    except BadNote as error:
        raise Malformed(f"one of the keys given is none: {error}", field="key") from error


def _opened(jws: str, keys: Mapping[str, PublicKey]) -> bytes:
    """Return the payload that a known key has signed. Nothing of it is read before."""
    parts = jws.split(".")
    if len(parts) != 3 or not all(_PART.fullmatch(part) for part in parts):
        _refuse("jws", "it is no receipt: three parts of letters, digits, - and _, with a dot between, make one")
    header, payload, signature = (_decoded(part) for part in parts)
    found = _json(header, "header")
    if found.get("alg") != ALGORITHM:
        _refuse("alg", f"its algorithm is not {ALGORITHM}, and no other is taken")
    if found.get("typ") != TYPE:
        _refuse("typ", f"its type is not {TYPE}: it was signed for something else")
    if (key := keys.get(str(found.get("kid")))) is None:
        _refuse("kid", f"none of the keys given has signed it (they are {', '.join(sorted(keys))})")
    if found.keys() != {"alg", "kid", "typ"}:
        _refuse("jws", "its header says more than a receipt's does")
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, jws.rpartition(".")[0].encode())
    except InvalidSignature:
        _refuse("signature", "its signature is not by the key that it names: it was changed, or made by somebody else")
    return payload


def _decoded(part: str) -> bytes:
    """Return the bytes of unpadded base64url in its one spelling, so that no bit can be changed unseen."""
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != part.encode():
        _refuse("jws", "a part of it is not base64url: it was cut or changed")
    return raw


def _json(raw: bytes, name: str) -> dict[str, Any]:
    try:
        value = load(raw)
    except Malformed:
        value = None
    if not isinstance(value, dict):
        _refuse("jws", f"its {name} is not JSON of one meaning")
    return value


def _read(payload: bytes) -> ReceiptClaims:
    try:
        return ReceiptClaims.model_validate(_json(payload, "payload"))
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        _refuse(place, f"its claim {place} is missing, or has the wrong form")


def _check(claims: ReceiptClaims, keys: Sequence[PublicKey], at: datetime, *, over: bool) -> None:
    """Check who speaks, and when. `over`: its time may be over, for nobody acts on it."""
    if claims.iss not in {key.name for key in keys}:
        _refuse("iss", f"it is of the log {claims.iss}, of which no key is given (after a rotation give the old, too)")
    if at >= claims.exp and not over:
        _refuse("exp", f"it could be acted upon until {stamp(claims.exp)}, and that is over: ask again")
    if claims.iat > at + CLOCKS:
        _refuse("iat", f"it was signed at {stamp(claims.iat)}, which is still to come: set this machine's clock")


def _refuse(field: str, why: str) -> NoReturn:
    raise BadReceipt(f"The receipt is not good: {why}.", field=field)
