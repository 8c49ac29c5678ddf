"""Declare every `COUNTERSIGN_*` name, once: its type, default, meaning, form, and the processes that read it.

`workers.config` reads them and says what is wrong with them. The environment holds secrets and addresses, nothing
else; rules and people are applied with `countersign apply`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from workers.forms import (
    AbsolutePath,
    AppToken,
    BotToken,
    DeliveryKeyText,
    DeliveryPublicKeyText,
    EntraId,
    HostName,
    HttpUrl,
    PublicUrl,
    RedisUrl,
    Region,
    ScheduleToken,
    SigningKeyText,
    SigningSecret,
    SignInUrl,
    SlackApiUrl,
    WebhookUrl,
    is_loopback,
    lower,
    split_names,
)
from workers.providers.command_files import CommandsDir

__all__ = ["PREFIX", "About", "ProviderName", "Settings", "is_loopback"]
PREFIX = "COUNTERSIGN_"
ProviderName = Literal["aws", "dry_run"]


@dataclass(frozen=True)
class About:
    """Say what a setting means, how it is written, and which processes read it."""

    meaning: str
    form: str
    used_by: str = "web, worker, clock"


_REDIS = "write redis://[:password@]host:port/0, rediss://… for TLS, or unix://[:password@]/path"
_BOTH = "set it together with the other half of the key"
_KEY_FORM = "make one with: countersign keys signing new NAME"
_PATH = "write an absolute path"
_PROFILE = "write a profile's name"
_BOT_FORM = "write the xoxb-… of the app's page OAuth & Permissions"
_SIGNING = "write the signing secret of the app's page Basic Information"
_APP_FORM = "write an xapp-… with connections:write, of the app's page Basic Information"
_APP_ID = "write the application (client) id of the app's registration in Entra, a UUID"
_TENANT = "write the directory (tenant) id of your Entra, a UUID"
_HOSTS = "write host names such as smba.trafficmanager.net, with a comma between"
_SIGN_IN = "write https://… (http: loopback)"
_KEYPAIR = "make both halves with: python -m workers.vault"


class Settings(BaseSettings):
    """Hold what the environment says. Frozen; secrets are `SecretStr`, so that no repr or log shows them."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True)

    redis_url: Annotated[RedisUrl, About("The store: Redis or Valkey with AOF on and `noeviction`.", _REDIS)]
    rq_url: Annotated[
        RedisUrl | None, About("RQ's server, if not the store's; it may be a disposable one.", _REDIS, "worker, clock")
    ] = None
    redis_durability: Annotated[
        Literal["attested"] | None,
        About("`attested`: you state that the store is durable, where a managed service hides it.", "write attested"),
    ] = None
    host: Annotated[str, About("Address to listen on.", "write an address such as 127.0.0.1", "web")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535), About("Port to listen on (0: any free one).", "write 0 to 65535", "web")
    ] = 8080
    public_url: Annotated[
        PublicUrl | None,
        About(
            "Address that people and callers use, if not HOST and PORT.", "write https://name (http: loopback)", "web"
        ),
    ] = None
    delivery_key: Annotated[
        DeliveryKeyText | None,
        About("X25519 private key that opens credentials for callers without a key of their own.", _KEYPAIR, "web"),
    ] = None
    delivery_public_key: Annotated[
        DeliveryPublicKeyText | None, About("Public half of the delivery key, to seal to.", _KEYPAIR, "worker")
    ] = None
    providers: Annotated[
        tuple[ProviderName, ...],
        NoDecode,
        BeforeValidator(split_names),
        Field(min_length=1),
        About("What credentials are minted by.", "write aws, dry_run or both, with a comma between", "web, worker"),
    ] = ("aws",)
    commands_dir: Annotated[
        CommandsDir | None,
        About("A folder of executables per `[provider.NAME]` (docs/commands.md).", "write an absolute path", "worker"),
    ] = None
    aws_endpoint_url: Annotated[
        HttpUrl | None, About("AWS endpoint other than the usual one.", "write http(s)://host:port", "worker")
    ] = None
    aws_region: Annotated[Region, About("AWS region.", "write one such as eu-central-1", "worker")] = "us-east-1"
    aws_minter_access_key_id: Annotated[
        str | None, About("Who assumes roles: an access key; else the profile; else the SDK's chain.", _BOTH, "worker")
    ] = None
    aws_minter_secret_access_key: Annotated[SecretStr | None, About("Its secret key.", _BOTH, "worker")] = None
    aws_minter_profile: Annotated[str | None, About("Or a profile for it.", _PROFILE, "worker")] = None
    aws_revoker_access_key_id: Annotated[
        str | None, About("Who ends sessions: an access key; else the profile; else the SDK's chain.", _BOTH, "worker")
    ] = None
    aws_revoker_secret_access_key: Annotated[SecretStr | None, About("Its secret key.", _BOTH, "worker")] = None
    aws_revoker_profile: Annotated[str | None, About("Or a profile for it.", _PROFILE, "worker")] = None
    signing_key_file: Annotated[
        AbsolutePath | None,
        About(
            "File with the Ed25519 key that signs checkpoints and receipts; nobody else may read it.",
            _KEY_FORM,
            "clock",
        ),
    ] = None
    signing_key: Annotated[SigningKeyText | None, About("Or the key itself.", _KEY_FORM, "clock")] = None
    signing_key_before_file: Annotated[
        AbsolutePath | None, About("While the key is changed: a file with the one before.", _PATH, "clock")
    ] = None
    signing_key_before: Annotated[
        SigningKeyText | None, About("Or that key itself.", "write the key that signed until now", "clock")
    ] = None
    witness_file: Annotated[
        AbsolutePath | None,
        About("Where the newest checkpoint is kept, too: not on the store's disk.", _PATH, "clock"),
    ] = None
    siem_url: Annotated[
        WebhookUrl | None,
        About("Where every record is posted to, as JSON lines.", "write the full http(s) address", "clock"),
    ] = None
    siem_token: Annotated[
        ScheduleToken | None,
        About("Bearer token for that.", "write printable ASCII without spaces", "clock"),
    ] = None
    alert_webhook_url: Annotated[
        WebhookUrl | None, About("Where alerts are posted, besides the log.", "write the full http(s) address")
    ] = None
    alert_shape: Annotated[
        Literal["alertmanager", "pagerduty"], About("Shape of a posted alert.", "write alertmanager or pagerduty")
    ] = "alertmanager"
    alert_routing_key: Annotated[
        SecretStr | None, About("PagerDuty's routing key.", "write the integration key of an Events API v2 service")
    ] = None
    schedule_token: Annotated[
        ScheduleToken | None,
        About("Bearer token that is sent to every on-call schedule.", "write printable ASCII without spaces", "web"),
    ] = None
    cards_per_minute: Annotated[
        int,
        Field(ge=1, le=100_000),
        About(
            "Chat cards of their own that a channel gets in a minute; the rest share a list.", "write 1 or more", "web"
        ),
    ] = 5
    slack_bot_token: Annotated[
        BotToken | None, About("Slack: the app's bot token. Unset: no Slack.", _BOT_FORM, "web")
    ] = None
    slack_signing_secret: Annotated[
        SigningSecret | None, About("Slack over HTTP: proves that a call is Slack's.", _SIGNING, "web")
    ] = None
    slack_app_token: Annotated[
        AppToken | None, About("Slack's Socket Mode, where Slack cannot reach this process.", _APP_FORM, "web")
    ] = None
    slack_api_url: Annotated[
        SlackApiUrl, About("Slack's Web API, if not the usual one.", "write https://… (http: loopback)", "web")
    ] = "https://slack.com/api"
    teams_app_id: Annotated[EntraId | None, About("Teams: the app's id in Entra. Unset: no Teams.", _APP_ID, "web")] = (
        None
    )
    teams_app_secret: Annotated[
        SigningSecret | None,
        About("Teams: the app's client secret.", "write a client secret of the app's registration", "web"),
    ] = None
    teams_tenant_id: Annotated[EntraId | None, About("Teams: your own tenant.", _TENANT, "web")] = None
    teams_tenants: Annotated[
        tuple[EntraId, ...],
        NoDecode,
        BeforeValidator(split_names),
        About("Tenants whose Teams is heard, if not your own alone.", "write UUIDs with a comma between", "web"),
    ] = ()
    teams_service_hosts: Annotated[
        tuple[HostName, ...],
        NoDecode,
        BeforeValidator(split_names),
        Field(min_length=1),
        About("Hosts that Teams may be reached at; our token goes nowhere else.", _HOSTS, "web"),
    ] = ("smba.trafficmanager.net",)
    teams_issuer_url: Annotated[
        SignInUrl | None, About("OpenID metadata of who signs Teams' calls, if not the usual.", _SIGN_IN, "web")
    ] = None
    teams_token_url: Annotated[
        SignInUrl | None, About("Where the app gets its token, if not at Microsoft's usual address.", _SIGN_IN, "web")
    ] = None
    teams_playground: Annotated[
        bool,
        About("Take UNPROVEN calls of the Agents Playground on this machine; demo only.", "write true or false", "web"),
    ] = False
    demo: Annotated[bool, About("Offer a chooser of demo people; loopback only.", "write true or false", "web")] = False
    lease_seconds: Annotated[
        int,
        Field(ge=1, le=600),
        About(
            "How long a due item stays with one process before another may take it.", "write 1 to 600", "worker, clock"
        ),
    ] = 20
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(lower),
        About("Least level that is logged.", "write debug, info, warning or error"),
    ] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from `workers.config.load` alone; nothing reads the environment behind its back."""
        return (init_settings,)

    @property
    def store_url(self) -> str:
        """Return the store's address, password included."""
        return self.redis_url.get_secret_value()

    @property
    def queue_url(self) -> str:
        """Return the address of RQ's server, password included."""
        return (self.rq_url or self.redis_url).get_secret_value()

    @property
    def tenants(self) -> tuple[str, ...]:
        """Return the tenants whose Teams is heard."""
        return self.teams_tenants or ((self.teams_tenant_id,) if self.teams_tenant_id else ())

    @property
    def base_url(self) -> str:
        """Return the address that goes into links, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"
