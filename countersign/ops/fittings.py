"""Fit out the demo: its rules, its people's tokens, what scripts and the agent read, each process's environment."""

from __future__ import annotations

import importlib.resources
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.identity import Scope
from countersign.ops.folder import AGENT_ENV, DEMO_JSON, SECRETS_JSON, Folder, write_private
from countersign.ops.ground import HOST, Ground
from countersign.ops.keyring import live_keys_of, make_key, revoke_key
from workers.policies import apply
from workers.stores import layout
from workers.stores.port import Records
from workers.vault import DeliveryKey, hash_key

DEMO = "demo"
"""Who applies the demo's own rules; what somebody else has applied since stays in force."""
CALLER, ACTOR, BEHIND = "caller:report-bot", "agent:report-bot", "user:dana"
PEOPLE = ("dana", "robin", "alex", "kim")
OPERATOR = "user:kim"
ROLE = "analytics"
MODULES = {"web": "bot", "worker": "workers", "clock": "workers.clock"}
"""The three processes, in the order of their start; they stop in the other."""
_NOT_INHERITED = re.compile(r"COUNTERSIGN_|AWS_", re.IGNORECASE)


@dataclass(frozen=True)
class Tokens:
    """Hold what the caller, the reviewers and on-call sign in with."""

    api_key: str
    reviewers: Mapping[str, str]
    operator: str


def demo_file(name: str) -> str:
    """Return the text of one of the demo's own files."""
    return (importlib.resources.files("countersign.ops") / "data" / "demo" / name).read_text()


async def apply_rules(records: Records) -> str:
    """Put the demo's own files into force, unless an operator has applied others; returns what was done, in words."""
    seen = await records.read([layout.POLICY, layout.ROSTER])
    by = {str(json.loads(record.json)["by"]) for record in seen.records.values() if record.version}
    if by - {DEMO}:
        return f"rules: as applied by {', '.join(sorted(by - {DEMO}))}"
    why = "the rules that this version of the demo came with"
    await apply(records, policy=demo_file("policy.toml"), roster=demo_file("countersign.toml"), by=DEMO, why=why)
    return "rules: the demo's policy.toml and countersign.toml are in force"


async def find_tokens(folder: Folder, records: Records) -> Tokens:
    """Return the tokens of the last run where they are still good, and new ones where not."""
    kept = folder.read(DEMO_JSON)
    people = kept.get("reviewers") or {}
    reviewers = {name: await _token(records, people.get(name), f"user:{name}", ("review", "read")) for name in PEOPLE}
    api_key = await _token(records, kept.get("api_key"), CALLER, ("request", "read"))
    return Tokens(api_key, reviewers, await _token(records, kept.get("operator_token"), OPERATOR, ("operate", "read")))


def delivery_key(ground: Ground) -> DeliveryKey:
    """Return the delivery key of the last run, or a new one; kept beside what `doctor` needs to speak to AWS."""
    kept = ground.folder.read(SECRETS_JSON).get("delivery_key")
    key = DeliveryKey.parse(kept) if kept else DeliveryKey.generate()
    ground.folder.write(SECRETS_JSON, {"delivery_key": key.text, "environment": _prefixed(_aws(ground))})
    return key


def write_for_scripts(ground: Ground, tokens: Tokens) -> None:
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
            "role": ROLE,
            "bucket": ground.prepared.bucket,
            "verify_key": None,
            "slack_signing_secret": None,
            "note": "verify_key and slack_signing_secret stay null until signed checkpoints and Slack are built",
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
    program = Path(sys.executable).with_name("countersign")
    command = shlex.quote(str(program)) if program.exists() else f"{shlex.quote(sys.executable)} -m countersign"
    return (
        f"env $(cat {shlex.quote(str(ground.folder.path / AGENT_ENV))}) {command} run --action s3:GetObject "
        f"--resource 'arn:aws:s3:::{ground.prepared.bucket}/2026/*' --environment prod --role {ROLE} "
        f"--actor {ACTOR} --on-behalf-of {BEHIND} --reason 'Rebuild the weekly report' --ttl {ttl} "
        f"-- {shlex.quote(sys.executable)} -m countersign.ops.agent"
    )


def environments(ground: Ground, delivery: DeliveryKey) -> dict[str, dict[str, str]]:
    """Return each process's environment: the worker alone can speak to AWS, web alone can open a credential."""
    own = {
        "web": {"HOST": HOST, "PORT": str(ground.port), "DELIVERY_KEY": delivery.text, "DEMO": "true"},
        "worker": {"DELIVERY_PUBLIC_KEY": delivery.public_text, **_aws(ground)},
        "clock": {},
    }
    inherited = {name: value for name, value in os.environ.items() if not _NOT_INHERITED.match(name)}
    shared = {**inherited, "NO_PROXY": f"{HOST},localhost", "COUNTERSIGN_REDIS_URL": ground.redis_url}
    return {name: shared | _prefixed(own[name]) for name in MODULES}


def _prefixed(values: Mapping[str, str]) -> dict[str, str]:
    return {f"COUNTERSIGN_{name}": value for name, value in values.items()}


def _aws(ground: Ground) -> dict[str, str]:
    found = {"AWS_ENDPOINT_URL": ground.aws.endpoint, "AWS_REGION": ground.aws.region}
    for who, identity in (("MINTER", ground.prepared.minter), ("REVOKER", ground.prepared.revoker)):
        assert identity.keys is not None
        found[f"AWS_{who}_ACCESS_KEY_ID"] = identity.keys.access_key_id
        found[f"AWS_{who}_SECRET_ACCESS_KEY"] = identity.keys.secret_access_key
    return found


async def _token(records: Records, kept: str | None, principal: str, scopes: tuple[Scope, ...]) -> str:
    ours = {key.id for key in await live_keys_of(records, principal) if set(key.scopes) == set(scopes)}
    if kept and await _id_of(records, kept) in ours:
        return kept
    for key_id in ours:  # the folder has lost their secrets, so nobody can use them
        await revoke_key(records, key_id, by=DEMO)
    secret, _ = await make_key(records, principal=principal, scopes=scopes, by=DEMO)
    return secret


async def _id_of(records: Records, secret: str) -> str | None:
    record = f"key:{hash_key(secret)}"
    found = (await records.read([record])).records[record]
    return str(json.loads(found.json)["id"]) if found.version else None
