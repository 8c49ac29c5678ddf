"""Weigh what a session did: flags with points, each once at its highest, and what policy makes of their sum.

What went through weighs more than what was refused, and what was granted is never flagged for what it is. The sum does
not depend on the order of the calls, and more calls never lower it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Literal

from approvers.activity import MOST_TEXT, Activity, Call, Flag, FlagKind, Noted, Place, Used, count, short_id
from approvers.card_text import one_line
from approvers.grant import Grant, Plan
from approvers.patterns import matches
from approvers.policy_models import Monitoring

WEIGHTS: Mapping[FlagKind, tuple[int, int]] = {
    "after_end": (100, 20),
    "blinds": (100, 60),
    "escalation": (80, 30),
    "other_address": (60, 60),
    "refusals": (60, 60),
    "outside_action": (40, 10),
    "outside_resource": (40, 10),
    "other_region": (15, 5),
    "unknown_action": (10, 5),
}
"""Points where a call went through, and where it did not."""
FIFTH = 5
"""So many refused calls are no mistake any more."""
MOST_NAMES, MOST_WRITES, MOST_EVIDENCE, MOST_PLACES, MOST_SEEN = 60, 20, 5, 10, 1_000
END_SLACK = timedelta(seconds=5)
"""How far the clocks of the cloud's own hosts may be apart: the log has whole seconds."""
OVERLAP = timedelta(minutes=15)
"""How far a look goes back behind the one before: calls reach the log late, usually by five minutes."""
PROOF_SLACK = timedelta(seconds=30)
"""After a proof a call may still go through so long: a Deny reaches services and regions one after the other."""
HARMLESS = frozenset({"sts:getcalleridentity"})
"""What no Deny can stop and every tool asks first: who am I."""
GLOBAL = frozenset({"iam", "sts", "organizations", "route53", "cloudfront", "account", "sso", "signin", "support"})
"""Services whose calls are logged in one region, wherever they came from."""


@dataclass(frozen=True)
class Scope:
    """What a session may do: from its plan, and when it ended by the cloud's clock (None: it lives).

    `regions` are those in which it is expected to work; none: anywhere.
    """

    plan: Plan
    regions: frozenset[str] = frozenset()
    ended_at: datetime | None = None

    @classmethod
    def of(cls, grant: Grant, home: Iterable[str] = ()) -> Scope:
        """Return the scope of a grant; `home` are the regions of its account."""
        return cls(grant.plan, regions_of(grant.plan, home), ended_at(grant))

    def allows_action(self, action: str) -> bool:
        """Tell whether the action was granted."""
        return any(matches(one.lower(), action.lower()) for one in self.plan.actions)

    def allows_resource(self, resource: str) -> bool:
        """Tell whether the resource was granted."""
        return any(fits(one, resource) for one in self.plan.resources)


def regions_of(plan: Plan, home: Iterable[str]) -> frozenset[str]:
    """Return where a plan's work is expected: the regions that its resources name, else those of the account."""
    named = {arn.split(":")[3] if arn.count(":") >= 5 else "" for arn in plan.resources}
    plain = {region for region in named if region and "*" not in region and "?" not in region}
    return frozenset(plain if plain == named else plain.union(home))


def ended_at(grant: Grant) -> datetime | None:
    """Return from when on no call of the grant may go through, by the cloud's clock; None while that is not known.

    A proof is on the store's clock; the mint tells how far that is from the cloud's, to some seconds.
    """
    if grant.ends_at is None or grant.minted_at is None:
        return None
    times = [grant.ends_at + END_SLACK]
    if grant.proof and grant.ending and grant.ending.early:
        skew = grant.ends_at - timedelta(seconds=grant.plan.ttl_seconds) - grant.minted_at
        times.append(grant.proof.at + skew + PROOF_SLACK)
    return min(times)


def noted(activity: Activity, calls: Iterable[Call], scope: Scope) -> Activity:
    """Return the record with calls that it has not seen yet; our own probes, and what it has, count for nothing."""
    known = set(activity.seen)
    fresh: dict[str, Call] = {}
    for call in sorted(calls, key=lambda one: (one.at, one.id)):
        if not call.ours and short_id(call.id) not in known:
            fresh.setdefault(short_id(call.id), call)
    for call in fresh.values():
        activity = _counted(activity, call, scope)
    return activity.model_copy(update={"seen": (*activity.seen, *fresh)})


def looked(
    activity: Activity, calls: Sequence[Call], scope: Scope, *, at: datetime, whole: bool = True
) -> Activity:  # fmt: skip
    """Return the record after the log was read at `at`; `whole`: nothing there was left out.

    Where there were more calls than can be remembered, what came late is given up: nothing may count twice.
    """
    after = noted(activity, calls, scope)
    too_many = len(after.seen) > MOST_SEEN
    return after.model_copy(
        update={
            "looked_at": at,
            "read_from": max(call.at for call in calls) if too_many and calls else at - OVERLAP,
            "seen": after.seen[-MOST_SEEN:],
            "complete": after.complete and whole and not too_many,
            "waits": 0,
            "failures": 0,
            "unread_since": None,
        }
    )


def verdict(activity: Activity, rules: Monitoring) -> Literal["kill", "ask", ""]:
    """Say what policy makes of the points so far."""
    if rules.kill_at is not None and activity.deadly >= rules.kill_at:
        return "kill"
    return "ask" if rules.ask_at is not None and activity.asking >= rules.ask_at else ""


def watched_until(ended: datetime, rules: Monitoring) -> datetime:
    """Return when a grant's activity is looked at for the last time."""
    return ended + rules.watch_for


def raised(call: Call, scope: Scope) -> Iterator[tuple[FlagKind, bool]]:
    """Yield which flags one call raises by itself, and whether it went through."""
    if call.action.lower() in HARMLESS:
        return
    went = not call.error
    if scope.ended_at is not None and call.at > scope.ended_at:
        yield "after_end", went
    if not scope.allows_action(call.action):
        yield from _by_nature(call, went)
    outside = [one for one in call.resources if not scope.allows_resource(one)]
    if outside and len(outside) == len(call.resources):
        yield "outside_resource", went and any(one.startswith("arn:") for one in outside)
    if scope.regions and call.region not in scope.regions and call.action.partition(":")[0] not in GLOBAL:
        yield "other_region", went


def _by_nature(call: Call, went: bool) -> Iterator[tuple[FlagKind, bool]]:
    if not call.known:
        yield "unknown_action", went
        return
    yield "outside_action", went
    if "evasion" in call.lists:
        yield "blinds", went
    if "escalation" in call.lists:
        yield "escalation", went


def _counted(activity: Activity, call: Call, scope: Scope) -> Activity:
    """Return the record with one call more."""
    if call.for_us:
        return activity.model_copy(update={"calls": activity.calls + 1, "by_services": activity.by_services + 1})
    line = Noted(at=call.at, text=call.text)
    flags = {flag.kind: flag for flag in activity.flags}
    for kind, through in raised(call, scope):
        flags[kind] = _flag(kind, through, line, flags.get(kind))
    changes: dict[str, object] = {"calls": activity.calls + 1}
    if call.refused and not (scope.ended_at and call.at > scope.ended_at):
        changes["refusals"] = activity.refusals + 1
        changes["refused"] = refused = _first(MOST_EVIDENCE, *activity.refused, line)
        if activity.refusals + 1 >= FIFTH:
            points = WEIGHTS["refusals"][0]
            flags["refusals"] = Flag(kind="refusals", points=points, through=False, evidence=refused)
    changes["places"] = places = _places(activity.places, call, line)
    if len(places) > 1:
        points = WEIGHTS["other_address"][0]
        evidence = tuple(place.first for place in places[1:])[:MOST_EVIDENCE]
        flags["other_address"] = Flag(kind="other_address", points=points, through=True, evidence=evidence)
    if call.write and not call.error:
        changes |= {"writes": _first(MOST_WRITES, *activity.writes, line), "write_calls": activity.write_calls + 1}
    if not (call.error or call.resources or call.action.lower() in HARMLESS):
        changes["unnamed"] = activity.unnamed + 1
    changes["flags"] = tuple(sorted(flags.values(), key=lambda flag: (-flag.points, flag.kind)))
    return activity.model_copy(update=changes | _names(activity, call))


def _flag(kind: FlagKind, through: bool, line: Noted, before: Flag | None) -> Flag:
    points = WEIGHTS[kind][0 if through else 1]
    if before is None:
        return Flag(kind=kind, points=points, through=through, evidence=(line,))
    evidence = _first(MOST_EVIDENCE, *before.evidence, line)
    return Flag(
        kind=kind, points=max(points, before.points), through=through or before.through, evidence=evidence
    )  # fmt: skip


def _names(activity: Activity, call: Call) -> dict[str, object]:
    """Count the call under its action and its resources; only so many names are kept."""
    changes: dict[str, object] = {}
    more = activity.more
    for field, held, names in (
        ("used", activity.used, (call.action,)),
        ("touched", activity.touched, call.resources[:MOST_EVIDENCE]),
    ):
        known: dict[str, Used] = {one.name: one for one in held}
        for name in dict.fromkeys(one_line(one, MOST_TEXT) for one in names):
            if name in known or len(known) < MOST_NAMES:
                known[name] = count(known, name, call)
            else:
                more += 1
        changes[field] = tuple(known.values())
    return {**changes, "more": more}


def _places(places: tuple[Place, ...], call: Call, line: Noted) -> tuple[Place, ...]:
    """Return where calls came from, the first first; at most so many."""
    known = {place.name: place for place in places}
    before = known.get(call.place)
    if before is None or (line.at, line.text) < (before.first.at, before.first.text):
        known[call.place] = Place(name=call.place, first=line)
    ordered = sorted(known.values(), key=lambda place: (place.first.at, place.name))
    return tuple(islice(ordered, MOST_PLACES))


def _first(most: int, *lines: Noted) -> tuple[Noted, ...]:
    """Return the first lines; the same at the same second is written down once."""
    return tuple(sorted(dict.fromkeys(lines), key=lambda line: (line.at, line.text))[:most])


def fits(granted: str, resource: str) -> bool:
    """Tell whether a granted ARN or pattern holds a resource.

    A bare name may be what the ARN ends in, or one step of its path.
    """
    pattern = granted.replace("?", "*")
    if resource.startswith("arn:"):
        return matches(pattern, resource)
    tail = pattern.rpartition(":")[2]
    return matches(tail, resource) or any(matches(part, resource) for part in tail.split("/") if part)
