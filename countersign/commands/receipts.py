"""Offer what whoever acts, or looks back, does with a receipt: check it, without a network."""

from __future__ import annotations

import base64
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from typer import Typer

from approvers.errors import CountersignError
from approvers.times import spell, stamp
from countersign.commands.common import Ended, Json, put, put_json, say
from countersign.receipts import MOST_CHARS, BadReceipt, ReceiptClaims, ReceiptReviewer, verify_receipt

NOT_GOOD, NOT_CHECKED = 1, 2
APPROVED, ANY = "APPROVED", "any"
DECISIONS = (APPROVED, "DENIED", "EXPIRED", "CANCELLED", ANY)

app = Typer(help="Check a receipt, offline.", rich_markup_mode=None)


@app.callback()
def _above() -> None:
    """Keep `verify` a command of its own."""


@app.command()
def verify(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The receipt, or an answer that holds it; - for stdin.")],
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY", help="Countersign's verifier key, NAME+ID+BASE64, or @FILE that holds one or more."
        ),
    ] = None,
    *,
    action_digest: Annotated[
        str | None, typer.Option(help="Of what is about to be done: it must be about that.")
    ] = None,
    request: Annotated[str | None, typer.Option(metavar="ID", help="The request that it must be about, req_….")] = None,
    decision: Annotated[
        str,
        typer.Option(
            metavar="|".join(DECISIONS), help="What must have been decided; `any`: whatever was, however long ago."
        ),
    ] = APPROVED,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it must stand, such as 2026-11-20T10:04:00Z; default: now.")
    ] = None,
    json_: Json = False,
) -> None:
    """Check a receipt by the public key alone, without a network.

    Exit codes: 0 it is good and says APPROVED (or --decision), 1 it is not, 2 it could not be checked: no key, no
    file, a wrong option.
    """
    try:
        keys = [text for one in key or [] for text in _read_key(one)]
        if not keys:
            raise CountersignError("give --key: the verifier key that the operator published, not one out of an export")
        wanted, moment = _decision(decision), _moment(at)
        text = _receipt_in(_read(file))
        claims = verify_receipt(
            text, key=keys, action_digest=action_digest, request=request, at=moment,
            decision=None if wanted == ANY else wanted,
        )  # fmt: skip
    except BadReceipt as error:
        put_json({"good": False, "why": error.detail, "field": error.field}) if json_ else say(error.detail)
        raise Ended(NOT_GOOD) from error
    except CountersignError as error:
        put_json({"good": None, "why": error.detail}) if json_ else say(error.detail)
        raise Ended(NOT_CHECKED) from error
    key_id, over = _key_id(text), claims.exp <= (moment or datetime.now(UTC))
    first = {"good": True, "key": key_id, "over": over}
    put_json(first | claims.model_dump(mode="json") | first) if json_ else _told(claims, key_id, over=over)


def _told(claims: ReceiptClaims, key_id: str, *, over: bool) -> None:
    people = ", ".join(map(_answered, claims.reviewers)) or "nobody"
    put(f"good: {claims.sub} was {claims.decision} ({claims.because}) for {claims.principal}, {claims.actor}")
    put(f"  {claims.action} on {claims.resource}")
    put(f"  asked {claims.action_digest}" + (f", granted {claims.granted_digest}" if claims.granted_digest else ""))
    put(f"  answered by {people}; rules {', '.join(claims.rules) or 'none'}; policy sha256:{claims.policy_sha256}")
    if claims.ttl_seconds is not None:
        put(f"  for {spell(timedelta(seconds=claims.ttl_seconds))}" + (f", as {claims.grant}" if claims.grant else ""))
    put(f"  signed {stamp(claims.iat)} with the key {key_id}; {_until(claims, over=over)}")
    put(f"  log {claims.log.size:,} of {claims.iss}, root {claims.log.root}")


def _answered(one: ReceiptReviewer) -> str:
    return f"{one.person} ({one.verdict}{f', in the place of {one.seat_of}' if one.seat_of else ''})"


def _until(claims: ReceiptClaims, *, over: bool) -> str:
    if claims.decision != APPROVED:
        return "not to be acted upon"
    return f"to be acted upon until {stamp(claims.exp)}" + (", which is over" if over else "")


def _key_id(text: str) -> str:
    """Return which key has signed, of a receipt that was checked."""
    header = text.partition(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"])


def _read(file: str) -> str:
    try:
        if file == "-":
            raw = sys.stdin.buffer.read(MOST_CHARS * 16)
        else:
            with Path(file).open("rb") as opened:
                raw = opened.read(MOST_CHARS * 16)
    except OSError as error:
        raise CountersignError(f"{file} cannot be read: {error.strerror or error}") from error
    return raw.decode("utf-8", "replace").strip()


def _receipt_in(text: str) -> str:
    """Return the receipt itself, where it comes inside the answer that brought it."""
    if not text.startswith("{"):
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    inside = found.get("receipt", found)
    jws = inside.get("jws") if isinstance(inside, dict) else None
    if not isinstance(jws, str):
        raise BadReceipt("The answer holds no receipt: it was not signed yet, or it is another answer.", field="jws")
    return jws


def _read_key(text: str) -> list[str]:
    if not text.startswith("@"):
        return [text]
    try:
        return Path(text[1:]).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise CountersignError(f"the key file {text[1:]} cannot be read: {why}") from error


def _decision(text: str) -> str:
    for one in DECISIONS:
        if one.lower() == text.lower():
            return one
    raise CountersignError(f"--decision {text!r} is none: write one of {', '.join(DECISIONS)}")


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CountersignError(f"--at {text!r} is no time: write it like 2026-11-20T10:04:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
