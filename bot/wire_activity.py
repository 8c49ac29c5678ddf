"""Say what travels over HTTP about what a grant's session did; built by `approvers.activity_answer`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from approvers.activity import FlagKind


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FlagAnswer(_Answer):
    """Something that the session should not do: how bad the worst such call was, and the first ones."""

    kind: FlagKind
    said: str
    points: int
    through: Annotated[bool, Field(description="Whether one of them went through.")]
    calls: list[str]


class UsedAnswer(_Answer):
    """How often an action or resource was used."""

    name: str
    through: int
    refused: int
    failed: Annotated[int, Field(description="Allowed, and came to nothing.")]


class ProposalAnswer(_Answer):
    """What to ask for next time."""

    actions: list[str]
    resources: list[str]


class ActivityAnswer(_Answer):
    """What a grant's session did, as the account's own log has it; that is some minutes late."""

    grant: str
    watched: Annotated[bool, Field(description="False: nobody has looked, and nothing below says anything.")]
    looked_at: AwareDatetime | None
    unread_since: Annotated[AwareDatetime | None, Field(description="Since when the log cannot be read.")]
    complete: Annotated[bool, Field(description="False: there were more calls; counts are at least so many.")]
    points: int
    flags: list[FlagAnswer]
    calls: int
    refusals: int
    used: list[UsedAnswer]
    resources: list[UsedAnswer]
    writes: list[str]
    write_calls: int
    never_used: list[str]
    unseen: Annotated[list[str], Field(description="Granted actions that the log cannot show, used or not.")]
    untouched: list[str]
    proposal: ProposalAnswer | None
    killed_at: AwareDatetime | None
    reported_at: AwareDatetime | None
    summary: str
