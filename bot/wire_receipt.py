"""Say what travels over HTTP about the receipt of a decision; built by `approvers.answer`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LogAnswer(_Answer):
    """The log that a receipt names: how many records it held, and the root over them (RFC 6962), in hex."""

    size: int
    root: str


class ReceiptAnswer(_Answer):
    """The signed receipt of the decision: a compact JWS, the log that includes the decision, and when it was signed."""

    jws: Annotated[str, Field(description="`countersign receipt verify` checks it offline; docs/callers.md has it.")]
    log: LogAnswer
    at: AwareDatetime
