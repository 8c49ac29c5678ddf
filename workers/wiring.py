"""Compose the worker's and the clock's collaborators from the settings; the only place that picks implementations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from pydantic import SecretStr

from approvers.grant import Grant
from workers.alerts import open_alerts
from workers.policies import Policies
from workers.providers import command_files
from workers.providers.access import AwsAccess, Identity, Keys
from workers.providers.command import CommandProvider
from workers.providers.port import Provider, Secret, Tagged, Watched
from workers.settings import Settings
from workers.stores.redis import connect
from workers.tools import Seal, Tools
from workers.vault import parse_public_key, seal_credential


@asynccontextmanager
async def open_tools(settings: Settings, *, with_providers: bool) -> AsyncIterator[Tools]:
    """Open the store and the alerts; with the providers of the settings, or (the clock) with none."""
    store = await connect(settings.store_url, durability=settings.redis_durability)
    try:
        async with open_alerts(settings) as alerts:
            yield Tools(
                store=store,
                policies=Policies(store.records, store.signals),
                providers=providers(settings) if with_providers else {},
                seal=sealer(settings.delivery_public_key),
                alerts=alerts,
                lease=timedelta(seconds=settings.lease_seconds),
                tagged=tagged(settings) if with_providers else None,
                watched=watched(settings) if with_providers else None,
            )
    finally:
        await store.aclose()


def providers(settings: Settings) -> dict[str, Provider]:
    """Return the providers that the settings name; an SDK is loaded only for one that needs it."""
    found: dict[str, Provider] = {}
    if "aws" in settings.providers:
        from workers.providers.aws import AwsProvider  # noqa: PLC0415 loads an SDK: only where it is asked for

        found["aws"] = AwsProvider(aws_access(settings))
    if "dry_run" in settings.providers:
        from workers.providers.dry_run import DryRunProvider  # noqa: PLC0415 as above

        found["dry_run"] = DryRunProvider()
    if settings.commands_dir:
        commands = command_files.folders(settings.commands_dir)
        found |= {name: CommandProvider(folder) for name, folder in commands.items()}
    return found


def tagged(settings: Settings) -> Tagged | None:
    """Return what reads tags; a dry run has no rights to, so that every tag is unknown there."""
    if "aws" not in settings.providers:
        return None
    from workers.providers.aws_tags import AwsTags  # noqa: PLC0415 as above

    return AwsTags(aws_access(settings))


def watched(settings: Settings) -> Watched | None:
    """Return what reads the calls of sessions; nothing of the other providers can be read."""
    if "aws" not in settings.providers:
        return None
    from workers.providers.aws_activity import AwsActivity  # noqa: PLC0415 as above

    return AwsActivity(aws_access(settings))


def aws_access(settings: Settings) -> AwsAccess:
    """Say where AWS is, and as whom minting and revoking speak there."""
    return AwsAccess(
        endpoint_url=settings.aws_endpoint_url,
        region=settings.aws_region,
        minter=_identity(
            settings.aws_minter_access_key_id, settings.aws_minter_secret_access_key, settings.aws_minter_profile
        ),
        revoker=_identity(
            settings.aws_revoker_access_key_id, settings.aws_revoker_secret_access_key, settings.aws_revoker_profile
        ),
    )


def sealer(delivery_public_key: str | None) -> Seal:
    """Return what seals a secret to the caller's own key, else to the web process's delivery key."""
    fallback = parse_public_key(delivery_public_key) if delivery_public_key else None

    def seal(secret: Secret, grant: Grant) -> bytes:
        recipient = parse_public_key(grant.public_key) if grant.public_key else fallback
        if recipient is None:
            raise ValueError("no key to seal to")
        return seal_credential(secret, recipient, grant.id, grant.principal)

    return seal


def _identity(key: str | None, secret: SecretStr | None, profile: str | None) -> Identity:
    if key and secret:
        return Identity(keys=Keys(key, secret.get_secret_value()))
    return Identity(profile=profile)
