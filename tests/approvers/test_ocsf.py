"""OCSF events: what its schema names, nothing made up, the record along with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvers.ocsf import event

REQUIRED = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
OF_CLASS = {3005: {"privileges", "user"}, 6003: {"actor", "api", "src_endpoint"}}
KNOWN = REQUIRED | {
    "activity_name",
    "actor",
    "status_id",
    "unmapped",
    "privileges",
    "user",
    "api",
    "src_endpoint",
    "resources",
}


def record(kind: str, **data: Any) -> dict[str, Any]:
    by = {"iss": "slack:T01", "person": "user:robin", "sub": "U02"}
    return {"at": "2026-11-20T10:04:31.220Z", "by": by, "data": data, "n": 1, "prev": "", "subject": "req_1",
            "type": kind, "v": 2, "via": "slack"}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "uid", "status"),
    [
        ("grant.minted", 300501, 1),
        ("grant.refused", 300501, 2),
        ("grant.revoked", 300502, 1),
        ("request.submitted", 600301, 1),
        ("request.approved", 600303, 1),
        ("request.denied", 600303, 2),
        ("review.recorded", 600303, 1),
        ("request.escalated", 600399, 1),
    ],
)
def test_each_has_the_class_and_what_that_requires(kind: str, uid: int, status: int) -> None:
    asked = record(
        kind, grant="grt_1", role_arn="arn:aws:iam::1:role/r", access_key_id="ASIAX", action={"resource": "a"}
    )
    found = event(4711, asked)
    assert found
    assert (found["type_uid"], found["status_id"]) == (uid, status)
    assert found["class_uid"] == uid // 100
    assert found["category_uid"] == found["class_uid"] // 1000
    assert found["activity_id"] == uid % 100
    assert found.keys() >= REQUIRED | OF_CLASS[found["class_uid"]]
    assert found.keys() <= KNOWN
    assert found["time"] == 1_795_169_071_220
    assert found["metadata"]["uid"] == "4711"
    assert found["actor"]["user"] == {"domain": "slack:T01", "name": "user:robin", "uid": "U02"}
    assert found["unmapped"] == {"position": 4711, "record": asked}
    json.dumps(found)


def test_a_grant_says_whose_session_on_which_role() -> None:
    found = event(1, record("grant.minted", grant="grt_1", role_arn="arn:aws:iam::1:role/r", access_key_id="ASIAX"))
    assert found
    assert found["user"] == {"name": "grt_1", "credential_uid": "ASIAX", "uid": "grt_1"}
    assert found["privileges"] == ["arn:aws:iam::1:role/r"]


def test_an_ask_says_for_what() -> None:
    found = event(1, record("request.submitted", action={"resource": "arn:aws:s3:::x"}))
    assert found
    assert found["resources"] == [{"name": "arn:aws:s3:::x"}]
    assert found["api"] == {"operation": "request.submitted", "service": {"name": "Countersign"}}
    assert found["src_endpoint"] == {"name": "slack"}


@pytest.mark.parametrize("kind", ["policy.applied", "freeze.set", "grant.claimed", "sign_in.refused", "export.made"])
def test_the_rest_has_no_class_there(kind: str) -> None:
    assert event(1, record(kind)) is None


def test_who_is_nobody_known_is_told_by_what_proved_them() -> None:
    nobody = record("request.submitted") | {"by": {"iss": "countersign", "person": None, "sub": "policy"}}
    found = event(1, nobody)
    assert found
    assert found["actor"]["user"] == {"domain": "countersign", "name": "policy", "uid": "policy"}
