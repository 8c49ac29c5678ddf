"""The sample executables against a real PostgreSQL: a role is made, reads what was granted, is cut off and dropped."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from approvers.grant import Plan, ProofKind
from countersign.ops.postgres import SAMPLE, Postgres, install, local_postgres
from tests.worlds.ministack import QUICK, a_plan, new_grant_id
from workers.providers.command import CommandProvider
from workers.providers.port import Handle, NotSent, OutcomeUnknown, ProofOutcome, Refused


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with local_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="module")
def provider(database: Postgres, tmp_path_factory: pytest.TempPathFactory) -> CommandProvider:
    return made(tmp_path_factory.mktemp("commands"), database.settings())


def made(home: Path, settings: str) -> CommandProvider:
    return CommandProvider(install(home / "orders-db", settings), pace=QUICK)


def planned(*resources: str, **changes: Any) -> Plan:
    fields = {"provider": "orders-db", "role": "orders-reader", "role_arn": "command:orders-db/orders-reader",
              "account": "orders-db", "account_id": "", "actions": ["db:select"],
              "resources": resources or ("orders/public.customers",)}  # fmt: skip
    return a_plan(**{**fields, **changes})


def said(database: Postgres, sql: str, environment: Mapping[str, str] | None) -> str:
    done = database.psql(sql, environment)
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip()


def roles(database: Postgres) -> str:
    return said(database, "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'cs\\_%'", None)


def test_what_was_granted_can_be_read_nothing_else_and_nothing_after_the_revoke(database: Postgres, provider):
    grant, plan = new_grant_id(), planned()
    minted = provider.mint(grant, plan)
    reader = minted.secret.environment
    assert minted.secret.access_key_id == reader["PGUSER"] == f"cs_{grant[4:].lower()}"
    assert reader["PGPASSWORD"] not in repr(minted)
    assert said(database, "SELECT name FROM customers ORDER BY id", reader) == "Ada\nGrace"
    for refused in ("SELECT * FROM cards", "INSERT INTO customers VALUES (3, 'Eve')", "DELETE FROM customers"):
        assert "permission denied" in said(database, refused, reader)
    assert "permission denied" in said(database, "CREATE TABLE public.mine (id int)", reader)
    valid = said(database, f"SELECT rolvaliduntil = '{minted.ends_at.isoformat()}' FROM pg_roles "
                           f"WHERE rolname = '{reader['PGUSER']}'", None)  # fmt: skip
    assert valid == "t"
    handle = Handle(grant, plan, minted.ends_at)
    assert provider.verify(handle, ProofKind.PROBE_DENIED).outcome is ProofOutcome.STILL_ACTIVE
    provider.revoke(handle)
    provider.revoke(handle)
    reading = provider.verify(handle, ProofKind.PROBE_DENIED)
    assert (reading.outcome, reading.refused) == (ProofOutcome.PROVEN, 3)
    assert "authentication failed" in said(database, "SELECT 1", reader)
    assert roles(database) == "0"


def test_a_connection_that_is_open_is_cut(database: Postgres, provider: CommandProvider):
    grant, plan = new_grant_id(), planned()
    reader = provider.mint(grant, plan).secret.environment
    with subprocess.Popen(
        [database.programs / "psql", "-XAtq"], env=dict(reader), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as session:  # fmt: skip
        session.stdin.write("SELECT 'here';\n")
        session.stdin.flush()
        assert session.stdout.readline() == "here\n"
        provider.revoke(Handle(grant, plan))
        session.stdin.write("SELECT 'still here';\n")
        session.stdin.close()
        assert session.stdout.read() == ""
        assert "terminating connection" in session.stderr.read()
    assert provider.verify(Handle(grant, plan), ProofKind.PROBE_DENIED).outcome is ProofOutcome.PROVEN


def test_a_role_that_cannot_log_in_but_is_connected_is_alive(database: Postgres, provider: CommandProvider):
    grant, plan = new_grant_id(), planned()
    reader = provider.mint(grant, plan).secret.environment
    with subprocess.Popen(
        [database.programs / "psql", "-XAtq"], env=dict(reader), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    ) as session:  # fmt: skip
        session.stdin.write("SELECT 'here';\n")
        session.stdin.flush()
        session.stdout.readline()
        assert database.psql(f"ALTER ROLE {reader['PGUSER']} NOLOGIN").returncode == 0
        reading = provider.verify(Handle(grant, plan), ProofKind.PROBE_DENIED)
        assert reading.outcome is ProofOutcome.STILL_ACTIVE
        assert "1 connection(s)" in reading.detail
        session.stdin.close()
    provider.revoke(Handle(grant, plan))


def test_a_worker_that_dies_after_the_mint_leaves_what_the_grants_id_alone_ends(database: Postgres, provider):
    grant = new_grant_id()
    provider.mint(grant, planned())  # its answer reaches nobody
    assert roles(database) == "1"
    provider.revoke(Handle(grant, planned()))
    assert roles(database) == "0"


def test_asked_again_a_mint_gives_a_working_credential_and_one_role(database: Postgres, provider: CommandProvider):
    grant, plan = new_grant_id(), planned("orders/public.customers", "orders/public.cards")
    first, second = provider.mint(grant, plan), provider.mint(grant, plan)
    assert said(database, "SELECT count(*) FROM cards", second.secret.environment) == "2"
    assert "authentication failed" in said(database, "SELECT 1", first.secret.environment)
    assert roles(database) == "1"
    provider.revoke(Handle(grant, plan))


def test_a_password_is_worth_nothing_after_its_time(database: Postgres, provider: CommandProvider):
    grant, plan = new_grant_id(), planned()
    reader = provider.mint(grant, plan).secret.environment
    database.psql(f"ALTER ROLE {reader['PGUSER']} VALID UNTIL '2020-01-01'")
    assert "authentication failed" in said(database, "SELECT 1", reader)
    assert provider.verify(Handle(grant, plan), ProofKind.TTL_DENIED).outcome is ProofOutcome.PROVEN
    provider.revoke(Handle(grant, plan))


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (planned("orders/public.nothing"), "there is no table orders/public.nothing"),
        (planned("orders/public.*"), "write orders/SCHEMA.TABLE, not orders/public.*"),
        (planned("billing/public.customers"), "write orders/SCHEMA.TABLE, not billing/public.customers"),
        (planned("orders/public.customers", "orders/public.nothing"), "there is no table"),
        (planned(actions=["db:delete"]), "only db:select is done here"),
        (planned("orders/public.customers;DROP TABLE cards"), "there is no table"),
        (planned("orders/public.cards\" TO PUBLIC; --"), "there is no table"),
        (planned("orders/public.cards'; DROP TABLE cards; --"), "there is no table"),
    ],
    ids=[str(number) for number in range(8)],
)  # fmt: skip
def test_what_it_does_not_do_is_refused_and_leaves_nothing(database: Postgres, provider, plan: Plan, says: str):
    with pytest.raises(Refused) as refused:
        provider.mint(new_grant_id(), plan)
    assert says in str(refused.value)
    assert roles(database) == "0"
    assert said(database, "SELECT count(*) FROM cards", None) == "2"


def test_a_database_that_is_away_is_told_apart_from_one_that_says_no(database: Postgres, tmp_path: Path):
    away = made(tmp_path, database.settings() + "PGPORT=1\n")
    handle = Handle(new_grant_id(), planned())
    with pytest.raises(NotSent, match="Connection refused"):
        away.mint(handle.grant_id, planned())
    with pytest.raises(OutcomeUnknown):
        away.revoke(handle)
    reading = away.verify(handle, ProofKind.PROBE_DENIED)
    assert (reading.outcome, reading.unanswered) == (ProofOutcome.UNKNOWN, True)


def test_an_admin_with_no_more_than_its_rights_will_do(database: Postgres, tmp_path: Path):
    """What docs/commands.md tells to set up is enough: no superuser."""
    setup = (SAMPLE / "setup.sql").read_text().replace("CHANGE-ME", "word")
    done = database.psql(setup)
    assert done.returncode == 0, done.stderr
    lines = database.settings() + "PGUSER=countersign PGPASSWORD=word\n"
    provider = made(tmp_path, lines)
    grant, plan = new_grant_id(), planned()
    reader = provider.mint(grant, plan).secret.environment
    assert said(database, "SELECT count(*) FROM customers", reader) == "2"
    provider.revoke(Handle(grant, plan))
    assert provider.verify(Handle(grant, plan), ProofKind.PROBE_DENIED).outcome is ProofOutcome.PROVEN
    assert roles(database) == "0"
