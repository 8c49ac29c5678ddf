"""Find what no single key of the roster shows: names that lead nowhere, one account for two people, empty groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from approvers.faults import Fault, nearest
from approvers.patterns import Patterns
from approvers.roster_models import ARN, Caller, Delegation, Group, Person, Role, Roster
from approvers.roster_outside import outside_faults
from approvers.roster_provider_checks import provider_faults, role_faults


def roster_faults(roster: Roster) -> Iterator[Fault]:
    """Yield the mistakes of a roster by itself."""
    yield from _check_names(roster)
    yield from _check_accounts(roster)
    for group in roster.groups.values():
        yield from _known(f"group.{group.name}.people", group.people, roster.persons, "person")
        yield from _check_members(group)
    for caller in roster.callers.values():
        yield from _check_owners(caller, roster)
    yield from outside_faults(roster)
    yield from provider_faults(roster)
    for role in roster.roles.values():
        yield from _check_role(role, roster)
    for place in roster.places.values():
        yield from _known(f"place.{place.name}.groups", place.groups, roster.groups, "group")
    for index, delegation in enumerate(roster.delegations):
        yield from _check_delegation(f"delegation[{index}]", delegation, roster)


def _check_delegation(place: str, delegation: Delegation, roster: Roster) -> Iterator[Fault]:
    yield from _known(f"{place}.from", (delegation.giver,), roster.persons, "person")
    yield from _known(f"{place}.to", (delegation.taker,), roster.persons, "person")
    if delegation.giver == delegation.taker:
        yield Fault(f"{place}.to", f"{delegation.taker!r} would lend to themselves", "name another person")


def _known(place: str, names: tuple[str, ...], known: Mapping[str, object], kind: str) -> Iterator[Fault]:
    for index, name in enumerate(names):
        if name not in known:
            where = place if place.endswith((".from", ".to", ".account")) else f"{place}[{index}]"
            yield Fault(where, f"there is no {kind} {name!r}", nearest(name, known, otherwise=f"add [{kind}.{name}]"))


def _check_names(roster: Roster) -> Iterator[Fault]:
    """Refuse the same chat or mail account for two people: a click must lead to exactly one."""
    for field in ("email", "teams"):
        seen: dict[str, str] = {}
        for person in roster.persons.values():
            value = getattr(person, field)
            if value and (other := seen.setdefault(value.lower(), person.name)) != person.name:
                yield _same(person, field, other)
    for person in roster.persons.values():
        for one in roster.persons.values():
            if one.name == person.name:
                break
            if one.slack and one.slack_user == person.slack_user and _same_team(one, person):
                yield _same(person, "slack", one.name)


def _check_accounts(roster: Roster) -> Iterator[Fault]:
    ids: dict[str, str] = {}
    for account in roster.accounts.values():
        if (other := ids.setdefault(account.id, account.name)) != account.name:
            yield Fault(f"account.{account.name}.id", f"account {other!r} has the same", "name each account once")
        match = ARN.fullmatch(account.revoker or "")
        if match and match[1] != account.id:  # IAM acts on the caller's own account: no Deny would reach its roles
            yield Fault(f"account.{account.name}.revoker", f"the ARN lies in account {match[1]}, not in {account.id}",
                        "name the role of this account that writes its Denies")  # fmt: skip
        match = ARN.fullmatch(account.tags or "")
        if match and match[1] != account.id:  # what is read there would be taken for this account's
            yield Fault(f"account.{account.name}.tags", f"the ARN lies in account {match[1]}, this one is {account.id}",
                        "name the role of this account that reads its tags")  # fmt: skip


def _same(person: Person, field: str, other: str) -> Fault:
    return Fault(f"person.{person.name}.{field}", f"{other} has the same", "one account, one person")


def _same_team(one: Person, other: Person) -> bool:
    return None in (one.slack_team, other.slack_team) or one.slack_team == other.slack_team


def _check_members(group: Group) -> Iterator[Fault]:
    if not group.people and not group.slack and not group.schedule:
        detail = "the group has nobody, so its seats could never be filled"
        remedy = 'name its people: people = ["dana"], or a Slack group: slack = "S02…", or a schedule: oncall = "NAME"'
        yield Fault(f"group.{group.name}", detail, remedy)


def _check_owners(caller: Caller, roster: Roster) -> Iterator[Fault]:
    for index, owner in enumerate(caller.owners):
        kind, _, name = owner.partition(":")
        known: Mapping[str, object] = roster.persons if kind == "user" else roster.groups
        if name not in known:
            what = "person" if kind == "user" else "group"
            yield Fault(f"caller.{caller.name}.owners[{index}]", f"there is no {what} {name!r}",
                        nearest(name, known, otherwise=f"add [{what}.{name}]"))  # fmt: skip
    for index, actor in enumerate(caller.actors):
        if any(Patterns([actor]).covers(f"user:{person}") for person in roster.persons):
            yield Fault(f"caller.{caller.name}.actors[{index}]", "a caller cannot pass for a person",
                        "name what it is, such as agent:NAME; the person goes into on_behalf_of")  # fmt: skip


def _check_role(role: Role, roster: Roster) -> Iterator[Fault]:
    yield from role_faults(role, roster)
    if not role.account or not role.arn:
        return
    yield from _known(f"role.{role.name}.account", (role.account,), roster.accounts, "account")
    account = roster.accounts.get(role.account)
    earlier = [one for one in roster.roles.values() if one.name < role.name]
    others = {arn: one.name for one in earlier for arn in (one.arn, *one.more_arns)}
    for key, arn in ((f"role.{role.name}.arn", role.arn), *_more(role)):
        match = ARN.fullmatch(arn)
        if account and match and match[1] != account.id:
            yield Fault(key, f"the ARN lies in account {match[1]}, {account.name} is {account.id}",
                        "correct the ARN, or the role's account")  # fmt: skip
        if arn in others:
            yield Fault(key, f"role {others[arn]!r} has the same", "one alias for one role")
    for key, arn in _more(role):
        if arn == role.arn:
            yield Fault(key, "this is the role's own ARN", "name further base roles only")


def _more(role: Role) -> Iterator[tuple[str, str]]:
    return ((f"role.{role.name}.more_arns[{index}]", arn) for index, arn in enumerate(role.more_arns))
