"""Offer the commands that ask: `run`, `request`, `wait`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from approvers.action import malformed
from countersign.client import AsyncClient
from countersign.commands import living
from countersign.commands.common import (
    DEFAULT_PATIENCE,
    Ended,
    Json,
    Patience,
    Url,
    WrongOption,
    perform,
    put,
    put_json,
    say,
    seconds,
)
from countersign.errors import StillPending, exit_code_of, outcome
from countersign.models import Ask, Request
from countersign.status import standing, status

Action = Annotated[str, typer.Option(help="What is done, such as s3:GetObject.")]
Resource = Annotated[str, typer.Option(help="To what, such as arn:aws:s3:::customer-exports/2026/*.")]
Reason = Annotated[str, typer.Option(help="Why; reviewers read it.")]
Ttl = Annotated[str | None, typer.Option(help="How long the credential lives: 90s, 15m, 2h.")]
Role = Annotated[str | None, typer.Option(help="The base role to mint from; without it, an action approval.")]
Provider = Annotated[str | None, typer.Option(help="The role's provider, where that is not AWS.")]
Actor = Annotated[str | None, typer.Option(help="Who acts, such as agent:report-bot.")]
OnBehalfOf = Annotated[str | None, typer.Option(help="The human it acts for, such as user:dana.")]
RunId = Annotated[str | None, typer.Option(help="The actor's run, for the log.")]
Model = Annotated[str | None, typer.Option(help="The actor's model, for the log and for policy.")]
AccessAction = Annotated[
    list[str] | None,
    typer.Option("--access-action", "--actions", help="What the credential may do; default: --action."),
]
AccessResource = Annotated[
    list[str] | None, typer.Option("--access-resource", "--resources", help="On what; default: --resource.")
]
Environment = Annotated[str | None, typer.Option(help="prod, staging …")]
RiskClaim = Annotated[str | None, typer.Option("--risk", help="low, medium, high, critical; can only raise.")]
Project = Annotated[str | None, typer.Option(help="The project, for policy.")]
Stage = Annotated[str | None, typer.Option(help="The stage of the work, for policy.")]
Urgency = Annotated[str | None, typer.Option(help="low, normal, high.")]
DataClass = Annotated[list[str] | None, typer.Option("--data-class", help="What kind of data is touched, such as pii.")]
Ticket = Annotated[str | None, typer.Option(help="The ticket that this belongs to.")]
Extends = Annotated[
    str | None, typer.Option(metavar="GRANT", help="Go on with this grant of yours, grt_…, with no more than it holds.")
]
BreakGlass = Annotated[
    bool,
    typer.Option(
        "--break-glass", help="Take it at once, with a person's own key; everybody is told, and it is reviewed after."
    ),
]
Undo = Annotated[str | None, typer.Option(help="How it can be undone.")]
Parameters = Annotated[str | None, typer.Option(help="The exact payload as a JSON object; the approval binds it.")]
Key = Annotated[
    str | None,
    typer.Option("--key", help="Idempotency key: the same key finds the same request again. Default: a new one."),
]


def run(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND", help="What to run, after --.")],
    *,
    action: Action,
    resource: Resource,
    reason: Reason = "",
    ttl: Ttl = None,
    role: Role = None,
    provider: Provider = None,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    run_id: RunId = None,
    model: Model = None,
    access_action: AccessAction = None,
    access_resource: AccessResource = None,
    environment: Environment = None,
    risk: RiskClaim = None,
    project: Project = None,
    stage: Stage = None,
    urgency: Urgency = None,
    data_class: DataClass = None,
    ticket: Ticket = None,
    extends: Extends = None,
    break_glass: BreakGlass = False,
    undo: Undo = None,
    parameters: Parameters = None,
    key: Key = None,
    heartbeat: living.Heartbeat = None,
    no_heartbeat: living.NoHeartbeat = False,
    extend: living.Extend = False,
    url: Url = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> None:
    """Ask, wait, run COMMAND with the credential in its environment, release.

    With --extend COMMAND's AWS SDKs find the credential through a profile, AWS_CONFIG_FILE and AWS_PROFILE, whose
    helper prints the newest; each extension is a request of its own, which people answer. The old one ends by itself.

    Exit codes: COMMAND's own; 127 when the credential ended under it; before COMMAND starts 123 denied, 124 expired,
    125 cancelled, 126 our fault or unreachable, 121 anything else. Granted by break-glass is approved, and refused it
    denied.
    """
    ask = _ask({**locals(), "heartbeat_seconds": living.heartbeat_of(heartbeat, no_heartbeat, role, ttl)})
    if extend:
        living.check_extends(ask)
    alive = living.Living(ask, command, key, extend, told=heartbeat is not None)
    raise Ended(perform(url, alive.to_end, patience))


def request(
    *,
    action: Action,
    resource: Resource,
    reason: Reason = "",
    ttl: Ttl = None,
    role: Role = None,
    provider: Provider = None,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    run_id: RunId = None,
    model: Model = None,
    access_action: AccessAction = None,
    access_resource: AccessResource = None,
    environment: Environment = None,
    risk: RiskClaim = None,
    project: Project = None,
    stage: Stage = None,
    urgency: Urgency = None,
    data_class: DataClass = None,
    ticket: Ticket = None,
    extends: Extends = None,
    break_glass: BreakGlass = False,
    undo: Undo = None,
    parameters: Parameters = None,
    key: Key = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is settled.")] = False,
    timeout: Annotated[str | None, typer.Option(help="Wait at most this long.")] = None,
    url: Url = None,
    patience: Patience = DEFAULT_PATIENCE,
    json_: Json = False,
) -> None:
    """Ask, and print the request's id.

    Exit codes: 0 asked (with --wait: approved, and its credential ready), 3 denied, 4 expired, 5 cancelled,
    6 our fault or unreachable, 1 anything else. Granted by break-glass is approved, and refused it denied.
    """
    ask = _ask(locals())
    limit = seconds("--timeout", timeout) if timeout else None

    async def work(client: AsyncClient) -> Request:
        asked = await client.request(ask, idempotency_key=key, sealed=False)  # another process will collect
        return await _watched(client, asked, limit) if wait else asked

    _tell(perform(url, work, patience), waited=wait, as_json=json_)


def wait(
    request_id: Annotated[str, typer.Argument(metavar="ID", help="The request's id, its grant's id or its handle.")],
    timeout: Annotated[str | None, typer.Option(help="Wait at most this long: 90s, 15m, 2h.")] = None,
    url: Url = None,
    patience: Patience = DEFAULT_PATIENCE,
    json_: Json = False,
) -> None:
    """Wait until a request is settled. Exit codes as of `request --wait`."""
    limit = seconds("--timeout", timeout) if timeout else None

    async def work(client: AsyncClient) -> Request:
        return await _watched(client, await client.get(request_id), limit)

    _tell(perform(url, work, patience), waited=True, as_json=json_)


async def _watched(client: AsyncClient, asked: Request, limit: int | None) -> Request:
    with status() as line:
        return await client.wait(asked, timeout_seconds=limit, on_answer=line.show)


def _tell(answer: Request, *, waited: bool, as_json: bool) -> None:
    """Print the id (or the whole answer) on stdout, how it stands on stderr, and end with the code that fits."""
    if as_json:
        put_json(answer.raw())
    else:
        put(answer.id)
        if not waited:
            say(standing(answer))
        if answer.agent_message:
            say(answer.agent_message)
    trouble = outcome(answer)
    if trouble is None or (isinstance(trouble, StillPending) and not waited):
        return
    raise Ended(exit_code_of(trouble))


def _ask(options: dict[str, Any]) -> Ask:
    """Build the body from the options of `run` or `request`. Raises Malformed or WrongOption."""
    plain = ("action", "resource", "reason", "environment", "risk", "project", "stage", "urgency", "ticket", "undo",
             "extends", "break_glass")  # fmt: skip
    body = {name: options[name] for name in plain if options[name]}
    if options["data_class"]:
        body["data_classes"] = options["data_class"]
    if options["ttl"]:
        body["ttl_seconds"] = seconds("--ttl", options["ttl"])
    if options.get("heartbeat_seconds"):
        body["heartbeat_seconds"] = options["heartbeat_seconds"]
    if options["parameters"]:
        body["parameters"] = _object(options["parameters"])
    actor = {"id": options["actor"], "on_behalf_of": options["on_behalf_of"]}
    actor |= {"run": options["run_id"], "model": options["model"]}
    if said := {name: value for name, value in actor.items() if value}:
        if "id" not in said:
            raise WrongOption("--on-behalf-of, --run-id and --model describe an actor: add --actor", field="--actor")
        body["actor"] = said
    if access := _access(options):
        body["access"] = access
    try:
        return Ask.model_validate(body)
    except ValidationError as error:
        raise malformed(error) from None


def _access(options: dict[str, Any]) -> dict[str, Any] | None:
    if options["role"] is None:
        if options["access_action"] or options["access_resource"] or options["provider"]:
            detail = "--access-action, --access-resource and --provider describe a credential: add --role"
            raise WrongOption(detail, field="--role")
        return None
    given = {"provider": options["provider"]} if options["provider"] else {}
    return {
        **given,
        "role": options["role"],
        "actions": options["access_action"] or [options["action"]],
        "resources": options["access_resource"] or [options["resource"]],
    }


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise WrongOption(f"--parameters is not JSON: {error}", field="--parameters") from error
    if not isinstance(value, dict):
        raise WrongOption("--parameters must be a JSON object, such as '{\"order\": 7}'", field="--parameters")
    return value
