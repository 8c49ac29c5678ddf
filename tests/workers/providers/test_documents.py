"""The code emits the documents that were written by hand, in forms that it may emit, and names that fit."""

import copy
import json
from datetime import datetime, timedelta

import pytest

from tests.workers.providers.emitted import DOCUMENTS, EMITTED, ENDS
from workers.data.levels import load_levels
from workers.providers import documents
from workers.providers.documents import UnsafeDocument, lint

A = "grt_01JAAAAAAAAAAAAAAAAAAAAAAA"


@pytest.mark.parametrize("name", EMITTED)
def test_the_code_emits_the_documents_that_were_written_by_hand(name):
    assert json.loads(EMITTED[name].text) == DOCUMENTS[name]
    assert len(EMITTED[name].text) == len(json.dumps(DOCUMENTS[name], separators=(",", ":")))


def test_no_hand_written_document_is_without_its_code():
    assert set(DOCUMENTS) - set(EMITTED) == {"about", "everything"}


BROKEN = {
    "a misspelt key": {"Condition": {"StringEquals": {"aws:PrincipalTag/grantid": A}}},
    "another letter case": {"Condition": {"StringEquals": {"aws:principaltag/grant-id": A}}},
    "the session's name as a Deny": {"Condition": {"StringEquals": {"sts:RoleSessionName": A}}},
    "the role's ARN": {"Condition": {"StringEquals": {"aws:PrincipalArn": A}}},
    "another operator": {"Condition": {"StringLike": {"aws:PrincipalTag/grant-id": A}}},
    "a negated operator": {"Condition": {"StringNotEquals": {"aws:PrincipalTag/grant-id": A}}},
    "an optional one": {"Condition": {"StringEqualsIfExists": {"aws:PrincipalTag/grant-id": A}}},
    "the end as less-than": {"Condition": {"DateLessThan": {"aws:CurrentTime": "2026-11-20T10:10:00Z"}}},
    "an empty condition": {"Condition": {}},
    "an empty operator": {"Condition": {"StringEquals": {}}},
    "no value": {"Condition": {"StringEquals": {"aws:PrincipalTag/grant-id": ""}}},
    "NotAction": {"NotAction": ["s3:GetObject"]},
    "NotResource": {"NotResource": ["*"]},
    "NotPrincipal": {"NotPrincipal": "*"},
    "no action": {"Action": []},
    "no resource": {"Resource": []},
    "another effect": {"Effect": "deny"},
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_lint_refuses_what_we_never_emit(change):
    document = copy.deepcopy(DOCUMENTS["revoke-A"])
    document["Statement"][0].update(change)
    with pytest.raises(UnsafeDocument, match=r"Statement\[0\]"):
        lint(json.dumps(document))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"Version":"2012-10-17","Statement":[]}', '{"Version":"2008-10-17","Statement":[{}]}',
     '{"Version":"2012-10-17","Statement":{}}', '{"Version":"2012-10-17","Statement":["x"]}'],
)  # fmt: skip
def test_lint_refuses_what_is_no_document(text):
    with pytest.raises(UnsafeDocument):
        lint(text)


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name not in ("about", "revoke-all")])
def test_lint_passes_every_document_as_it_is(name):
    text = json.dumps(DOCUMENTS[name])
    assert lint(text) == text


def test_names_fit_what_aws_takes():
    longest = max(documents.session_name(A), documents.probe_name(A), documents.control_name("control-" + "0" * 26))
    assert len(longest) <= 64
    assert documents.revoke_name(A) == f"countersign-revoke-{A}"
    assert len(documents.revoke_name(A)) <= 128
    assert documents.revoked_id(documents.revoke_name(A)) == A
    assert documents.revoked_id("somebody-elses-policy") is None


def test_many_revocations_fit_on_one_role():
    """AWS counts 10,240 characters of inline policies per role, white space apart."""
    assert 10_240 // len(documents.revoke_policy(A)) >= 57


@pytest.mark.parametrize("wrong", ["", "grt_", A + "A", A[:-1], A.lower(), "req_" + A[4:], f'{A[:-2]}"}}', A + "\n"])
def test_what_is_no_grant_id_gets_into_no_document_and_no_name(wrong):
    for make in (documents.revoke_policy, documents.session_name, documents.probe_name, documents.revoke_name):
        with pytest.raises(ValueError, match="not a grant id"):
            make(wrong)


def test_the_end_is_spelled_in_utc_whole_seconds():
    elsewhere = ENDS.astimezone(datetime.strptime("+05:30", "%z").tzinfo) + timedelta(milliseconds=900)
    assert documents.iam_time(elsewhere) == "2026-11-20T10:10:00Z"


def test_what_ends_everybody_passes_by_its_own_function_alone():
    with pytest.raises(UnsafeDocument, match="aws:TokenIssueTime is not in the allow-list"):
        lint(json.dumps(DOCUMENTS["revoke-all"]))


@pytest.mark.parametrize("pattern", documents.NO_ESCAPE)
def test_what_the_boundary_denies_are_actions_that_exist(pattern):
    """A misspelt one would deny nothing, and nobody would notice."""
    assert load_levels().known(pattern)


def test_the_boundary_fits_with_room_for_a_ceiling():
    assert len(documents.boundary_policy([])) <= documents.BOUNDARY_LIMIT - 4_000
