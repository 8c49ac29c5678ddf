"""What may be in the body of a request, what is refused with which words, and what the digest binds."""

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from approvers.action import NOT_BUILT, Action, action_digest, parse_action
from approvers.errors import Malformed, NotBuilt
from approvers.strict_json import MAX_DEPTH, load
from tests.worlds import samples


def parse(**changes: Any) -> Action:
    return parse_action(json.dumps({**samples.BODY, **changes}).encode(), rfc8785.dumps)


BAD_BYTES = {
    "not UTF-8": (b'{"reason": "\xff"}', "UTF-8"),
    "not JSON": (b'{"action": ', "not JSON"),
    "trailing words": (b"{} {}", "not JSON"),
    "duplicate key": (b'{"action": "a:b", "action": "c:d"}', "twice"),
    "duplicate key inside": (b'{"actor": {"id": "a:b", "id": "c:d"}}', "twice"),
    "NaN": (b'{"ttl_seconds": NaN}', "NaN"),
    "infinity": (b'{"ttl_seconds": -Infinity}', "Infinity"),
    "1e400": (b'{"ttl_seconds": 1e400}', "too large"),
    "2^53": (b'{"ttl_seconds": 9007199254740992}', "too large"),
    "thousands of digits": (b'{"ttl_seconds": ' + b"9" * 5_000 + b"}", "too large"),
    "lone surrogate": (b'{"reason": "\\ud800"}', "surrogate"),
    "lone surrogate as key": (b'{"parameters": {"\\udfff": 1}}', "surrogate"),
    "deep nesting": (b"[" * 100_000, "nested"),
    "deep objects": (b'{"a":' * 1_000, "nested"),
    "a list": (b"[]", "object"),
    "a text": (b'"hello"', "object"),
    "null": (b"null", "object"),
    "nothing": (b"", "not JSON"),
}


@pytest.mark.parametrize("name", BAD_BYTES)
def test_bytes_that_have_no_single_meaning_are_refused(name: str):
    body, words = BAD_BYTES[name]
    with pytest.raises(Malformed, match=words):
        parse_action(body, rfc8785.dumps)


BAD_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown field": ({"aproved": True}, "aproved"),
    "unknown field inside": ({"actor": {"id": "agent:a", "name": "x"}}, "actor.name"),
    "number as text": ({"ttl_seconds": "900"}, "ttl_seconds"),
    "fraction": ({"ttl_seconds": 900.5}, "ttl_seconds"),
    "true as number": ({"ttl_seconds": True}, "ttl_seconds"),
    "no time at all": ({"ttl_seconds": 0}, "ttl_seconds"),
    "more than AWS sells": ({"ttl_seconds": 43_201}, "ttl_seconds"),
    "text as list": ({"data_classes": "pii"}, "data_classes"),
    "wildcard in the headline": ({"action": "s3:*"}, "action"),
    "action without service": ({"action": "GetObject"}, "action"),
    "control character in the resource": ({"resource": "arn:aws:s3:::a\u0007"}, "resource"),
    "space in the resource": ({"resource": "a b"}, "resource"),
    "actor without kind": ({"actor": {"id": "report-bot"}}, "actor.id"),
    "unknown risk": ({"risk": "tiny"}, "risk"),
    "unknown urgency": ({"urgency": "now!!"}, "urgency"),
    "wildcard in an action": (
        {"access": {"role": "a", "actions": ["s3:*"], "resources": ["arn:x"]}},
        "access.actions[0]",
    ),
    "no actions": ({"access": {"role": "a", "actions": [], "resources": ["arn:x"]}}, "access.actions"),
    "provider that is no name": (
        {"access": {"provider": "g c p", "role": "a", "actions": ["s3:GetObject"], "resources": ["arn:x"]}},
        "access.provider",
    ),
    "key of the wrong length": ({"public_key": "QUJD"}, "public_key"),
    "key that is no base64": ({"public_key": "?"}, "public_key"),
    "parameters as text": ({"parameters": "{}"}, "parameters"),
    "reason of 65,537 characters": ({"reason": "x" * 65_537}, "reason"),
}


@pytest.mark.parametrize("name", BAD_FIELDS)
def test_a_bad_field_is_named(name: str):
    changes, field = BAD_FIELDS[name]
    with pytest.raises(Malformed) as caught:
        parse(**changes)
    assert caught.value.field == field
    assert field in caught.value.detail


@pytest.mark.parametrize("field", NOT_BUILT)
def test_a_field_of_a_later_feature_is_refused_by_name_and_may_ask_for_nothing(field: str):
    with pytest.raises(NotBuilt) as caught:
        parse(**{field: "grt_1"})
    assert caught.value.field == field
    assert isinstance(parse(**{field: None}), Action)


def test_missing_fields_are_named():
    with pytest.raises(Malformed, match="action is missing"):
        parse_action(b"{}", rfc8785.dumps)


def test_a_40_kb_reason_with_hostile_characters_is_kept_whole():
    reason = "\u202e<script>\u0000\ud83d\ude00" * 4_000
    assert parse(reason=reason.encode("utf-16", "surrogatepass").decode("utf-16")).reason.count("<script>") == 4_000


def test_brackets_inside_strings_do_not_count_as_nesting():
    assert load(json.dumps({"reason": "[" * 5_000 + '\\"'}).encode())["reason"].startswith("[[")
    assert load(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) != 0


CHANGES: list[dict[str, Any]] = [
    {"action": "s3:PutObject"},
    {"resource": "arn:aws:s3:::other/*"},
    {"environment": "dev"},
    {"ttl_seconds": 901},
    {"actor": {"id": "agent:other", "on_behalf_of": "user:dana"}},
    {"actor": {"id": "agent:report-bot"}},
    {"parameters": {"rows": 1}},
    {"access": None},
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_an_approval_is_about_changes_the_digest(change: dict[str, Any]):
    assert action_digest(samples.CALLER, parse(**change)) != action_digest(samples.CALLER, parse())


def test_words_and_runs_do_not_change_the_digest_the_principal_does():
    other = parse(reason="other words", actor={**samples.BODY["actor"], "run": "42"})
    assert action_digest(samples.CALLER, other) == action_digest(samples.CALLER, parse())
    assert action_digest("caller:other", parse()) != action_digest(samples.CALLER, parse())


plain = st.text(st.characters(codec="utf-8"), max_size=5)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53) + 1, 2**53 - 1)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | plain,
    lambda inner: st.lists(inner) | st.dictionaries(plain, inner),
    max_leaves=12,
)


@given(st.dictionaries(plain, numbers, max_size=4))
def test_equal_parameters_have_one_digest_however_they_are_spelled(parameters: dict[str, Any]):
    spelled = dict(reversed(parameters.items()))
    assert action_digest("caller:a", parse(parameters=parameters)) == action_digest(
        "caller:a", parse(parameters=spelled)
    )


@given(anything)
def test_strict_reading_agrees_with_the_lax_reader_wherever_it_takes_the_text(value: Any):
    assert load(json.dumps(value).encode()) == value
