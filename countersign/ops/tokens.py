"""Find or make the tokens of the demo's people and of its caller; what one run made, the next one uses again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bot.identity import Scope
from countersign.ops.folder import DEMO_JSON, Folder
from countersign.ops.keyring import live_keys_of, make_key, revoke_key
from workers.stores.port import Records
from workers.vault import hash_key

DEMO = "demo"
"""Who makes the demo's keys and applies its rules; what somebody else has applied since stays in force."""
CALLER = "caller:report-bot"
PEOPLE = ("dana", "robin", "alex", "kim")
"""The first is the human behind the caller."""
OPERATOR = "user:kim"


@dataclass(frozen=True)
class Tokens:
    """Hold what the caller, the reviewers and on-call sign in with."""

    api_key: str
    reviewers: Mapping[str, str]
    operator: str


async def find_tokens(folder: Folder, records: Records) -> Tokens:
    """Return the tokens of the last run where they are still good, and new ones where not."""
    kept = folder.read(DEMO_JSON)
    people = kept.get("reviewers") or {}
    reviewers = {name: await _token(records, people.get(name), f"user:{name}", ("review", "read")) for name in PEOPLE}
    api_key = await _token(records, kept.get("api_key"), CALLER, ("request", "read"))
    return Tokens(api_key, reviewers, await _token(records, kept.get("operator_token"), OPERATOR, ("operate", "read")))


async def _token(records: Records, kept: str | None, principal: str, scopes: tuple[Scope, ...]) -> str:
    ours = {key.id for key in await live_keys_of(records, principal) if set(key.scopes) == set(scopes)}
    if kept and await _id_of(records, kept) in ours:
        return kept
    for key_id in ours:  # the folder has lost their secrets, so nobody can use them
        await revoke_key(records, key_id, by=DEMO)
    secret, _ = await make_key(records, principal=principal, scopes=scopes, by=DEMO)
    return secret


async def _id_of(records: Records, secret: str) -> str | None:
    record = f"key:{hash_key(secret)}"
    found = (await records.read([record])).records[record]
    return str(json.loads(found.json)["id"]) if found.version else None
