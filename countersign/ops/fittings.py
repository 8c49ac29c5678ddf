"""Fit out the demo: its rules, what scripts and the agent read, each process's environment."""

from __future__ import annotations

import importlib.resources
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from countersign.ops.folder import AGENT_ENV, DEMO_JSON, SECRETS_JSON, write_private
from countersign.ops.ground import HOST, Ground
from countersign.ops.tokens import DEMO, Tokens
from workers.policies import apply
from workers.stores import layout
from workers.stores.port import Records
from workers.vault import DeliveryKey

ACTOR, BEHIND = "agent:report-bot", "user:dana"
ROLE = "analytics"
MODULES = {"web": "bot", "worker": "workers", "clock": "workers.clock"}
"""The three processes, in the order of their start; they stop in the other."""
_NOT_INHERITED = re.compile(r"COUNTERSIGN_|AWS_", re.IGNORECASE)


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
