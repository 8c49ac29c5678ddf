"""Hold what the schemas of all records share: how moments, digests and typed texts are written, and what a type says.

A typed text is free text of a person or an agent. In a record of version 1 it stands as it was typed; from version 2 on
as a mark, `{"chars": 12, "text_sha256": "…"}`: the text itself lies outside the log and can be erased.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

VERSIONS = (1, 2)
"""The forms of a record that this version reads; the newest is the last."""
When = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$")]
"""A moment in UTC, to the millisecond."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ActionDigest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
RequestId = Annotated[str, StringConstraints(pattern=r"^req_[0-9A-HJKMNP-TV-Z]{26}$")]
GrantId = Annotated[str, StringConstraints(pattern=r"^grt_[0-9A-HJKMNP-TV-Z]{26}$")]
Handle = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{4,12}$")]
Count = Annotated[int, Field(ge=0)]
Verdict = Literal["approve", "deny"]
Finding = Literal["justified", "unjustified"]


class Part(BaseModel):
    """Be the `data` of a record, or a part of it: no other fields, nothing changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def told(meaning: str) -> Any:
    """Return a field that every record of the type has."""
    return Field(description=meaning)


def maybe(meaning: str) -> Any:
    """Return a field that is left out where it says nothing; where it stands it is never null."""
    return Field(default=None, description=meaning)


class Mark(Part):
    """Stand for a text that lies outside the log."""

    chars: Count = told("how many characters the text has")
    text_sha256: Sha256 = told(
        "SHA-256 of a random salt of 32 bytes and the text as UTF-8; the salt lies with the text"
    )


class Seen(Part):
    """Say who was in an outside group when it was looked at."""

    at: When = told("when the platform was asked")
    members: tuple[str, ...] = told("the members' accounts as the platform gave them")
    source: str = told("which group of which platform, such as `slack:S01`")


SeenIn = Mapping[str, Seen]
"""By the name of the roster's group."""


@dataclass(frozen=True)
class RecordType:
    """Say what records of one type hold, when they are written and by whom.

    Attributes:
        data: the model of `data`.
        says: when it is written, in one sentence that goes on from "Written ".
        by: whose name is in `by`.
        subject: `req`: in the chain of a request; `sys`: in the chain of the system.
        needs: fields of `data` that the model leaves open and that records of this type always have.
        lately: fields that they have from version 2 on; of version 1 only the later records have them.
        since: the first version of a record that has this type.
        texts: where in `data` typed texts stand, as dotted names (`approvers.texts.TYPED`).
    """

    data: type[BaseModel]
    says: str
    by: str
    subject: Literal["req", "sys"] = "req"
    needs: tuple[str, ...] = ()
    lately: tuple[str, ...] = ()
    since: int = 1
    texts: tuple[str, ...] = ()
