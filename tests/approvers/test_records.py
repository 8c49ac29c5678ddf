"""The schema of records: every version that was ever written is read, and nothing else passes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers.audit import canonical
from approvers.cases import NotReplayable, read_case
from approvers.records import TYPES, NotASchema, check, marks
from approvers.texts import TYPED, restore
from bot.telling import WORDS, tell
from tests import record_docs
from tests.recorded import complaints, noting, secrets_in
from workers.vault import new_token

FIXTURES = Path(__file__).parent / "fixtures"
V1 = (FIXTURES / "records_v1.jsonl").read_bytes().splitlines()
"""Records of version 1 as real runs wrote them: of the newest form, and three of the forms before it."""
V2 = (FIXTURES / "records_v2.jsonl").read_bytes().splitlines()
"""The same of version 2."""
OLD = {json.loads(body)["type"] for body in V1}
SCHEMA = jsonschema.Draft202012Validator(record_docs.schema())
MARK = {"chars": 3, "text_sha256": "ab" * 32}
Record = dict[str, Any]


def named(bodies: list[bytes]) -> list[str]:
    found = [json.loads(body) for body in bodies]
    return [f"{number}-v{one['v']}-{one['type']}" for number, one in enumerate(found)]


def of(kind: str) -> Record:
    """Return the newest record of a type among the fixtures."""
    return [found for body in V1 if (found := json.loads(body))["type"] == kind][-1]


def agreed(record: Record) -> bool:
    """Tell whether a record is of the schema; both ways of asking must say the same."""
    try:
        check(record)
    except NotASchema:
        assert not SCHEMA.is_valid(record), record
        return False
    assert SCHEMA.is_valid(record), list(SCHEMA.iter_errors(record))
    return True


@pytest.mark.parametrize("body", V1 + V2, ids=named(V1 + V2))
def test_every_version_is_read_for_ever(body: bytes):
    record = json.loads(body)
    assert agreed(record)
    assert canonical(record) == body
    assert tell(body).text
    if record["type"] == "request.submitted":
        assert read_case(canonical(restore(record, {}))).id == record["subject"]


def test_every_type_has_its_fixture_and_its_words():
    assert TYPES.keys() >= OLD
    assert TYPED.keys() <= TYPES.keys()
    assert TYPES["review.recorded"].texts == ("card.text", "reason")
    assert len(OLD) == 54
    assert {json.loads(body)["type"] for body in V2} >= OLD
    assert set(WORDS) == set(TYPES)


def test_texts_of_version_2_are_marks_and_nothing_else_is():
    for name, kind in TYPES.items():
        if name in OLD:
            record = of(name) | {"v": 2}
            record["data"] |= {field: _late(field) for field in kind.lately if field not in record["data"]}
            plain = deepcopy(record)
            found = {path for path in kind.texts if _set(record["data"], path.split("."), MARK)}
            assert set(marks(record["data"])) == found
            assert agreed(record), name
            if any(path in marks(record["data"]) and _set(plain["data"], path.split("."), "odd") for path in found):
                assert not agreed(plain)
            if found:
                assert not agreed(record | {"v": 1})


def _late(field: str) -> Any:
    """Return a value of a field that is there from version 2 on."""
    if field == "card":
        return {"digest": "ab" * 16, "text": "what was shown"}
    if field.endswith("_sha256"):
        return "ab" * 32
    if field in ("seen_in", "lenders"):
        return {}
    if field in ("own_groups", "groups", "fill_in"):
        return []
    return {"lent_by": None, "action_digest": f"sha256:{'ab' * 32}"}.get(field, "2026-11-20T10:00:00.000Z")


def _set(data: Record, path: list[str], value: Any) -> bool:
    *way, last = path
    for name in way:
        if not isinstance(data := data.get(name, {}), dict):
            return False
    if last in data:
        data[last] = value
    return last in data


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"type": "request.dreamt"}, "there is no record type 'request.dreamt'"),
        ({"v": 3}, "request.cancelled: v: "),
        ({"v": 2}, "groups: is missing"),
        ({"subject": "sys"}, "subject: belongs to a request"),
        ({"subject": "req_1"}, "subject: String should match"),
        ({"at": "yesterday"}, "at: String should match"),
        ({"extra": 1}, "extra: Extra inputs"),
        ({"data": {"state": "CANCELLED", "mood": "sad"}}, "mood: Extra inputs"),
        ({"data": {"state": MARK}}, "state: is no typed text"),
        ({"data": {}}, "state: Field required"),
        ({"data": []}, "data: is no object"),
        ({"data": {"state": "GONE"}}, "state: Input should be"),
        ({"data": {"state": "\ud800"}}, "holds what no text in UTF-8 holds"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_named(change: Record, says: str):
    record = of("request.cancelled") | change
    assert not agreed(record)
    with pytest.raises(NotASchema) as refused:
        check(record)
    assert says in str(refused.value)


def test_a_mark_stands_for_typed_texts_alone():
    record = of("request.cancelled") | {"v": 2, "data": {"state": MARK, "groups": []}}
    with pytest.raises(NotASchema, match="state: is no typed text"):
        check(record)
    assert not agreed(of("freeze.set") | {"v": 2, "data": {"why": MARK | {"chars": -1}}})
    assert not agreed(of("freeze.set") | {"v": 2, "data": {"why": MARK | {"salt": "00"}}})


def test_facts_of_the_first_form_are_read_and_replayed_as_far_as_they_go():
    old = [body for body in V1 if b'"access_levels"' in body]
    assert old
    for body in old:
        check(json.loads(body))
        if len(json.loads(body)["data"]["facts"]["access_levels"]) > 1:
            with pytest.raises(NotReplayable, match="access level"):
                read_case(body)
        else:
            assert read_case(body).facts.history.total == 0


@given(st.sampled_from(V1 + V2), st.data())
def test_one_field_less_or_another_kind_of_value_is_seen_by_both(body: bytes, data: st.DataObject):
    record = json.loads(body)
    inside, name = data.draw(st.sampled_from(list(_places(record))))
    how = data.draw(st.sampled_from(["drop", "rename", 1.5, True, "odd", None, ["odd"], {"odd": 1}]))
    changed = deepcopy(record)
    place = changed
    for step in inside:
        place = place[step]
    value = place.pop(name) if how in ("drop", "rename") else None
    if how == "rename":
        place[f"{name}_"] = value
    elif how != "drop":
        place[name] = how
    agreed(changed)


def _places(value: Any, inside: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, inner in value.items():
        yield inside, name
        if isinstance(inner, dict) and inner:
            yield from _places(inner, (*inside, name))


def test_the_schema_and_the_page_are_new():
    again = "run: python -m tests.record_docs"
    assert json.loads(record_docs.SCHEMA.read_text()) == record_docs.schema(), again
    assert record_docs.TABLES.read_text() == record_docs.pages(), again
    jsonschema.Draft202012Validator.check_schema(record_docs.schema())


def test_the_page_says_what_every_field_means():
    rows = [line for line in record_docs.pages().splitlines() if line.startswith("| ")]
    assert [row for row in rows if row.endswith("|  |")] == []
    assert [row for row in rows if " value " in row and "`data`" not in row] == []


def test_the_guard_of_all_tests_sees_what_no_schema_describes():
    good, odd = json.dumps(of("freeze.set")).encode(), json.dumps(of("freeze.set") | {"type": "freeze.melted"}).encode()
    assert complaints({"freeze.set": [good]}) == []
    assert complaints({"freeze.melted": [odd, odd], "freeze.set": [good]}) == [
        "there is no record type 'freeze.melted' (approvers/records.py has all)"
    ]
    assert noting(lambda drafts, at, heads: [])((), None, {}) == []


def test_the_guard_of_all_tests_sees_secrets():
    session, token = new_token("session"), "eyJhbGciOiJFZERTQSJ9aaaaa.eyJzdWIiOiJyZXFfMSJ9aaaa.c2lnbmF0dXJlc2lnbmF0"
    for secret in (new_token("key"), new_token("link"), session, token, "xoxb-123456789012-abcdef"):
        odd = json.dumps(of("freeze.set") | {"data": {"why": f"he said {secret}."}}).encode()
        assert secrets_in({"freeze.set": [odd]}) == [f"freeze.set: {secret}"]
    assert secrets_in({"all": V1 + V2}) == []
