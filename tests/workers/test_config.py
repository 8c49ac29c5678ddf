"""Every mistake in the environment is named, with its remedy, and stops the process; no value is repeated."""

from __future__ import annotations

import pytest

from tests.worlds.signing import CLOCK_ENV
from tests.worlds.signing import KEY as SIGNING_KEY
from workers.config import NEEDS, ConfigurationError, describe, is_loopback, load
from workers.settings import Settings
from workers.vault import DeliveryKey

KEY = DeliveryKey.generate()
STORE = {"COUNTERSIGN_REDIS_URL": "redis://:hush-hush@localhost:6379/0"}
OK = STORE | {"COUNTERSIGN_DELIVERY_KEY": KEY.text, "COUNTERSIGN_DELIVERY_PUBLIC_KEY": KEY.public_text}


def faults(environ: dict[str, str], process: str = "command") -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        load(environ, process)  # type: ignore[arg-type]
    assert refused.value.code == "bad_configuration"
    return refused.value.faults


@pytest.mark.parametrize("process", ["web", "worker", "clock", "command"])
def test_a_minimal_environment_is_enough(process: str) -> None:
    key = CLOCK_ENV if process == "clock" else {}
    settings = load(OK | key | {"PATH": "/bin", "HOME": "/root"}, process)  # type: ignore[arg-type]
    assert (settings.host, settings.port, settings.providers, settings.demo) == ("127.0.0.1", 8080, ("aws",), False)
    assert settings.store_url == settings.queue_url == STORE["COUNTERSIGN_REDIS_URL"]
    assert settings.base_url == "http://127.0.0.1:8080"


def test_values_are_read() -> None:
    settings = load(
        OK
        | {
            "COUNTERSIGN_RQ_URL": "unix://:x@/run/rq.sock",
            "COUNTERSIGN_PORT": "9",
            "COUNTERSIGN_HOST": "0.0.0.0",
            "COUNTERSIGN_PUBLIC_URL": "https://sign.example/",
            "COUNTERSIGN_PROVIDERS": "aws, dry_run",
            "COUNTERSIGN_LOG_LEVEL": "DEBUG",
            "COUNTERSIGN_LEASE_SECONDS": "3",
            "COUNTERSIGN_REDIS_DURABILITY": "attested",
        }
    )
    assert settings.queue_url == "unix://:x@/run/rq.sock"
    assert (settings.port, settings.base_url, settings.providers) == (9, "https://sign.example", ("aws", "dry_run"))
    assert (settings.log_level, settings.lease_seconds, settings.redis_durability) == ("debug", 3, "attested")


def test_the_caller_commands_names_are_tolerated() -> None:
    load(OK | {"COUNTERSIGN_URL": "http://x", "COUNTERSIGN_API_KEY": "cs_x"})


def test_a_clock_needs_the_signing_key() -> None:
    assert faults(STORE, "clock") == [
        "COUNTERSIGN_SIGNING_KEY_FILE is missing, and clock needs it: make one with: countersign keys signing new NAME"
    ]
    both = faults(STORE | CLOCK_ENV | {"COUNTERSIGN_SIGNING_KEY_FILE": "/k"}, "clock")
    assert both == ["COUNTERSIGN_SIGNING_KEY and COUNTERSIGN_SIGNING_KEY_FILE are both set: unset one of them"]


@pytest.mark.parametrize("name", ["", "_FILE", "_BEFORE", "_BEFORE_FILE"])
def test_web_refuses_to_hold_a_signing_key(name: str) -> None:
    value = "/k" if name.endswith("FILE") else SIGNING_KEY.text
    [told] = faults(OK | {f"COUNTERSIGN_SIGNING_KEY{name}": value}, "web")
    assert told.startswith(f"COUNTERSIGN_SIGNING_KEY{name} is set for web, which must hold no signing key")
    assert SIGNING_KEY.text not in told


def test_the_other_processes_need_no_signing_key_and_no_repr_shows_it() -> None:
    assert not {"signing_key", "signing_key_file"}.intersection(*NEEDS.values())
    assert SIGNING_KEY.text not in repr(load(OK | CLOCK_ENV, "clock"))


def test_this_process_environment_is_not_consulted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_PORT", "1234")
    assert load(STORE).port == 8080
    assert Settings(redis_url="redis://localhost").port == 8080  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("COUNTERSIGN_PROT", "1", "COUNTERSIGN_PROT is not a setting: did you mean COUNTERSIGN_PORT?"),
        ("COUNTERSIGN_QQQQ", "1", "COUNTERSIGN_QQQQ is not a setting: unset it"),
        ("countersign_port", "1", "countersign_port is not a setting: did you mean COUNTERSIGN_PORT?"),
        ("COUNTERSIGN_HOST", "", "COUNTERSIGN_HOST is empty: give it a value or unset it"),
        ("COUNTERSIGN_URL", " ", "COUNTERSIGN_URL is empty: give it a value or unset it"),
        ("COUNTERSIGN_PORT", "http", "write 0 to 65535"),
        ("COUNTERSIGN_PORT", "65536", "write 0 to 65535"),
        ("COUNTERSIGN_REDIS_URL", "localhost:6379", "rediss://"),
        ("COUNTERSIGN_REDIS_URL", "redis://", "rediss://"),
        ("COUNTERSIGN_RQ_URL", "http://localhost", "rediss://"),
        ("COUNTERSIGN_REDIS_DURABILITY", "yes", "write attested"),
        ("COUNTERSIGN_PUBLIC_URL", "http://sign.example", "unencrypted"),
        ("COUNTERSIGN_PUBLIC_URL", "https://sign.example/?a=b", "query"),
        ("COUNTERSIGN_PUBLIC_URL", "sign.example", "https://name"),
        ("COUNTERSIGN_DELIVERY_KEY", "Zm9v", "python -m workers.vault"),
        ("COUNTERSIGN_DELIVERY_PUBLIC_KEY", "A" * 43 + "=", "python -m workers.vault"),
        ("COUNTERSIGN_PROVIDERS", "gcp", "write aws, dry_run or both"),
        ("COUNTERSIGN_PROVIDERS", "aws,", "write aws, dry_run or both"),
        ("COUNTERSIGN_AWS_ENDPOINT_URL", "localhost", "http(s)://host:port"),
        ("COUNTERSIGN_AWS_REGION", "Frankfurt", "eu-central-1"),
        ("COUNTERSIGN_AWS_MINTER_ACCESS_KEY_ID", "AKIA", "COUNTERSIGN_AWS_MINTER_SECRET_ACCESS_KEY go together"),
        ("COUNTERSIGN_AWS_REVOKER_SECRET_ACCESS_KEY", "x", "COUNTERSIGN_AWS_REVOKER_ACCESS_KEY_ID and"),
        ("COUNTERSIGN_ALERT_WEBHOOK_URL", "alerts", "http(s) address"),
        ("COUNTERSIGN_ALERT_SHAPE", "email", "alertmanager or pagerduty"),
        ("COUNTERSIGN_SLACK_BOT_TOKEN", "xapp-1-A", "write the xoxb-"),
        ("COUNTERSIGN_SLACK_BOT_TOKEN", "xoxb-1 2", "write the xoxb-"),
        ("COUNTERSIGN_SLACK_APP_TOKEN", "xoxb-1", "connections:write"),
        ("COUNTERSIGN_SLACK_SIGNING_SECRET", "short", "Basic Information"),
        ("COUNTERSIGN_SCHEDULE_TOKEN", "two words", "without spaces"),
        ("COUNTERSIGN_SLACK_API_URL", "http://slack.example/api", "unencrypted"),
        ("COUNTERSIGN_SLACK_API_URL", "https://slack.example/api?x=1", "query"),
        ("COUNTERSIGN_SLACK_API_URL", "slack.com", "write https://"),
        ("COUNTERSIGN_SLACK_BOT_TOKEN", "xoxb-1", "SIGNING_SECRET or COUNTERSIGN_SLACK_APP_TOKEN is missing"),
        ("COUNTERSIGN_SLACK_SIGNING_SECRET", "0123456789abcdef", "COUNTERSIGN_SLACK_BOT_TOKEN is missing"),
        ("COUNTERSIGN_SLACK_APP_TOKEN", "xapp-1-A", "COUNTERSIGN_SLACK_BOT_TOKEN is missing"),
        ("COUNTERSIGN_DEMO", "perhaps", "true or false"),
        ("COUNTERSIGN_LEASE_SECONDS", "0", "write 1 to 600"),
        ("COUNTERSIGN_LOG_LEVEL", "chatty", "write debug, info"),
        ("COUNTERSIGN_HOST", "0.0.0.0", "COUNTERSIGN_PUBLIC_URL is missing"),
        ("COUNTERSIGN_SIGNING_KEY", "AAAA", "countersign keys signing new NAME"),
        ("COUNTERSIGN_SIGNING_KEY_FILE", "signing.key", "countersign keys signing new NAME"),
        ("COUNTERSIGN_SIGNING_KEY_BEFORE", "countersign-delivery-key+a+b", "the key that signed until now"),
        ("COUNTERSIGN_WITNESS_FILE", "witness", "write an absolute path"),
    ],
)
def test_a_wrong_value_is_named_with_its_remedy(name: str, value: str, fault: str) -> None:
    told = faults(OK | {name: value})
    assert len(told) == 1, told
    assert fault in told[0]
    assert told[0].startswith("COUNTERSIGN_" if name.isupper() else name)


@pytest.mark.parametrize(
    ("environ", "fault"),
    [
        (
            {"COUNTERSIGN_DEMO": "true", "COUNTERSIGN_HOST": "10.0.0.1", "COUNTERSIGN_PUBLIC_URL": "https://x"},
            "_DEMO lets",
        ),
        (
            {
                "COUNTERSIGN_AWS_MINTER_ACCESS_KEY_ID": "AKIA",
                "COUNTERSIGN_AWS_MINTER_SECRET_ACCESS_KEY": "x",
                "COUNTERSIGN_AWS_MINTER_PROFILE": "p",
            },
            "COUNTERSIGN_AWS_MINTER_PROFILE contradicts",
        ),
        (
            {"COUNTERSIGN_ALERT_WEBHOOK_URL": "https://x", "COUNTERSIGN_ALERT_SHAPE": "pagerduty"},
            "COUNTERSIGN_ALERT_ROUTING_KEY is missing",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(environ: dict[str, str], fault: str) -> None:
    told = faults(OK | environ)
    assert len(told) == 1
    assert fault in told[0]


@pytest.mark.parametrize("other", ["SIGNING_SECRET", "APP_TOKEN", "both"])
def test_slack_needs_a_bot_token_and_a_way_to_be_heard(other: str) -> None:
    ways = {"SIGNING_SECRET": "0123456789abcdef", "APP_TOKEN": "xapp-1-A"}
    chosen = {f"COUNTERSIGN_SLACK_{name}": text for name, text in ways.items() if other in (name, "both")}
    settings = load(OK | chosen | {"COUNTERSIGN_SLACK_BOT_TOKEN": "xoxb-hush", "COUNTERSIGN_PORT": "9"})
    assert settings.slack_bot_token is not None
    assert settings.slack_api_url == "https://slack.com/api"
    assert "hush" not in repr(settings)
    local = {"COUNTERSIGN_SLACK_API_URL": "http://127.0.0.1:9/api/"}
    assert load(OK | local).slack_api_url == "http://127.0.0.1:9/api"


APP, TENANT, PARTNER = (f"{digit * 8}-1111-4111-8111-{digit * 12}" for digit in "abc")
TEAMS = {
    "COUNTERSIGN_TEAMS_APP_ID": APP.upper(),
    "COUNTERSIGN_TEAMS_APP_SECRET": "hush~hush~hush~hush",
    "COUNTERSIGN_TEAMS_TENANT_ID": TENANT,
}


def test_teams_is_an_app_its_secret_and_a_tenant() -> None:
    settings = load(OK | TEAMS)
    assert (settings.teams_app_id, settings.tenants) == (APP, (TENANT,))
    assert settings.teams_service_hosts == ("smba.trafficmanager.net",)
    assert (settings.teams_issuer_url, settings.teams_token_url, settings.teams_playground) == (None, None, False)
    assert "hush" not in repr(settings)
    assert load(OK).tenants == ()
    more = {
        "COUNTERSIGN_TEAMS_TENANTS": f"{TENANT}, {PARTNER.upper()}",
        "COUNTERSIGN_TEAMS_SERVICE_HOSTS": "smba.trafficmanager.net,127.0.0.1, SMBA.infra.gov.teams.microsoft.us",
        "COUNTERSIGN_TEAMS_TOKEN_URL": "http://127.0.0.1:9/token",
    }
    settings = load(OK | TEAMS | more)
    assert settings.tenants == (TENANT, PARTNER)
    assert settings.teams_service_hosts[1:] == ("127.0.0.1", "smba.infra.gov.teams.microsoft.us")
    assert settings.teams_token_url == "http://127.0.0.1:9/token"


@pytest.mark.parametrize("name", TEAMS)
def test_half_a_teams_is_refused(name: str) -> None:
    (fault,) = faults(OK | {key: text for key, text in TEAMS.items() if key != name})
    assert fault.startswith(f"{name} is missing")
    assert len(faults(OK | {name: TEAMS[name]})) == 2


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"COUNTERSIGN_TEAMS_APP_ID": "28:" + APP}, "TEAMS_APP_ID is not valid"),
        ({"COUNTERSIGN_TEAMS_TENANT_ID": "example.onmicrosoft.com"}, "TEAMS_TENANT_ID is not valid"),
        ({"COUNTERSIGN_TEAMS_APP_SECRET": "short"}, "TEAMS_APP_SECRET is not valid"),
        ({"COUNTERSIGN_TEAMS_TENANTS": "*"}, "TEAMS_TENANTS is not valid"),
        ({"COUNTERSIGN_TEAMS_TENANTS": PARTNER}, "TEAMS_TENANTS lacks your own"),
        ({"COUNTERSIGN_TEAMS_SERVICE_HOSTS": "https://smba.trafficmanager.net"}, "TEAMS_SERVICE_HOSTS is not valid"),
        ({"COUNTERSIGN_TEAMS_SERVICE_HOSTS": "*.trafficmanager.net"}, "TEAMS_SERVICE_HOSTS is not valid"),
        ({"COUNTERSIGN_TEAMS_SERVICE_HOSTS": "com"}, "TEAMS_SERVICE_HOSTS is not valid"),
        ({"COUNTERSIGN_TEAMS_ISSUER_URL": "http://login.example/"}, "TEAMS_ISSUER_URL is not valid"),
        ({"COUNTERSIGN_TEAMS_TOKEN_URL": "http://login.example/"}, "TEAMS_TOKEN_URL is not valid"),
        ({"COUNTERSIGN_TEAMS_TOKEN_URL": "https://x:y@login.example/"}, "TEAMS_TOKEN_URL is not valid"),
        ({"COUNTERSIGN_TEAMS_PLAYGROUND": "true"}, "TEAMS_PLAYGROUND lets anybody"),
        (
            {
                "COUNTERSIGN_TEAMS_PLAYGROUND": "true",
                "COUNTERSIGN_DEMO": "true",
                "COUNTERSIGN_PUBLIC_URL": "https://x.example",
            },
            "TEAMS_PLAYGROUND lets anybody",
        ),
    ],
)
def test_a_teams_that_would_let_others_in_is_refused(changes: dict[str, str], fault: str) -> None:
    told = faults(OK | TEAMS | changes)
    assert len(told) == 1
    assert told[0].startswith(f"COUNTERSIGN_{fault}")


def test_every_fault_is_told_at_once() -> None:
    told = faults({"COUNTERSIGN_PROT": "1", "COUNTERSIGN_HOST": "", "COUNTERSIGN_PORT": "x"})
    assert [fault.split()[0] for fault in told] == [
        "COUNTERSIGN_PROT",
        "COUNTERSIGN_HOST",
        "COUNTERSIGN_REDIS_URL",
        "COUNTERSIGN_PORT",
    ]


@pytest.mark.parametrize(("process", "fields"), NEEDS.items())
def test_a_process_is_told_what_it_needs(process: str, fields: tuple[str, ...]) -> None:
    for field in fields:
        name = f"COUNTERSIGN_{field.upper()}"
        assert faults({key: value for key, value in OK.items() if key != name}, process) == [
            f"{name} is missing, and {process} needs it: make both halves with: python -m workers.vault"
        ]


def test_no_fault_and_no_repr_repeats_a_value() -> None:
    secret = "hunter2hunter2"
    wrong = {name: secret for name in (row.name for row in describe())}
    told = "\n".join(faults(wrong))
    assert secret not in told
    settings = load(
        OK
        | {
            "COUNTERSIGN_AWS_MINTER_ACCESS_KEY_ID": "AKIA",
            "COUNTERSIGN_AWS_MINTER_SECRET_ACCESS_KEY": secret,
            "COUNTERSIGN_ALERT_WEBHOOK_URL": f"https://{secret}",
            "COUNTERSIGN_ALERT_ROUTING_KEY": secret,
            "COUNTERSIGN_RQ_URL": f"redis://:{secret}@localhost",
        }
    )
    assert secret not in repr(settings) + str(settings) + settings.model_dump_json()
    assert KEY.text not in repr(settings)
    assert "hush-hush" not in repr(settings)


def test_the_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(STORE).port = 1  # type: ignore[misc]


def test_the_table_names_every_setting_once() -> None:
    rows = describe()
    assert [row.name for row in rows] == [f"COUNTERSIGN_{field.upper()}" for field in Settings.model_fields]
    assert all(row.meaning and row.used_by for row in rows)
    assert {row.name: row.default for row in rows}["COUNTERSIGN_REDIS_URL"] == "required"
    assert {row.name: row.default for row in rows}["COUNTERSIGN_PROVIDERS"] == "aws"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((host, True) for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "")),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
