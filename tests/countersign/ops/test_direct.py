"""`countersign revoke --direct` and docs/direct.md: sessions ended at AWS with nothing of Countersign's running."""

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name

from approvers.grant import ProofKind
from countersign.cli import main
from countersign.ops.ministack import client
from tests.countersign.conftest import clean_environ
from tests.worlds.accounts import Account, one_more
from tests.worlds.aws_gate import Answer, AwsGate
from tests.worlds.ministack import Ministack, aws, new_grant_id, outcome
from workers.providers import documents
from workers.providers.access import Keys
from workers.providers.port import Handle, ProofOutcome, RoleLook

__all__ = ["aws"]

ID = "123456789012"
ROLE = "countersign-base-analytics"
SOME_ROLE = "arn:aws:iam::123456789012:role/r"
PAGE = Path(__file__).parents[3] / "docs" / "direct.md"


@dataclass(frozen=True)
class Told:
    code: int
    out: str
    err: str


Run = Callable[..., Told]


@pytest.fixture
def account(aws: Ministack):
    account = one_more(aws, ID)
    yield account
    for name in account.denies():
        account.root("iam").delete_role_policy(RoleName=ROLE, PolicyName=name)


@pytest.fixture
def environ(account: Account, tmp_path: Path) -> dict[str, str]:
    """An operator's profiles, and nothing else: no URL, no key, no store."""
    minter = account.aws.prepared.minter.keys
    assert minter is not None
    profiles = {
        "admin": (ID, "test"),
        "minter": (minter.access_key_id, minter.secret_access_key),
        "stranger": ("222222222222", "test"),
    }
    lines = [
        f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}"
        for name, (key, secret) in profiles.items()
    ]
    (tmp_path / "credentials").write_text("\n".join(lines))
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture
def run(account: Account, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Run:
    for name in ("COUNTERSIGN_URL", "COUNTERSIGN_API_KEY", "COUNTERSIGN_REDIS_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def run(*words: str, endpoint: str = account.aws.endpoint, profile: str = "admin") -> Told:
        capsys.readouterr()
        place = ["--endpoint-url", endpoint, "--profile", profile]
        with pytest.raises(SystemExit) as ended:
            main(["revoke", *words, "--direct", *place])
        said = capsys.readouterr()
        return Told(int(ended.value.code or 0), said.out, said.err)

    return run


class TestOneGrant:
    def test_it_is_written_and_proven_and_ends_that_grant_alone(self, account: Account, run: Run):
        aws, provider = account.aws, account.aws.provider()
        grant, other = new_grant_id(), new_grant_id()
        plan = account.plan(actions=["ec2:DescribeRegions"], resources=["*"])
        mine, theirs = (provider.mint(one, plan).secret for one in (grant, other))
        told = run(grant, "--role-arn", account.role, "--prove-as", "minter")
        assert told.code == 0, told.err
        assert "proven ended: refused 3 times in a row" in told.err
        assert account.denies() == [documents.revoke_name(grant)]
        assert outcome(aws.as_session("ec2", mine).describe_regions) == "explicit_deny"
        assert outcome(aws.as_session("ec2", theirs).describe_regions) == "allow"
        look = account.aws.provider().look(account.plan(), [grant])
        assert look == RoleLook(denies=[grant], changed=[], weak=[]), "it is what the worker would have written"

    def test_again_does_no_harm_and_is_told_to_scripts(self, account: Account, run: Run):
        grant = new_grant_id()
        for _ in range(2):
            told = run(grant, "--role-arn", account.role, "--prove-as", "minter", "--json")
            found = json.loads(told.out)
            assert (told.code, found["written"], found["outcome"]) == (0, True, "proven")
            assert found["policy_name"] == f"countersign-revoke-{grant}"
            assert json.loads(found["policy_document"]) == json.loads(documents.revoke_policy(grant))
        assert account.denies() == [documents.revoke_name(grant)]
        assert json.loads(run(grant, "--role-arn", account.role, "--dry-run", "--json").out)["outcome"] == "dry_run"

    def test_the_call_that_it_prints_does_the_same(self, account: Account, run: Run):
        grant = new_grant_id()
        told = run(grant, "--role-arn", account.role, "--dry-run")
        assert (told.code, account.denies()) == (0, [])
        assert f"would end every session of {grant}" in told.err
        as_typed(account, told.out.strip())
        assert account.aws.provider().look(account.plan(), [grant]).changed == []

    def test_written_and_not_proven_is_said_so(self, account: Account, run: Run):
        """An administrator may write to the role, and may not take it."""
        grant = new_grant_id()
        told = run(grant, "--role-arn", account.role, "--timeout", "1s", profile="admin", endpoint=account.aws.endpoint)
        assert account.denies() == [documents.revoke_name(grant)]
        assert told.code == 6, told.err
        assert "written, NOT proven: AWS could not be asked" in told.err
        assert "aws iam get-role-policy --role-name" in told.err

    def test_one_that_does_not_work_is_taken_as_alive(self, account: Account, run: Run):
        with AwsGate(account.aws.endpoint) as gate:
            done = b"<PutRolePolicyResponse><ResponseMetadata/></PutRolePolicyResponse>"
            gate.answer(None, Answer(200, done), "iam:PutRolePolicy")
            told = run(
                new_grant_id(), "--role-arn", account.role, "--prove-as", "minter", "--timeout", "1s", endpoint=gate.url
            )
        assert told.code == 6
        assert "NOT ended: a session of this grant is still allowed; take it as alive" in told.err

    def test_credentials_of_another_account_write_nothing(self, account: Account, run: Run):
        told = run(new_grant_id(), "--role-arn", account.role, profile="stranger")
        assert told.code == 1
        assert "the credentials are of account 222222222222, the role is in 123456789012" in told.err
        assert account.denies() == []

    def test_a_profile_that_is_none_is_said_so(self, account: Account, run: Run):
        told = run(new_grant_id(), "--role-arn", account.role, profile="nosuch")
        assert told.code == 1
        assert "(ProfileNotFound)" in told.err
        assert "with --profile, or as your AWS tools find them; nothing was written" in told.err
        assert account.denies() == []

    def test_a_profile_that_is_none_to_prove_with_proves_nothing(self, account: Account, run: Run):
        grant = new_grant_id()
        told = run(grant, "--role-arn", account.role, "--prove-as", "nosuch", "--timeout", "1s")
        assert told.code == 6
        assert "written, NOT proven" in told.err
        assert "(ProfileNotFound)" in told.err
        assert account.denies() == [documents.revoke_name(grant)]

    def test_what_aws_refuses_is_told(self, account: Account, run: Run):
        told = run(new_grant_id(), "--role-arn", f"{account.role}-gone")
        assert told.code == 1
        assert "NoSuchEntity" in told.err
        assert "do the same again" in told.err

    def test_nothing_secret_is_said(self, account: Account, run: Run):
        with AwsGate(account.aws.endpoint) as gate:
            told = run(new_grant_id(), "--role-arn", account.role, "--prove-as", "minter", endpoint=gate.url)
            assert told.code == 0
            secrets = [text for one in gate.issued for text in (one.secret_access_key, one.session_token)]
        minter = account.aws.prepared.minter.keys
        assert minter is not None
        assert secrets
        assert not [one for one in [*secrets, minter.secret_access_key] if one in told.out + told.err]

    def test_interrupted_it_says_what_stands(self, account: Account, environ: dict[str, str]):
        grant = new_grant_id()
        with AwsGate(account.aws.endpoint) as gate:
            gate.hold(1, "before", "ec2:*")
            words = ["revoke", grant, "--direct", "--role-arn", account.role, "--profile", "admin"]
            process = subprocess.Popen(
                [sys.executable, "-m", "countersign", *words, "--prove-as", "minter", "--endpoint-url", gate.url],
                env={**clean_environ(), **environ},
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
            gate.wait_held()
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=30)[1]
            gate.drop()
        assert process.returncode == 1
        assert "the Deny is written and stays; its effect is not proven" in said
        assert account.denies() == [documents.revoke_name(grant)]


class TestEveryoneOnARole:
    def test_older_sessions_end_and_newer_ones_live(self, account: Account, run: Run):
        aws, provider = account.aws, account.aws.provider()
        old = [provider.mint(new_grant_id(), account.plan()).secret for _ in range(2)]
        told = run("--role", account.role, "--everyone", "--prove-as", "minter")
        assert told.code == 0, told.err
        assert "proven ended" in told.err
        assert "and nothing later" in told.err
        for secret in old:
            assert outcome(aws.as_session("ec2", secret).describe_regions) == "explicit_deny"
        new = provider.mint(new_grant_id(), account.plan(actions=["ec2:DescribeRegions"], resources=["*"]))
        assert outcome(aws.as_session("ec2", new.secret).describe_regions) == "allow"
        look = provider.look(account.plan(), [])
        assert (look.everyone, look.denies, look.weak) == (True, [], [])
        grant = new_grant_id()
        provider.revoke(Handle(grant, account.plan()))
        assert provider.verify(Handle(grant, account.plan()), ProofKind.PROBE_DENIED).outcome is ProofOutcome.PROVEN

    def test_it_is_not_done_without_the_frightening_word(self, account: Account, run: Run):
        told = run("--role", account.role)
        assert told.code == 1
        assert "add --everyone" in told.err
        assert account.denies() == []

    def test_a_dry_run_shows_it(self, account: Account, run: Run):
        told = run("--role", account.role, "--everyone", "--dry-run")
        assert told.code == 0
        assert "would end EVERY session of the role" in told.err
        assert "aws:TokenIssueTime" in told.out
        assert account.denies() == []

    def test_unproven_it_says_so(self, account: Account, run: Run):
        told = run("--role", account.role, "--everyone", "--timeout", "1s")
        assert told.code == 6
        assert "written, NOT proven: no session of the role could be had to ask with" in told.err
        assert account.denies() == [documents.REVOKE_ALL]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["K7QF", "--role-arn", SOME_ROLE], "takes a grant's id, grt_"),
        (["grt_01K9V0000000000000000000ZZ", "--role-arn", "countersign-base-x"], "is no role's ARN"),
        (["grt_01K9V0000000000000000000ZZ"], "--role-arn ARN"),
        (
            ["grt_01K9V0000000000000000000ZZ", "--role", SOME_ROLE, "--everyone"],
            "--role-arn ARN",
        ),
        (["grt_01K9V0000000000000000000ZZ", "--role-arn", SOME_ROLE, "--role", SOME_ROLE], "--role-arn ARN"),
        (["--everyone"], "--role-arn ARN"),
        ([], "--role-arn ARN"),
    ],
    ids=["handle", "name", "no-role", "both", "both-roles", "everyone-alone", "nothing"],
)
def test_what_is_not_clear_is_not_done(account: Account, run: Run, words: list[str], said: str):
    told = run(*words)
    assert (told.code, said in told.err) == (1, True), told.err
    assert account.denies() == []


def test_its_options_mean_nothing_without_it(monkeypatch, capsys):
    monkeypatch.setenv("COUNTERSIGN_URL", "http://127.0.0.1:1")
    with pytest.raises(SystemExit) as ended:
        main(["revoke", "all", "--everyone"])
    assert ended.value.code == 1
    assert "--everyone is for --direct" in capsys.readouterr().err


def test_it_loads_no_server():
    """What ends access on the worst day needs neither store nor web process, so it must not want their libraries."""
    code = "import sys, countersign.ops.direct; print(sorted({one.partition('.')[0] for one in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "'boto3'" in loaded
    assert not [one for one in ("redis", "rq", "aiohttp_jinja2", "structlog", "bot") if f"'{one}'" in loaded]


class TestThePage:
    """docs/direct.md: every call on it runs, and does what the page says."""

    def test_one_grant_by_hand(self, account: Account):
        blocks = calls()
        aws, grant = account.aws, "grt_01K9V0000000000000000000ZZ"
        secret = aws.provider().mint(grant, account.plan()).secret
        minter = aws.prepared.minter.keys
        assert minter is not None
        sessions = [as_typed(account, blocks[name], minter)["Credentials"] for name in ("twin", "control")]
        twin, control = (as_session(account, one) for one in sessions)
        assert (ask(twin, blocks["ask"]), ask(control, blocks["ask"])) == ("allow", "allow")
        as_typed(account, blocks["put"])
        assert as_typed(account, blocks["get"])["PolicyDocument"] == json.loads(documents.revoke_policy(grant))
        assert (ask(twin, blocks["ask"]), ask(control, blocks["ask"])) == ("explicit_deny", "allow")
        assert outcome(aws.as_session("sts", secret).get_caller_identity) == "allow", "why it is no probe"
        assert as_typed(account, blocks["list"])["PolicyNames"] == [f"countersign-revoke-{grant}"]
        as_typed(account, blocks["delete"])
        assert account.denies() == []
        assert ask(twin, blocks["ask"]) == "allow", "why it is left there"

    def test_everybody_by_hand(self, account: Account):
        blocks = calls()
        minter = account.aws.prepared.minter.keys
        assert minter is not None
        twin = as_session(account, as_typed(account, blocks["twin"], minter)["Credentials"])
        now = f"{datetime.now(UTC) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
        as_typed(account, blocks["everyone"].replace("2026-11-20T10:00:00Z", now))
        time.sleep(1.2)  # STS stamps whole seconds
        control = as_session(account, as_typed(account, blocks["control"], minter)["Credentials"])
        assert (ask(twin, blocks["ask"]), ask(control, blocks["ask"])) == ("explicit_deny", "allow")
        as_typed(account, blocks["everyone-delete"])
        assert account.denies() == []

    def test_its_documents_are_those_that_the_code_writes(self):
        blocks = calls()
        grant = "grt_01K9V0000000000000000000ZZ"
        assert documents.revoke_policy(grant) in blocks["put"]
        assert documents.revoke_all_policy(datetime(2026, 11, 20, 10, tzinfo=UTC)) in blocks["everyone"]
        for name, tag in (("twin", grant), ("control", "control-by-hand-1")):
            assert documents.probe_policy() in blocks[name]
            assert tag in blocks[name]
        assert documents.probe_name(grant) in blocks["twin"]

    def test_every_call_has_a_name_and_a_known_shape(self, account: Account):
        text = PAGE.read_text()
        assert len(re.findall(r"^```sh$", text, re.MULTILINE)) == len(calls())
        parsed(account.root("cloudtrail"), shlex.split(calls()["lookup"]))

    def test_its_commands_are_understood(self, account: Account, run: Run):
        commands = [
            shlex.split(line) for line in PAGE.read_text().splitlines() if line.startswith("    countersign revoke")
        ]
        assert len(commands) == 2
        for _, _, *words in commands:
            words = [one for one in words if one not in ("--direct", "--profile", "admin")]
            assert run(*words, "--dry-run").code == 0


def calls() -> dict[str, str]:
    """The page's calls by name."""
    return dict(re.findall(r"<!-- run: ([a-z-]+) -->\n```sh\n(.*?)\n```", PAGE.read_text(), re.DOTALL))


def as_typed(account: Account, line: str, keys: Keys | None = None) -> Any:
    """Make a call of AWS's command line, read by the SDK's own model of the service; unknown words raise."""
    _, service, *_ = words = shlex.split(line)
    sdk = client(service, account.aws.endpoint, keys or Keys(account.id, "test"))
    return getattr(sdk, words[2].replace("-", "_"))(**parsed(sdk, words))


def parsed(sdk: Any, words: list[str]) -> dict[str, Any]:
    _, _, operation, *options = words
    model = sdk.meta.service_model.operation_model(sdk.meta.method_to_api_mapping[operation.replace("-", "_")])
    shapes = model.input_shape.members if model.input_shape else {}
    by_option = {f"--{xform_name(name, '-')}": name for name in shapes}
    found: dict[str, Any] = {}
    for option, value in zip(options[::2], options[1::2], strict=True):
        name = by_option[option]
        kind = shapes[name].type_name
        found[name] = json.loads(value) if kind in ("list", "structure", "integer") else value
    return found


def as_session(account: Account, credentials: Any) -> Callable[[str], Any]:
    keys = Keys(credentials["AccessKeyId"], credentials["SecretAccessKey"])
    return lambda service: client(service, account.aws.endpoint, keys, credentials["SessionToken"])


def ask(session: Callable[[str], Any], line: str) -> str:
    _, service, operation = shlex.split(line)
    return outcome(getattr(session(service), operation.replace("-", "_")))
