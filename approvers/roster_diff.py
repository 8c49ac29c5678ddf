"""Say what changes between two versions of `countersign.toml`, in meaning (see `approvers.policy_diff`)."""

from __future__ import annotations

from collections.abc import Iterator

from approvers.policy_checks_shadow import inside
from approvers.policy_diff import LOOSER, OTHER, STRICTER, Change, Tends, keyed, words_change
from approvers.roster_models import Account, Caller, Delegation, Group, Role, Roster


def roster_changes(old: Roster, new: Roster) -> Iterator[Change]:
    """Yield what another roster means: people, groups, callers, accounts, roles, places and the rest."""
    owning = {one for roster in (old, new) for caller in roster.callers.values() for one in caller.owners}

    def group(what: str, was: Group, now: Group) -> Iterator[Change]:
        owns = f"group:{now.name}" in owning  # more people in an owning group are also more who are barred
        more: Tends = OTHER if owns else LOOSER
        fewer: Tends = OTHER if owns else STRICTER
        yield from words_change(what, "people", was.people, now.people, more=more, fewer=fewer)
        yield from _fields(what, was, now, ("slack", "oncall"))

    yield from keyed("person", old.persons, new.persons, _fields)
    yield from keyed("group", old.groups, new.groups, group)
    yield from keyed("caller", old.callers, new.callers, _caller, added=LOOSER, removed=STRICTER)
    yield from keyed("account", old.accounts, new.accounts, _account)
    yield from keyed("role", old.roles, new.roles, _role, added=LOOSER, removed=STRICTER)
    for name in ("provider", "place", "issuer", "schedule"):
        yield from keyed(name, getattr(old, f"{name}s"), getattr(new, f"{name}s"), _fields)
    yield from _delegations(old.delegations, new.delegations)
    yield from _fields("slack", old.slack, new.slack)


def _fields(what: str, was: object, now: object, only: tuple[str, ...] = ()) -> Iterator[Change]:
    names = only or tuple(getattr(type(was), "model_fields", ()))
    for name in names:
        before, after = getattr(was, name), getattr(now, name)
        if before != after:
            yield Change(what, f"{name} {_told(before)} → {_told(after)}", OTHER)


def _caller(what: str, was: Caller, now: Caller) -> Iterator[Change]:
    yield from words_change(what, "owners", was.owners, now.owners, more=STRICTER, fewer=LOOSER)
    if set(was.actors) != set(now.actors):
        wider, narrower = inside(was.actors, now.actors), inside(now.actors, was.actors)
        tends = OTHER if wider == narrower else LOOSER if wider else STRICTER
        yield Change(what, f"actors {_told(was.actors)} → {_told(now.actors)}", tends)
    if was.on_behalf_of != now.on_behalf_of:
        pair = (was.on_behalf_of, now.on_behalf_of)
        tends = STRICTER if pair == ("optional", "required") else LOOSER if pair == ("required", "optional") else OTHER
        yield Change(what, f"on_behalf_of {pair[0]} → {pair[1]}", tends)
    yield from _fields(what, was, now, ("kind", "token"))


def _account(what: str, was: Account, now: Account) -> Iterator[Change]:
    yield from _fields(what, was, now, ("id", "environment", "tags"))


def _role(what: str, was: Role, now: Role) -> Iterator[Change]:
    if set(was.ceiling) != set(now.ceiling):
        before, after = ([one.lower() for one in words] for words in (was.ceiling, now.ceiling))
        wider, narrower = inside(before, after), inside(after, before)
        tends = OTHER if wider == narrower else LOOSER if wider else STRICTER
        yield Change(what, f"ceiling {_told(was.ceiling)} → {_told(now.ceiling)}", tends)
    yield from _fields(what, was, now, ("provider", "account", "arn", "more_arns", "external_id", "resources"))


def _delegations(old: tuple[Delegation, ...], new: tuple[Delegation, ...]) -> Iterator[Change]:
    for one in [one for one in new if one not in old]:
        yield Change("delegation", f"added: {one.giver} lends to {one.taker} until {one.until}", LOOSER)
    for one in [one for one in old if one not in new]:
        yield Change("delegation", f"removed: {one.giver} lent to {one.taker} until {one.until}", STRICTER)


def _told(value: object) -> str:
    if value is None:
        return "nothing"
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
