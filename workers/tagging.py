"""Read the tags of every account that has a role for it, once a minute, if the policy in force asks for tags.

It is an item of the due set, carried out by a worker, because only workers hold AWS rights. The record of an account
that cannot be read stays as it was, and is too old to be believed soon: its tags are then unknown, which is worst.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import ValidationError

from approvers.facts import EVERY_KEY
from approvers.roster_models import Account
from approvers.tagging import TRIES, TagSheet, kept, keys_of
from workers import logs
from workers.alerts import Alert
from workers.providers.port import ProviderError, Tagged
from workers.stores import layout
from workers.stores.port import Attempt, Commit, Conflict, Versioned
from workers.tools import Tools

EVERY = timedelta(minutes=1)
MOST = 5_000
"""Resources and buckets in one account's record; an account with more is not known at all."""
KEY = "tags.unreadable"
"""The kind of the alert; the account's name follows behind a colon."""
_log = logs.get_logger(__name__)


async def sweep_tags(tools: Tools, attempt: Attempt) -> str:
    """Read every account once, and be due again in a minute."""
    await tools.policies.refresh()
    roster, tagged = tools.policies.roster, tools.tagged
    keys = keys_of(tools.policies.current.policy) if roster else ()
    accounts = [one for one in roster.accounts.values() if one.tags] if roster and keys and tagged else []
    read = await asyncio.gather(*(_account(tools, tagged, one, keys) for one in accounts if tagged))
    now = await tools.store.records.now()
    await tools.store.records.commit(Commit(at=now, attempt=attempt, due={layout.TAG_SWEEP: now + EVERY}))
    return f"tags of {sum(read)} of {len(accounts)} accounts read"


async def _account(tools: Tools, tagged: Tagged, account: Account, keys: Sequence[str]) -> bool:
    """Read one account, keep what was found, tell on-call; return whether it was read."""
    key, role = layout.tags_key(account.name), str(account.tags)
    snapshot = await tools.store.records.read([key])
    seen = snapshot.records[key]
    before = _before(seen, role)
    after = await _read(tools, tagged, before, keys)
    if not after.tries:
        after = after.model_copy(update={"at": snapshot.now})  # when it began: what was tagged since may be missing
    now = await tools.store.records.now()
    counts = {f"alerts:{KEY}": 1} if after.in_trouble and not before.in_trouble else {}
    try:
        await tools.store.records.commit(
            layout.commit(now, layout.put(key, seen.version, after.model_dump_json()), counts=counts)
        )
    except Conflict:  # another sweep was here meanwhile; what it read is newer
        return not after.tries
    await _tell(tools, account.name, before, after, now)
    return not after.tries


def _before(seen: Versioned, role: str) -> TagSheet:
    """Return what is known so far; nothing where another role read it, or another version of ours wrote it."""
    try:
        before = TagSheet.model_validate_json(seen.json) if seen.version else None
    except ValidationError:
        before = None
    return before if before and before.role == role else TagSheet(role=role)


async def _read(tools: Tools, tagged: Tagged, before: TagSheet, keys: Sequence[str]) -> TagSheet:
    """Return the new sheet, its time left out; the old one with one try more where it could not be read."""
    named = () if tuple(keys) == EVERY_KEY else tuple(keys)
    try:
        async with asyncio.timeout(tools.lease.total_seconds() / 2):
            found = await asyncio.to_thread(tagged.tags, before.role, named, MOST)
    except TimeoutError:
        why = "AWS answers too slowly"
    except ProviderError as error:
        why = str(error)
    except Exception as error:  # a fault of ours in one account holds up no other
        _log.error("tags.failed", exc_info=error)
        why = type(error).__name__
    else:
        return TagSheet(
            complete=found.complete,
            keys=tuple(keys),
            role=before.role,
            regions=tuple(found.regions),
            buckets=dict(found.buckets),
            resources=kept(found.resources, keys),
        )
    return before.model_copy(update={"tries": before.tries + 1, "why": logs.scrub(why)})


async def _tell(tools: Tools, account: str, before: TagSheet, after: TagSheet, now: datetime) -> None:
    if after.tries:
        _log.warning("tags.not_read", account=account, tries=after.tries, why=after.why)
    if not after.in_trouble and not before.in_trouble:
        return
    if after.tries >= TRIES:
        what = f"could not be read {after.tries} times in a row: {after.why}"
    else:
        what = f"are more than {MOST} resources: name rarer keys in the policy's tags_any and tags_none"
    told = Alert(f"{KEY}:{account}", "warning", f"The tags of account {account} {what}. They count as unknown.", now)
    await tools.alerts.send(told if after.in_trouble else told.clear(now))
