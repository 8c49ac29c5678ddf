"""What `countersign aws` prints for five accounts: the same documents in both spellings, and they work at AWS."""

from __future__ import annotations

import json
from pathlib import Path

import hcl2
import pytest

from approvers.grant import ProofKind
from approvers.roster import parse_roster
from countersign.cli import main
from countersign.ops.awscloudformation import template
from countersign.ops.awssetup import MINTER, REVOKER, AccountSetup, NotSetUp, account_setup, every_account, identities
from countersign.ops.awsterraform import terraform
from countersign.ops.ministack import ACCOUNT, BUCKET, REGION
from tests.countersign.ops.five import FIVE, FOLDER, IDENTITIES, SHOWN, WORKER
from tests.worlds.ministack import QUICK, SECRET, Ministack, a_plan, aws, new_grant_id, outcome
from workers.providers import documents
from workers.providers.access import AwsAccess, Identity
from workers.providers.aws import AwsProvider
from workers.providers.documents import lint
from workers.providers.port import Handle, ProofOutcome

__all__ = ["aws"]
NAMES = {"minter": MINTER, "revoker": REVOKER}
ROSTER = parse_roster(FIVE)
WORKER_USER = "countersign-stack-worker"


def setups() -> list[AccountSetup]:
    return [
        identities(IDENTITIES, WORKER, ROSTER),
        *(account_setup(name, ROSTER, IDENTITIES) for name in every_account(ROSTER)),
    ]


def spelled(text: str) -> dict[tuple[str, str], object]:
    """Return what a Terraform file says: (kind, account/name) → document, or a role's trust and boundary."""
    found: dict[tuple[str, str], object] = {}
    for block in hcl2.loads(text)["resource"]:
        for kind, named in block.items():
            for label, body in named.items():
                body = body[0] if isinstance(body, list) else body
                label = label.strip('"')
                if kind.strip('"') == "aws_iam_policy":
                    found["policy", label] = json.loads(_text(body["policy"]))
                elif kind.strip('"') == "aws_iam_role":
                    found["role", label] = (
                        json.loads(_text(body["assume_role_policy"])),
                        "permissions_boundary" in body,
                    )
    return found


def _text(value: str) -> str:
    return value.strip().removeprefix('"').removeprefix("<<JSON").removesuffix('"').removesuffix("JSON").strip()


def test_five_accounts_and_the_identities_are_set_up():
    found = {one.name: one for one in setups()}
    assert sorted(found) == ["countersign", "dev", "prod-data", "prod-payments", "sandbox", "staging"]
    prod = found["prod-payments"]
    assert [role.name for role in prod.roles] == [
        "countersign-base-payments-operator",
        "countersign-base-payments-reader",
        "countersign-base-payments-reader-2",
        "countersign-revoker",
        "countersign-tags",
    ]
    bases = [role for role in prod.roles if role.name.startswith(documents.ROLE_PREFIX)]
    assert all(role.boundary == "countersign-boundary" for role in bases)
    assert [role.boundary for role in prod.roles if role not in bases] == [None, None]
    assert "countersign-prod" in bases[0].trust
    assert "countersign-prod" not in bases[1].trust
    for setup in setups():
        for policy in setup.policies:
            lint(policy.document)
        for role in setup.roles:
            lint(role.trust)


def test_the_minter_may_assume_the_base_roles_and_write_nothing_and_the_revoker_the_other_way_round():
    minter, revoker = (json.loads(policy.document)["Statement"] for policy in setups()[0].policies)
    assert {action for one in minter for action in one["Action"]} == {
        "sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity",
    }  # fmt: skip
    bases = [arn for role in ROSTER.roles.values() for arn in (role.arn, *role.more_arns)]
    assert sorted(minter[0]["Resource"]) == sorted(bases)
    assert revoker == [
        {
            "Effect": "Allow",
            "Action": ["sts:AssumeRole"],
            "Resource": sorted(one.revoker for one in ROSTER.accounts.values() if one.revoker),
        }
    ]


def test_terraform_and_cloudformation_say_the_same():
    said = spelled(terraform(setups()))
    count = 0
    for setup in setups():
        resources = template(setup)["Resources"].values()
        for one in resources:
            body, alias = one["Properties"], setup.name.replace("-", "_")
            if one["Type"] == "AWS::IAM::ManagedPolicy":
                label = f"{alias}_{body['ManagedPolicyName'].replace('-', '_')}"
                assert said["policy", label] == body["PolicyDocument"]
            else:
                label = f"{alias}_{body['RoleName'].replace('-', '_')}"
                assert said["role", label] == (body["AssumeRolePolicyDocument"], "PermissionsBoundary" in body)
            count += 1
    assert count == len(said)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("revoker     = \"arn:aws:iam::333333333333:role/countersign-revoker\"\n", ""),
         "account staging names no role that revokes there; write revoker = "),
        (('[role.staging-admin]\naccount = "staging"', '[role.staging-admin]\naccount = "dev"'), ""),
    ],
    ids=["no-revoker", "no-role"],
)  # fmt: skip
def test_what_is_missing_is_named_with_its_remedy(change: tuple[str, str], words: str):
    text = FIVE.replace(*change)
    if not words:
        with pytest.raises(NotSetUp, match="no role belongs to account staging"):
            account_setup(
                "staging",
                parse_roster(text.replace("333333333333:role/countersign-base", "444444444444:role/countersign-base")),
                IDENTITIES,
            )
        return
    with pytest.raises(NotSetUp) as caught:
        account_setup("staging", parse_roster(text), IDENTITIES)
    assert words in caught.value.detail


def test_a_boundary_that_aws_would_not_take_is_refused_before_anybody_tries():
    many = ", ".join(f'"s3:Get{number:04}{"x" * 40}"' for number in range(100))
    text = FIVE.replace('ceiling = ["ec2:*", "s3:*", "logs:*"]', f"ceiling = [{many}]", 1)
    with pytest.raises(NotSetUp, match=r"the boundary of account dev would have .* AWS takes 6144"):
        account_setup("dev", parse_roster(text), IDENTITIES)


def test_the_files_beside_the_guide_are_what_is_printed():
    assert (FOLDER / "countersign.tf").read_text() == terraform(setups()), "run: python -m tests.aws_files"
    for setup in (one for one in setups() if one.name in SHOWN):
        path = FOLDER / f"cloudformation-{setup.name}.json"
        assert json.loads(path.read_text()) == template(setup), "run: python -m tests.aws_files"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["aws", *arguments])
    return int(ended.value.code or 0)


def test_the_commands_print_them_and_refuse_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "countersign.toml"
    file.write_text(FIVE)
    common = (str(file), "--identities", IDENTITIES, "--worker", WORKER)
    assert run("terraform", *common) == 0
    assert spelled(capsys.readouterr().out) == spelled(terraform(setups()))
    for name, setup in (("countersign", setups()[0]), ("staging", account_setup("staging", ROSTER, IDENTITIES))):
        assert run("cloudformation", *common, "--account", name) == 0
        printed = capsys.readouterr()
        assert json.loads(printed.out) == template(setup)
        assert "doctor --aws --all" in printed.err
    for wrong, words in (
        ((*common, "--account", "prod"), "there is no account 'prod' in this file"),
        ((str(file), "--identities", "12", "--worker", WORKER, "--account", "dev"), "is no account id"),
        ((str(file), "--identities", IDENTITIES, "--worker", "me", "--account", "dev"), "is not what a worker runs as"),
        ((str(tmp_path / "none.toml"), *common[1:], "--account", "dev"), "cannot be read: No such file"),
    ):
        assert run("cloudformation", *wrong) == 1
        assert words in capsys.readouterr().err


def test_the_stacks_work_at_aws_mint_refuse_revoke_and_prove(
    aws: Ministack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Deploy both templates at the enforcing local AWS, in one account, and live one life through their roles."""
    roster = parse_roster(
        FIVE.replace("111111111111", ACCOUNT).replace("payments-exports", BUCKET)
        .replace('ceiling   = ["s3:GetObject*", "s3:ListBucket"]', 'ceiling   = ["s3:GetObject*", "s3:PutObject"]')
    )  # fmt: skip
    worker = aws.root("iam").create_user(UserName=WORKER_USER)["User"]["Arn"]
    stacks = aws.root("cloudformation")
    for name, setup in (
        ("identities", identities(ACCOUNT, worker, roster)),
        ("prod-payments", account_setup("prod-payments", roster, ACCOUNT)),
    ):
        body = json.dumps(template(setup)).replace(
            # The emulator does not resolve this key, and would refuse every write.
            json.dumps(
                {
                    "Condition": {
                        "StringEquals": {
                            "iam:PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/countersign-boundary"
                        }
                    }
                }
            )[1:-1],
            '"Sid": "Write"',
        )
        stacks.create_stack(StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_NAMED_IAM"])
        stacks.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    access = AwsAccess(aws.endpoint, REGION, *_profiles(aws, tmp_path, monkeypatch))
    provider, plan = AwsProvider(access, pace=QUICK), a_plan(role_arn=roster.roles["payments-reader"].arn)
    if hasattr(plan, "revoker_arn"):
        plan = plan.model_copy(update={"revoker_arn": roster.accounts["prod-payments"].revoker})
    grant, other = new_grant_id(), new_grant_id()
    secret, spared = provider.mint(grant, plan).secret, provider.mint(other, plan).secret
    assert (aws.read(secret), aws.read(secret, SECRET), aws.write(secret)) == (
        "allow",
        "implicit_deny",
        "implicit_deny",
    )
    assert outcome(aws.as_session("iam", secret).list_roles) != "allow"
    handle = Handle(grant, plan)
    assert provider.verify(handle, ProofKind.PROBE_DENIED).outcome is ProofOutcome.STILL_ACTIVE
    provider.revoke(handle)
    assert provider.verify(handle, ProofKind.PROBE_DENIED).outcome is ProofOutcome.PROVEN
    assert (aws.read(secret), aws.read(spared)) == ("explicit_deny", "allow")
    assert grant in provider.leftovers(plan)


def _profiles(aws: Ministack, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Identity, Identity]:
    """Be a worker as docs/aws.md sets it up: one identity of its own, from which it takes its two roles."""
    iam = aws.root("iam")
    everything = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    iam.put_user_policy(UserName=WORKER_USER, PolicyName="worker", PolicyDocument=document)
    key = iam.create_access_key(UserName=WORKER_USER)["AccessKey"]
    own = f"aws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n"
    sections = [f"[profile worker]\n{own}"]
    for who in ("minter", "revoker"):
        sections.append(
            f"[profile {who}]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/{NAMES[who]}\n"
            f"source_profile = worker\nregion = {REGION}\n"
        )
    (folder / "config").write_text("\n".join(sections))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint)
    return Identity(profile="minter"), Identity(profile="revoker")
