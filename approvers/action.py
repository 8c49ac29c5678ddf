"""Describe what is asked for: the body of `POST /v1/requests`, and the digest that an approval binds.

Everything in an `Action` is the caller's word. What the caller proved (its principal) is kept apart, and joins in the
digest only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, ValidationError

from approvers.audit import Recorded, canonical_fields
from approvers.errors import Malformed, NotBuilt
from approvers.strict_json import load

MAX_TTL_SECONDS = 43_200
"""The longest session that AWS issues (aws.md 4); policy caps are lower."""
NOT_BUILT = {
    "callback_url": "callbacks are not built yet; leave `callback_url` out and poll with `wait`",
}

HINTS = {
    "action": "write service:Action, such as s3:GetObject, without wildcards",
    "actions": "write each as service:Action, such as s3:GetObject, without wildcards",
    "resource": "write 1 to 2,048 characters without spaces or control characters",
    "resources": "write each as an ARN of 1 to 2,048 characters without spaces or control characters",
    "extends": "write the id of a grant of yours, such as grt_01J…",
    "id": "write kind:name, such as agent:report-bot",
    "on_behalf_of": "write user:NAME, such as user:dana",
}

Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z]+:[A-Za-z0-9][A-Za-z0-9._@/-]{0,127}$")]
ActionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}:[A-Za-z0-9_.-]{1,128}$")]
Resource = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x20\x7f]{1,2048}$")]
Level = Literal["low", "medium", "high", "critical"]
GrantId = Annotated[str, StringConstraints(pattern=r"^grt_[0-9A-HJKMNP-TV-Z]{26}$")]


def _x25519(text: str) -> str:
    try:
        if len(base64.b64decode(text, validate=True)) == 32:
            return text
    except (binascii.Error, ValueError):
        pass
    raise ValueError("must be a raw X25519 public key: 32 bytes in base64")


class _Value(Recorded):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Actor(_Value):
    """Who acts, and for whom, as the caller says."""

    id: Name
    model: Annotated[str, StringConstraints(max_length=200)] | None = None
    on_behalf_of: Name | None = None
    run: Annotated[str, StringConstraints(max_length=200)] | None = None


class Access(_Value):
    """The credential that is asked for: a role's alias, and the exact actions and resources.

    `provider` is the role's own; `dry_run` for an AWS role mints nothing.
    """

    actions: Annotated[tuple[ActionName, ...], Field(strict=False, min_length=1, max_length=50)]
    provider: Token = "aws"
    resources: Annotated[tuple[Resource, ...], Field(strict=False, min_length=1, max_length=50)]
    role: Token


class Action(_Value):
    """One action-approval request as the caller states it. `parameters` is held as its RFC 8785 text."""

    access: Access | None = None
    action: ActionName
    actor: Actor
    break_glass: bool = False
    data_classes: Annotated[tuple[Token, ...], Field(strict=False, max_length=20)] = ()
    environment: Token
    extends: GrantId | None = None
    heartbeat_seconds: Annotated[int, Field(ge=10, le=3_600)] | None = None
    parameters: str | None = None
    project: Token | None = None
    public_key: Annotated[str, AfterValidator(_x25519)] | None = None
    reason: Annotated[str, StringConstraints(max_length=65_536)] = ""
    resource: Resource
    risk: Level | None = None
    stage: Token | None = None
    ticket: Annotated[str, StringConstraints(max_length=200)] | None = None
    ttl_seconds: Annotated[int, Field(ge=1, le=MAX_TTL_SECONDS)] | None = None
    undo: Annotated[str, StringConstraints(max_length=4_096)] | None = None
    urgency: Literal["low", "normal", "high"] = "normal"


def parse_action(body: bytes, canonicalise: Callable[[Any], bytes]) -> Action:
    """Read a request body.

    Args:
        body: the bytes as received.
        canonicalise: gives the RFC 8785 bytes of the caller's own JSON (`parameters`); passed in, as rules import
            no library for it.

    Raises:
        Malformed: with the field, and words that say what to change.
        NotBuilt: for a field whose feature does not exist yet.
    """
    raw = load(body)
    if not isinstance(raw, dict):
        raise Malformed("the body must be a JSON object")
    _refuse_not_built(raw)
    parameters = raw.get("parameters")
    if parameters is not None:
        if not isinstance(parameters, dict):
            raise Malformed("parameters must be a JSON object: the exact payload", field="parameters")
        raw["parameters"] = canonicalise(parameters).decode()
    try:
        return Action.model_validate(raw)
    except ValidationError as error:
        raise malformed(error) from error


def malformed(error: ValidationError) -> Malformed:
    """Turn pydantic's first complaint into one sentence that names the field and the remedy."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = _path(first["loc"])
    if first["type"] == "extra_forbidden":
        return Malformed(f"{field} is not a field of this body; remove it or check its spelling", field=field)
    if first["type"] == "missing":
        return Malformed(f"{field} is missing", field=field)
    if first["type"] == "string_pattern_mismatch":
        names = [part for part in first["loc"] if isinstance(part, str)]
        hint = HINTS.get(names[-1], "write 1 to 64 letters, digits, '.', '_', '/' or '-'")
        return Malformed(f"{field} has the wrong form: {hint}", field=field)
    return Malformed(f"{field}: {first['msg'][:1].lower()}{first['msg'][1:]}", field=field)


def action_digest(principal: str, action: Action) -> str:
    """Return the digest that an approval binds: who asks, for whom, for exactly what, for how long.

    `action.ttl_seconds` must be the final one: the policy's default is filled in before.
    """
    bound = {
        "v": 1,
        "principal": principal,
        "actor": action.actor.id,
        "on_behalf_of": action.actor.on_behalf_of,
        "action": action.action,
        "resource": action.resource,
        "environment": action.environment,
        "parameters": action.parameters,
        "access": action.access,
        "ttl_seconds": action.ttl_seconds,
    }
    if action.extends:  # only then, so that the digest of a plain ask is the documented one
        bound["extends"] = action.extends
    if action.heartbeat_seconds:
        bound["heartbeat_seconds"] = action.heartbeat_seconds
    return "sha256:" + hashlib.sha256(canonical_fields(bound)).hexdigest()


def _refuse_not_built(raw: dict[str, Any]) -> None:
    """Let a field of a later feature pass only where it asks for nothing (null, or `break_glass: false`)."""
    for name, detail in NOT_BUILT.items():
        if raw.pop(name, None) not in (None, False):
            raise NotBuilt(detail, field=name)


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "body"
