"""Hold what was granted against what was used, and propose a narrower ask for next time. Pure.

An account's log of management calls does not show everything: reading an object or a row is no management call. Of an
action that it cannot show, nobody can say that it was never used; such an action stays in the proposal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from approvers.activity import Activity, Used
from approvers.activity_flags import Scope, fits
from approvers.activity_words import listed, said, writes_done
from approvers.card_text import one_line
from approvers.grant import Plan
from approvers.patterns import Patterns, matches

UNSEEN = Patterns(
    ("s3:getobject*", "s3:putobject*", "s3:deleteobject*", "s3:listbucket", "s3:listbucketversions",
     "s3:abortmultipartupload", "s3:listmultipartuploadparts", "s3:listbucketmultipartuploads", "s3:restoreobject",
     "s3-object-lambda:*", "s3express:*", "dynamodb:getitem", "dynamodb:putitem", "dynamodb:updateitem",
     "dynamodb:deleteitem", "dynamodb:batchgetitem", "dynamodb:batchwriteitem", "dynamodb:query", "dynamodb:scan",
     "dynamodb:conditioncheckitem", "dynamodb:getrecords", "dynamodb:partiql*", "lambda:invokefunction*",
     "sqs:sendmessage", "sqs:receivemessage", "sqs:deletemessage", "sqs:changemessagevisibility", "sns:publish",
     "kinesis:getrecords", "kinesis:putrecord*", "kinesis:subscribetoshard", "firehose:putrecord*", "logs:putlogevents",
     "logs:getlogevents", "logs:filterlogevents", "cloudwatch:putmetricdata", "cloudwatch:getmetric*", "execute-api:*",
     "rds-db:connect", "rds-data:*", "cassandra:select", "cassandra:modify", "es:eshttp*", "aoss:apiaccessall",
     "ssmmessages:*", "ec2messages:*", "xray:put*", "appsync:graphql", "timestream:*", "qldb:sendcommand",
     "cognito-sync:*", "iotdata:*", "iot:publish", "iot:connect", "iot:receive", "iot:subscribe", "sdb:*",
     "ebs:getsnapshotblock", "ebs:putsnapshotblock", "neptune-db:*", "memorydb:connect", "elasticache:connect")
)  # fmt: skip
"""Data calls, in small letters: the history that LookupEvents reads holds none of them (AWS documentation)."""
MOST_EXACT = 5
"""So many resources that were reached take the place of a pattern; of more, the pattern stays."""
MOST_SAID = 6


@dataclass(frozen=True)
class Proposal:
    """What to ask for next time: fewer actions, or smaller resources."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """What was granted, and what came of it.

    Attributes:
        used: granted actions that were used, with how often; of a pattern, what was used under it.
        refused: what was tried and refused, granted or not.
        never: granted actions that nobody used; `unseen` those of which the log cannot tell.
        outside: actions that were not granted and went through all the same.
        reached: resources of the grant that were reached; `untouched` those that were not, as far as can be told.
        proposal: None where nothing narrower would have done, or nothing was used at all.
    """

    used: tuple[Used, ...] = ()
    refused: tuple[Used, ...] = ()
    never: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    outside: tuple[Used, ...] = ()
    reached: tuple[Used, ...] = ()
    untouched: tuple[str, ...] = ()
    proposal: Proposal | None = field(default=None)


def report(plan: Plan, activity: Activity) -> Report:
    """Return what a grant's session did with what it had."""
    scope = Scope(plan)
    went = [one for one in activity.used if one.through]
    used = tuple(one for one in went if scope.allows_action(one.name))
    idle = [one for one in plan.actions if not any(_is(one, done.name) for done in used)]
    unseen = tuple(one for one in idle if UNSEEN.touches(one.lower()))
    reached = tuple(one for one in activity.touched if one.through and scope.allows_resource(one.name))
    told = not unseen and not activity.unnamed and not activity.more
    untouched = _untouched(plan, reached) if told else ()
    return Report(
        used=used,
        refused=tuple(one for one in activity.used if one.refused),
        never=tuple(one for one in idle if one not in unseen),
        unseen=unseen,
        outside=tuple(one for one in went if not scope.allows_action(one.name)),
        reached=reached,
        untouched=untouched,
        proposal=_narrower(plan, used, unseen, reached if told else ())
        if activity.complete and not activity.more
        else None,
    )


def summary(plan: Plan, activity: Activity) -> str:
    """Say it in one message: used, never used, refused, writes, flags, and what to ask for next time."""
    found = report(plan, activity)
    if activity.looked_at is None:
        return "What it did is not known: the account's log could not be read."
    parts = [_used(plan, found)]
    if found.never:
        parts.append(f"Never used: {listed(found.never, MOST_SAID)}.")
    if found.unseen:
        parts.append(f"The account's log does not show {listed(found.unseen, MOST_SAID)}.")
    if found.untouched:
        parts.append(f"Never reached: {listed(found.untouched, 3)}.")
    refused = sum(one.refused for one in found.refused)
    if refused:
        parts.append(f"Refused: {_times(refused)} ({listed([one.name for one in found.refused], MOST_SAID)}).")
    parts.append(f"{writes_done(activity, 2)[:1].upper()}{writes_done(activity, 2)[1:]}.")
    if activity.flags:
        parts.append(f"Flags: {said(activity)}.")
    if not activity.complete:
        parts.append("There were more calls than could be read: counts are at least so many.")
    parts.append(_next_time(found))
    return one_line(" ".join(part for part in parts if part), 1_500)


def _used(plan: Plan, found: Report) -> str:
    granted = f"{len(plan.actions)} granted action{'' if len(plan.actions) == 1 else 's'}"
    if not found.used:
        return f"None of {granted} was seen in use."
    names = [f"{one.name} {_times(one.through)}" for one in found.used]
    count = sum(any(_is(one, done.name) for done in found.used) for one in plan.actions)
    return f"Used {count} of {granted}: {listed(names, MOST_SAID)}."


def _next_time(found: Report) -> str:
    if found.proposal:
        actions, resources = found.proposal.actions, found.proposal.resources
        return f"Ask for less next time: {listed(actions, MOST_SAID)} on {listed(resources, 3)}."
    if not found.used and not found.unseen:
        return "Nothing was used: next time, do without."
    return ""


def _narrower(
    plan: Plan, used: tuple[Used, ...], unseen: tuple[str, ...], reached: tuple[Used, ...]
) -> Proposal | None:  # fmt: skip
    """Return fewer actions, and smaller resources where it is known which were reached; None where that is no less."""
    if not used:
        return None
    actions = tuple(dict.fromkeys(_spelled(plan.actions, used))) + unseen
    resources = _smaller(plan.resources, reached)
    if set(actions) == set(plan.actions) and set(resources) == set(plan.resources):
        return None
    return Proposal(actions, resources)


def _spelled(granted: Iterable[str], used: Iterable[Used]) -> Iterable[str]:
    """Return the used actions as they were granted, if that was by name."""
    plain: Mapping[str, str] = {one.lower(): one for one in granted}
    return (plain.get(one.name.lower(), one.name) for one in used)


def _smaller(granted: tuple[str, ...], reached: tuple[Used, ...]) -> tuple[str, ...]:
    """Return the granted resources that were reached; of a pattern, the few ARNs that were."""
    if not reached:
        return granted
    found: list[str] = []
    for one in granted:
        hits = [hit.name for hit in reached if fits(one, hit.name)]
        exact = [hit for hit in hits if hit.startswith("arn:")]
        if hits:
            found += exact if len(exact) == len(hits) <= MOST_EXACT and "*" in one else [one]
    return tuple(dict.fromkeys(found)) or granted


def _untouched(plan: Plan, reached: tuple[Used, ...]) -> tuple[str, ...]:
    if not reached:
        return ()
    return tuple(one for one in plan.resources if not any(fits(one, hit.name) for hit in reached))


def _is(granted: str, action: str) -> bool:
    return matches(granted.lower(), action.lower())


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
