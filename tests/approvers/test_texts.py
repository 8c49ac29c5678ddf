"""What was typed is not in a record, cannot be guessed from it, and can be put back."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers.audit import By, Draft, NotCanonical, Recorded, canonical, check_chain, link
from approvers.records import TYPES
from approvers.texts import ERASED, TYPED, commitment, marks_in, restore, text_of
from tests.worlds.samples import NOW

SEED, OTHER = b"s" * 32, b"t" * 32
texts = st.text(st.characters(codec="utf-8"), min_size=1)


class Asked(Recorded):
    other: str
    reason: str


def review(reason: object, subject: str = "req_1") -> Draft:
    data = {"reason": reason, "verdict": "deny"}
    return Draft(subject, "review.recorded", By("user:dana", "api", "1"), "api", data)


def test_the_schema_knows_the_same_typed_texts() -> None:
    assert {kind: set(places) for kind, places in TYPED.items()} == {
        kind: set(one.texts) for kind, one in TYPES.items() if one.texts
    }
    assert all(place.count(".") <= 1 for places in TYPED.values() for place in places)


@given(texts, st.binary(min_size=32, max_size=32))
def test_a_text_goes_out_and_comes_back(text: str, seed: bytes) -> None:
    (entry,) = link([review(text)], NOW, {}, seed)
    record = json.loads(entry.body)
    ((mark, held),) = entry.texts.items()
    assert record["v"] == 2
    assert record["data"]["reason"] == {"chars": len(text), "text_sha256": mark}
    assert (text_of(held), commitment(bytes.fromhex(held[:64]), text)) == (text, mark)
    assert canonical(record) == entry.body
    assert restore(record, entry.texts)["data"]["reason"] == text
    assert restore(record, {})["data"]["reason"] == ERASED * len(text)
    assert marks_in(record) == [mark]


@given(texts, texts)
def test_a_model_writes_marks_for_its_texts_whatever_else_it_holds(text: str, other: str) -> None:
    tricky = f'","reason":"{other}'
    facts = Asked(other=tricky, reason=text)
    asked = Draft("req_1", "request.reruled", By(None, "policy", "p"), "policy", {"facts": facts})
    (entry,) = link([asked], NOW, {}, SEED)
    record = json.loads(entry.body)
    assert canonical(record) == entry.body
    assert record["data"]["facts"]["other"] == tricky
    assert restore(record, entry.texts)["data"]["facts"] == {"other": tricky, "reason": text}


def test_a_short_text_cannot_be_guessed_from_its_mark_for_the_salts_differ() -> None:
    marks = {mark for seed in (SEED, OTHER) for mark in link([review("no")], NOW, {}, seed)[0].texts}
    assert len(marks) == 2
    assert hashlib.sha256(b"no").hexdigest() not in marks
    both = link([review("no"), review("no", "sys"), review("yes")], NOW, {}, SEED)
    salts = {held[:64] for entry in both for held in entry.texts.values()}
    assert len(salts) == 3, "each subject has its own"
    assert SEED.hex() not in salts


def test_a_commit_that_is_sent_again_has_the_same_bytes() -> None:
    assert link([review("no")], NOW, {}, SEED) == link([review("no")], NOW, {}, SEED)


@pytest.mark.parametrize("value", ["", None], ids=["empty", "none"])
def test_what_is_empty_has_no_mark(value: str | None) -> None:
    (entry,) = link([review(value)], NOW, {}, SEED)
    assert (json.loads(entry.body)["data"]["reason"], entry.texts) == (value, {})


def test_a_seed_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        link([review("no")], NOW, {}, b"short")


def test_records_of_the_first_form_stay_readable() -> None:
    (entry,) = link([review("no")], NOW, {}, None)
    record = json.loads(entry.body)
    assert (record["v"], restore(record, {})["data"]["reason"]) == (1, "no")
    check_chain("req_1", [entry.body])


def test_names_beside_a_text_are_held_to_the_closed_domain() -> None:
    data = {"ending": {"reason": "x", "é": 1}}
    with pytest.raises(NotCanonical, match="not ASCII"):
        link([Draft("req_1", "grant.ended", By(None, "t", "t"), "worker", data)], NOW, {}, SEED)
