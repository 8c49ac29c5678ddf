"""Tell which groups can be asked, for how many seats, and whether enough of their people can answer on a chat platform.

The same questions for Slack and Teams; who can answer there is each platform's own business.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from approvers.roster import Roster
from countersign.ops.findings import Finding
from workers.policies import Rulebook

ON_CALL = "write oncall = true at a group: until then, only a key with the scope operate can unfreeze"
Members = Mapping[str, frozenset[str]]
"""People (bare names) by the group whose seats they fill without being named by it in countersign.toml."""


def seats_of(book: Rulebook) -> Mapping[str, int]:
    """Return the groups that can be asked, with the most seats that one rule wants of each."""
    most: dict[str, int] = {}
    for quorum in book.policy.quorums.values():
        for group, count in quorum.seats.items():
            most[group] = max(count, most.get(group, 0))
    return most


def seated(roster: Roster, seats: Collection[str]) -> frozenset[str]:
    """Return everybody who may be asked, or is on call."""
    return frozenset(
        name for group in roster.groups.values() if group.name in seats or group.oncall for name in group.people
    )


def groups(
    chat: str, roster: Roster, seats: Mapping[str, int], able: frozenset[str], members: Members | None = None
) -> list[Finding]:
    """Say of each group that is asked or on call whether enough of its people can answer in `chat`, such as `Slack`."""
    found = []
    what = f"{chat.lower()} seats"
    for group in roster.groups.values():
        wanted = max(seats.get(group.name, 0), int(bool(group.oncall)))
        if not wanted:
            continue
        if group.schedule:
            words = f"{group.name} (on call): whom the schedule {group.schedule} names; `countersign doctor` reads it"
            found.append(Finding("ok", what, words))
            continue
        count = len((frozenset(group.people) | (members or {}).get(group.name, frozenset())) & able)
        duty = " (on call)" if group.oncall else ""
        words = f"{group.name}{duty}: {count} can answer in {chat}, and {wanted} must be able to"
        found.append(
            Finding("ok", what, words)
            if count >= wanted
            else Finding("fail", what, words, "see the lines above about its people")
        )
    if not roster.on_call_groups():
        found.append(Finding("warn", what, "no group is on call", ON_CALL))
    return found
