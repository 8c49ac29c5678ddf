"""The form's fields become an ask, and each complaint about the ask finds its way back to its field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers.errors import Forbidden, Inadmissible, Malformed
from bot.reading import View
from bot.request_form import FIELDS, asked, complaint, field_of, to_action
from tests.worlds import samples

FORM = {
    "role": "analytics",
    "actions": "s3:GetObject\ns3:ListBucket, s3:PutObject",
    "resources": " arn:aws:s3:::a/1,2/* \n\n arn:aws:s3:::b ",
    "environment": "prod",
    "ttl_seconds": "900",
    "reason": "Look",
}


def test_the_first_action_and_resource_are_the_headline() -> None:
    action = to_action({**FORM, "risk": "high", "undo": "none", "data_classes": "pii; payments"}, "user:alex")
    assert (action.action, action.resource) == ("s3:GetObject", "arn:aws:s3:::a/1,2/*")
    assert action.access is not None
    assert action.access.actions == ("s3:GetObject", "s3:ListBucket", "s3:PutObject")
    assert action.access.resources == ("arn:aws:s3:::a/1,2/*", "arn:aws:s3:::b")
    assert (action.risk, action.undo, action.ticket, action.data_classes) == ("high", "none", None, ("pii", "payments"))
    assert (action.actor.id, action.actor.on_behalf_of) == ("user:alex", None)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("role", ""), ("role", "no such role"), ("actions", ""), ("actions", "GetObject"), ("resources", " \n "),
        ("resources", "arn:" + "x" * 3_000), ("environment", "prod!"), ("ttl_seconds", "soon"),
        ("ttl_seconds", "99999"), ("ticket", "x" * 201), ("data_classes", "<pii>"), ("undo", "x" * 5_000),
        ("risk", "none"),
    ],
)  # fmt: skip
def test_a_mistake_names_its_field(field: str, text: str) -> None:
    with pytest.raises(Malformed) as caught:
        to_action({**FORM, field: text}, "user:alex")
    where, words = complaint(caught.value)
    assert where == field
    assert words[:1] == words[:1].upper()


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("access.actions[1]", "actions"), ("access.resources[0]", "resources"), ("access.role", "role"),
        ("access", "resources"), ("action", "actions"), ("resource", "resources"), ("actor.id", "role"), (None, "role"),
        ("ttl_seconds", "ttl_seconds"),
    ],
)  # fmt: skip
def test_every_field_of_an_ask_has_one_in_the_form(path: str | None, field: str) -> None:
    assert field_of(path) == field
    assert complaint(Inadmissible("too long.", field=path)) == (field, "Too long.")


def test_a_refusal_without_a_field_is_shown_at_the_top() -> None:
    assert complaint(Forbidden("No."))[0] == FIELDS[0]


@given(st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=300)))
def test_no_form_breaks_the_reading(form: dict[str, str]) -> None:
    fields: list[str] = []
    try:
        to_action(form, "user:alex")
    except Malformed as error:
        fields.append(complaint(error)[0])
    assert set(fields) <= set(FIELDS)


def test_what_became_of_it_is_told() -> None:
    waits = samples.request()
    assert asked(View(waits, None, 1)) == (
        "K7QF waits",
        "It waits for 1 of sre until 10:30 UTC. Customer exports are read with a second signature. "
        "Personal data is in play.",
    )
    denied = samples.request(action="s3:DeleteObject", access=None)
    title, text = asked(View(denied, None, 1))
    assert title == "K7QF is denied"
    assert "Agents do not delete in production." in text
