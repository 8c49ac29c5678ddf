"""Which entry of a sheet speaks for an asked resource, and what is not known, which is worst."""

from datetime import timedelta

import pytest

from approvers.facts import EVERY_KEY
from approvers.faults import ConfigError
from approvers.tagging import FRESH, TagSheet, kept, keys_of, place_of, tags_of
from tests.approvers.rules_world import ROSTER, edited, policy, roster, when
from tests.worlds.samples import NOW

ROLE = "arn:aws:iam::111122223333:role/countersign-tags"
HERE = "eu-west-1:111122223333"
PII, NONE = ("data=pii",), ()
SHEET = TagSheet(
    at=NOW,
    complete=True,
    keys=("data", "owner"),
    role=ROLE,
    regions=("eu-west-1", "us-east-1"),
    buckets={"exports": "eu-west-1", "plain": "us-east-1", "far": "ap-south-2"},
    resources={
        "arn:aws:s3:::exports": PII,
        f"arn:aws:dynamodb:{HERE}:table/orders": PII,
        f"arn:aws:logs:{HERE}:log-group:/app/web": PII,
        f"arn:aws:lambda:{HERE}:function:report": PII,
        f"arn:aws:secretsmanager:{HERE}:secret:prod/db-AbCd12": PII,
    },
)


def known(arn: str, sheet: TagSheet = SHEET, role: str = ROLE, keys: tuple[str, ...] = ("data",), now=NOW):
    place = place_of(arn)
    return None if place is None else tags_of(place, sheet, role=role, keys=keys, now=now)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:s3:::exports",
        "arn:aws:s3:::exports/2026/report.csv",
        "arn:aws:s3:::exports/*",
        f"arn:aws:dynamodb:{HERE}:table/orders",
        f"arn:aws:dynamodb:{HERE}:table/orders/index/by-day",
        f"arn:aws:dynamodb:{HERE}:table/orders/*",
        f"arn:aws:logs:{HERE}:log-group:/app/web",
        f"arn:aws:logs:{HERE}:log-group:/app/web:*",
        f"arn:aws:logs:{HERE}:log-group:/app/web:log-stream:a/b",
        f"arn:aws:lambda:{HERE}:function:report:live",
        f"arn:aws:secretsmanager:{HERE}:secret:prod/db-AbCd12",
    ],
)
def test_a_resource_has_the_tags_of_what_it_lies_in(arn: str) -> None:
    assert known(arn) == PII


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:s3:::plain/x",
        f"arn:aws:dynamodb:{HERE}:table/order",
        f"arn:aws:logs:{HERE}:log-group:/app/webs",
        f"arn:aws:sqs:{HERE}:jobs.fifo",
        f"arn:aws:kms:{HERE}:key/1234-abcd",
        "arn:aws:rds:us-east-1:111122223333:db:shop",
    ],
)
def test_what_would_have_been_found_has_none_of_the_tags(arn: str) -> None:
    assert known(arn) == NONE


@pytest.mark.parametrize(
    "arn",
    [
        "prod/exports",
        "*",
        "arn:aws:s3:::*",
        "arn:aws:s3:::export*",
        "arn:aws:s3:::exports*/2026",
        f"arn:aws:dynamodb:{HERE}:table/order*",
        f"arn:aws:dynamodb:{HERE}:*",
        f"arn:aws:logs:{HERE}:log-group:/app/*",
        f"arn:aws:lambda:{HERE}:function:rep?rt",
        f"arn:aws:secretsmanager:{HERE}:secret:prod/db-*",
        f"arn:aws:secretsmanager:{HERE}:secret:prod/db",
        f"arn:aws:kms:{HERE}:alias/main",
        f"arn:aws:s3:{HERE}:accesspoint/exports/object/x",
        "arn:aws:iam::111122223333:role/admin",
        "arn:aws:s3:::somebody-elses/x",
        "arn:aws:s3:::far/x",
        "arn:aws-cn:s3:::plain/x",
        "arn:aws:sqs:ap-south-2:111122223333:jobs",
        "arn:aws:sqs:eu-west-1:444455556666:jobs",
        "arn:aws:sqs:::jobs",
    ],
)
def test_what_is_not_surely_one_resource_that_was_looked_for_is_not_known(arn: str) -> None:
    assert known(arn) is None


def test_what_is_old_incomplete_or_read_for_others_is_not_known() -> None:
    arn = "arn:aws:s3:::exports"
    assert known(arn, now=NOW + FRESH) == PII
    assert known(arn, now=NOW + FRESH + timedelta(seconds=1)) is None
    assert known(arn, now=NOW - FRESH - timedelta(seconds=1)) is None
    assert known(arn, SHEET.model_copy(update={"complete": False})) is None
    assert known(arn, SHEET.model_copy(update={"at": None})) is None
    assert known(arn, role=ROLE.replace("countersign-tags", "other")) is None
    assert known(arn, keys=("data", "team")) is None
    assert known(arn, keys=EVERY_KEY) is None
    assert known(arn, SHEET.model_copy(update={"keys": EVERY_KEY}), keys=("team",)) == PII


def test_a_failed_reading_leaves_what_was_known_until_it_is_old() -> None:
    assert known("arn:aws:s3:::exports", SHEET.model_copy(update={"tries": 5})) == PII


def test_the_keys_are_those_that_rules_name() -> None:
    other = when('tags_none = ["owner=a=*"]').replace("probe", "other")
    assert keys_of(policy(when('tags_any = ["data=pii", "data=secret"]'), other)) == ("data", "owner")
    assert keys_of(policy(when('tags_any = ["data=pii", "da*=x"]'))) == EVERY_KEY
    assert keys_of(policy(when('environment = ["prod"]'))) == ()


def test_a_sheet_keeps_the_tags_of_its_keys_and_reads_back_as_it_was() -> None:
    found = {"arn:b": {"data": "pii", "team": "x"}, "arn:a": {"owner": "", "data": "a=b"}}
    assert kept(found, ("data", "owner")) == {"arn:a": ("data=a=b", "owner="), "arn:b": ("data=pii",)}
    assert kept(found, EVERY_KEY)["arn:b"] == ("data=pii", "team=x")
    assert TagSheet.model_validate_json(SHEET.model_dump_json()) == SHEET


@pytest.mark.parametrize(
    ("changes", "trouble"),
    [({}, False), ({"tries": 2}, False), ({"tries": 3}, True), ({"complete": False}, True),
     ({"complete": False, "at": None}, False)],
)  # fmt: skip
def test_on_call_hears_after_three_tries_or_of_too_much(changes, trouble: bool) -> None:
    assert SHEET.model_copy(update=changes).in_trouble is trouble


def test_the_role_that_reads_an_accounts_tags_is_its_own() -> None:
    own = edited(ROSTER, 'id = "111122223333"\n', f'id = "111122223333"\ntags = "{ROLE}"\n')
    assert roster(own).accounts["shop-prod"].tags == ROLE
    with pytest.raises(ConfigError, match=r"account\.shop-prod\.tags: the ARN lies in account 444455556666"):
        roster(own.replace(ROLE, ROLE.replace("111122223333", "444455556666")))
