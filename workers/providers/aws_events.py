"""Read one entry of CloudTrail's event history as a call. Pure; what was answered to the call is never looked at.

A refused call says in its own words which action was missing, and on what: that is surer than the event's name. Local
clouds write the same form with less in it; whatever is not there counts as not known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from approvers.activity import Call
from workers.data.events import action_of
from workers.data.levels import UNKNOWN, Levels

Entry = Mapping[str, Any]
_MISSING = re.compile(
    r"is not authorized to perform: ([a-z0-9-]+:[A-Za-z0-9]+)(?: on (?:the )?resource: \"?([^\s\"]+))?"
)  # fmt: skip
_WRITES = frozenset({"Write", "Tagging", "Permissions management"})
_OBJECT, _BUCKET = "AWS::S3::Object", "AWS::S3::Bucket"
MOST_RESOURCES = 20


def call_of(entry: Entry, levels: Levels) -> Call | None:
    """Return the call that an entry of LookupEvents tells of; None for one that cannot be read."""
    try:
        event = json.loads(entry.get("CloudTrailEvent") or "{}")
        at = _moment(entry.get("EventTime") or event["eventTime"])
        return _call(entry, event, at, levels)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _call(entry: Entry, event: Entry, at: datetime, levels: Levels) -> Call:
    identity, asked = event.get("userIdentity") or {}, event.get("requestParameters") or {}
    missing = _MISSING.search(str(event.get("errorMessage") or ""))
    source = str(entry.get("EventSource") or event["eventSource"])
    name = str(entry.get("EventName") or event["eventName"])
    action = missing[1] if missing else action_of(source, name)
    level = levels.level(action)
    reads = str(event.get("readOnly", entry.get("ReadOnly", ""))).lower() == "true"
    who = str(identity.get("arn") or entry.get("Username") or "")
    named = missing[2] if missing and missing[2] and missing[2].startswith("arn:") else None
    partition = who.split(":")[1] if who.startswith("arn:") else "aws"
    return Call(
        id=str(entry.get("EventId") or event["eventID"]),
        at=at,
        action=action,
        known=level != UNKNOWN,
        write=not reads and (level in _WRITES or level == UNKNOWN),  # AWS calls kms:Decrypt a Write
        lists=levels.lists(action),
        resources=(named,)
        if named
        else tuple(dict.fromkeys(_resources(entry, event, asked, partition)))[:MOST_RESOURCES],
        region=str(event.get("awsRegion") or ""),
        address=str(event.get("sourceIPAddress") or ""),
        error=str(event.get("errorCode") or ""),
        session=who.rpartition("/")[2],
        opens=str(asked.get("roleSessionName") or "") if name.startswith("AssumeRole") else "",
    )


def _resources(entry: Entry, event: Entry, asked: Entry, partition: str) -> Iterator[str]:
    """Yield what the call names: an object of S3 by its whole ARN, else every ARN, else the bare names."""
    listed = [
        (str(one.get("ResourceType", "")), str(one.get("ResourceName", ""))) for one in entry.get("Resources") or ()
    ]
    s3 = f"arn:{partition}:s3:::"
    if exact := _object(dict(listed), asked):
        yield f"{s3}{exact}"
        return
    arns = [str(one.get("ARN") or "") for one in event.get("resources") or () if isinstance(one, Mapping)]
    arns.append(str(asked.get("roleArn") or ""))
    names = [f"{s3}{name}" if kind == _BUCKET else name for kind, name in listed]
    found = [name for name in (*arns, *names) if name.startswith("arn:")]
    yield from found or [name for name in names if name]


def _object(listed: Mapping[str, str], asked: Entry) -> str | None:
    bucket = asked.get("bucketName") or listed.get(_BUCKET)
    key = asked.get("key") or listed.get(_OBJECT)
    if not bucket or not key or str(bucket).startswith("arn:") or str(key).startswith("arn:"):
        return None
    return f"{bucket}/{key}"


def _moment(value: datetime | float | str) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    return datetime.fromtimestamp(float(value), UTC)
