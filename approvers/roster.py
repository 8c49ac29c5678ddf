"""Read `countersign.toml`: who and what there is. People, groups, callers, accounts, roles, places.

The file holds names and addresses, never a rule and never a secret. A key that can hold one kind takes the bare name
(`people = ["dana"]`); where kinds mix, the name has its prefix (`owners = ["user:dana"]`).
"""

from __future__ import annotations

from approvers.errors import Forbidden, Inadmissible
from approvers.faults import ConfigError, Fault, read
from approvers.roster_checks import roster_faults
from approvers.roster_models import (
    Account,
    Caller,
    Delegation,
    Group,
    Name,
    Names,
    Person,
    Place,
    Role,
    Roster,
    SlackRules,
)

__all__ = [
    "Account", "Caller", "ConfigError", "Delegation", "Fault", "Group", "Name", "Names", "Person", "Place", "Role",
    "Roster", "SlackRules", "check_claims", "parse_roster",
]  # fmt: skip

SECTIONS = ("person", "group", "caller", "account", "provider", "role", "place", "issuer", "schedule")


def parse_roster(text: str) -> Roster:
    """Read `countersign.toml`. Raises ConfigError with every mistake."""
    roster = read(text, Roster, named=SECTIONS)
    if faults := list(roster_faults(roster)):
        raise ConfigError(faults)
    return roster


def check_claims(roster: Roster, principal: str, actor: str, on_behalf_of: str | None) -> None:
    """Check for whom a principal says to speak.

    Raises:
        Forbidden: `unknown_principal`, or `not_your_actor` where the caller's `actors` do not hold the actor.
        Inadmissible: `on_behalf_of` is missing where required, given where never, or names no known person (whom
            four-eyes would then miss).
    """
    if roster.person(principal) is not None:
        if actor != principal or on_behalf_of not in (None, principal):
            raise Forbidden(f"{principal} asks for themselves only; write actor {principal}.", code="not_your_actor",
                            field="actor.id")  # fmt: skip
        return
    caller = roster.caller(principal)
    if caller is None:
        raise Forbidden(f"{principal} is not in countersign.toml any more.", code="unknown_principal")
    if not caller.may_speak_for(actor):
        raise Forbidden(f"{principal} may not speak for {actor}; it may for {', '.join(caller.actors)}.",
                        code="not_your_actor", field="actor.id")  # fmt: skip
    _check_behind(roster, caller, on_behalf_of)


def _check_behind(roster: Roster, caller: Caller, on_behalf_of: str | None) -> None:
    field, rule = "actor.on_behalf_of", f"caller.{caller.name}.on_behalf_of"
    if on_behalf_of is None:
        if caller.on_behalf_of == "required":
            raise Inadmissible(
                "Say for which person this is done: actor.on_behalf_of = user:NAME.", field=field, rule=rule
            )
    elif caller.on_behalf_of == "never":
        raise Inadmissible("This caller acts for nobody; leave actor.on_behalf_of out.", field=field, rule=rule)
    elif roster.person(on_behalf_of) is None:
        raise Inadmissible(f"{on_behalf_of} is not a known person; write user:NAME as in countersign.toml.",
                           field=field, rule="person")  # fmt: skip
