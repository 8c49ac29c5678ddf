"""`countersign doctor`: check what the processes need, one line each, with what to do about it.

It reads, and changes nothing (but for one short probe session at a local AWS). Exit code 0 only if nothing failed.
With `--aws` it looks at base roles instead, by sessions of its own and one Deny that it takes away again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

import typer

from approvers.errors import CountersignError
from approvers.roster import Roster
from approvers.times import spell, stamp
from countersign.commands.common import Ended, Json, put, put_json
from countersign.errors import OTHER
from countersign.ops import awsroles, logcheck
from countersign.ops.awsroles import Wanted
from countersign.ops.connect import NoStore, State, open_store, settings_of
from countersign.ops.findings import Finding
from countersign.ops.keyring import is_live, list_keys
from workers.config import ConfigurationError, Process, load
from workers.policies import Policies, Rulebook
from workers.providers.port import ProviderError
from workers.settings import Settings, is_loopback
from workers.stores import layout
from workers.stores.port import Store, StoreError
from workers.stores.rooms import ROOM, rooms_seen
from workers.wiring import aws_access

BEAT_WITHIN = timedelta(seconds=15)
WORKER_BEAT_WITHIN = timedelta(seconds=90)
"""A worker shows life with each job, and the sweep is one each minute."""
LAG_AT_MOST = timedelta(seconds=5)
KEYS_END_SOON = timedelta(days=14)


Slack = Annotated[
    bool, typer.Option("--slack", help="Look at Slack as well: tokens, scopes, channels, groups, people.")
]
Teams = Annotated[bool, typer.Option("--teams", help="Look at Teams as well: token, keys, channels, people.")]


Aws = Annotated[bool, typer.Option("--aws", help="Prove at AWS itself that base roles let nothing out and end.")]
Role = Annotated[str | None, typer.Argument(metavar="[ROLE]", help="With --aws: the alias of the base role.")]
Every = Annotated[bool, typer.Option("--all", help="With --aws: every base role there is.")]
Arn = Annotated[str | None, typer.Option("--role-arn", help="With --aws: a base role by its ARN; needs no store.")]
ExternalId = Annotated[str | None, typer.Option("--external-id", help="With --role-arn: its external id.")]
Revoker = Annotated[str | None, typer.Option("--revoker-arn", help="With --role-arn: its account's revoker role.")]


def command(
    role: Role = None,
    *,
    state: State = None,
    slack: Slack = False,
    teams: Teams = False,
    aws: Aws = False,
    every: Every = False,
    role_arn: Arn = None,
    external_id: ExternalId = None,
    revoker_arn: Revoker = None,
    json_: Json = False,
) -> None:
    """Check environment, store, rules, keys, processes, AWS and (if asked) Slack and Teams, and say what to do."""
    wanted = Wanted(role, every, role_arn, external_id, revoker_arn)
    if aws:
        found = asyncio.run(awsroles.examine(state, os.environ, wanted))
    elif wanted != Wanted():
        found = [Finding("fail", "aws", "a role is looked at with --aws only", "add --aws")]
    else:
        found = asyncio.run(examine(state, os.environ, slack=slack, teams=teams))
    if json_:
        put_json([one.__dict__ for one in found])
    else:
        for one in found:
            put(str(one))
    if any(one.verdict == "fail" for one in found):
        raise Ended(OTHER)


async def examine(
    state: Path | None, environ: Mapping[str, str], *, slack: bool = False, teams: bool = False
) -> list[Finding]:
    """Return every finding; what cannot be looked at because something before it failed is left out."""
    try:
        settings = settings_of(state, environ, slack=slack, teams=teams)
    except (NoStore, ConfigurationError) as error:
        return [Finding("fail", "environment", error.detail)]
    found = [_environment(environ)] if state is None else []
    book: Rulebook | None = None
    in_teams: list[Finding] = []
    try:
        async with open_store(settings) as store:
            found.append(_durability(settings))
            for look in (_rules, _freeze, _keys, _processes, logcheck.look, _due, _rooms):
                found += await look(store)
            book = await _book(store)
            found += await _elsewhere(settings, store)
            in_teams = await _teams(settings, store) if teams else []
    except (NoStore, StoreError) as error:
        found.append(Finding("fail", "store", str(error), "nothing works without it"))
    if settings.aws_endpoint_url or settings.aws_minter_access_key_id or settings.aws_minter_profile:
        found.append(await asyncio.to_thread(_aws, settings, book.roster if book else None))
    return found + (await _slack(settings, book) if slack else []) + in_teams


def _environment(environ: Mapping[str, str]) -> Finding:
    """Say which of the processes could start in this environment."""
    able, lacking = [], []
    for process in get_args(Process):
        try:
            load(environ, process)
            able.append(process)
        except ConfigurationError as error:
            lacking += error.faults
    if lacking:
        return Finding("warn", "environment", f"enough for {', '.join(able)}", "; ".join(dict.fromkeys(lacking)))
    return Finding("ok", "environment", "enough for every process")


def _durability(settings: Settings) -> Finding:
    if settings.redis_durability == "attested":
        words = "durability is your word (COUNTERSIGN_REDIS_DURABILITY=attested), not seen"
        return Finding("warn", "store", words, "unset it wherever the server shows its settings")
    return Finding("ok", "store", "AOF on, noeviction")


async def _rules(store: Store) -> list[Finding]:
    remedy = "run `countersign apply countersign.toml policy.toml`"
    try:
        policies = Policies(store.records, store.signals)
        await policies.refresh()
        book = policies.current
    except CountersignError as error:
        return [Finding("fail", "rules", error.detail, remedy)]
    seen = await store.records.read([layout.POLICY])
    record: dict[str, Any] = json.loads(seen.records[layout.POLICY].json)
    words = f"policy {book.policy_sha256[:12]}…, applied by {record['by']} at {record['at']}"
    return [Finding("ok", "rules", f"{words}; {len(book.policy.rules)} rules, {len(book.roster.persons)} people")]


async def _book(store: Store) -> Rulebook | None:
    policies = Policies(store.records, store.signals)
    with contextlib.suppress(CountersignError):  # told by `_rules` already
        await policies.refresh()
        return policies.current
    return None


async def _freeze(store: Store) -> list[Finding]:
    frozen = (await store.records.read([layout.FREEZE])).records[layout.FREEZE]
    if frozen.version and json.loads(frozen.json)["on"]:
        return [Finding("warn", "freeze", "approvals and mints are stopped", "see why: `countersign audit show sys`")]
    return []


async def _keys(store: Store) -> list[Finding]:
    now = await store.records.now()
    live = [key for key in await list_keys(store.records) if is_live(key, now)]
    if not any("request" in key.scopes for key in live):
        make = "`countersign keys new --principal caller:NAME --scope request`"
        return [Finding("warn", "keys", f"{len(live)} live, none of which may ask", f"make one with {make}")]
    soon = [key for key in live if key.expires_at and key.expires_at - now < KEYS_END_SOON]
    found = [Finding("ok", "keys", f"{len(live)} live")]
    for key in soon:
        assert key.expires_at is not None
        words = f"{key.id} of {key.principal} ends {stamp(key.expires_at)}"
        found.append(Finding("warn", "keys", words, "make its successor now; two may live at once"))
    return found


async def _processes(store: Store) -> list[Finding]:
    now, beats = await store.records.now(), await store.signals.beats()
    found = []
    for name, module, within in (
        ("clock", "workers.clock", BEAT_WITHIN),
        ("worker", "workers", WORKER_BEAT_WITHIN),
    ):
        beat = beats.get(name)
        if beat is not None and now - beat <= within:
            found.append(Finding("ok", name, f"alive {spell(max(now - beat, timedelta()))} ago"))
            continue
        words = f"last alive {stamp(beat)}" if beat else "never alive"
        found.append(Finding("fail", name, words, f"start `python -m {module}`, and look at its log"))
    return found


async def _due(store: Store) -> list[Finding]:
    lag = max((await store.due.lag()).values(), default=timedelta())
    if lag > LAG_AT_MOST:
        return [Finding("warn", "due set", f"the oldest item is {spell(lag)} late", "add workers, or see their logs")]
    return [Finding("ok", "due set", "nothing is late")]


async def _rooms(store: Store) -> list[Finding]:
    """Say how many Denies each base role holds, as the sweep saw it at AWS."""
    seen, _ = await rooms_seen(store.records)
    if not seen.roles:
        return []
    fullest = max(seen.roles.values(), key=lambda one: max(one.denies, one.needed))
    tight = sorted({one.role for one in seen.roles.values() if one.tight})
    words = f"at most {fullest.denies} of {ROOM} on one base role, {fullest.needed} may be needed ({fullest.role})"
    if tight:
        remedy = "add base roles to the alias (more_arns in countersign.toml): docs/aws.md"
        return [Finding("warn", "denies", f"{words}; little room on {', '.join(tight)}", remedy)]
    return [Finding("ok", "denies", words)]


def _aws(settings: Settings, roster: Roster | None) -> Finding:
    from countersign.ops import awscheck  # noqa: PLC0415 loads the SDK: only where AWS is used

    access = aws_access(settings)
    local = is_loopback(urlsplit(settings.aws_endpoint_url or "").hostname or "")
    try:
        return Finding("ok", "aws", awscheck.enforced(access) if local else awscheck.roles_seen(access, roster))
    except (ProviderError, RuntimeError, CountersignError) as error:
        return Finding("fail", "aws", str(error), "check COUNTERSIGN_AWS_* and the documents in docs/aws.md")


async def _elsewhere(settings: Settings, store: Store) -> list[Finding]:
    from countersign.ops import elsewhere  # noqa: PLC0415 loads parts of the web process: only where they are used

    return await elsewhere.examine(settings, store)


async def _slack(settings: Settings, book: Rulebook | None) -> list[Finding]:
    try:
        from countersign.ops import slacklook  # noqa: PLC0415 loads the SDK: only where Slack is asked about
    except ModuleNotFoundError as error:
        return [Finding("fail", "slack", f"{error.name} is not installed", "pip install 'countersign[server,slack]'")]
    return await slacklook.examine(settings, book)


async def _teams(settings: Settings, store: Store) -> list[Finding]:
    try:
        from countersign.ops import teamscheck  # noqa: PLC0415 loads the SDK: only where Teams is asked about
    except ModuleNotFoundError as error:
        return [Finding("fail", "teams", f"{error.name} is not installed", "pip install 'countersign[server,teams]'")]
    return await teamscheck.examine(settings, store)
