"""Say what is known of a resource's tags from what was last read of its account; what is not surely known is unknown.

No tag and "not known" are kept apart: a resource counts as one without tags only where it would have been found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from approvers.facts import EVERY_KEY
from approvers.policy_models import Policy
from approvers.times import Moment

FRESH = timedelta(minutes=10)
"""What was read longer ago is not known any more."""
TRIES = 3
"""From so many readings in a row on that failed, on-call is told."""
Tags = tuple[str, ...]

_NAME, _PATH = r"[A-Za-z0-9_.-]+", r"[A-Za-z0-9_.+=@#/-]+"
_TAGGED: Mapping[str, str] = {
    "dynamodb": rf"(table/{_NAME})(?:/.*)?",
    "ec2": rf"((?:instance|volume)/{_NAME})",
    "ecr": rf"(repository/{_PATH})",
    "ecs": rf"(cluster/{_NAME}|service/{_NAME}/{_NAME})",
    "kinesis": rf"(stream/{_NAME})(?:/.*)?",
    "kms": rf"(key/{_NAME})",
    "lambda": rf"(function:{_NAME})(?::.*)?",
    "logs": rf"(log-group:{_PATH})(?::.*)?",
    "rds": rf"((?:db|cluster):{_NAME})",
    "secretsmanager": rf"(secret:{_PATH}-[A-Za-z0-9]{{6}})",
    "sns": rf"({_NAME})(?::.*)?",
    "sqs": rf"({_NAME})",
    "ssm": rf"(parameter/{_PATH})",
    "states": rf"(stateMachine:{_NAME})(?::.*)?",
}
"""Service → what carries the tags (the group), and what lies in it: an index in its table, a stream in its log group.

Closed, as the API that tells tags does not know every kind of resource: of an IAM role it would find none, whatever
tags it has. Wildcards are never in the group: what could be several resources is not known.
"""
_FORMS = {service: re.compile(form, re.DOTALL) for service, form in _TAGGED.items()}
_BUCKET = re.compile(r"([a-z0-9][a-z0-9.-]+)(?:/.*)?", re.DOTALL)


class TagSheet(BaseModel):
    """What is known of one account's tags: the record `tags:ACCOUNT`.

    Attributes:
        at: when it was read last; None: never.
        tries: how many readings have failed since, the last one with the words of `why`.
        complete: whether every resource with one of the keys is in it.
        keys: which tags were looked for; `*`: all.
        role: as whom; its ARN says of which account.
        regions: which regions were read.
        buckets: the account's own buckets → region.
        resources: ARN → `key=value`, of these keys.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    v: Literal[1] = 1
    at: Moment | None = None
    tries: int = 0
    why: str = ""
    complete: bool = False
    keys: tuple[str, ...] = ()
    role: str
    regions: tuple[str, ...] = ()
    buckets: Mapping[str, str] = {}
    resources: Mapping[str, Tags] = {}

    @property
    def in_trouble(self) -> bool:
        """Tell whether on-call must know: it cannot be read, or holds too much to be kept."""
        return self.tries >= TRIES or (self.at is not None and not self.complete)


class Place(NamedTuple):
    """What carries an asked resource's tags. `bucket`: its name, for a bucket, whose ARN has no region or account."""

    arn: str
    partition: str
    region: str
    account_id: str
    bucket: str | None


def keys_of(policy: Policy) -> tuple[str, ...]:
    """Return the tag keys that a policy's rules name; none: no rule reads tags. A wildcard in a key means every key."""
    return policy.tag_keys


def place_of(arn: str) -> Place | None:
    """Return what carries an asked resource's tags; None where that is not one resource whose tags can be read."""
    parts = arn.split(":", 5)
    if len(parts) < 6 or parts[0] != "arn":
        return None
    _, partition, service, region, account_id, rest = parts
    if service == "s3" and not region and not account_id:
        found = _BUCKET.fullmatch(rest)
        return Place(f"arn:{partition}:s3:::{found[1]}", partition, "", "", found[1]) if found else None
    found = _FORMS[service].fullmatch(rest) if service in _FORMS and region and account_id else None
    if found is None:
        return None
    return Place(":".join((*parts[:5], found[1])), partition, region, account_id, None)


def tags_of(place: Place, sheet: TagSheet, *, role: str, keys: Iterable[str], now: datetime) -> Tags | None:
    """Return a resource's tags, or None where they are not known.

    Args:
        place: what carries them.
        sheet: what is known of its account.
        role: as whom this account is read by the roster in force; what was read as another says nothing.
        keys: which keys the rules in force name.
        now: the store's time.
    """
    if not sheet.complete or sheet.at is None or abs(now - sheet.at) > FRESH or sheet.role != role:
        return None
    if sheet.keys != EVERY_KEY and not set(keys) <= set(sheet.keys):
        return None
    _, partition, _, _, account_id, _ = role.split(":", 5)
    if place.partition != partition or (place.bucket is None and place.account_id != account_id):
        return None
    if (found := sheet.resources.get(place.arn)) is not None:
        return found
    region = place.region if place.bucket is None else sheet.buckets.get(place.bucket, "")
    return () if region in sheet.regions else None  # it would have been found


def kept(resources: Mapping[str, Mapping[str, str]], keys: Sequence[str]) -> dict[str, Tags]:
    """Return resources as a sheet holds them: their tags of these keys, in order."""
    return {
        arn: tuple(sorted(f"{key}={value}" for key, value in tags.items() if tuple(keys) == EVERY_KEY or key in keys))
        for arn, tags in sorted(resources.items())
    }
