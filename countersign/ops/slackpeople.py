"""Tell the doctor who can answer in Slack: each person's account, each user group's members, each group's seats."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from approvers.roster import Group, Person, Roster
from countersign.ops import seats
from countersign.ops.findings import Finding
from countersign.ops.seats import Members
from countersign.ops.slackaccounts import NAMED, Accounts
from countersign.ops.slackcheck import Answer, Slack, SlackTrouble
from workers.policies import Rulebook

GIVE_ID = 'write slack = "U…" under [person.{}] (in Slack: the profile, ⋮, Copy member ID)'
ADD_PERSON = 'add a [person.…] with slack = "U…" for each who should answer'
NO_GROUPS = {
    "plan_upgrade_required": "user groups need a paid plan of Slack: name the people in countersign.toml instead",
    "missing_scope": "paste the output of `countersign slack manifest` as the app's manifest, and reinstall it",
}


async def people_and_groups(slack: Slack, book: Rulebook, told: Answer) -> list[Finding]:
    """Return what is found about everybody and every group of the roster."""
    accounts, wanted = Accounts(slack, book.roster, told), seats.seats_of(book)
    try:
        found, able = await _people(accounts, book.roster, seats.seated(book.roster, wanted))
        listed, members = await _user_groups(slack, accounts, book.roster)
    except SlackTrouble as trouble:
        return [Finding("fail", "slack people", trouble.detail, "see the lines about token and scopes")]
    return [*found, *listed, *seats.groups("Slack", book.roster, wanted, able, members)]


async def _people(accounts: Accounts, roster: Roster, seated: frozenset[str]) -> tuple[list[Finding], frozenset[str]]:
    """Return a line for each person who cannot answer, one for the rest, and the names of those who can.

    Who fills no seat and names no account is not spoken of.
    """
    people = [one for one in roster.persons.values() if one.slack or one.name in seated or accounts.by_mail]
    told = await asyncio.gather(*(_person(accounts, one) for one in people))
    able = frozenset(one.name for one, trouble in zip(people, told, strict=True) if trouble is None)
    trouble = [one for person, one in zip(people, told, strict=True) if one and (person.slack or person.name in seated)]
    words = f"{len(able)} of {len(roster.persons)} people of the roster can answer in Slack"
    return [
        Finding("ok" if able else "fail", "slack people", words, "" if able else "give them accounts"),
        *trouble,
    ], able


async def _person(accounts: Accounts, person: Person) -> Finding | None:
    """Return why this person cannot answer in Slack; None if they can."""
    remedy = GIVE_ID.format(person.name)
    if person.slack_user:
        seen, account = await accounts.look(person.slack_user), str(person.slack)
        why = accounts.judge(seen, person) if seen else "this workspace has no such account"
    elif accounts.by_mail and person.email:
        seen, account = await accounts.of_mail(person.email), person.email
        if seen is None:
            words = f"{person.name}: no account of this workspace has {person.email}"
            return Finding("warn", "slack people", words, remedy)
        why = accounts.judge(seen, person)
    else:
        return Finding("warn", "slack people", f"{person.name} has no Slack account here", remedy)
    return Finding("fail", "slack people", f"{person.name} ({account}): {why}", remedy) if why else None


async def _user_groups(slack: Slack, accounts: Accounts, roster: Roster) -> tuple[list[Finding], Members]:
    """Return what is found about the user groups that the roster names, and their people."""
    wanted = [group for group in roster.groups.values() if group.slack]
    if not wanted:
        return [], {}
    try:
        listed = (await slack.ask("usergroups.list", include_disabled="true", include_users="true")).body["usergroups"]
    except SlackTrouble as trouble:
        if trouble.error not in NO_GROUPS:
            raise
        return [Finding("fail", "slack group", trouble.detail, NO_GROUPS[trouble.error])], {}
    there = {str(one["id"]): one for one in listed}
    ids = ", ".join(f"@{one.get('handle') or '?'} {name}" for name, one in list(there.items())[:NAMED])
    found: list[Finding] = []
    members: dict[str, frozenset[str]] = {}
    for group in wanted:
        lines, members[group.name] = await _user_group(accounts, group, there.get(str(group.slack)), ids)
        found += lines
    return found, members


async def _user_group(
    accounts: Accounts, group: Group, one: Mapping[str, Any] | None, ids: str
) -> tuple[list[Finding], frozenset[str]]:
    if one is None:
        words = f"{group.name}: this workspace has no user group {group.slack}"
        return [Finding("fail", "slack group", words, f"there are {ids}" if ids else "there is none yet")], frozenset()
    name, users = f"{group.name} is @{one.get('handle') or group.slack}", [str(user) for user in one.get("users") or []]
    if one.get("date_delete"):
        return [Finding("fail", "slack group", f"{name}, which is disabled", "enable it in Slack")], frozenset()
    if not users:
        return [Finding("fail", "slack group", f"{name}, which has no members", "add some in Slack")], frozenset()
    names = await asyncio.gather(*(accounts.member(user) for user in users))
    strangers = [user for user, known in zip(users, names, strict=True) if known is None]
    found = [Finding("ok", "slack group", f"{name}, with {len(users)} members")]
    if strangers:
        words = f"{name}, and countersign.toml does not know {await accounts.named(strangers)}"
        found.append(Finding("warn", "slack group", words, ADD_PERSON))
    return found, frozenset(known for known in names if known)
