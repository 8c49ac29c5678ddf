"""Bundle what the web process is made of, for everything that is mounted in it: API, console, chat."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

from bot.after_reviews import AfterReviews
from bot.asking import Asking
from bot.away import Away
from bot.breaking import Breaking
from bot.custody import Custody
from bot.desk import Desk
from bot.directory import Directory
from bot.extending import Extending
from bot.histories import Histories
from bot.identity import Keys
from bot.issuers import Tokens
from bot.reading import Reader
from bot.refusals import Refusals
from bot.revocations import Revocations
from bot.schedules import Schedules
from bot.stops import Stops
from bot.tags import Tags
from workers.alerts import Alerts
from workers.data.levels import load_levels
from workers.policies import Policies
from workers.settings import Settings
from workers.stores.port import Store
from workers.vault import DeliveryKey


@dataclass(frozen=True)
class Deps:
    """Hold the collaborators of handlers and surfaces.

    Attributes:
        delivery: opens credentials for callers that gave no key of their own; None where no such key is set.
        closing: set when the process stops; whatever holds a connection open waits on it, too.
    """

    settings: Settings
    store: Store
    policies: Policies
    reader: Reader
    desk: Desk
    custody: Custody
    directory: Directory
    away: Away
    stops: Stops
    revocations: Revocations
    keys: Keys
    tokens: Tokens
    schedules: Schedules
    refusals: Refusals
    alerts: Alerts
    delivery: DeliveryKey | None
    closing: asyncio.Event
    breaking: Breaking
    after_reviews: AfterReviews


DEPS = web.AppKey("DEPS", Deps)
"""Where the application keeps them."""


def make_deps(settings: Settings, store: Store, alerts: Alerts) -> Deps:
    """Wire the use cases over one store."""
    policies, reader = Policies(store.records, store.signals), Reader(store)
    directory, custody = Directory(policies), Custody(store, reader)
    secret, token = settings.delivery_key, settings.schedule_token
    bearer = token.get_secret_value() if token else None
    schedules = Schedules(policies, lambda: store.records.now(), alerts, bearer)  # noqa: PLW0108 looked up when asked
    directory.sources["schedule"] = schedules
    breaking = Breaking(store.records, directory)
    return Deps(
        settings=settings,
        store=store,
        policies=policies,
        reader=reader,
        desk=make_desk(store, policies, reader, directory, breaking),
        custody=custody,
        directory=directory,
        away=Away(store, policies, reader),
        stops=Stops(store, policies, directory),
        revocations=Revocations(store, reader, custody, directory),
        keys=Keys(store.records),
        tokens=Tokens(policies),
        schedules=schedules,
        refusals=Refusals(store.records),
        alerts=alerts,
        delivery=DeliveryKey.parse(secret.get_secret_value()) if secret else None,
        closing=reader.closing,
        breaking=breaking,
        after_reviews=AfterReviews(store, policies, reader, directory),
    )


def make_desk(
    store: Store, policies: Policies, reader: Reader, directory: Directory, breaking: Breaking | None = None
) -> Desk:  # fmt: skip
    """Wire the desk with what it looks up about an ask."""
    asking = Asking(
        store.records,
        load_levels(),
        histories=Histories(store.records),
        tags=Tags(store.records),
        breaking=breaking or Breaking(store.records, directory),
        extending=Extending(store.records),
    )
    return Desk(store, policies, reader, directory, asking)
