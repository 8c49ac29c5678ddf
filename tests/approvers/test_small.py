"""Times, ids, and the lifting of old records."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers import ids
from approvers.grant import Grant
from approvers.request import Request
from approvers.times import from_ms, parse_duration, spell, stamp, to_ms
from approvers.upgrades import read
from tests.worlds import samples
from tests.worlds.samples import NOW

moments = st.integers(0, 4_102_444_800_000)


@given(moments)
def test_milliseconds_survive_the_round_trip_and_the_spelling(ms: int):
    assert to_ms(from_ms(ms)) == ms
    assert to_ms(datetime.fromisoformat(stamp(from_ms(ms)))) == ms


@given(moments, moments)
def test_stamps_and_ids_sort_like_time(first: int, second: int):
    a, b = sorted((first, second))
    assert stamp(from_ms(a)) <= stamp(from_ms(b))
    if a < b:
        assert ids.ulid(from_ms(a), b"\xff" * 10) < ids.ulid(from_ms(b), bytes(10))


def test_an_id_is_as_the_specification_of_ulids_spells_it():
    assert ids.ulid(datetime.fromtimestamp(1469918176.385, UTC), bytes(10)) == "01ARYZ6S410000000000000000"


def test_request_and_grant_lead_to_each_other():
    request = ids.request_id(NOW, bytes(10))
    assert ids.request_of(ids.grant_of(request)) == request


@given(st.binary(min_size=4, max_size=4))
def test_handles_are_easy_to_read_aloud(randomness: bytes):
    assert not set(ids.handle(randomness)) & set("01OIL")


@pytest.mark.parametrize("bad", [b"", bytes(9), bytes(11)])
def test_the_wrong_amount_of_randomness_is_refused(bad: bytes):
    with pytest.raises(ValueError, match="random"):
        ids.ulid(NOW, bad)
    with pytest.raises(ValueError, match="random"):
        ids.handle(bad)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400)])
def test_durations(text: str, seconds: int):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("bad", ["", "0m", "15", "m", "1.5h", "-1s", "1w", " 1s", "1s\n", "9999999s"])
def test_what_is_no_duration_says_how_to_write_one(bad: str):
    with pytest.raises(ValueError, match="write 90s, 15m, 2h or 1d"):
        parse_duration(bad)


@pytest.mark.parametrize(
    ("seconds", "words"), [(4, "4 s"), (90, "1 min 30 s"), (900, "15 min"), (3600, "1 h"), (5400, "1 h 30 min")]
)
def test_durations_for_people(seconds: int, words: str):
    assert spell(timedelta(seconds=seconds)) == words


def test_records_survive_the_store():
    for kind, record in ((Request, samples.request()), (Grant, samples.grant("REVOKED"))):
        assert read(kind, record.model_dump_json()) == record


def test_an_old_record_is_lifted_step_by_step():
    """Pretend that the present model is version 3, reached by two steps."""
    old = json.loads(samples.grant().model_dump_json()) | {"v": 1}
    old["owner"] = old.pop("actor")
    steps = {Grant: (lambda raw: {**raw, "v": 2, "actor": raw["owner"]}, lambda raw: _without(raw, "owner"))}
    assert read(Grant, json.dumps(old), steps).actor == "agent:report-bot"


def _without(raw: dict, name: str) -> dict:
    return {key: value for key, value in raw.items() if key != name}
