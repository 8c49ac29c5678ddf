"""Read the settings once, and stop the process with the name and remedy of everything that is wrong with them.

An unknown `COUNTERSIGN_*` name, an empty or invalid value, a missing one, or two that contradict each other are all
faults, and all are listed at once. Values are never repeated in a fault: many of them are secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource

from approvers.errors import CountersignError
from workers.providers import command_files
from workers.settings import PREFIX, About, Settings, is_loopback

__all__ = ["ConfigurationError", "Process", "Row", "Settings", "describe", "is_loopback", "load"]

Process = Literal["web", "worker", "clock", "command"]
CLIENT_NAMES = frozenset({"COUNTERSIGN_URL", "COUNTERSIGN_API_KEY", "COUNTERSIGN_VERIFY_KEY"})
"""Read by the callers' command alone; servers tolerate them, because both may run in one shell."""
NEEDS: Mapping[Process, tuple[str, ...]] = {
    "web": ("delivery_key",),
    "worker": ("delivery_public_key",),
    "clock": (),
    "command": (),
}
"""Settings that one kind of process cannot do without, while the others need not know them."""


SIGNING = ("signing_key", "signing_key_file", "signing_key_before", "signing_key_before_file")


class ConfigurationError(CountersignError):
    """The environment cannot be used; `faults` has one sentence per fault, each with its name and remedy."""

    code = "bad_configuration"

    def __init__(self, faults: list[str]) -> None:
        """Keep the faults, and read like a list of them."""
        super().__init__("\n".join(["The configuration cannot be used:", *(f"  {fault}" for fault in faults)]))
        self.faults = faults


class Row(NamedTuple):
    """Describe one setting, for the README's table."""

    name: str
    default: str
    meaning: str
    used_by: str


def load(environ: Mapping[str, str], process: Process = "command") -> Settings:
    """Read the settings of one kind of process.

    Raises:
        ConfigurationError: lists every unknown, empty, invalid or missing name, and what to do about each.
    """
    faults = _unknown(environ) + _empty(environ)
    try:
        settings = Settings.model_validate(_values(environ))
    except ValidationError as error:
        # `from None`: pydantic's own text would repeat nothing secret, but a traceback with two errors helps nobody.
        raise ConfigurationError(faults + [_fault(item) for item in error.errors(include_input=False)]) from None
    faults += _missing(settings, process) + _signing_faults(settings, process) + _contradictions(settings)
    if process == "worker" and settings.commands_dir:
        faults += [f"COUNTERSIGN_COMMANDS_DIR: {fault}" for fault in command_files.faults(settings.commands_dir)]
    if faults:
        raise ConfigurationError(faults)
    return settings


def describe() -> list[Row]:
    """Return every setting, in the order of their declaration."""
    rows = []
    for field, info in Settings.model_fields.items():
        default = "required" if info.is_required() else _spell(info.default)
        rows.append(Row(_name(field), default, _about(field).meaning, _about(field).used_by))
    return rows


def _name(field: str) -> str:
    return PREFIX + field.upper()


def _about(field: str) -> About:
    return next(item for item in Settings.model_fields[field].metadata if isinstance(item, About))


def _spell(default: object) -> str:
    match default:
        case None:
            return ""
        case bool():
            return str(default).lower()
        case tuple():
            return ",".join(default)
        case _:
            return str(default)


def _ours(environ: Mapping[str, str]) -> list[str]:
    """Return the names with our prefix, in whatever case: a near miss is most likely a typing error."""
    return sorted(name for name in environ if name.upper().startswith(PREFIX))


def _known() -> frozenset[str]:
    return frozenset(_name(field) for field in Settings.model_fields)


def _values(environ: Mapping[str, str]) -> dict[str, object]:
    """Let pydantic-settings map names to fields, over the given mapping instead of this process's environment."""
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): environ[name] for name in _ours(environ) if name in _known() and environ[name]}
    return source()


def _unknown(environ: Mapping[str, str]) -> list[str]:
    known = [name.removeprefix(PREFIX) for name in sorted(_known() | CLIENT_NAMES)]  # the prefix would make all alike
    faults = []
    for name in _ours(environ):
        if name not in _known() | CLIENT_NAMES:
            close = difflib.get_close_matches(name.upper().removeprefix(PREFIX), known, n=1)
            faults.append(f"{name} is not a setting: " + (f"did you mean {PREFIX}{close[0]}?" if close else "unset it"))
    return faults


def _empty(environ: Mapping[str, str]) -> list[str]:
    return [f"{name} is empty: give it a value or unset it" for name in _ours(environ) if not environ[name].strip()]


def _fault(error: ErrorDetails) -> str:
    field = str(error["loc"][0])
    if error["type"] == "missing":
        return f"{_name(field)} is missing: {_about(field).form}"
    return f"{_name(field)} is not valid ({error['msg'].removeprefix('Value error, ')}): {_about(field).form}"


def _missing(settings: Settings, process: Process) -> list[str]:
    return [
        f"{_name(field)} is missing, and {process} needs it: {_about(field).form}"
        for field in NEEDS[process]
        if getattr(settings, field) is None
    ]


def _signing_faults(settings: Settings, process: Process) -> list[str]:
    """Find a clock that cannot sign, and a signing key in the process that faces the internet."""
    given = [name for name in SIGNING if getattr(settings, name) is not None]
    if process == "web":
        return [
            f"{_name(name)} is set for web, which must hold no signing key: set it for the clock alone"
            for name in given
        ]
    faults = []
    if process == "clock" and not {"signing_key", "signing_key_file"}.intersection(given):
        faults.append(f"{_name('signing_key_file')} is missing, and clock needs it: {_about('signing_key_file').form}")
    for name in ("signing_key", "signing_key_before"):
        if {name, f"{name}_file"} <= {*given}:
            faults.append(f"{_name(name)} and {_name(name)}_FILE are both set: unset one of them")
    return faults


def _contradictions(settings: Settings) -> list[str]:
    """Find settings that are valid alone and wrong together."""
    faults = [fault for who in ("minter", "revoker") for fault in _identity_faults(settings, who)]
    if settings.demo and not is_loopback(settings.host):
        faults.append("COUNTERSIGN_DEMO lets anybody sign in: unset it, or set COUNTERSIGN_HOST to 127.0.0.1")
    if settings.public_url is None and not is_loopback(settings.host):
        faults.append("COUNTERSIGN_PUBLIC_URL is missing: COUNTERSIGN_HOST is open to others, so write https://name")
    if settings.alert_webhook_url and settings.alert_shape == "pagerduty" and not settings.alert_routing_key:
        faults.append("COUNTERSIGN_ALERT_ROUTING_KEY is missing: PagerDuty takes no event without it")
    return faults + _slack_faults(settings) + _teams_faults(settings)


def _slack_faults(settings: Settings) -> list[str]:
    """Find half a Slack: one token speaks to Slack, one secret more is needed to hear it."""
    bot, signing, app = settings.slack_bot_token, settings.slack_signing_secret, settings.slack_app_token
    if bot and not signing and not app:
        return [
            "COUNTERSIGN_SLACK_SIGNING_SECRET or COUNTERSIGN_SLACK_APP_TOKEN is missing: Countersign could post to "
            "Slack and not hear a click. Set the secret for HTTP, the token for Socket Mode"
        ]
    if (signing or app) and not bot:
        lone = "SIGNING_SECRET" if signing else "APP_TOKEN"
        return [f"COUNTERSIGN_SLACK_BOT_TOKEN is missing: set it, or unset COUNTERSIGN_SLACK_{lone} for no Slack"]
    return []


def _teams_faults(settings: Settings) -> list[str]:
    """Find half a Teams, a list of tenants without our own, and a Playground that others could reach."""
    parts = ("teams_app_id", "teams_app_secret", "teams_tenant_id")
    lacking = [part for part in parts if getattr(settings, part) is None]
    faults = []
    if len(lacking) in (1, 2):
        rest = "or unset the others for no Teams"
        faults = [f"{_name(part)} is missing: {_about(part).form}; {rest}" for part in lacking]
    if settings.teams_tenants and settings.teams_tenant_id not in settings.teams_tenants:
        faults.append("COUNTERSIGN_TEAMS_TENANTS lacks your own: add COUNTERSIGN_TEAMS_TENANT_ID to it, or unset it")
    open_to_others = not settings.demo or settings.public_url or not is_loopback(settings.host)
    if settings.teams_playground and open_to_others:
        faults.append(
            "COUNTERSIGN_TEAMS_PLAYGROUND lets anybody on this machine be anybody: unset it, or set COUNTERSIGN_DEMO, "
            "COUNTERSIGN_HOST to 127.0.0.1, and no COUNTERSIGN_PUBLIC_URL"
        )
    return faults


def _identity_faults(settings: Settings, who: str) -> list[str]:
    parts = ("access_key_id", "secret_access_key", "profile")
    key, secret, profile = (getattr(settings, f"aws_{who}_{part}") for part in parts)
    name = _name(f"aws_{who}")
    faults = []
    if (key is None) != (secret is None):
        faults.append(f"{name}_ACCESS_KEY_ID and {name}_SECRET_ACCESS_KEY go together: set both or neither")
    if key and profile:
        faults.append(f"{name}_PROFILE contradicts {name}_ACCESS_KEY_ID: unset one of them")
    return faults
