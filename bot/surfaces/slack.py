"""Put Slack beside the console: hear it over HTTP or Socket Mode, speak to it as the bot. `mount` is all of its API.

Bolt finds the listener for a call; proof, parsing, running it and the time limit are ours. Nothing here decides:
listeners ask the desk, and cards are told from the outbox.
"""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from datetime import timedelta
from typing import Any

from aiohttp import web
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from approvers.errors import Malformed
from bot.deps import Deps
from bot.keeping import kept_up
from bot.postings import Postings
from bot.surfaces import slack_events
from bot.surfaces.port import Refused, Surface, SurfaceError
from bot.surfaces.slack_api import SlackApi, quiet
from bot.surfaces.slack_channels import Channels, Pace
from bot.surfaces.slack_claims import Claims
from bot.surfaces.slack_dispatch import NO_STORE, Dispatch, acknowledged
from bot.surfaces.slack_incoming import Body, Incoming
from bot.surfaces.slack_ingress import PATH, Find, Run, SlackIngress
from bot.surfaces.slack_parts import Kind, Listen, Listener, SlackParts, Tasks
from bot.surfaces.slack_people import People
from bot.surfaces.slack_socket import SlackSocket
from bot.surfaces.slack_surface import NAME, SlackSurface
from bot.surfaces.slack_tally import Tally
from workers import logs
from workers.alerts import Alert
from workers.config import Settings
from workers.stores.port import StoreError

MODULES = ("slack_clicks", "slack_modals", "slack_home", "slack_commands", "slack_digest_clicks",
           "slack_after_review")  # fmt: skip
"""Where the listeners are: each has a table `LISTENERS`."""
ANY = re.compile(".*")
REST: tuple[Listener, ...] = (
    ("action", "cs_console", slack_events.nothing),  # a link: Slack tells of it all the same
    ("event", "message", slack_events.nothing),
)
ASK_AGAIN = timedelta(seconds=10)
_log = logs.get_logger(__name__)


def mount(app: web.Application, deps: Deps, postings: Postings, surfaces: dict[str, Surface]) -> None:
    """Add Slack to the application, to the surfaces that cards are posted on, and to the directory; if it is set up."""
    settings = deps.settings
    if settings.slack_bot_token is None:
        return
    tally, claims = Tally(deps.store.records), Claims(deps.store.records)
    api = SlackApi(settings.slack_bot_token.get_secret_value(), settings.slack_api_url, failed=tally.note)
    channels, people = Channels(api), People(api, deps.policies, deps.store.records)
    parts = SlackParts(deps, api, people, postings, Tasks())
    find = finder(api, Dispatch(parts, claims, tally.note), [*listeners(), *slack_events.listeners(channels), *REST])
    surfaces[NAME] = SlackSurface(api, deps.policies, channels, Pace(), settings.base_url, people=people)
    deps.directory.sources[NAME] = people
    if settings.slack_signing_secret:
        secret = settings.slack_signing_secret.get_secret_value()
        ingress = SlackIngress(secret, claims, find, _sorry(parts), count=tally.note)
        app.router.add_post(PATH, ingress.handle)
    app.cleanup_ctx.append(_life(settings, parts, tally, find))


def listeners() -> list[Listener]:
    """Return the rows of every listener module."""
    return [row for name in MODULES for row in importlib.import_module(f"bot.surfaces.{name}").LISTENERS]


def finder(api: SlackApi, dispatch: Dispatch, rows: Iterable[Listener]) -> Find:
    """Return what finds the listener for a body, once it is proven: Bolt, with one more for whatever these leave.

    Nothing runs before what was found is called.
    """
    bolt = _bolt(api)
    rest: tuple[Listener, ...] = (
        ("action", "", slack_events.outlived),
        ("view", "", slack_events.outlived),
        ("shortcut", "", slack_events.outlived),
        ("command", "", slack_events.unknown_command),
        ("event", "", slack_events.nothing),
    )
    for kind, name, listen in (*rows, *rest):
        getattr(bolt, kind)(name or ANY)(_noting(kind, listen))
    bolt.view_closed(ANY)(_noting("event", slack_events.nothing))

    async def find(body: Body) -> Run:
        found: list[tuple[Kind, Listen]] = []
        asked = AsyncBoltRequest(body=dict(body), headers={}, mode="socket_mode", context={"found": found})
        plain = await bolt.async_dispatch(asked)

        async def run() -> BoltResponse:
            if not found:  # Bolt's own answer: to Slack's challenge, for one
                return plain
            answer = await dispatch.run(*found[0], body)
            return BoltResponse(status=200, body=acknowledged(answer) or "")

        return run

    return find


def _noting(kind: Kind, listen: Listen) -> Callable[..., Coroutine[Any, Any, BoltResponse]]:
    async def note(context: dict[str, Any]) -> BoltResponse:
        context["found"].append((kind, listen))
        return BoltResponse(status=200)

    return note


def _bolt(api: SlackApi) -> AsyncApp:
    """Make the one that finds listeners. Without `process_before_response` it looks for the answer every 10 ms only."""

    async def authorize(**_asked: object) -> AuthorizeResult:
        home = api.known
        return AuthorizeResult(
            enterprise_id=home.enterprise if home else None, team_id=home.team if home else None, bot_token=""
        )

    return AsyncApp(
        name="countersign",
        logger=quiet,
        authorize=authorize,
        process_before_response=True,
        request_verification_enabled=False,  # done by the ingress, before anything is parsed
        ignoring_self_events_enabled=False,
        ignoring_self_assistant_message_events_enabled=False,
        attaching_function_token_enabled=False,
        attaching_conversation_kwargs_enabled=False,
    )


def _sorry(parts: SlackParts) -> Callable[[Mapping[str, Any]], Coroutine[Any, Any, None]]:
    """Return what tells somebody that their call could not be taken, since the store is away."""

    async def sorry(body: Mapping[str, Any]) -> None:
        try:
            call = Incoming.of(body)
        except Malformed:
            return
        if "event" not in body:  # Slack sends events again
            await parts.whisper(call, NO_STORE)

    return sorry


def _life(
    settings: Settings, parts: SlackParts, tally: Tally, find: Find
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return what runs beside the application, and ends with it."""

    async def serve(body: Body) -> BoltResponse:
        return await (await find(body))()

    async def life(_app: web.Application) -> AsyncIterator[None]:
        works: dict[str, Any] = {"slack.tally": tally.run}
        if settings.slack_app_token:
            token = settings.slack_app_token.get_secret_value()
            works["slack.socket"] = SlackSocket(token, settings.slack_api_url, parts.api.session(), serve).run
        greeting = asyncio.create_task(_greet(parts))
        async with kept_up(works):
            yield
        greeting.cancel()
        await asyncio.gather(greeting, return_exceptions=True)
        await parts.tasks.aclose()
        await tally.flush()
        await parts.api.aclose()

    return life


async def _greet(parts: SlackParts, *, again: timedelta = ASK_AGAIN) -> None:
    """Ask Slack whose token this is, until it answers. Nothing waits for that: without Slack the console works."""
    raised: Alert | None = None
    while True:
        try:
            home = await parts.api.workspace()
            _log.info("slack.ready", team=home.team, enterprise=home.enterprise)
            if raised:
                await parts.deps.alerts.send(raised.clear(await parts.deps.store.records.now()))
            return
        except Refused as error:
            raised = await _refused(parts, error) or raised
        except (SurfaceError, StoreError) as error:
            _log.warning("slack.waits", why=str(error))
        await asyncio.sleep(again.total_seconds())


async def _refused(parts: SlackParts, error: Refused) -> Alert | None:
    try:
        now = await parts.deps.store.records.now()
    except StoreError:
        return None
    alert = Alert("slack.token", "critical", f"{error}. No card reaches Slack: set a valid bot token.", now)
    await parts.deps.alerts.send(alert)
    return alert
