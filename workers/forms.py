"""Say how the values of settings are written: one type for each form, which refuses everything else."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from approvers.errors import CountersignError
from workers.vault import DeliveryKey, parse_public_key

_SIGNING_SECRET = re.compile(r"[!-~]{16,256}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+")


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach that host."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _check_redis(secret: SecretStr) -> SecretStr:
    parts = urlsplit(secret.get_secret_value())
    place = parts.path if parts.scheme == "unix" else parts.hostname
    if parts.scheme not in {"redis", "rediss", "unix"} or not place:
        raise ValueError("not a Redis address")
    return secret


def _check_http(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("not an http(s) address")
    return text.rstrip("/")


def _check_public(text: str) -> str:
    parts = urlsplit(_check_http(text))
    if parts.query or parts.fragment:
        raise ValueError("an address with a query or fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("sign-ins and API keys would travel unencrypted")
    return text.rstrip("/")


def _check_webhook(secret: SecretStr) -> SecretStr:
    _check_http(secret.get_secret_value())
    return secret


def _check_bot_token(secret: SecretStr) -> SecretStr:
    return _check_start(secret, "xoxb-", "not a bot token")


def _check_app_token(secret: SecretStr) -> SecretStr:
    return _check_start(secret, "xapp-", "not an app-level token")


def _check_start(secret: SecretStr, start: str, fault: str) -> SecretStr:
    text = secret.get_secret_value()
    if not text.startswith(start) or not text.isascii() or any(char.isspace() for char in text):
        raise ValueError(fault)
    return secret


def _check_bearer(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text or not text:
        raise ValueError("not a token")
    return secret


def _check_signing_secret(secret: SecretStr) -> SecretStr:
    if _SIGNING_SECRET.fullmatch(secret.get_secret_value()) is None:
        raise ValueError("not a signing secret")
    return secret


def _check_slack_api(text: str) -> str:
    parts = urlsplit(_check_http(text))
    if parts.query or parts.fragment:
        raise ValueError("an address with a query or fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("the bot token would travel unencrypted")
    return text.rstrip("/")


def _check_uuid(text: str) -> str:
    if _UUID.fullmatch(text) is None:
        raise ValueError("not an id")
    return text.lower()


def _check_host(text: str) -> str:
    if _HOST.fullmatch(text) is None and not is_loopback(text):
        raise ValueError("not a host name")
    return text.lower()


def _check_sign_in(text: str) -> str:
    parts = urlsplit(_check_http(text))
    if parts.query or parts.fragment or parts.username:
        raise ValueError("an address with a user, query or fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("anybody on the way could sign in Teams' place")
    return text


def _check_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("not an absolute path")
    return path


def _check_signing_key(secret: SecretStr) -> SecretStr:
    kind, _, rest = secret.get_secret_value().partition("+")
    if kind != "countersign-signing-key" or "+" not in rest:
        raise ValueError("not a signing key")
    return secret


def _check_delivery_key(secret: SecretStr) -> SecretStr:
    DeliveryKey.parse(secret.get_secret_value())
    return secret


def _check_delivery_public_key(text: str) -> str:
    try:
        parse_public_key(text)
    except CountersignError as error:
        raise ValueError("not an X25519 public key") from error
    return text


def split_names(value: object) -> object:
    """Return the names between commas."""
    return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value


def lower(value: object) -> object:
    """Return a text in small letters."""
    return value.lower() if isinstance(value, str) else value


RedisUrl = Annotated[SecretStr, AfterValidator(_check_redis)]
HttpUrl = Annotated[str, AfterValidator(_check_http)]
PublicUrl = Annotated[str, AfterValidator(_check_public)]
WebhookUrl = Annotated[SecretStr, AfterValidator(_check_webhook)]
BotToken = Annotated[SecretStr, AfterValidator(_check_bot_token)]
AppToken = Annotated[SecretStr, AfterValidator(_check_app_token)]
ScheduleToken = Annotated[SecretStr, AfterValidator(_check_bearer)]
SigningSecret = Annotated[SecretStr, AfterValidator(_check_signing_secret)]
SlackApiUrl = Annotated[str, AfterValidator(_check_slack_api)]
EntraId = Annotated[str, AfterValidator(_check_uuid)]
HostName = Annotated[str, AfterValidator(_check_host)]
SignInUrl = Annotated[str, AfterValidator(_check_sign_in)]
SigningKeyText = Annotated[SecretStr, AfterValidator(_check_signing_key)]
AbsolutePath = Annotated[Path, AfterValidator(_check_absolute)]
DeliveryKeyText = Annotated[SecretStr, AfterValidator(_check_delivery_key)]
DeliveryPublicKeyText = Annotated[str, AfterValidator(_check_delivery_public_key)]
Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
