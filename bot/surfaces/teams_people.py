"""Say who clicked in Teams: tenant and Entra object id against countersign.toml, and what Teams says of them right now.

Everybody who can read a card can press its buttons: guests, people of other tenants in a shared channel, other apps.
What Teams says is kept for a minute at most, the roster not at all; names and addresses count for nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from approvers.audit import By
from approvers.roster import Person
from bot import strangers
from bot.identity import Identity, Scope
from bot.kept import Kept
from bot.surfaces.port import Refused, SurfaceError
from bot.surfaces.teams_api import TeamsApi
from bot.surfaces.teams_incoming import Account
from bot.surfaces.teams_routes import Route
from workers.policies import Policies

ASK_SECONDS = 1.5
"""How long Teams may take to say who somebody is: their click must be committed 2.5 s after it came."""
SCOPES: frozenset[Scope] = frozenset({"review", "read", "request"})
ROBOTS = frozenset({"bot", "skill"})
BOT_ID = "28:"
"""Begins the id of an app; a person's begins with `29:`."""
FOREIGN = "#EXT#"
"""Stands in the sign-in name of whoever was invited from elsewhere."""


class Stranger(strangers.Stranger):
    """Whoever this is, they are nobody here; `code` says why."""

    platform, home, key = "Teams", "organisation", "teams"
    own = MappingProxyType(
        {"deactivated": "Teams does not count this account among the members here (any more), so it decides nothing."}
    )


class People:
    """Turn Teams accounts into identities."""

    def __init__(
        self,
        api: TeamsApi,
        policies: Policies,
        tenants: Collection[str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask `api`; accounts of these tenants alone are ever looked up."""
        self._api, self._policies = api, policies
        self._tenants = {tenant.lower() for tenant in tenants}
        self._members: Kept[Mapping[str, Any]] = Kept(clock)

    async def identify(self, account: Account, conversation: str, route: Route) -> Identity:
        """Return who this is, as seen in the conversation of their click.

        Raises:
            Stranger: nobody here; `not_checked` where Teams could not be asked.
        """
        tenant, object_id = self._claimed(account)
        member = await self._member(account, conversation, route)
        if fault := _fault(member, account.user_id, tenant, object_id):
            raise Stranger(fault)
        person = self._only(tenant, object_id)
        principal = f"user:{person.name}"
        return Identity(principal, SCOPES, By(principal, "teams", f"{tenant}/{object_id}"), "teams")

    async def named(self, user_id: str, conversation: str, route: Route) -> Person | None:
        """Return whom of the roster a mention means; None if that is not clear. Nobody decides anything by it."""
        account = Account(route.tenant_id, None, user_id)
        try:
            object_id = str((await self._member(account, conversation, route)).get("aadObjectId") or "")
            return self._only(route.tenant_id, object_id.lower())
        except Stranger:
            return None

    def forget(self) -> None:
        """Ask again about everybody: who is in a conversation has changed."""
        self._members.forget()

    def _claimed(self, account: Account) -> tuple[str, str]:
        """Return tenant and object id as the activity states them, if somebody who may decide can have them at all."""
        if (account.role or "").lower() in ROBOTS or account.user_id.startswith(BOT_ID):
            raise Stranger("bot")
        if not account.object_id or not account.user_id:  # somebody who joined without signing in
            raise Stranger("guest")
        if account.tenant is None or account.tenant.lower() not in self._tenants:
            raise Stranger("external")
        return account.tenant.lower(), account.object_id.lower()

    def _only(self, tenant: str, object_id: str) -> Person:
        """Return the one person of the roster with this account."""
        found = self._policies.current.roster.by_teams(tenant, object_id)
        if len(found) != 1:
            raise Stranger("two_people" if found else "unknown_person", f"{tenant}:{object_id}")
        return found[0]

    async def _member(self, account: Account, conversation: str, route: Route) -> Mapping[str, Any]:
        """Return the entry of the conversation's list of members. Raises Stranger where there is none."""
        name = f"{conversation}/{account.user_id}"
        if kept := self._members.fresh(name):
            return kept
        age, began = self._members.age, self._members.now()
        try:
            async with asyncio.timeout(ASK_SECONDS):
                member = await self._api.member(route, conversation, account.user_id)
        except Refused as error:  # not in this conversation any more, or not at all
            raise Stranger("deactivated") from error
        except (SurfaceError, TimeoutError) as error:
            raise Stranger("not_checked") from error
        self._members.keep(name, member, age, began)
        return member


def _fault(member: Mapping[str, Any], user_id: str, tenant: str, object_id: str) -> str | None:
    """Return why nobody behind this entry may decide; what it does not say is no yes."""
    told = {key: value for key, value in member.items() if isinstance(value, str) and value}
    if told.get("tenantId", tenant).lower() != tenant:
        return "external"
    if told.get("userRole", "").lower() != "user" or FOREIGN in told.get("userPrincipalName", "").upper():
        return "not_checked" if "userRole" not in told else "guest"
    if told.get("id") != user_id or told.get("aadObjectId", "").lower() != object_id:
        return "not_checked"  # an answer about somebody else says nothing about this one
    return None
