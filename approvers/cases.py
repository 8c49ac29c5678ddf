"""Read recorded asks back from the bodies of audit records: the facts as they were, and what was ruled then.

Bodies come from the log itself or from an export; they are checked as strictly as anything from outside. An ask whose
facts cannot be had whole is `NotReplayable`: what is missing is never guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from approvers.facts import Facts
from approvers.ruling import NOT_EVALUATED
from approvers.upgrades import lifted_facts

SUBMITTED = "request.submitted"
_TAIL = re.compile(rb',"subject":"([^"\\]+)","type":"([a-z_.]+)","v":\d+,"via":"(?:[^"\\]|\\.)*"\}\s*')
_OLD_LEVELS = "access_levels"
"""A field of facts that only the first form has."""


class NotReplayable(ValueError):
    """The record does not hold a whole ask in a form that this version knows; the text says why, in few words."""


class NotARecord(ValueError):
    """The line is no audit record at all."""


class Outcome(NamedTuple):
    """What an ask comes to: the effect (or `not_evaluated`, `refused`), and on which terms people are asked."""

    effect: str
    seats: Mapping[str, int]
    expires_after_seconds: int | None
    narrow: tuple[str, ...]


class Case(NamedTuple):
    """One recorded ask: its id, its facts, and what was ruled on it then, by which rules and in which words."""

    id: str
    handle: str | None
    facts: Facts
    before: Outcome
    because: str
    rules: tuple[str, ...]
    risk: str
    policy_sha256: str


class _Loose(BaseModel):
    """Take what is needed; the other fields of a ruling may change their form."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _Rule(_Loose):
    name: str


class _Risk(_Loose):
    level: str


class _Ruled(_Loose):
    because: str
    effect: str
    expires_after_seconds: int | None
    narrow: tuple[str, ...] = ()
    policy_sha256: str
    risk: _Risk
    rules: tuple[_Rule, ...]
    seats: dict[str, int]


class _Asked(_Loose):
    facts: Facts
    handle: str | None = None
    ruling: _Ruled


class _Submitted(_Loose):
    data: _Asked
    subject: str


def tag_of(body: bytes) -> tuple[str, str]:
    """Return a record's subject and type without decoding the rest: in canonical bytes its own keys are the last ones.

    Raises:
        NotARecord: it has none.
    """
    if (end := body.rfind(b',"subject":"')) >= 0 and (found := _TAIL.fullmatch(body, end)):
        return found[1].decode(), found[2].decode()
    record = decoded(body)
    return str(record["subject"]), str(record["type"])


def decoded(body: bytes) -> dict[str, Any]:
    """Return a record. Raises NotARecord."""
    try:
        record = json.loads(body)
    except ValueError as error:
        raise NotARecord("is not JSON") from error
    if not isinstance(record, dict) or not {"at", "by", "data", "subject", "type"} <= record.keys():
        raise NotARecord("is no audit record")
    return record


def read_case(body: bytes) -> Case:
    """Return the ask that a `request.submitted` record holds, lifted from an older form where that is exact.

    Raises:
        NotReplayable: its facts are not whole, or of a form that this version does not know.
        NotARecord: it is no record.
    """
    try:
        return _case(_Submitted.model_validate_json(body, strict=True))
    except ValidationError:
        return _older(decoded(body))


def _case(found: _Submitted) -> Case:
    ruled = found.data.ruling
    effect = NOT_EVALUATED if ruled.because == NOT_EVALUATED else ruled.effect
    return Case(
        id=found.subject,
        handle=found.data.handle,
        facts=found.data.facts,
        before=Outcome(effect, ruled.seats, ruled.expires_after_seconds, ruled.narrow),
        because=ruled.because,
        rules=tuple([hit.name for hit in ruled.rules]),
        risk=ruled.risk.level,
        policy_sha256=ruled.policy_sha256,
    )


def _older(record: dict[str, Any]) -> Case:
    data = record["data"]
    facts = data.get("facts") if isinstance(data, dict) else None
    if not isinstance(facts, dict):
        raise NotReplayable("no facts are recorded")
    if _OLD_LEVELS not in facts:
        raise NotReplayable("the facts are not whole, or of a form that this version does not know")
    try:
        if len(facts[_OLD_LEVELS]) > 1:
            raise NotReplayable("the first form of facts does not say which action has which access level")
        lifted = lifted_facts(facts, plan=data["plan"], action=data["action"])
        whole = {**record, "data": {**data, "facts": lifted}}
        return _case(_Submitted.model_validate_json(json.dumps(whole), strict=True))
    except NotReplayable:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise NotReplayable("the first form of facts is not whole") from error
