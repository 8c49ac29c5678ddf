"""Open the store that an operator means: the one of the environment, or the one of a demo that runs.

Every operator command that reads or writes the store begins here, so that all of them find it the same way and fail
with the same words.
"""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from approvers.errors import CountersignError
from countersign.commands.common import WrongOption
from countersign.errors import OUR_FAULT
from countersign.ops.folder import DEFAULT, DEMO_JSON, SECRETS_JSON, read_private
from workers.config import Settings, load
from workers.stores.port import Conflict, Store, StoreError
from workers.stores.redis import connect

T = TypeVar("T")
REDIS_URL = "COUNTERSIGN_REDIS_URL"
SLACK, TEAMS = "COUNTERSIGN_SLACK_", "COUNTERSIGN_TEAMS_"

State = Annotated[
    Path | None,
    typer.Option("--state", metavar="DIR", help="Use the store of the demo that runs on this folder."),
]
By = Annotated[str | None, typer.Option("--by", help="Who does this, for the log. Default: your user name here.")]


class NoStore(CountersignError):
    """No store is named; the text says what to do."""

    code = "no_store"


class StoreTrouble(NoStore):
    """The store that is named cannot be used; the text says what to do."""

    exit_code = OUR_FAULT


def who(by: str | None) -> str:
    """Return the name to record for this operator. Raises WrongOption: this machine knows none."""
    try:
        return by or getpass.getuser()
    except (KeyError, OSError) as error:  # a container that runs as a number
        raise WrongOption("this machine has no name for who does this: say it", field="--by") from error


def settings_of(
    state: Path | None, environ: Mapping[str, str] = os.environ, *, slack: bool = False, teams: bool = False
) -> Settings:
    """Return the settings of the environment, or of the demo on that folder. Raises NoStore, ConfigurationError.

    A demo keeps no secrets of Slack or Teams: with `slack` or `teams`, those of the environment are added to it.
    """
    if state is not None:
        wanted = (*([SLACK] if slack else []), *([TEAMS] if teams else []))
        more = {name: text for name, text in environ.items() if name.startswith(wanted)}
        return load({**_of_demo(state), **more})
    if REDIS_URL not in environ:
        hint = f" (a demo was started here: --state {DEFAULT})" if (DEFAULT / DEMO_JSON).exists() else ""
        raise NoStore(f"which store? Set {REDIS_URL}, or name the folder of a running demo with --state DIR{hint}")
    return load(environ)


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """Open the store and close it again. Raises StoreTrouble, with a remedy, instead of the store's own errors."""
    try:
        store = await connect(settings.store_url, durability=settings.redis_durability)
        try:
            yield store
        finally:
            await store.aclose()
    except Conflict:
        raise  # whoever changes records knows more to say about it
    except StoreError as error:
        raise StoreTrouble(f"the store cannot be used: {error} (is it running? is {REDIS_URL} right?)") from error


def with_store(state: Path | None, work: Callable[[Store], Awaitable[T]]) -> T:
    """Run one coroutine on the store that the operator means."""

    async def session() -> T:
        async with open_store(settings_of(state)) as store:
            return await work(store)

    return asyncio.run(session())


def _of_demo(state: Path) -> dict[str, str]:
    found = read_private(state / DEMO_JSON)
    if found is None or "redis_url" not in found:
        raise NoStore(f"no demo runs on {state}: start one with `countersign demo --state {state}`")
    secrets = read_private(state / SECRETS_JSON) or {}
    return {REDIS_URL: str(found["redis_url"]), **secrets.get("environment", {})}
