"""Tell on-call which account is in trouble, and that it is well again: also when another process told of the trouble.

What was told is kept in one record, because the process that told it may be gone when the account answers again.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from workers.alerts import Alert, Alerts
from workers.stores import layout
from workers.stores.port import Commit, Records, Snapshot, Versioned, transact

WHY = "is throttled, broken or out of reach; what it has to do waits, the other accounts go on"


class Troubles(BaseModel):
    """The accounts of which on-call was told that they are in trouble."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    accounts: tuple[str, ...] = ()


async def tell_of(records: Records, alerts: Alerts, account: str, *, troubled: bool) -> None:
    """Tell that an account is in trouble; or, where that was told, that it is over."""
    at = await records.now()
    alert = Alert(f"account.troubled:{account}", "warning", f"{account} {WHY}", at, {"account": account})
    if troubled:
        await _keep(records, account, troubled=True)
        await alerts.send(alert)
    elif account in told_in((await records.read([layout.TROUBLES])).records[layout.TROUBLES]):
        await alerts.send(alert.clear(at))
        await _keep(records, account, troubled=False)  # after a crash in between it is told once more


def told_in(record: Versioned) -> tuple[str, ...]:
    """Return the accounts of which on-call was told, as a record holds them."""
    return Troubles.model_validate_json(record.json).accounts if record.version else ()


async def _keep(records: Records, account: str, *, troubled: bool) -> None:
    def step(seen: Snapshot) -> tuple[Commit | None, None]:
        record = seen.records[layout.TROUBLES]
        told = told_in(record)
        if (account in told) is troubled:
            return None, None
        now = (*told, account) if troubled else tuple(one for one in told if one != account)
        part = layout.put(layout.TROUBLES, record.version, Troubles(accounts=now).model_dump_json())
        return layout.commit(seen.now, part), None

    await transact(records, [layout.TROUBLES], step)
