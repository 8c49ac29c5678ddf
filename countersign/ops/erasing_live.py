"""Take what somebody typed out of the live records of a request that has ended, or of the settings in force."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from approvers.audit import SYSTEM
from approvers.errors import CountersignError
from approvers.grant import Grant
from approvers.ids import grant_of
from approvers.request import Request
from approvers.upgrades import read
from countersign.ops.closed import holds
from workers.stores import layout
from workers.stores.port import Snapshot

GONE = "(erased)"
SETTINGS = (layout.POLICY, layout.ROSTER, layout.FREEZE)
"""Records under no request that say why somebody changed them."""
Rewritten = tuple[dict[str, str], dict[str, int]]
"""Records without the texts, and the versions that were seen."""


class NotErased(CountersignError):
    """It cannot be erased yet; the text says what holds it."""

    code = "not_erased"


def keys_of(subject: str) -> list[str]:
    """Return the live records that may hold what was typed under a subject."""
    if subject == SYSTEM:
        return [*SETTINGS]
    return [layout.request_key(subject), layout.grant_key(grant_of(subject))]


def rewritten(seen: Snapshot, subject: str, person: str | None, *, quoted: bool = False) -> Rewritten:
    """Return the live records without the texts, and the versions that were seen. Raises NotErased: not closed.

    `quoted`: why its grant failed may repeat this person's words.
    """
    if subject == SYSTEM:
        return _settings(seen, person)
    puts, expects = dict[str, str](), dict[str, int]()
    request_key, grant_key = keys_of(subject)
    request, grant = seen.records[request_key], seen.records[grant_key]
    was = read(Grant, grant.json) if grant.version else None
    if request.version:
        found = read(Request, request.json)
        if (why := holds(found, was)) is not None:
            raise NotErased(f"{found.handle} ({found.id}) {why}", field="--request")
        if (after := _request(found, person)) != found:
            puts[request_key] = after.model_dump_json()
        expects[request_key] = request.version
    if was is not None:
        if (ended := _grant(was, person, quoted=quoted)) != was:
            puts[grant_key] = ended.model_dump_json()
        expects[grant_key] = grant.version
    return puts, expects


def _settings(seen: Snapshot, person: str | None) -> Rewritten:
    puts, expects = dict[str, str](), dict[str, int]()
    for key in SETTINGS:
        held: Mapping[str, Any] = json.loads(seen.records[key].json or "{}")
        if held.get("by") != person or held.get("why") in (None, "", GONE):
            continue
        if held.get("on"):
            raise NotErased(f"approvals are still stopped by {person}, who said why: lift the freeze first",
                            field="--person")  # fmt: skip
        puts[key], expects[key] = json.dumps({**held, "why": GONE}), seen.records[key].version
    return puts, expects


def _request(request: Request, person: str | None) -> Request:
    mine = person in (None, request.principal)
    changes: dict[str, Any] = {}
    if mine:
        named = {name: GONE for name in ("parameters", "reason", "undo") if getattr(request.action, name)}
        changes["action"] = request.action.model_copy(update=named)
        if request.facts.reason:
            changes["facts"] = request.facts.model_copy(update={"reason": GONE})
    changes["reviews"] = tuple(
        one.model_copy(update={"reason": GONE}) if one.reason and (mine or one.reviewer == person) else one
        for one in request.reviews
    )
    after = request.after_review
    if after and after.reason and (mine or after.by == person):
        changes["after_review"] = after.model_copy(update={"reason": GONE})
    return request.model_copy(update=changes)


def _grant(grant: Grant, person: str | None, *, quoted: bool) -> Grant:
    ending, changes = grant.ending, dict[str, Any]()
    if ending and ending.reason and person in (None, ending.by):
        changes["ending"] = ending.model_copy(update={"reason": GONE})
    if grant.failure and (person is None or quoted):  # it may quote why a freeze was set
        changes["failure"] = GONE
    return grant.model_copy(update=changes)
