"""Find terms of a policy that cannot work with the people there are: break-glass, apply, and who approves whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime

from approvers.faults import Fault, nearest
from approvers.patterns import matches
from approvers.policy_models import Ladder, Policy, Rule
from approvers.quorum import Review, tally
from approvers.roster import Caller, Roster

_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


def terms_faults(policy: Policy) -> Iterator[Fault]:
    """Yield the mistakes that the policy shows by itself."""
    if policy.apply and policy.apply.quorum not in policy.quorums:
        yield _unknown("apply.quorum", "quorum", policy.apply.quorum, policy.quorums)
    for ladder in policy.ladders.values():
        yield from _may_fill(ladder, policy)
    for rule in policy.rules.values():
        if rule.narrow and rule.effect != "review":
            yield Fault(f"rule.{rule.name}.narrow", f"nobody narrows anything where the effect is {rule.effect}",
                        "remove it, or make it a review rule")  # fmt: skip


def people_faults(policy: Policy, roster: Roster) -> Iterator[Fault]:
    """Yield what cannot work with these people."""
    yield from _break_glass(policy, roster)
    yield from _appliers(policy, roster)
    for caller in roster.callers.values():
        yield from _own_reviewers(caller, policy, roster)


def _unknown(place: str, kind: str, name: str, known: Iterable[str]) -> Fault:
    names = list(known)
    return Fault(place, f"there is no {kind} {name!r}", nearest(name, names, otherwise=f"add [{kind}.{name}]"))


def _may_fill(ladder: Ladder, policy: Policy) -> Iterator[Fault]:
    seats = {group for one in policy.quorums.values() if one.ladder == ladder.name for group in one.seats}
    for index, level in enumerate(ladder.levels):
        place = f"ladder.{ladder.name}.levels[{index}].may_fill"
        if level.may_fill is None:
            continue
        if seats and level.may_fill not in seats:
            yield Fault(place, f"no quorum on this ladder has a seat of {level.may_fill!r}",
                        nearest(level.may_fill, sorted(seats)))  # fmt: skip
        if not any(ask.startswith("group:") for ask in level.ask):
            yield Fault(place, "this level asks no group, so nobody would take the seat", "name a group in ask")


def _break_glass(policy: Policy, roster: Roster) -> Iterator[Fault]:
    terms = policy.break_glass
    if terms is None:
        return
    known: Mapping[str, Mapping[str, object]] = {
        "group": roster.groups, "place": roster.places, "user": roster.persons
    }  # fmt: skip
    for field, words in (("who", terms.who), ("tell", terms.tell)):
        for index, word in enumerate(words):
            kind, _, name = word.partition(":")
            if name not in known[kind]:
                what = "person" if kind == "user" else kind
                yield _unknown(f"break_glass.{field}[{index}]", what, name, known[kind])
    told = {word.removeprefix("group:") for word in terms.tell if word.startswith("group:")}
    for quorum in policy.quorums.values():
        after = told | quorum.seats.keys()
        for person in sorted(_entitled(terms.who, roster)):
            if not _somebody_else(person, after, roster):
                detail = f"nobody but {person} could review what {person} does under quorum {quorum.name!r}"
                yield Fault("break_glass.who", detail, "tell a group of other people, or give a seat to one")
                return


def _entitled(who: Iterable[str], roster: Roster) -> set[str]:
    people = set[str]()
    for word in who:
        kind, _, name = word.partition(":")
        people |= {name} & roster.persons.keys() if kind == "user" else set(_people(roster, name))
    return people


def _somebody_else(person: str, groups: Iterable[str], roster: Roster) -> bool:
    return any(name in roster.outside_groups or set(_people(roster, name)) - {person} for name in groups)


def _people(roster: Roster, group: str) -> tuple[str, ...]:
    return tuple(roster.groups[group].people) if group in roster.groups else ()


def _appliers(policy: Policy, roster: Roster) -> Iterator[Fault]:
    """A change has to be approved by others than whoever applies it: somebody has to be left who can apply."""
    terms = policy.apply
    if terms is None or terms.quorum not in policy.quorums:
        return
    seats = policy.quorums[terms.quorum].seats
    if not any(_fillable(seats, roster, without=person.__eq__) for person in roster.persons):
        yield Fault("apply.quorum", f"whoever applies a change, too few others are left to fill {terms.quorum!r}",
                    "name a smaller quorum, or add people to its groups")  # fmt: skip


def _own_reviewers(caller: Caller, policy: Policy, roster: Roster) -> Iterator[Fault]:
    """A caller's owners approve nothing that it asks; if they are all who could, nobody ever can."""
    owners = {one.removeprefix("user:") for one in caller.owners if one.startswith("user:")}
    groups = {one.removeprefix("group:") for one in caller.owners if one.startswith("group:")}
    for name in sorted(_quorums_for(caller, policy)):
        seats = policy.quorums[name].seats
        barred_seat = groups & seats.keys()
        if barred_seat or not _fillable(
            seats, roster, without=lambda one: one in owners or bool(roster.groups_of(one) & groups)
        ):  # fmt: skip
            detail = f"these own the caller, and too few others are left to fill quorum {name!r} for what it asks"
            yield Fault(f"caller.{caller.name}.owners", detail, "name fewer owners, or add others to its groups")


def _quorums_for(caller: Caller, policy: Policy) -> set[str]:
    names = {policy.default_quorum} if policy.default == "review" else set[str]()
    for rule in policy.rules.values():
        if rule.effect == "review" and _may_ask(caller, rule):
            names.add(rule.quorum or policy.default_quorum)
    return names & policy.quorums.keys()


def _may_ask(caller: Caller, rule: Rule) -> bool:
    patterns, kinds = rule.when.principal, rule.when.principal_kind
    named = patterns is None or any(matches(pattern, f"caller:{caller.name}") for pattern in patterns)
    return named and (kinds is None or caller.kind in kinds)


def _fillable(seats: Mapping[str, int], roster: Roster, *, without: Callable[[str], bool]) -> bool:
    """Tell whether the seats can be filled without these people; a group with members elsewhere has enough."""
    counted = {group: count for group, count in seats.items() if group not in roster.outside_groups}
    people = [_yes(person, roster) for person in roster.persons if not without(person)]
    return not counted or tally(counted, people).satisfied


def _yes(person: str, roster: Roster) -> Review:
    groups = tuple(sorted(roster.groups_of(person)))
    return Review(reviewer=person, verdict="approve", at=_ANY_MOMENT, groups=groups, via="check")
