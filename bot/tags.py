"""Know the tags of resources, as workers last read them from AWS; what was not read is not known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import ValidationError

from approvers.gathering import NO_TAGS
from approvers.grant import Plan
from approvers.roster import Roster
from approvers.roster_models import Account
from approvers.tagging import Place, TagSheet, keys_of, place_of, tags_of
from workers import logs
from workers.policies import Rulebook
from workers.stores import layout
from workers.stores.port import Records

KEPT = timedelta(seconds=5)
"""How long what was read from the store is used again."""
_log = logs.get_logger(__name__)


class Tags:
    """Answer from the store; no cloud is called here."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._keys: tuple[str, tuple[str, ...]] = ("", ())
        self._kept: dict[str, tuple[datetime, TagSheet | None]] = {}

    async def of(
        self, book: Rulebook, plan: Plan | None, headline: str, now: datetime
    ) -> Mapping[str, tuple[str, ...]]:  # fmt: skip
        """Return resource → its `key=value` tags, for those of the plan and the headline that are known.

        Where no rule in force reads tags, nothing is looked up.
        """
        keys = self._wanted(book)
        if not keys:
            return NO_TAGS
        asked = {one: place for one in (headline, *(plan.resources if plan else ())) if (place := place_of(one))}
        owners = {one: owner for one, place in asked.items() if (owner := _account(book.roster, place, plan))}
        sheets = await self._sheets({owner.name for owner in owners.values()}, now)
        found: dict[str, tuple[str, ...]] = {}
        for one, owner in owners.items():
            sheet = sheets[owner.name]
            if sheet is None:
                continue
            tags = tags_of(asked[one], sheet, role=str(owner.tags), keys=keys, now=now)
            if tags is not None:
                found[one] = tags
        return found

    def _wanted(self, book: Rulebook) -> tuple[str, ...]:
        """Return the keys that the rules in force name; looked for once per policy."""
        if self._keys[0] != book.policy_sha256:
            self._keys = book.policy_sha256, keys_of(book.policy)
        return self._keys[1]

    async def _sheets(self, accounts: set[str], now: datetime) -> Mapping[str, TagSheet | None]:
        """Return what is known of these accounts, at most `KEPT` old."""
        missing = [one for one in accounts if one not in self._kept or not self._kept[one][0] <= now < self._until(one)]
        if missing:
            keys = {one: layout.tags_key(one) for one in missing}
            seen = await self._records.read(list(keys.values()))
            for one, key in keys.items():
                record = seen.records[key]
                self._kept[one] = now, _sheet(one, record.json) if record.version else None
        return {one: self._kept[one][1] for one in accounts}

    def _until(self, account: str) -> datetime:
        return self._kept[account][0] + KEPT


def _account(roster: Roster, place: Place, plan: Plan | None) -> Account | None:
    """Return whose resource it is; a bucket's ARN does not say, so it is looked for where the plan goes."""
    account_id = place.account_id or (plan.account_id if plan else "")
    return next((one for one in roster.accounts.values() if one.id == account_id and one.tags), None)


def _sheet(account: str, text: str) -> TagSheet | None:
    try:
        return TagSheet.model_validate_json(text)
    except ValidationError as error:  # as a newer Countersign wrote it
        _log.error("tags.unreadable", account=account, errors=error.error_count())
        return None
