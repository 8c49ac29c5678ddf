import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from approvers.notes import parse_verifier
from bot.identity import Keys
from countersign.ops import fittings
from countersign.ops.folder import AGENT_ENV, DEMO_JSON, Folder
from countersign.ops.ground import Ground
from countersign.ops.keyring import list_keys
from countersign.ops.ministack import LocalAws, Prepared
from countersign.ops.postgres import Postgres
from countersign.ops.tokens import DEMO, Tokens, find_tokens
from workers.config import load
from workers.policies import Policies, apply
from workers.providers.access import Identity
from workers.providers.access import Keys as AwsKeys
from workers.signing import public_of
from workers.stores.memory import memory_store
from workers.stores.port import Store

KEYS = ("base_url", "api_key", "reviewers", "operator_token", "aws_endpoint", "aws_region", "redis_url", "role")
KEYS = (*KEYS, "bucket", "verify_key", "slack_signing_secret")


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    aws = LocalAws("http://127.0.0.1:4566", "us-east-1", 0, None, "enabled")
    prepared = Prepared(Identity(AwsKeys("AKIDM", "minter-secret")), Identity(AwsKeys("AKIDR", "revoker-secret")))
    postgres = Postgres(5432, "admin-secret", Path("/opt/programs"), 0)
    return Ground(Folder(tmp_path, None), "redis://:pw@127.0.0.1:6379", aws, prepared, postgres, 8080)


@pytest.fixture
async def store() -> Store:
    store = memory_store()
    await fittings.apply_rules(store.records)
    return store


async def fit(ground: Ground, store: Store) -> Tokens:
    tokens = await find_tokens(ground.folder, store.records)
    fittings.write_for_scripts(ground, tokens)
    return tokens


async def test_demo_json_holds_what_scripts_rely_on(ground: Ground, store: Store) -> None:
    tokens = await fit(ground, store)
    found = json.loads((ground.folder.path / DEMO_JSON).read_text())
    assert set(KEYS) <= set(found)
    assert next(iter(found["reviewers"])) == "dana"  # the human behind the agent comes first
    assert len(found["reviewers"]) >= 3
    assert found["base_url"] == "http://127.0.0.1:8080"
    assert parse_verifier(found["verify_key"]).name == fittings.DEMO_LOG
    assert found["verify_key"] == public_of(fittings.signing_key(ground)).text  # the next run signs with it, too
    keys = Keys(store.records)
    asker = await keys.identify(found["api_key"])
    assert (asker.principal, "request" in asker.scopes) == ("caller:report-bot", True)
    for name, token in found["reviewers"].items():
        who = await keys.identify(token)
        assert (who.principal, "review" in who.scopes) == (f"user:{name}", True)
    operator = await keys.identify(found["operator_token"])
    assert "operate" in operator.scopes
    assert tokens.api_key == found["api_key"]


async def test_the_second_run_finds_its_tokens(ground: Ground, store: Store) -> None:
    first = await fit(ground, store)
    count = len(await list_keys(store.records))
    assert await fit(ground, store) == first
    assert len(await list_keys(store.records)) == count


async def test_lost_tokens_are_replaced_and_the_lost_ones_end(ground: Ground, store: Store) -> None:
    first = await fit(ground, store)
    (ground.folder.path / DEMO_JSON).unlink()
    second = await fit(ground, store)
    assert second.api_key != first.api_key
    keys = Keys(store.records)
    assert await keys.identify(first.api_key) is None
    assert await keys.identify(second.api_key) is not None


async def test_a_token_that_was_revoked_is_replaced(ground: Ground, store: Store) -> None:
    first = await fit(ground, store)
    (ground.folder.path / DEMO_JSON).write_text(json.dumps({"api_key": "cs_of_another_store", "reviewers": {}}))
    second = await fit(ground, store)
    assert second.api_key not in (first.api_key, "cs_of_another_store")


async def test_what_an_operator_applied_stays_in_force(store: Store) -> None:
    policies = Policies(store.records, store.signals)
    changed = fittings.demo_file("policy.toml").replace('prod = "1h"', 'prod = "30m"')
    await apply(store.records, policy=changed, roster=None, by="lena", why="shorter")
    assert await fittings.apply_rules(store.records) == "rules: as applied by lena"
    await policies.refresh()
    assert policies.current.texts["config:policy"] == changed


async def test_the_demos_own_rules_follow_its_version(store: Store) -> None:
    policies = Policies(store.records, store.signals)
    old = fittings.demo_file("policy.toml").replace('prod = "1h"', 'prod = "30m"')
    await apply(store.records, policy=old, roster=None, by=DEMO, why="an older version")
    await fittings.apply_rules(store.records)
    await policies.refresh()
    assert policies.current.texts["config:policy"] == fittings.demo_file("policy.toml")


def test_each_process_gets_what_it_needs_and_no_more(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the operator's own")
    monkeypatch.setenv("COUNTERSIGN_DEMO", "banana")
    key = fittings.delivery_key(ground)
    environs = fittings.environments(ground, key)
    for name, environ in environs.items():
        load(environ, name)
        assert "AWS_SECRET_ACCESS_KEY" not in environ

    def holders(text: str) -> list[str]:
        return [name for name, environ in environs.items() if text in environ.values()]

    assert holders("minter-secret") == ["worker"]
    assert holders("revoker-secret") == ["worker"]
    assert holders(key.text) == ["web"]
    assert fittings.delivery_key(ground).text == key.text  # the next run can open what this one left


def test_the_line_to_paste_survives_a_shell(ground: Ground, tmp_path: Path) -> None:
    odd = tmp_path / "a place with 'quotes'"
    odd.mkdir()
    ground = replace(ground, folder=Folder(odd, None))
    tokens = Tokens("cs_key", {}, "cs_op")
    fittings.write_for_scripts(ground, tokens)
    line = fittings.agent_line(ground)
    assert "\n" not in line
    assert "cs_key" not in line  # it would stay in the shell's history
    front, _, command = line.partition(") ")
    show = f"{front}) {sys.executable} -c 'import os, sys; print(os.environ[\"COUNTERSIGN_API_KEY\"], sys.argv[1:])' "
    told = subprocess.run(["bash", "-c", show + command], capture_output=True, text=True, check=True).stdout
    assert told.startswith("cs_key [")
    assert "'--on-behalf-of', 'user:dana'" in told
    assert "'arn:aws:s3:::customer-exports/2026/*'" in told
    assert (odd / AGENT_ENV).stat().st_mode & 0o077 == 0
