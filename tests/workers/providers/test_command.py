"""Executables mint, revoke and verify: what they are asked, what they may answer, and every way in which they fail."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from approvers import environment
from approvers.grant import ProofKind
from tests.worlds.commands import Box
from tests.worlds.ministack import QUICK, a_plan, new_grant_id
from tests.worlds.signing import CLOCK_ENV
from workers.config import ConfigurationError, load
from workers.providers.command import CommandProvider
from workers.providers.command_files import Unusable, executable, folders
from workers.providers.command_process import words
from workers.providers.port import Handle, NotSent, OutcomeUnknown, ProofOutcome, ProviderError, Refused
from workers.settings import Settings
from workers.vault import DeliveryKey
from workers.wiring import providers

PLAN = a_plan(
    provider="box", role="box-reader", role_arn="command:box/box-reader", account="box", account_id="",
    actions=["db:select"], resources=["orders/public.customers"], ttl_seconds=60,
)  # fmt: skip
CANARY = "CANARY-5a1f0c"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box.made(tmp_path / "commands")


@pytest.fixture
def provider(box: Box) -> CommandProvider:
    return CommandProvider(box.folder, pace=QUICK)


def handle_of(grant: str) -> Handle:
    return Handle(grant, PLAN, datetime(2026, 11, 20, 10, 15, tzinfo=UTC))


def test_each_call_reads_one_object_and_has_no_environment_of_ours(box: Box, provider: CommandProvider, monkeypatch):
    monkeypatch.setenv("COUNTERSIGN_REDIS_URL", f"redis://:{CANARY}@localhost/0")
    grant = new_grant_id()
    minted = provider.mint(grant, PLAN)
    assert minted.secret.access_key_id == f"box-{grant}"
    assert minted.secret.environment.keys() == {"BOX_USER", "BOX_WORD"}
    provider.revoke(handle_of(grant))
    provider.verify(handle_of(grant), ProofKind.PROBE_DENIED)
    provider.collect(handle_of(grant))
    assert box.asked() == ["mint", "revoke", "verify", "verify", "verify", "collect"]
    first, *_, last = box.calls()
    assert first["ask"] == {
        "v": 1, "call": "mint", "grant": grant, "provider": "box", "role": "box-reader", "actions": ["db:select"],
        "resources": ["orders/public.customers"], "ttl_seconds": 60, "ends_at": None,
    }  # fmt: skip
    assert last["ask"]["ends_at"] == "2026-11-20T10:15:00.000Z"
    assert box.calls()[2]["ask"]["proof"] == "probe_denied"
    assert all(one["environ"].keys() <= {"PATH", "LANG", "LC_CTYPE"} for one in box.calls())


def test_an_end_by_the_systems_own_clock_is_proven_and_before_it_the_grant_is_alive(box: Box, provider):
    grant = new_grant_id()
    provider.mint(grant, PLAN)
    assert provider.verify(handle_of(grant), ProofKind.TTL_DENIED).outcome is ProofOutcome.STILL_ACTIVE
    assert box.alive(grant)
    box.passes(grant)
    reading = provider.verify(handle_of(grant), ProofKind.TTL_DENIED)
    assert (reading.outcome, reading.refused) == (ProofOutcome.PROVEN, 3)


def test_a_mint_that_comes_after_the_revoke_opens_nothing(box: Box, provider: CommandProvider):
    grant = new_grant_id()
    provider.revoke(handle_of(grant))
    with pytest.raises(Refused):
        provider.mint(grant, PLAN)
    assert not box.alive(grant)


EXITS = [
    ("exit 10", Refused),
    ("exit 11", NotSent),
    ("exit 1", OutcomeUnknown),
    ("kill -9 $$", OutcomeUnknown),
    ("echo no json", OutcomeUnknown),
    ("echo []", OutcomeUnknown),
    ("", OutcomeUnknown),
    ("""echo '{"handle": "h", "handle": "g"}'""", OutcomeUnknown),
    ("head -c 70000 /dev/zero", OutcomeUnknown),
]


@pytest.mark.parametrize(("script", "error"), EXITS, ids=[str(number) for number in range(len(EXITS))])
def test_only_two_exit_codes_say_that_nothing_was_done(box: Box, provider: CommandProvider, script, error):
    box.says("mint", script)
    with pytest.raises(error) as caught:
        provider.mint(new_grant_id(), PLAN)
    assert type(caught.value) is error
    box.says("revoke", script)
    with pytest.raises(ProviderError):
        provider.revoke(handle_of(new_grant_id()))


def minted(**changes: object) -> str:
    ends = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    return json.dumps({"handle": "h1", "environment": {"BOX_WORD": CANARY}, "ends_at": ends, **changes})


ANSWERS = [
    ({"ends_at": "2026-11-20T10:15:00"}, "see ends_at"),
    ({"ends_at": CANARY}, "see ends_at"),
    ({"ends_at": "2036-11-20T10:15:00Z"}, "an end that was not asked for"),
    ({"ends_at": "2016-11-20T10:15:00Z"}, "an end that was not asked for"),
    ({"handle": f"{CANARY} x"}, "see handle"),
    ({"environment": {"BOX_WORD": 7}}, "see environment"),
    ({"environment": {}}, "0 variables"),
    ({"environment": {"LD_PRELOAD": CANARY}}, "LD_PRELOAD"),
    ({"environment": {"BOX WORD": CANARY}}, "a variable whose name"),
    ({"environment": {"BOX_WORD": ""}}, "BOX_WORD"),
    ({CANARY: 1}, "see its fields"),
]


@pytest.mark.parametrize(("changes", "says"), ANSWERS, ids=[f"{n}-{one[1]}" for n, one in enumerate(ANSWERS)])
def test_an_answer_that_was_not_agreed_is_an_unknown_outcome_and_is_not_repeated(box, provider, changes, says):
    box.says("mint", f"echo '{minted(**changes)}'")
    with pytest.raises(OutcomeUnknown) as caught:
        provider.mint(new_grant_id(), PLAN)
    assert says in str(caught.value)
    assert CANARY not in f"{caught.value!r} {caught.value.__context__!r} {caught.value.__cause__!r}"


def test_the_last_line_of_stderr_is_told_without_any_secret(box: Box, provider: CommandProvider, caplog):
    caplog.set_level(logging.INFO)
    line = f"no: {CANARY} password=hunter2 postgresql://me:hush@db/x \\033[31m"
    box.says("mint", f"""echo '{minted()}'; printf 'first line\\n{line}\\n' >&2; exit 10""")
    with pytest.raises(Refused) as caught:
        provider.mint(new_grant_id(), PLAN)
    told = str(caught.value)
    assert told.startswith("box mint said: no: [withheld] password=[withheld] postgresql://[withheld]@db/x ?[31m")
    for secret in (CANARY, "hunter2", "hush", "first line"):
        assert secret not in told
        assert secret not in caplog.text


def test_words_are_cut():
    assert len(words(b"x" * 5_000, b"")) == 300
    assert words(b" \n \n", b"") == ""


def ended(box: Box) -> bool:
    """Wait until the process whose id an executable wrote down is gone."""
    child = int((box.folder / "state" / "child").read_text())
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_one_that_does_not_answer_in_time_is_ended_with_all_that_it_started(box: Box):
    box.says("mint", "sleep 60 & echo $! > state/child; wait")
    with pytest.raises(OutcomeUnknown, match="did not answer in time"):
        CommandProvider(box.folder, seconds=0.5).mint(new_grant_id(), PLAN)
    assert ended(box)


def test_a_worker_that_cannot_start_it_has_done_nothing_and_says_why(box: Box, provider: CommandProvider, monkeypatch):
    """As where its disk is full: a grant must not wait for its end without anybody hearing of it."""
    monkeypatch.setattr(tempfile, "tempdir", str(box.folder / "not-there"))
    with pytest.raises(NotSent, match="box revoke cannot be started: No such file"):
        provider.revoke(handle_of(new_grant_id()))
    reading = provider.verify(handle_of(new_grant_id()), ProofKind.PROBE_DENIED)
    assert (reading.outcome, reading.unanswered) == (ProofOutcome.UNKNOWN, True)
    assert box.calls() == []


def test_what_it_leaves_running_holds_nobody_up_and_is_ended(box: Box, provider: CommandProvider):
    box.says("revoke", "sleep 60 & echo $! > state/child; echo '{}'")
    began = time.monotonic()
    provider.revoke(handle_of(new_grant_id()))
    assert time.monotonic() - began < 30  # of the 60 that its child sleeps
    assert ended(box)


VERDICTS = [
    ('{"outcome": "ended", "control": "alive"}', ProofOutcome.PROVEN, False),
    ('{"outcome": "ended", "control": "unreachable"}', ProofOutcome.UNKNOWN, True),
    ('{"outcome": "alive", "control": "alive"}', ProofOutcome.STILL_ACTIVE, False),
    ('{"outcome": "unknown", "control": "alive"}', ProofOutcome.UNKNOWN, False),
    ('{"outcome": "ended"}', ProofOutcome.UNKNOWN, True),
    ('{"outcome": "gone", "control": "alive"}', ProofOutcome.UNKNOWN, True),
    ("{}", ProofOutcome.UNKNOWN, True),
]


@pytest.mark.parametrize(("says", "outcome", "unanswered"), VERDICTS, ids=[str(n) for n in range(len(VERDICTS))])
def test_only_ended_beside_a_control_that_lives_is_proof(box: Box, provider, says, outcome, unanswered):
    box.says("verify", f"echo '{says}'")
    reading = provider.verify(handle_of(new_grant_id()), ProofKind.PROBE_DENIED)
    assert (reading.outcome, reading.unanswered) == (outcome, unanswered)
    assert (reading.first_refused_at is not None) == (outcome is ProofOutcome.PROVEN)


@pytest.mark.parametrize("script", ["exit 1", "exit 10", "sleep 60", "head -c 99999 /dev/zero"])
def test_a_verification_that_fails_is_no_proof_and_raises_nothing(box: Box, script: str):
    box.says("verify", script)
    short = CommandProvider(box.folder, pace=QUICK, seconds=0.3)
    reading = short.verify(handle_of(new_grant_id()), ProofKind.TTL_DENIED)
    assert (reading.outcome, reading.unanswered) == (ProofOutcome.UNKNOWN, True)


def test_a_wrong_answer_between_two_right_ones_begins_the_run_anew(box: Box):
    lost, there = (f"""echo '{{"outcome": "ended", "control": "{one}"}}'""" for one in ("unreachable", "alive"))
    box.says("verify", f"echo >> state/asked; if [ $(wc -l < state/asked) = 2 ]; then {lost}; else {there}; fi")
    pace = replace(QUICK, patience_seconds=4.0)
    reading = CommandProvider(box.folder, pace=pace).verify(handle_of(new_grant_id()), ProofKind.PROBE_DENIED)
    assert (reading.outcome, reading.asked, reading.refused) == (ProofOutcome.PROVEN, 5, 4)


def test_collect_and_leftovers_are_optional(box: Box, provider: CommandProvider):
    grant = new_grant_id()
    provider.revoke(handle_of(grant))
    assert provider.leftovers(PLAN) == [grant]
    (box.folder / "leftovers").unlink()
    (box.folder / "collect").unlink()
    assert provider.leftovers(PLAN) == []
    provider.collect(handle_of(grant))


UNSAFE = [
    ("mint", 0o775, "can be written by others"),
    ("mint", 0o757, "can be written by others"),
    ("mint", 0o644, "cannot be run"),
    (".", 0o777, "can be written by others"),
    ("..", 0o775, "can be written by others"),
]


@pytest.mark.parametrize(("name", "mode", "says"), UNSAFE, ids=[f"{one[0]}-{one[1]:o}" for one in UNSAFE])
def test_what_somebody_else_could_have_written_is_not_run(box: Box, provider: CommandProvider, name, mode, says):
    (box.folder / name).chmod(mode)
    with pytest.raises(NotSent, match=says):
        provider.mint(new_grant_id(), PLAN)
    if name != "mint":
        assert provider.verify(handle_of(new_grant_id()), ProofKind.PROBE_DENIED).outcome is ProofOutcome.UNKNOWN
    assert box.calls() == []


def test_a_link_is_followed_and_judged_by_where_it_leads(box: Box, tmp_path: Path):
    real = tmp_path / "elsewhere" / "mint"
    real.parent.mkdir(mode=0o755)
    (box.folder / "mint").rename(real)
    (box.folder / "mint").symlink_to(real)
    assert executable(box.folder, "mint") == real
    real.parent.chmod(0o777)
    with pytest.raises(Unusable, match="can be written by others"):
        executable(box.folder, "mint")


def environ(commands: Path) -> dict[str, str]:
    return {
        "COUNTERSIGN_REDIS_URL": "redis://localhost/0",
        "COUNTERSIGN_DELIVERY_PUBLIC_KEY": DeliveryKey.generate().public_text,
        "COUNTERSIGN_PROVIDERS": "dry_run",
        "COUNTERSIGN_COMMANDS_DIR": str(commands),
    }


def test_a_worker_has_the_providers_of_its_folder(box: Box):
    (box.folder.parent / "README").write_text("for people")
    (box.folder.parent / ".hidden").mkdir()
    settings: Settings = load(environ(box.folder.parent), "worker")
    assert providers(settings).keys() == {"dry_run", "box"}
    assert folders(box.folder.parent) == {"box": box.folder}


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("box", lambda folder: (folder / "verify").unlink(), "verify is missing"),
        ("box", lambda folder: (folder / "revoke").chmod(0o666), "can be written by others: chmod go-w"),
        ("aws", lambda folder: None, "is no name of a provider"),
        ("Box", lambda folder: None, "is no name of a provider"),
    ],
)
def test_a_worker_does_not_start_with_a_folder_that_it_must_not_use(tmp_path: Path, name, change, says):
    box = Box.made(tmp_path / "commands", name)
    change(box.folder)
    with pytest.raises(ConfigurationError, match="COUNTERSIGN_COMMANDS_DIR") as refused:
        load(environ(box.folder.parent), "worker")
    assert says in str(refused.value)
    load({**environ(box.folder.parent), **CLOCK_ENV}, "clock")  # which runs none of them


@pytest.mark.parametrize(("where", "says"), [("commands", "absolute path"), ("/does/not/exist", "cannot be read")])
def test_a_folder_that_is_not_there_is_named(where: str, says: str):
    with pytest.raises(ConfigurationError, match=says):
        load(environ(Path(where)), "worker")


@pytest.mark.parametrize("name", ["PATH", "ld_preload", "BASH_FUNC_x", "PYTHONPATH", "GIT_SSH_COMMAND", "HTTPS_PROXY",
                                  "AWS_ENDPOINT_URL_STS", "AWS_SHARED_CREDENTIALS_FILE", "ZDOTDIR", "LESSOPEN",
                                  "XDG_CONFIG_HOME", "HOSTALIASES", "COUNTERSIGN_URL"])  # fmt: skip
def test_no_credential_steers_what_a_program_runs(name: str):
    assert environment.fault({name: "x"})
    assert environment.fault({"PGUSER": "u", "PGPASSWORD": "p", "KUBECONFIG_DATA": "k"}) is None
