"""Look at what the roster takes from elsewhere, as the web process would: issuers' keys, and on-call schedules."""

from __future__ import annotations

import contextlib

from approvers.errors import CountersignError
from approvers.roster_models import Issuer, Roster
from approvers.seating import NotKnown
from bot.issuers_keys import KeySet, KeysUnavailable
from bot.schedules import Schedules
from countersign.ops.findings import Finding
from workers.alerts import Alert
from workers.policies import Policies
from workers.settings import Settings
from workers.stores.port import Store


class _Quiet:
    """Take alerts and tell nobody: the finding says it."""

    async def send(self, alert: Alert) -> None:
        del alert


async def examine(settings: Settings, store: Store) -> list[Finding]:
    """Return a line for each issuer and schedule of the roster; none, where no rules are applied."""
    policies = Policies(store.records, store.signals)
    with contextlib.suppress(CountersignError):
        await policies.refresh()
    roster = policies.roster
    if roster is None:
        return []
    found = [await _issuer(issuer) for issuer in roster.issuers.values()]
    token = settings.schedule_token
    schedules = Schedules(policies, store.records.now, _Quiet(), token.get_secret_value() if token else None)
    try:
        return found + [await _schedule(schedules, roster, name) for name in roster.schedules]
    finally:
        await schedules.aclose()


async def _issuer(issuer: Issuer) -> Finding:
    try:
        await KeySet(issuer).get("")
    except KeysUnavailable as error:
        remedy = f"see that {issuer.url} can be reached from here, or write where its keys are: keys"
        return Finding("fail", "issuer", str(error), remedy)
    return Finding("ok", "issuer", f"{issuer.name} publishes keys")


async def _schedule(schedules: Schedules, roster: Roster, name: str) -> Finding:
    try:
        found = await schedules.members(name)
    except NotKnown as error:
        return Finding("fail", "schedule", error.detail, "see docs/operating.md, On-call schedules")
    people = ", ".join(sorted(found.people))
    words = f"{name}: on call {'is' if len(found.people) == 1 else 'are'} {people}"
    strangers = [one for one in found.accounts if not roster.person(one) and not roster.by_email(one)]
    if strangers:
        more = f"{len(strangers)} more whom countersign.toml does not know"
        return Finding("warn", "schedule", f"{words}, and {more}", "add them as [person.NAME], with that address")
    return Finding("ok", "schedule", words)
