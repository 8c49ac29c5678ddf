"""Look up Slack accounts for the doctor, each once, and say whose they are.

They are judged by the very function that judges a click, so that what is told here is what happens then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from approvers.roster import Person, Roster
from bot.surfaces.slack_accounts import Account, Stranger
from countersign.ops.manifest import MATCH_EMAIL
from countersign.ops.slackcheck import Answer, Slack, SlackTrouble

AT_ONCE = 8
NAMED = 10
"""How many of a list are named in a line; the rest are counted."""


@dataclass(frozen=True)
class Seen:
    """One account, and the name that people see."""

    account: Account
    name: str


class Accounts:
    """Ask Slack about accounts. Every lookup may raise SlackTrouble."""

    def __init__(self, slack: Slack, roster: Roster, told: Answer) -> None:
        """Take the answer to `auth.test`: whose token this is, and what it may do."""
        self._slack, self._roster = slack, roster
        self._home = str(told.body.get("team_id") or ""), str(told.body.get("enterprise_id") or "")
        self.by_mail = roster.slack.match_email and MATCH_EMAIL in told.scopes
        self._lanes = asyncio.Semaphore(AT_ONCE)
        self._seen: dict[str, Seen | None] = {}

    async def look(self, user: str) -> Seen | None:
        """Return an account; None if this workspace has none with that id, or none that the app may see."""
        if user not in self._seen:
            async with self._lanes:
                self._seen[user] = await self._found("users.info", ("user_not_found", "user_not_visible"), user=user)
        return self._seen[user]

    async def of_mail(self, email: str) -> Seen | None:
        """Return the account with this address; None if there is none."""
        async with self._lanes:
            return await self._found("users.lookupByEmail", ("users_not_found",), email=email)

    async def member(self, user: str) -> str | None:
        """Return the one person behind a user group's member, as the web process finds them."""
        people = self._roster.by_slack(user, self._home[0]) or self._roster.by_slack(user, self._home[1])
        if people or not self.by_mail:
            return people[0].name if len(people) == 1 else None
        seen = await self.look(user)
        try:
            return seen.account.person(self._roster)[0].name if seen else None
        except Stranger:
            return None

    async def named(self, users: Sequence[str]) -> str:
        """Return the names of these accounts, as people see them, with their ids."""
        seen = await asyncio.gather(*(self.look(user) for user in users[:NAMED]))
        told = [f"{one.name} ({user})" if one else user for one, user in zip(seen, users, strict=False)]
        more = len(users) - len(told)
        return ", ".join(told) + (f" and {more} more" if more else "")

    def judge(self, seen: Seen, person: Person) -> str | None:
        """Return why a click of this account would not be this person's; None if it would."""
        try:
            found, _ = seen.account.person(self._roster)
        except Stranger as stranger:
            if stranger.code == "unknown_person" and person.slack_team not in (None, *self._home):
                return f"the account belongs to {seen.account.team}, and countersign.toml says {person.slack_team}"
            return stranger.detail
        return None if found.name == person.name else f"this account is {found.name}'s"

    async def _found(self, method: str, missing: tuple[str, ...], **fields: str) -> Seen | None:
        try:
            user: Mapping[str, Any] = (await self._slack.ask(method, **fields)).body["user"]
        except SlackTrouble as trouble:
            if trouble.error in missing:
                return None
            raise
        return Seen(Account.of(user, *self._home), str(user.get("real_name") or user.get("name") or "?"))
