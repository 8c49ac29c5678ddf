"""Be the `credential_process` of AWS SDKs: print a grant's credential, the same each time, until it ends.

SDKs start a helper anew for every look, some of them at each call in a credential's last 15 minutes, so this one loads
nothing but the standard library. What it prints as Expiration decides when it is asked again:

- plain, for a TTL of 15 minutes or less: no Expiration. An SDK would ask again before each call; so it asks once, and
  at the end AWS itself answers with a denial.
- `follow`: always, a little before the end, so that every SDK asks again and finds the grant that goes on (an
  extension). While there is none it gets the same credential; after the end, an error that says what happened.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from approvers.errors import CountersignError
from countersign.address import harmless, settings
from countersign.errors import OTHER, CannotOpen, GrantEnded, exit_code_of, outcome
from countersign.looking import Looking

if TYPE_CHECKING:
    from countersign.models import Request

COMMAND = "credential-process"
REFRESHED_BELOW = timedelta(minutes=15)
"""SDKs refresh a credential within 15 minutes of its Expiration, and must within 10."""
MARGIN = timedelta(seconds=30)
"""How long before the end an SDK is made to ask again; of a TTL under five minutes, a tenth of it."""
LONGEST_LINE = 1_000
"""How many grants are followed, each the next one's extension."""
KEYS = ("access_key_id", "secret_access_key", "session_token")
Answer = Mapping[str, Any]


def main(words: Sequence[str], environ: Mapping[str, str] = os.environ) -> int | None:
    """Do what `credential-process GRANT [--follow] [--url URL]` says and return the exit code.

    None: these words are not plain; the whole command line shall read them, and say what is wrong or print its help.
    """
    if (asked := _parse(words)) is None:
        return None
    grant, follow, url = asked
    try:
        print(json.dumps(printed(grant, follow=follow, url=url, environ=environ)))  # noqa: T201 - this is the answer
    except KeyboardInterrupt:
        return OTHER
    except CountersignError as error:
        print(f"countersign: {harmless(error.detail)}", file=sys.stderr)  # noqa: T201 - SDKs show this to people
        return exit_code_of(error)
    return 0


def _parse(words: Sequence[str]) -> tuple[str, bool, str | None] | None:
    grant, follow, url, rest = "", False, None, iter(words)
    for word in rest:
        if word == "--follow":
            follow = True
        elif word == "--url" and (url := next(rest, "")):
            pass
        elif grant or word.startswith("-"):
            return None
        else:
            grant = word
    return (grant, follow, url) if grant else None


def printed(
    grant: str, *, follow: bool = False, url: str | None = None, environ: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Return what an SDK reads, once the grant is settled.

    Raises:
        CountersignError: there is no credential (any more), or nobody knows.
    """
    with Looking(*settings(environ, url)) as look:
        request = look.settled(grant)
        if follow:
            request = _newest(look, request)
        if (trouble := outcome(_as_seen(request))) is not None:
            raise _told(trouble, request)
        return _shaped(request, look.credential(_grant_id(request)), follow=follow, ahead=look.ahead)


def shape(credential: Answer, expiration: datetime | None) -> dict[str, Any]:
    """Return the JSON object of the `credential_process` contract."""
    output: dict[str, Any] = {
        "Version": 1,
        "AccessKeyId": credential["access_key_id"],
        "SecretAccessKey": credential["secret_access_key"],
        "SessionToken": credential["session_token"],
    }
    if expiration is not None:
        output["Expiration"] = f"{expiration.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return output


def ask_again_at(ends_at: datetime, ttl: timedelta, now: datetime) -> datetime:
    """Return the Expiration that makes every SDK look again before the end, and use the credential until then."""
    margin = min(MARGIN, ttl / 10)
    return ends_at - margin if now < ends_at - 2 * margin else ends_at


def _shaped(request: Answer, credential: Answer, *, follow: bool, ahead: timedelta) -> dict[str, Any]:
    if "sealed" in credential:
        raise CannotOpen(
            f"The credential of {request['handle']} is sealed to the process that asked for it. Ask with `countersign "
            "request`, whose credential this command can print, or let `countersign run --extend` hand it over."
        )
    if not credential.get("access_key_id"):
        raise CannotOpen(f"The credential of {request['handle']} is no AWS session: use it with `countersign run`.")
    grant, now = request["grant"], datetime.now(UTC)
    moments = [datetime.fromisoformat(at) for at in (grant["ends_at"], credential.get("expiration")) if at]
    ttl = timedelta(seconds=grant["ttl_seconds"])
    if not moments or not (follow or ttl > REFRESHED_BELOW):
        return shape(credential, None)
    ends_at = min(moments) - ahead  # by this machine's clock, which the SDK reads
    return shape(credential, ask_again_at(ends_at, ttl, now) if follow else ends_at)


def _newest(look: Looking, request: Answer) -> Answer:
    """Return the newest of the line of extensions that is live; of one that is over, its last."""
    live, last = request, request
    for _ in range(LONGEST_LINE):
        if not (by := (last["grant"] or {}).get("extended_by")):
            break
        last = look.settled(by)
        if last["grant"]["state"] == "ACTIVE" or live["grant"]["state"] != "ACTIVE":
            live = last
    return live


def _told(trouble: CountersignError, request: Answer) -> CountersignError:
    """Say of a grant that is over when, why and by whom it was ended; whoever runs the SDK reads it."""
    if not isinstance(trouble, GrantEnded):
        return trouble
    ending = request["grant"].get("ending") or {}
    words = ": ".join(str(ending[name]) for name in ("by", "reason") if ending.get(name))
    why = " ".join(part for part in (str(ending.get("cause", "")), f"by {words}" if words else "") if part)
    at = f" at {ending['requested_at']}" if ending.get("requested_at") else ""
    detail = f"The credential of {request['handle']} was ended{at} ({why}). {request['agent_message']}"
    return GrantEnded(trouble.request, detail)


def _grant_id(request: Answer) -> str:
    if not request["grant"]:
        raise CannotOpen(f"{request['handle']} is an approval without a credential: consume it, or ask with --role.")
    return str(request["grant"]["id"])


def _as_seen(request: Answer) -> Request:
    """Return the answer in the form that `outcome` reads, without loading the models."""
    grant = SimpleNamespace(**request["grant"]) if request["grant"] else None
    return cast("Request", SimpleNamespace(**{**request, "grant": grant}))
