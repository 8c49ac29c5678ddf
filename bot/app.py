"""Compose the web process: one application for API, console and chat, over one store.

The only place that picks implementations. `Deps` is what every surface gets; `open_app` owns what must be closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from aiohttp import web
from pydantic_core import to_json

from approvers.errors import CountersignError
from bot import (
    activities,
    health,
    intake,
    intake_audit,
    intake_grants,
    intake_policy,
    intake_reports,
    intake_search,
    intake_stops,
    problems,
)
from bot.access import AccessLog
from bot.activities import IntakeActivity
from bot.behind import Behind
from bot.deps import DEPS, Deps, make_deps
from bot.gone import Gone
from bot.health import Health, program_version
from bot.hearing import keep_hearing
from bot.intake import Intake
from bot.intake_audit import IntakeAudit
from bot.intake_grants import IntakeGrants
from bot.intake_policy import IntakePolicy
from bot.intake_reports import IntakeReports
from bot.intake_search import IntakeSearch
from bot.intake_stops import IntakeStops
from bot.keeping import kept_up
from bot.notifier import Listener, LogListener, Notifier
from bot.openapi import document
from bot.postings import Postings
from bot.problems import MAX_BODY
from bot.routes import Gate, Route, mount
from bot.surfaces.port import Surface
from bot.watch import ClockWatch
from workers.alerts import Alerts, open_alerts
from workers.settings import Settings
from workers.stores.port import Store, StoreError
from workers.stores.redis import connect

__all__ = ["DEPS", "Deps", "api_routes", "build_app", "open_app"]


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[web.Application]:
    """Connect to the store and build the application; close everything at the end.

    Raises:
        NotDurable, Unavailable: the store cannot be used.
    """
    async with open_alerts(settings) as alerts:
        store = await connect(settings.store_url, durability=settings.redis_durability)
        try:
            yield build_app(settings, store, alerts)
        finally:
            await store.aclose()


def build_app(settings: Settings, store: Store, alerts: Alerts) -> web.Application:
    """Return the application over a store that is open already; its caller closes that."""
    deps, access = make_deps(settings, store, alerts), AccessLog()
    middlewares = [access.middleware, problems.middleware]
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY)
    app[DEPS] = deps
    described = Health(deps)
    rows = api_routes(deps, described)
    described.describe(to_json(document(rows, program_version())))
    mount(app, rows, Gate(deps.keys, deps.tokens, deps.refusals))
    listeners = _mount_surfaces(app, deps)
    app.on_shutdown.append(_stop_waiting)

    async def background(_app: web.Application) -> AsyncIterator[None]:
        async with _running(deps, listeners):
            yield
        access.flush()

    app.cleanup_ctx.append(background)
    return app


def api_routes(deps: Deps, described: Health) -> Sequence[Route]:
    """Return the whole route table of the API."""
    asked = Intake(deps)
    return (
        *intake.routes(asked),
        *intake_grants.routes(IntakeGrants(deps)),
        *activities.routes(IntakeActivity(deps.store.records, asked)),
        *intake_stops.routes(IntakeStops(deps)),
        *intake_audit.routes(IntakeAudit(deps, asked)),
        *intake_search.routes(IntakeSearch(deps)),
        *intake_reports.routes(IntakeReports(deps)),
        *intake_policy.routes(IntakePolicy(deps, asked)),
        *health.routes(described),
    )


def _mount_surfaces(app: web.Application, deps: Deps) -> Sequence[Listener]:
    """Add what people see, each surface by its module's `mount`; returns who listens to the outbox."""
    from bot.surfaces import console  # noqa: PLC0415

    console.mount(app, deps)
    chat: dict[str, Surface] = {}
    most = deps.settings.cards_per_minute
    postings = Postings(deps.store, deps.policies, deps.reader, chat, deps.alerts, cards_per_minute=most)
    if deps.settings.slack_bot_token:
        from bot.surfaces import slack  # noqa: PLC0415

        slack.mount(app, deps, postings, chat)
    if deps.settings.teams_app_id:
        from bot.surfaces import teams  # noqa: PLC0415

        teams.mount(app, deps, postings, chat)
    if not chat:
        return []
    behind = Behind(deps.store, deps.policies, deps.reader, chat)
    return [postings, behind, Gone(deps.store, deps.policies, chat, deps.alerts)]


async def _stop_waiting(app: web.Application) -> None:
    """Let every open long poll answer at once with what there is."""
    app[DEPS].closing.set()


@asynccontextmanager
async def _running(deps: Deps, listeners: Sequence[Listener]) -> AsyncIterator[None]:
    """Keep the rules fresh, watch the clock and tell what happens, for as long as the application runs."""
    with suppress(StoreError, CountersignError):  # /readyz says what is missing; the follower tries on
        await deps.policies.refresh()
    watch = ClockWatch(deps.store, deps.alerts)
    loud = deps.settings.log_level == "debug"  # a line for each event is a tenth of all the work of an ask
    notifier = Notifier(deps.store, [*listeners, LogListener()] if loud else listeners)
    works = {"policies.follow": deps.policies.follow, "clock.watch": watch.run, "notifier.run": notifier.run}
    works |= {"schedules.watch": deps.schedules.watch, "hearing.keep": lambda: keep_hearing(deps.store.records)}
    try:
        async with kept_up(works):
            yield
    finally:
        await asyncio.gather(deps.tokens.aclose(), deps.schedules.aclose())
