"""Say who clicked, and who is in a Slack user group: asked of Slack, kept for a minute at most, and never guessed.

The explicit account in countersign.toml counts first; a mail address only where `[slack] match_email` is on, and only a
confirmed one. Whatever Slack does not say is a refusal.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from approvers.audit import By
from approvers.roster import Roster
from bot.directory import Members, NotKnown
from bot.identity import Identity, Scope
from bot.kept import KEPT_SECONDS, Kept
from bot.surfaces.port import SurfaceError
from bot.surfaces.slack_accounts import Account, Stranger
from bot.surfaces.slack_api import SlackApi
from bot.surfaces.slack_faults import SlackRefused
from workers.policies import Policies
from workers.stores.port import Records

__all__ = ["KEPT_SECONDS", "People", "Stranger"]

ASK_SECONDS = 1.5
"""How long Slack may take to say who somebody is: their click must be committed 2.5 s after it came."""
LOOKED_UP = 200
AT_ONCE = 10
SCOPES: frozenset[Scope] = frozenset({"review", "read", "request"})
MISSING = {
    "no_such_subteam": "this user group does not exist in Slack",
    "subteam_disabled": "this user group is disabled in Slack",
    "plan_upgrade_required": "Slack keeps user groups on paid plans only",
    "missing_scope": "the app lacks the scope usergroups:read",
}


class People:
    """Turn Slack accounts into identities, and user groups into people of the roster."""

    def __init__(
        self, api: SlackApi, policies: Policies, records: Records, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Ask `api`; the store's time is what the evidence carries."""
        self._api, self._policies, self._records, self._clock = api, policies, records, clock
        self._accounts: Kept[Account] = Kept(clock)
        self._groups: Kept[Members] = Kept(clock)

    async def identify(self, user_id: str) -> Identity:
        """Return who this account is. Raises Stranger: `not_checked` where Slack could not be asked."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                account = await self._account(user_id)
        except (SurfaceError, TimeoutError) as error:
            raise Stranger("not_checked") from error
        person, by_mail = account.person(self._policies.current.roster)
        principal = f"user:{person.name}"
        return Identity(principal, SCOPES, By(principal, "slack-email" if by_mail else "slack", account.name), "slack")

    def forget(self, user_id: str) -> None:
        """Ask again about this account: it has changed."""
        self._accounts.forget(user_id)
        self._groups.forget()  # a changed address may be another person

    async def members(self, group: str) -> Members:
        """Return who is in the user group `S…`. Raises NotKnown."""
        if kept := self._groups.fresh(group):
            return kept
        age, began = self._groups.age, self._clock()
        try:
            async with asyncio.timeout(ASK_SECONDS):
                accounts = await self._listed(group)
                found = await self._people(accounts)
        except (SurfaceError, TimeoutError) as error:
            raise NotKnown(f"Slack did not say who is in user group {group}: {_why(error)}") from error
        known = Members(f"slack:{group}", found, accounts, await self._records.now())
        self._groups.keep(group, known, age, began)
        return known

    def forget_groups(self) -> None:
        """Ask again about every user group: one of them has changed."""
        self._groups.forget()

    async def _listed(self, group: str) -> tuple[str, ...]:
        told = await self._api.call("usergroups.users.list", usergroup=group)
        return tuple(sorted(str(user) for user in told["users"]))

    async def _people(self, accounts: tuple[str, ...]) -> frozenset[str]:
        """Return the people behind the accounts: by id, and by mail where that is on; who is not clear is nobody."""
        roster, home = self._policies.current.roster, await self._api.workspace()
        found = {
            account: roster.by_slack(account, home.team) or roster.by_slack(account, home.enterprise)
            for account in accounts
        }
        names = {people[0].name for people in found.values() if len(people) == 1}
        if roster.slack.match_email:
            unclear = [account for account, people in found.items() if not people]
            names |= await self._by_mail(unclear[:LOOKED_UP], roster)
        return frozenset(names)

    async def _by_mail(self, accounts: list[str], roster: Roster) -> set[str]:
        lanes = asyncio.Semaphore(AT_ONCE)

        async def name_of(account: str) -> str | None:
            async with lanes:
                try:
                    return (await self._account(account)).person(roster)[0].name
                except Stranger:
                    return None

        return {name for name in await asyncio.gather(*map(name_of, accounts)) if name}

    async def _account(self, user_id: str) -> Account:
        if kept := self._accounts.fresh(user_id):
            return kept
        age, began = self._accounts.age, self._clock()
        home = await self._api.workspace()
        try:
            user = (await self._api.call("users.info", user=user_id)).get("user")
        except SlackRefused as error:
            if error.error in ("user_not_found", "user_not_visible"):
                raise Stranger("unknown_person", user_id) from error
            raise
        account = Account.of(user if isinstance(user, dict) else {}, home.team, home.enterprise)
        if account.id != user_id:  # an answer about somebody else says nothing about this one
            raise Stranger("not_checked")
        self._accounts.keep(user_id, account, age, began)
        return account


def _why(error: Exception) -> str:
    if isinstance(error, SlackRefused):
        return MISSING.get(error.error, error.error)
    return str(error) or "no answer in time"
