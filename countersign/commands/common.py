"""Share what every caller's command needs: the connection, one way to fail, one way to print."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import typer

from approvers.errors import CountersignError
from approvers.times import parse_duration
from countersign.address import harmless, settings, verify_key
from countersign.client import AsyncClient
from countersign.errors import ProblemError

T = TypeVar("T")

Url = Annotated[
    str | None,
    typer.Option(
        "--url", envvar="COUNTERSIGN_URL", help="Where the server is; the key comes from COUNTERSIGN_API_KEY."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, errors too.")]
Patience = Annotated[str, typer.Option("--patience", help="For how long an absent server is tried again.")]
DEFAULT_PATIENCE = "60s"

OPTIONS = {
    "action": "--action",
    "resource": "--resource",
    "environment": "--environment",
    "reason": "--reason",
    "ttl_seconds": "--ttl",
    "risk": "--risk",
    "project": "--project",
    "stage": "--stage",
    "urgency": "--urgency",
    "data_classes": "--data-class",
    "ticket": "--ticket",
    "extends": "--extends",
    "heartbeat_seconds": "--heartbeat",
    "break_glass": "--break-glass",
    "undo": "--undo",
    "actor": "--actor",
    "actor.id": "--actor",
    "actor.on_behalf_of": "--on-behalf-of",
    "actor.run": "--run-id",
    "actor.model": "--model",
    "parameters": "--parameters",
    "access.role": "--role",
    "access.actions": "--access-action",
    "access.resources": "--access-resource",
    "state": "--state",
    **{name: f"--{name}" for name in ("person", "as", "from", "to", "because", "proof", "role", "limit")},
    "Idempotency-Key": "--key",
}
"""Which option a field of the body came from, so that the server's words lead to what was typed."""


class Ended(Exception):
    """End the command with an exit code; what there was to say has been said."""

    def __init__(self, code: int) -> None:
        """Keep the code."""
        super().__init__(code)
        self.code = code


class WrongOption(CountersignError):
    """An option's value cannot be used; `field` names the option."""

    code = "wrong_option"


def connect(url: str | None, patience: str = DEFAULT_PATIENCE) -> AsyncClient:
    """Return a client from options and environment. Raises BadSetting or WrongOption."""
    address, key = settings(url=url)
    client = AsyncClient(address, key, patience_seconds=seconds("--patience", patience), verify_key=verify_key())
    if address.startswith("http://") and not _is_loopback(address):
        say("warning: COUNTERSIGN_URL is http, so the key and the credential travel readable; use https")
    return client


def perform(
    url: str | None, work: Callable[[AsyncClient], Coroutine[Any, Any, T]], patience: str = DEFAULT_PATIENCE
) -> T:
    """Run one coroutine with a client, and close it."""

    async def session() -> T:
        async with connect(url, patience) as client:
            return await work(client)

    return asyncio.run(session())


def seconds(option: str, text: str) -> int:
    """Read `90s`, `15m`, `2h` or `1d`. Raises WrongOption."""
    try:
        return int(parse_duration(text).total_seconds())
    except ValueError as error:
        raise WrongOption(str(error), field=option) from error


def say(text: str) -> None:
    """Print what a person should read, on stderr; more lines than one (a list of faults) stay lines."""
    first, *more = text.splitlines() or [""]
    typer.echo(f"countersign: {harmless(first)}", err=True)
    for line in more:
        typer.echo(f"  {harmless(line)}", err=True)


def put(text: str) -> None:
    """Print one line of the answer, on stdout."""
    typer.echo(harmless(text))


def put_json(value: object) -> None:
    """Print JSON on stdout, for scripts."""
    typer.echo(json.dumps(value, indent=2))


def explain(error: CountersignError) -> str:
    """Say what went wrong and, where a field is at fault, which option to change."""
    option = _option(error.field) if error.field else None
    name = f" ({option})" if option and option not in error.detail else ""
    rule = f" [{error.rule}]" if error.rule else ""
    return f"{error.detail}{name}{rule}"


def as_json(error: CountersignError) -> dict[str, object]:
    """Return an error for scripts."""
    found: dict[str, object] = {"code": error.code, "detail": error.detail, "field": error.field, "rule": error.rule}
    if isinstance(error, ProblemError):
        found["status"] = error.status
    return {"error": {name: value for name, value in found.items() if value is not None}}


def not_built(what: str) -> NoReturn:
    """Refuse a command whose feature does not exist yet, by name."""
    say(f"`countersign {what}` is not built yet")
    raise Ended(1)


def _option(field: str) -> str | None:
    if field.startswith("--"):
        return field
    return OPTIONS.get(field.partition("[")[0])


def _is_loopback(address: str) -> bool:
    return (urlsplit(address).hostname or "").startswith(("127.", "localhost", "::1"))
