"""Keep a `run` alive: the heartbeat that its grant waits for, and the extensions that it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from countersign.client import AsyncClient
from countersign.commands.common import WrongOption, seconds
from countersign.errors import InvalidRequest
from countersign.models import Ask
from countersign.run import Run
from countersign.status import status

SESSIONS = ("aws", "dry_run")
"""Providers whose credentials an AWS profile can hand over; those of all others are variables."""

Heartbeat = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="End the grant early once this process has been silent for so long, 10s to 1h. Default: 60s; with "
        "--ttl no longer than that, none.",
    ),
]
NoHeartbeat = Annotated[bool, typer.Option("--no-heartbeat", help="Let the grant live on if this process is killed.")]
Extend = Annotated[
    bool,
    typer.Option(
        "--extend",
        help="Ask for more in time, as often as it takes. COMMAND gets an AWS profile instead of variables.",
    ),
]
HEARTBEAT_SECONDS = 60
"""A `run` that was killed loses its credential after about this long."""

NO_EARLY_END = "heartbeat.ends_early"
"""Why a server refuses a heartbeat that nobody asked `run` for: then there is none."""


@dataclass(frozen=True)
class Living:
    """One `run` as it was typed; `told`: its heartbeat was asked for by name."""

    ask: Ask
    command: Sequence[str]
    key: str | None
    extend: bool
    told: bool

    async def to_end(self, client: AsyncClient) -> int:
        """Return the exit code; where a role's credentials cannot be ended early, run without our own heartbeat."""
        try:
            return await self._run(client, self.ask)
        except InvalidRequest as error:
            if self.told or error.rule != NO_EARLY_END:
                raise
        return await self._run(client, self.ask.model_copy(update={"heartbeat_seconds": None}))

    async def _run(self, client: AsyncClient, ask: Ask) -> int:
        return await Run(client, ask, self.command, status(), self.key, self.extend).to_end()


def heartbeat_of(heartbeat: str | None, off: bool, role: str | None, ttl: str | None) -> int | None:
    """Return the seconds of silence after which the grant ends. Raises WrongOption."""
    if heartbeat and off:
        raise WrongOption("--heartbeat and --no-heartbeat exclude each other", field="--heartbeat")
    if heartbeat and role is None:
        raise WrongOption("--heartbeat keeps a credential alive: add --role", field="--heartbeat")
    if heartbeat:
        return seconds("--heartbeat", heartbeat)
    short = ttl is not None and seconds("--ttl", ttl) <= HEARTBEAT_SECONDS
    return None if off or role is None or short else HEARTBEAT_SECONDS


def check_extends(ask: Ask) -> None:
    """Refuse --extend where there is nothing to extend, or where only a person may take more. Raises WrongOption."""
    if ask.access is None:
        raise WrongOption("--extend goes on with a credential: add --role", field="--extend")
    if ask.access.provider not in SESSIONS:
        text = f"what {ask.access.provider} gives is variables, which cannot change under COMMAND: leave --extend out"
        raise WrongOption(text, field="--extend")
    if ask.break_glass:
        raise WrongOption("--break-glass is taken by a person, each time anew: leave --extend out", field="--extend")
