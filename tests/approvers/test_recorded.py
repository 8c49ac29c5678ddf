"""Models that audit records hold write canonical bytes themselves, whatever people typed into them."""

import json
from typing import Annotated

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from approvers import facts, grant, ruling
from approvers.action import Action
from approvers.audit import By, Draft, Recorded, Sorted, canonical, canonical_fields, check_chain, link
from tests.worlds import samples
from tests.worlds.samples import NOW

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(TEXT, TEXT, st.dictionaries(TEXT, st.integers(-9999, 9999), max_size=3))
def test_whatever_is_typed_the_record_is_canonical(reason: str, note: str, parameters: dict):
    asked = samples.request(reason=reason, ticket=note, parameters=parameters)
    data = {
        "action": asked.action,
        "facts": asked.facts,
        "plan": asked.plan,
        "ruling": asked.ruling,
        "more": [note, None],
    }
    entries = link([Draft("req_1", "request.submitted", By(note, "api-key", "k"), "api", data)], NOW, {}, None)
    check_chain("req_1", [one.body for one in entries])
    record = json.loads(entries[0].body)
    assert rfc8785.dumps(record) == entries[0].body
    assert record["data"]["action"]["reason"] == reason
    plain = {
        name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value for name, value in data.items()
    }
    assert record["data"] == json.loads(json.dumps(plain))


def test_what_the_desk_records_is_of_that_kind():
    asked = samples.request()
    for model in (asked.action, asked.facts, asked.plan, asked.ruling):
        assert isinstance(model, Recorded)
        assert model.model_dump_json().encode() == canonical(model.model_dump(mode="json"))


@pytest.mark.parametrize("kind", [Action, facts.Facts, grant.Plan, ruling.Ruling])
def test_no_recorded_model_can_hold_a_float(kind: type[BaseModel]):
    assert "number" not in json.dumps(kind.model_json_schema(mode="serialization")).replace('"integer"', "")


def test_a_model_out_of_order_stops_the_import():
    with pytest.raises(TypeError, match="Careless in alphabetical order"):

        class Careless(Recorded):
            b: str
            a: str


def test_mappings_are_written_in_order():
    class Held(Recorded):
        seats: Annotated[dict[str, int], Sorted]

    assert (
        canonical_fields({"x": Held(seats={"b": 1, "a": 2}), "w": "ü\n"})
        == '{"w":"ü\\n","x":{"seats":{"a":2,"b":1}}}'.encode()
    )
