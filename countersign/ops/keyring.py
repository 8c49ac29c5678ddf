"""Make, list and revoke API keys in the store; each is one commit with its record under `sys`.

Only a key's SHA-256 is stored. A caller has at most two live keys: the old one and the new one while it changes over.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from approvers.audit import SYSTEM, By, Draft
from approvers.errors import CountersignError
from approvers.faults import nearest
from approvers.ids import ulid
from approvers.roster import Roster
from approvers.times import stamp
from bot.identity import SCOPES, ApiKey, Scope
from workers.stores import layout
from workers.stores.port import Commit, Full, Records, Snapshot, transact
from workers.vault import hash_key, new_api_key

ALL_KEYS = "keys"
MOST_LIVE = 2
PAGE = 1_000


class KeyTrouble(CountersignError):
    """The key cannot be made or found; the text says what to do."""

    code = "key_trouble"


def check_scopes(principal: str, scopes: Sequence[str]) -> tuple[Scope, ...]:
    """Return the scopes as asked for. Raises KeyTrouble: none, unknown, or not for this kind of principal."""
    known = tuple(scope for scope in SCOPES if scope in scopes)
    for scope in scopes:
        if scope not in SCOPES:
            raise KeyTrouble(f"there is no scope {scope!r}: {nearest(scope, SCOPES)}", field="--scope")
    if not known:
        raise KeyTrouble(f"a key without scope opens nothing: use one of {', '.join(SCOPES)}", field="--scope")
    if "review" in known and not principal.startswith("user:"):
        raise KeyTrouble("only people review: give `review` to user:NAME, not to a caller", field="--scope")
    return known


def check_principal(principal: str, roster: Roster) -> None:
    """Raise KeyTrouble unless the roster as applied knows this `caller:NAME` or `user:NAME`."""
    known = [f"caller:{name}" for name in roster.callers] + [f"user:{name}" for name in roster.persons]
    if principal not in known:
        remedy = nearest(principal, known, otherwise="add it to countersign.toml and apply that")
        raise KeyTrouble(f"the roster has no {principal}: {remedy}", field="--principal")


async def make_key(
    records: Records, *, principal: str, scopes: tuple[Scope, ...], by: str, lifetime: timedelta | None = None
) -> tuple[str, ApiKey]:
    """Store a new key and return its secret, which nobody can read again. Raises KeyTrouble at the third live key."""
    await _forget_ended(records, principal)
    secret, randomness = new_api_key(), secrets.token_bytes(10)
    record, index = f"key:{hash_key(secret)}", _live_keys(principal)

    def step(seen: Snapshot) -> tuple[Commit, ApiKey]:
        key = ApiKey(
            id=f"key_{ulid(seen.now, randomness)}",
            principal=principal,
            scopes=scopes,
            made_at=seen.now,
            expires_at=seen.now + lifetime if lifetime else None,
        )
        moment = {hash_key(secret): seen.now}
        part = layout.put(record, 0, key.model_dump_json())
        enter = {ALL_KEYS: moment, index: moment}
        return _recorded(seen, "key.made", by, key, part, enter=enter, limits={index: MOST_LIVE}), key

    try:
        return secret, await transact(records, [record], step, chains=[SYSTEM])
    except Full:
        raise KeyTrouble(
            f"{principal} has {MOST_LIVE} live keys, one to change over from and one to: "
            "revoke one first (`countersign keys list`, `countersign keys revoke ID`)"
        ) from None


async def list_keys(records: Records) -> list[ApiKey]:
    """Return every key ever made, oldest first."""
    return list((await _stored(records, ALL_KEYS)).values())


async def revoke_key(records: Records, key_id: str, *, by: str) -> ApiKey:
    """End a key now; one that has ended stays as it is. Raises KeyTrouble if there is none of this id."""
    for hashed, key in (await _stored(records, ALL_KEYS)).items():
        if key.id == key_id:
            return await _revoke(records, hashed, by)
    raise KeyTrouble(f"there is no key {key_id}: `countersign keys list` shows them all")


def is_live(key: ApiKey, now: datetime) -> bool:
    """Tell whether somebody could sign in with it now."""
    return key.revoked_at is None and (key.expires_at is None or now < key.expires_at)


async def live_keys_of(records: Records, principal: str) -> list[ApiKey]:
    """Return the keys with which this principal can sign in now."""
    now = await records.now()
    return [key for key in (await _stored(records, _live_keys(principal))).values() if is_live(key, now)]


def _live_keys(principal: str) -> str:
    return f"{ALL_KEYS}:{principal}"


async def _stored(records: Records, index: str) -> dict[str, ApiKey]:
    """Return the keys of an index by the hash of their secret."""
    found: dict[str, ApiKey] = {}
    last: str | None = None
    while hashes := await records.members(index, limit=PAGE, after=last):
        seen = await records.read([f"key:{hashed}" for hashed in hashes])
        for hashed in hashes:
            found[hashed] = ApiKey.model_validate(json.loads(seen.records[f"key:{hashed}"].json))
        last = hashes[-1]
    return found


async def _forget_ended(records: Records, principal: str) -> None:
    """Take expired keys out of the count of live ones."""
    now = await records.now()
    ended = [one for one, key in (await _stored(records, _live_keys(principal))).items() if not is_live(key, now)]
    if ended:
        await records.commit(Commit(at=now, leave={_live_keys(principal): ended}))


async def _revoke(records: Records, hashed: str, by: str) -> ApiKey:
    record = f"key:{hashed}"

    def step(seen: Snapshot) -> tuple[Commit | None, ApiKey]:
        before = ApiKey.model_validate(json.loads(seen.records[record].json))
        if before.revoked_at is not None:
            return None, before
        after = before.model_copy(update={"revoked_at": seen.now})
        part = layout.put(record, seen.records[record].version, after.model_dump_json())
        return _recorded(seen, "key.revoked", by, after, part, leave={_live_keys(after.principal): [hashed]}), after

    return await transact(records, [record], step, chains=[SYSTEM])


def _recorded(seen: Snapshot, kind: str, by: str, key: ApiKey, part: Mapping[str, Any], **fields: Any) -> Commit:
    told = {"id": key.id, "principal": key.principal, "scopes": list(key.scopes)}
    if key.expires_at:
        told["expires_at"] = stamp(key.expires_at)
    draft = Draft(SYSTEM, kind, By(by, "operator", by), "command", told)
    return layout.commit(seen.now, part, drafts=[draft], heads=seen.heads, **fields)
