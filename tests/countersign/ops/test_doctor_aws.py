"""`countersign doctor --aws` at a local AWS: all is well, and each planted weakness is found by its own line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from approvers.grant import Plan
from approvers.roster import parse_roster
from countersign.ops import awscheck, escapes
from countersign.ops.awsroles import NOWHERE
from countersign.ops.escaperoutes import ROUTES, judge, refused
from countersign.ops.escapes import Ground
from countersign.ops.findings import Finding
from countersign.ops.fittings import apply_rules
from countersign.ops.ministack import ACCOUNT, BOUNDARY_ARN, ROLE, ROLE_ARN
from tests.countersign.ops.conftest import Command
from tests.countersign.ops.test_doctor import on_store
from tests.worlds import samples
from tests.worlds.aws_gate import DENIED, THROTTLED, Answer, AwsGate
from tests.worlds.ministack import QUICK, Ministack, a_plan, aws
from tests.worlds.valkey import Valkey
from workers.providers import documents
from workers.providers.access import AwsAccess, Identity, Keys
from workers.providers.aws import AwsProvider
from workers.providers.aws_sdk import Clients
from workers.stores.port import Store

__all__ = ["aws"]
HOUR = timedelta(hours=1)
UNKNOWN_HERE = {
    "other source identity", "revoker needs the boundary", "public registry login", "bearer token", "warehouse login",
    "account", "identity center", "roles anywhere",
}  # fmt: skip
"""What the local AWS does not decide; the list says what remains to be confirmed on the real one."""
DECIDED = tuple(route for route in ROUTES if route.local)
MINTER = f"arn:aws:iam::{ACCOUNT}:user/countersign-minter"
RIGHTS = documents.render({"Effect": "Allow", "Action": "*", "Resource": "*"})


def ground(aws: Ministack, access: AwsAccess | None = None, longest: timedelta = HOUR, **changes: Any) -> Ground:
    access = access or aws.prepared.access(aws.endpoint)
    provider = AwsProvider(access, pace=QUICK)
    return Ground(
        a_plan(**changes), Clients(access), provider, longest, local=True, short_seconds=2, patience_seconds=6
    )


def verdicts(found: Iterator[Finding] | list[Finding]) -> dict[str, str]:
    return {one.what.partition(": ")[2]: one.verdict for one in found}


def a_role(aws: Ministack, name: str, *, trust: str | None = None, boundary: str | None = BOUNDARY_ARN) -> Plan:
    """Make a base role as the guide says, but for what is planted; it can do everything, so that its cap is seen."""
    iam = aws.root("iam")
    cap = {"PermissionsBoundary": boundary} if boundary else {}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust or documents.trust_policy(MINTER), **cap)
    arn = iam.create_policy(PolicyName=name, PolicyDocument=RIGHTS)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    both = json.dumps([ROLE_ARN, role_arn(name)])
    policy = documents.minter_policy(ROLE_ARN).replace(json.dumps([ROLE_ARN], separators=(",", ":")), both)
    iam.put_user_policy(UserName="countersign-minter", PolicyName=f"lab-{name}", PolicyDocument=policy)
    return a_plan(role_arn=role_arn(name))


def role_arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def wide(of: Ground) -> Any:
    return of.minted("*", 60)[1].secret


class TestPlanted:
    """Each weakness is seen by its own line, and by no other of the same kind."""

    def test_no_boundary(self, aws: Ministack):
        plan = a_role(aws, "countersign-base-uncapped", boundary=None)
        of = replace(ground(aws), plan=plan)
        assert verdicts(escapes.setting(of))["boundary"] == "fail"
        out = verdicts(escapes.routes(of, wide(of), DECIDED))
        assert {"chaining", "iam reads", "lifting a Deny", "iam writes", "registry login"} <= {
            what for what, verdict in out.items() if verdict == "fail"
        }

    def test_a_boundary_that_does_not_deny_sts(self, aws: Ministack):
        document = json.loads(documents.boundary_policy(["*"]))
        document["Statement"][1]["Action"].remove("sts:*")
        arn = aws.root("iam").create_policy(PolicyName="no-sts", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
        of = replace(ground(aws), plan=a_role(aws, "countersign-base-hopping", boundary=arn))
        assert verdicts(escapes.setting(of))["boundary"] == "ok", "to the eye it is there"
        out = {what for what, verdict in verdicts(escapes.routes(of, wide(of), DECIDED)).items() if verdict == "fail"}
        assert "chaining" in out
        assert out <= {"chaining", "federation token"}

    def test_a_boundary_that_is_only_silent_on_iam(self, aws: Ministack):
        """What is not allowed is refused as well, but a policy elsewhere that names the session gets round that."""
        document = json.loads(documents.boundary_policy(["s3:*"]))
        document["Statement"][1]["Action"].remove("iam:*")
        arn = aws.root("iam").create_policy(PolicyName="no-iam", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
        of = replace(ground(aws), plan=a_role(aws, "countersign-base-silent", boundary=arn))
        found = {one.what.partition(": ")[2]: one for one in escapes.routes(of, wide(of), DECIDED)}
        assert {what for what, one in found.items() if one.verdict == "fail"} == {
            "iam reads", "iam writes", "lifting a Deny"
        }  # fmt: skip
        assert "no explicit denial" in found["iam reads"].words

    @pytest.mark.parametrize(
        ("dropped", "line"),
        [
            ("aws:RequestTag/grant-id", "untagged session"),
            ("sts:RoleSessionName", "session of another name"),
            ("aws:TagKeys", "second tag"),
        ],
    )
    def test_a_trust_policy_without_a_condition(self, aws: Ministack, dropped: str, line: str):
        document = json.loads(documents.trust_policy(MINTER))
        for statement in document["Statement"]:
            for operator in list(statement["Condition"]):
                statement["Condition"][operator].pop(dropped, None)
                if not statement["Condition"][operator]:
                    del statement["Condition"][operator]
        name = f"countersign-base-{line.replace(' ', '-')}"
        of = replace(ground(aws), plan=a_role(aws, name, trust=json.dumps(document)))
        found = verdicts(escapes.trust(of))
        assert {what for what, verdict in found.items() if verdict == "fail"} == {line}

    def test_an_external_id_that_is_not_asked_for(self, aws: Ministack):
        plan = a_role(aws, "countersign-base-anybodys")
        of = replace(ground(aws), plan=plan.model_copy(update={"external_id": "cs-1"}))
        assert verdicts(escapes.trust(of))["without external id"] == "fail"

    def test_an_external_id_that_is(self, aws: Ministack):
        plan = a_role(aws, "countersign-base-ours", trust=documents.trust_policy(MINTER, "cs-1"))
        of = replace(ground(aws), plan=plan.model_copy(update={"external_id": "cs-1"}))
        found = verdicts(escapes.trust(of))
        assert found.pop("other source identity") == "unknown"
        assert set(found.values()) == {"ok"}

    def test_a_role_that_carries_the_tag_and_a_policy_of_its_own(self, aws: Ministack):
        plan = a_role(aws, "countersign-base-tagged")
        iam, name = aws.root("iam"), "countersign-base-tagged"
        iam.tag_role(RoleName=name, Tags=[{"Key": "grant-id", "Value": "x"}])
        iam.put_role_policy(RoleName=name, PolicyName="of-a-colleague", PolicyDocument=RIGHTS)
        found = verdicts(escapes.setting(replace(ground(aws), plan=plan)))
        assert (found["grant-id tag"], found["inline policies"], found["boundary"]) == ("fail", "fail", "ok")

    def test_a_role_whose_sessions_are_shorter_than_policy_allows(self, aws: Ministack):
        found = verdicts(escapes.setting(ground(aws, longest=timedelta(hours=2))))
        assert found.pop("longest session") == "fail"
        assert set(found.values()) == {"ok"}

    @pytest.mark.parametrize(
        ("minter", "revoker", "line"),
        [
            (None, {"Action": "sts:*", "Resource": "*"}, "revoker mints"),
            (None, {"Action": "iam:*Role", "Resource": "*"}, "revoker changes roles"),
            (None, {"Action": "iam:DeleteRolePolicy", "Resource": "*"}, "revoker writes elsewhere"),
            ({"Action": "iam:DeleteRolePolicy", "Resource": "*"}, None, "minter writes"),
        ],
        ids=lambda one: one["Action"] if isinstance(one, dict) else None,
    )
    def test_an_identity_that_may_more(self, aws: Ministack, minter: dict | None, revoker: dict | None, line: str):
        name = f"lab-{line.replace(' ', '-')}"
        iam = aws.root("iam")
        plan = a_role(
            aws, f"countersign-base-{name}", trust=documents.trust_policy(f"arn:aws:iam::{ACCOUNT}:user/{name}")
        )
        iam.create_user(UserName=name)
        own = documents.minter_policy() if minter else documents.revoker_policy(ACCOUNT, None)
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=own)
        more = documents.render({"Effect": "Allow", **(minter or revoker or {})})
        iam.put_user_policy(UserName=name, PolicyName="more", PolicyDocument=more)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        key = Identity(Keys(made["AccessKeyId"], made["SecretAccessKey"]))
        access = replace(aws.prepared.access(aws.endpoint), **{"minter" if minter else "revoker": key})
        of = replace(ground(aws, access), plan=plan)
        found = verdicts(escapes.identities(of))
        assert {what for what, verdict in found.items() if verdict == "fail"} == {line}

    def test_a_probe_that_the_boundary_does_not_allow(self, aws: Ministack):
        document = json.loads(documents.boundary_policy(["s3:*"]))
        document["Statement"][0]["Action"].remove("ec2:DescribeRegions")
        arn = aws.root("iam").create_policy(PolicyName="no-probe", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
        found = escapes.of_role(replace(ground(aws), plan=a_role(aws, "countersign-base-mute", boundary=arn)))
        assert verdicts(found)["probe"] == "fail"
        assert "chaining" not in verdicts(found), "refusals would say nothing"

    def test_a_role_that_cannot_be_minted_on_or_read(self, aws: Ministack):
        found = escapes.of_role(ground(aws, role_arn=role_arn("countersign-base-nobodys")))
        assert {what for what, verdict in verdicts(found).items() if verdict == "fail"} >= {"role", "mint"}

    def test_a_deny_that_ends_nobody(self, aws: Ministack):
        """The gate says that the Deny was written; it never was."""
        with AwsGate(aws.endpoint) as gate:
            gate.answer(None, _done("PutRolePolicy"), "iam:PutRolePolicy")
            of = replace(ground(aws, aws.prepared.access(gate.url)), patience_seconds=0.2)
            found = escapes.by_deny(of, wide(of))
        assert found.verdict == "fail"
        assert "the session itself is allowed" in found.words


def _done(name: str) -> Answer:
    told = f"<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{name}Response>"
    return Answer(200, f"<{name}Response>{told}".encode())


def test_an_identity_that_cannot_be_used_is_told_for_each_role(aws: Ministack):
    access = replace(aws.prepared.access(aws.endpoint), minter=Identity(profile="of-nobody"))
    plans = [a_plan(), a_plan(role_arn=role_arn("countersign-base-nobodys"))]
    found = escapes.examine(access, plans, HOUR, local=True)
    assert [one.what for one in found] == [f"{ROLE}: role", "countersign-base-nobodys: role"]
    assert {one.verdict for one in found} == {"fail"}
    assert "check its profile" in found[0].words


def test_without_it_the_doctor_reads_the_denies_of_every_base_role(aws: Ministack):
    a_role(aws, "countersign-base-second")
    text = samples.ROSTER_TEXT.replace(
        f'"{ROLE_ARN}"', f'"{ROLE_ARN}"\nmore_arns = ["{role_arn("countersign-base-second")}"]'
    )
    access = aws.prepared.access(aws.endpoint)
    words = awscheck.roles_seen(access, parse_roster(text))
    assert re.search(rf"{ROLE} \(\d+ revocations\), countersign-base-second \(0 revocations\)", words)
    with pytest.raises(awscheck.OneIdentity):
        awscheck.roles_seen(replace(access, revoker=access.minter), None)


class TestJudging:
    """What is neither a clear no nor a clear yes is unknown, and at the local AWS what it does not decide is."""

    def error(self, aws: Ministack, answer: Any) -> Exception:
        with AwsGate(aws.endpoint) as gate:
            gate.answer(None, answer, "sts:AssumeRole")
            clients = Clients(aws.prepared.access(gate.url))
            return escapes._assume(clients.get("sts", "minter"), a_plan(), {"RoleSessionName": "grant-x"})

    def test_a_throttle_is_no_refusal(self, aws: Ministack):
        error = self.error(aws, THROTTLED)
        assert refused("x", error, frozenset(), "do").verdict == "unknown"
        assert judge("x", error, ROUTES[0], local=False).verdict == "unknown"

    def test_a_refusal_that_is_not_explicit_closes_no_way_out(self, aws: Ministack):
        error = self.error(aws, DENIED)
        assert refused("x", error, frozenset(), "do").verdict == "ok"
        assert judge("x", error, ROUTES[0], local=False).verdict == "fail"

    def test_on_the_real_one_being_let_through_is_never_unknown(self):
        for route in ROUTES:
            assert judge("x", None, route, local=False).verdict == "fail"
            assert judge("x", None, route, local=True).verdict == ("fail" if route.local else "unknown")


@pytest.fixture
def at_aws(aws: Ministack, monkeypatch: pytest.MonkeyPatch) -> Ministack:
    """The environment of a worker that uses the local AWS."""
    monkeypatch.setenv("COUNTERSIGN_AWS_ENDPOINT_URL", aws.endpoint)
    monkeypatch.setenv("COUNTERSIGN_AWS_REGION", "us-east-1")
    for who, identity in (("MINTER", aws.prepared.minter), ("REVOKER", aws.prepared.revoker)):
        assert identity.keys
        monkeypatch.setenv(f"COUNTERSIGN_AWS_{who}_ACCESS_KEY_ID", identity.keys.access_key_id)
        monkeypatch.setenv(f"COUNTERSIGN_AWS_{who}_SECRET_ACCESS_KEY", identity.keys.secret_access_key)
    return aws


def test_a_role_that_is_set_up_as_the_guide_says_lets_nothing_out_and_ends(
    command: Command, empty_valkey: Valkey, at_aws: Ministack
):
    async def applied(store: Store) -> None:
        await apply_rules(store.records)

    on_store(empty_valkey, applied)
    told = command("doctor", "--aws", "--all", "--json")
    assert told.code == 0, told.out
    found = [Finding(**one) for one in json.loads(told.out)]
    assert found.pop().what == "not confirmed"
    assert all(one.what.startswith(f"{ROLE}: ") for one in found)
    seen = verdicts(found)
    assert len(seen) == len(found), "each line has a name of its own"
    assert {what for what, verdict in seen.items() if verdict == "unknown"} == UNKNOWN_HERE
    assert {what: verdict for what, verdict in seen.items() if verdict not in ("ok", "unknown")} == {}
    assert {"chaining", "untagged session", "ends by its time", "ends by a Deny", "boundary"} <= seen.keys()
    left = at_aws.provider().leftovers(a_plan())
    assert not [one for one in left if one.startswith("grt_00DOCTOR")], "its own Deny is gone again"
    keys = (at_aws.prepared.minter.keys, at_aws.prepared.revoker.keys)
    assert not [key for key in keys if key and key.secret_access_key in told.out + told.err]


def test_a_role_by_its_arn_needs_no_store(command: Command, at_aws: Ministack, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COUNTERSIGN_REDIS_URL", NOWHERE)
    told = command("doctor", "--aws", "--role-arn", role_arn("countersign-base-nobodys"))
    assert told.code == 1
    assert "fail  countersign-base-nobodys: mint" in told.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--aws"], "`doctor --aws --all`"),
        (["--aws", "analytics", "--all"], "`doctor --aws --all`"),
        (["--aws", "--role-arn", "countersign-base-x"], "is no role's ARN"),
        (["--aws", "analytica"], "known: analytics"),
        (["analytics"], "add --aws"),
        (["--all"], "add --aws"),
    ],
)
def test_what_was_not_said_right_is_told(command: Command, empty_valkey: Valkey, words: list[str], said: str):
    async def applied(store: Store) -> None:
        await apply_rules(store.records)

    on_store(empty_valkey, applied)
    told = command("doctor", *words)
    assert (told.code, said in told.out) == (1, True), told.out
