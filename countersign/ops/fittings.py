"""Fit out the demo: its rules, what scripts and the agent read, each process's environment."""

from __future__ import annotations

import importlib.resources
import json
import os
import re
import secrets
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from countersign.ops.folder import AGENT_ENV, DEMO_JSON, SECRETS_JSON, write_private
from countersign.ops.ground import HOST, Ground
from countersign.ops.postgres import install
from countersign.ops.tokens import DEMO, Tokens
from workers.policies import apply
from workers.signing import SigningKey, public_of
from workers.stores import layout
from workers.stores.port import Records
from workers.vault import DeliveryKey

ACTOR, BEHIND = "agent:report-bot", "user:dana"
ROLE = "analytics"
DATABASE, TABLE, TABLE_ROLE = "orders-db", "orders/public.customers", "orders-reader"
MODULES = {"web": "bot", "worker": "workers", "clock": "workers.clock"}
"""The three processes, in the order of their start; they stop in the other."""
SIGNING_KEY, WITNESS, DEMO_LOG = "signing.key", "witness.txt", "demo.countersign.invalid/log"
SLACK_SIGNING = "COUNTERSIGN_SLACK_SIGNING_SECRET"
_NOT_INHERITED = re.compile(r"COUNTERSIGN_|AWS_", re.IGNORECASE)


def demo_file(name: str) -> str:
    """Return the text of one of the demo's own files."""
    return (importlib.resources.files("countersign.ops") / "data" / "demo" / name).read_text()


async def operators(records: Records) -> list[str]:
    """Return who has applied rules of their own, which stay in force."""
    seen = await records.read([layout.POLICY, layout.ROSTER])
    by = {str(json.loads(record.json)["by"]) for record in seen.records.values() if record.version}
    return sorted(by - {DEMO})


async def apply_rules(records: Records, roster: str | None = None) -> str:
    """Put the demo's own files into force, unless an operator has applied others; returns what was done, in words.

    `roster` takes the place of the demo's own one.
    """
    if others := await operators(records):
        return f"rules: as applied by {', '.join(others)}"
    why = "the rules that this version of the demo came with"
    people = roster or demo_file("countersign.toml")
    await apply(records, policy=demo_file("policy.toml"), roster=people, by=DEMO, why=why)
    return "rules: the demo's policy.toml and countersign.toml are in force"


def delivery_key(ground: Ground) -> DeliveryKey:
    """Return the delivery key of the last run, or a new one; kept beside what `doctor` needs to speak to AWS."""
    kept = ground.folder.read(SECRETS_JSON)
    key = DeliveryKey.parse(kept["delivery_key"]) if kept.get("delivery_key") else DeliveryKey.generate()
    ground.folder.write(SECRETS_JSON, {**kept, "delivery_key": key.text, "environment": _prefixed(_aws(ground))})
    return key


def signing_key(ground: Ground) -> SigningKey:
    """Return the key that signs this demo's log: the last run's, or a new one. Its name says that it is a demo's."""
    path = ground.folder.path / SIGNING_KEY
    try:
        return SigningKey.parse(path.read_text())
    except FileNotFoundError:
        key = SigningKey.generate(DEMO_LOG)
        write_private(path, f"{key.text}\n")
        return key


def signing_secret(ground: Ground) -> str:
    """Return the secret that signs what scripts send to `/slack/events` as if they were Slack; the last run's, if any.

    It holds while the demo runs with Slack and no secret of a real app was given.
    """
    kept = ground.folder.read(SECRETS_JSON)
    secret = str(kept.get("slack_signing_secret") or secrets.token_hex(16))
    ground.folder.write(SECRETS_JSON, {**kept, "slack_signing_secret": secret})
    return secret


def write_for_scripts(ground: Ground, tokens: Tokens, slack_secret: str | None = None) -> None:
    """Write `demo.json`, and what the agent's terminal reads; both readable by their owner alone."""
    ground.folder.write(
        DEMO_JSON,
        {
            "base_url": ground.base_url,
            "api_key": tokens.api_key,
            "reviewers": dict(tokens.reviewers),
            "operator_token": tokens.operator,
            "aws_endpoint": ground.aws.endpoint,
            "aws_region": ground.aws.region,
            "redis_url": ground.redis_url,
            "postgres_url": ground.postgres.dsn,
            "role": ROLE,
            "bucket": ground.prepared.bucket,
            "verify_key": public_of(signing_key(ground)).text,
            "slack_signing_secret": slack_secret or signing_secret(ground),
            "note": "/slack/events needs --slack",
        },
    )
    lines = {
        "COUNTERSIGN_URL": ground.base_url,
        "COUNTERSIGN_API_KEY": tokens.api_key,
        "AWS_ENDPOINT_URL": ground.aws.endpoint,
        "AWS_REGION": ground.aws.region,
    }
    write_private(ground.folder.path / AGENT_ENV, "".join(f"{name}={value}\n" for name, value in lines.items()))


def agent_line(ground: Ground, ttl: str = "15m") -> str:
    """Return the line to paste into a second terminal: an agent that reads a report under `countersign run`."""
    return (
        f"{_run(ground)} --action s3:GetObject "
        f"--resource 'arn:aws:s3:::{ground.prepared.bucket}/2026/*' --environment prod --role {ROLE} "
        f"--actor {ACTOR} --on-behalf-of {BEHIND} --reason 'Rebuild the weekly report' --ttl {ttl} "
        f"-- {shlex.quote(sys.executable)} -m countersign.ops.agent"
    )


def table_line(ground: Ground) -> str:
    """Return the line that opens a table of the database, with `psql` under `countersign run`."""
    return (
        f"{_run(ground)} --action db:select --resource {TABLE} --environment prod --provider {DATABASE} "
        f"--role {TABLE_ROLE} --actor {ACTOR} --on-behalf-of {BEHIND} --reason 'Order 4711 is wrong' --ttl 15m "
        f"-- {shlex.quote(str(ground.postgres.programs / 'psql'))} -X"
    )


def _run(ground: Ground) -> str:
    program = Path(sys.executable).with_name("countersign")
    command = shlex.quote(str(program)) if program.exists() else f"{shlex.quote(sys.executable)} -m countersign"
    return f"env $(cat {shlex.quote(str(ground.folder.path / AGENT_ENV))}) {command} run"


def slack_environment(ground: Ground, given: Mapping[str, str]) -> dict[str, str]:
    """Return Slack's settings for the web process: those that are given, and a signing secret in any case."""
    return {SLACK_SIGNING: signing_secret(ground), **given}


def environments(
    ground: Ground, delivery: DeliveryKey, slack: Mapping[str, str] | None = None
) -> dict[str, dict[str, str]]:
    """Return each process's environment: the worker alone can speak to AWS and to the database, web alone to Slack.

    Web alone can open credentials, too. The executables of the database are put where the worker finds them.
    `slack` holds Slack's settings, by their full names.
    """
    commands = install(ground.folder.path / "commands" / DATABASE, ground.postgres.settings()).parent
    own = {
        "web": {"HOST": HOST, "PORT": str(ground.port), "DELIVERY_KEY": delivery.text, "DEMO": "true"},
        "worker": {
            "DELIVERY_PUBLIC_KEY": delivery.public_text,
            "COMMANDS_DIR": str(commands.absolute()),
            **_aws(ground),
        },
        "clock": {
            "SIGNING_KEY_FILE": str((ground.folder.path / SIGNING_KEY).absolute()),
            "WITNESS_FILE": str((ground.folder.path / WITNESS).absolute()),
        },
    }
    inherited = {name: value for name, value in os.environ.items() if not _NOT_INHERITED.match(name)}
    shared = {**inherited, "NO_PROXY": f"{HOST},localhost", "COUNTERSIGN_REDIS_URL": ground.redis_url}
    found = {name: shared | _prefixed(own[name]) for name in MODULES}
    found["web"] |= slack or {}
    return found


def _prefixed(values: Mapping[str, str]) -> dict[str, str]:
    return {f"COUNTERSIGN_{name}": value for name, value in values.items()}


def _aws(ground: Ground) -> dict[str, str]:
    found = {"AWS_ENDPOINT_URL": ground.aws.endpoint, "AWS_REGION": ground.aws.region}
    for who, identity in (("MINTER", ground.prepared.minter), ("REVOKER", ground.prepared.revoker)):
        assert identity.keys is not None
        found[f"AWS_{who}_ACCESS_KEY_ID"] = identity.keys.access_key_id
        found[f"AWS_{who}_SECRET_ACCESS_KEY"] = identity.keys.secret_access_key
    return found
