"""Find mistakes in what the roster takes from elsewhere: issuers of tokens, and on-call schedules."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations
from urllib.parse import urlsplit

from approvers.faults import Fault, nearest
from approvers.roster_models import Caller, Group, Issuer, Roster, Token

LONGEST_LIFE = timedelta(days=1)
"""A token that lives longer is a password."""
OPEN_TO_ALL = {
    "token.actions.githubusercontent.com": ("repository_id", "repository_owner_id", "repository", "sub"),
    "gitlab.com": ("project_id", "namespace_id", "project_path", "sub"),
}
"""Issuers that sign for anybody, and the claims of which one at least says whose token it is."""


def outside_faults(roster: Roster) -> Iterator[Fault]:
    """Yield what is wrong with issuers, the callers that tokens prove, and groups that a schedule fills."""
    yield from _check_issuers(roster)
    for caller in roster.callers.values():
        if caller.token:
            yield from _check_token(caller, caller.token, roster)
    yield from _check_same(roster)
    yield from _check_people(roster)
    for group in roster.groups.values():
        yield from _check_schedule(group, roster)


def _check_issuers(roster: Roster) -> Iterator[Fault]:
    urls: dict[str, str] = {}
    for issuer in roster.issuers.values():
        if (other := urls.setdefault(issuer.url, issuer.name)) != issuer.name:
            yield Fault(f"issuer.{issuer.name}.url", f"issuer {other!r} has the same", "name each issuer once")
        if not timedelta(0) < issuer.max_age <= LONGEST_LIFE:
            yield Fault(f"issuer.{issuer.name}.max_age", "a token has to end, within a day", 'write such as "1h"')


def _check_token(caller: Caller, token: Token, roster: Roster) -> Iterator[Fault]:
    place = f"caller.{caller.name}.token"
    issuer = roster.issuers.get(token.issuer)
    if issuer is None:
        remedy = nearest(token.issuer, roster.issuers, otherwise=f"add [issuer.{token.issuer}]")
        yield Fault(f"{place}.issuer", f"there is no issuer {token.issuer!r}", remedy)
        return
    wanted = OPEN_TO_ALL.get(urlsplit(issuer.url).hostname or "", ())
    if wanted and not token.claims.keys() & set(wanted):
        yield Fault(f"{place}.claims", f"{_said(issuer)} signs for anybody, and these claims do not say for whom",
                    f"add {wanted[0]}")  # fmt: skip


def _said(issuer: Issuer) -> str:
    return urlsplit(issuer.url).hostname or issuer.url


def _check_same(roster: Roster) -> Iterator[Fault]:
    """Refuse two callers that the same token would prove: whoever fits the narrower one fits the other, too."""
    proven = [(caller, caller.token) for caller in roster.callers.values() if caller.token]
    for (one, first), (two, second) in combinations(proven, 2):
        if first.issuer == second.issuer and _overlap(first, second):
            yield Fault(f"caller.{two.name}.token.claims", f"the same token would prove caller {one.name!r} as well",
                        "name a claim in both, with other values")  # fmt: skip


def _overlap(one: Token, two: Token) -> bool:
    both = one.claims.keys() & two.claims.keys()
    nested = both in (one.claims.keys(), two.claims.keys())
    return nested and all(set(one.claims[name]) & set(two.claims[name]) for name in both)


def _check_people(roster: Roster) -> Iterator[Fault]:
    seen: dict[tuple[str, str], str] = {}
    for person in roster.persons.values():
        for issuer, account in person.tokens.items():
            place = f"person.{person.name}.tokens.{issuer}"
            if issuer not in roster.issuers:
                remedy = nearest(issuer, roster.issuers, otherwise=f"add [issuer.{issuer}]")
                yield Fault(place, f"there is no issuer {issuer!r}", remedy)
            elif (other := seen.setdefault((issuer, account), person.name)) != person.name:
                yield Fault(place, f"{other} has the same", "one account, one person")


def _check_schedule(group: Group, roster: Roster) -> Iterator[Fault]:
    if group.schedule is None:
        return
    place = f"group.{group.name}"
    if group.schedule not in roster.schedules:
        remedy = nearest(group.schedule, roster.schedules, otherwise=f"add [schedule.{group.schedule}]")
        yield Fault(f"{place}.oncall", f"there is no schedule {group.schedule!r}", remedy)
    if group.people:
        detail = "the schedule says who is on call; whoever is named here would be so always"
        yield Fault(f"{place}.people", detail, "leave them out, or put them into a group of their own")
