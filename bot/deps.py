"""Bundle what the web process is made of, for everything that is mounted in it: API, console, chat."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

from bot.away import Away
from bot.custody import Custody
from bot.desk import Desk
from bot.directory import Directory
from bot.identity import Keys
from bot.reading import Reader
from bot.refusals import Refusals
from bot.revocations import Revocations
from bot.stops import Stops
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
    refusals: Refusals
    alerts: Alerts
    delivery: DeliveryKey | None
    closing: asyncio.Event


DEPS = web.AppKey("DEPS", Deps)
"""Where the application keeps them."""


def make_deps(settings: Settings, store: Store, alerts: Alerts) -> Deps:
    """Wire the use cases over one store."""
    policies, reader = Policies(store.records, store.signals), Reader(store)
    directory, custody = Directory(policies), Custody(store, reader)
    secret = settings.delivery_key
    return Deps(
        settings=settings,
        store=store,
        policies=policies,
        reader=reader,
        desk=Desk(store, policies, load_levels(), reader, directory),
        custody=custody,
        directory=directory,
        away=Away(store, policies, reader),
        stops=Stops(store, policies, directory),
        revocations=Revocations(store, reader, custody, directory),
        keys=Keys(store.records),
        refusals=Refusals(store.records),
        alerts=alerts,
        delivery=DeliveryKey.parse(secret.get_secret_value()) if secret else None,
        closing=reader.closing,
    )
