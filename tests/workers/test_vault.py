"""The seal opens for its grant, its caller and its key, and for nothing else."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers.errors import Inadmissible
from workers.config import load
from workers.providers.port import Secret
from workers.vault import (
    ENCAPSULATED_BYTES,
    DeliveryKey,
    SealBroken,
    hash_key,
    new_api_key,
    new_token,
    open_credential,
    parse_public_key,
    seal_credential,
)

KEY = DeliveryKey.generate()
SECRET = Secret(
    "ASIAEXAMPLE", "wJalrXUtnFEMI/K7MDENG", "FwoGZXIvYXdzE+token==", datetime(2026, 11, 20, 10, 15, tzinfo=UTC)
)
GRANT, CALLER = "grt_01KFX0000000000000000000AA", "caller:report-bot"
FIELDS = {
    "access_key_id": "ASIAEXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG",
    "session_token": "FwoGZXIvYXdzE+token==",
    "expiration": "2026-11-20T10:15:00.000Z",
}
names = st.text(st.characters(exclude_characters="|", exclude_categories=["Cs"]), min_size=1, max_size=40)


def seal() -> bytes:
    return seal_credential(SECRET, KEY.public, GRANT, CALLER)


def test_opens_for_its_recipient() -> None:
    assert open_credential(KEY, seal(), GRANT, CALLER) == FIELDS


def test_of_what_is_no_aws_session_the_variables_are_sealed_and_no_keys() -> None:
    secret = Secret("cs_reader", "", "", SECRET.expiration, {"PGUSER": "cs_reader", "PGPASSWORD": "hush-hush"})
    sealed = seal_credential(secret, KEY.public, GRANT, CALLER)
    assert open_credential(KEY, sealed, GRANT, CALLER) == {
        "environment": {"PGUSER": "cs_reader", "PGPASSWORD": "hush-hush"},
        "expiration": "2026-11-20T10:15:00.000Z",
    }
    assert "hush" not in f"{secret!r}"


def test_two_seals_of_one_credential_differ() -> None:
    assert seal()[:ENCAPSULATED_BYTES] != seal()[:ENCAPSULATED_BYTES]


def test_nothing_of_the_secret_shows() -> None:
    sealed = seal()
    assert not any(value.encode() in sealed for value in FIELDS.values())


@given(names, names)
def test_opens_for_no_other_grant_or_caller(grant: str, caller: str) -> None:
    sealed = seal()
    for pair in {(grant, CALLER), (GRANT, caller), (grant, caller)} - {(GRANT, CALLER)}:
        with pytest.raises(SealBroken):
            open_credential(KEY, sealed, *pair)


@given(names, names)
def test_opens_for_any_names_it_was_sealed_for(grant: str, caller: str) -> None:
    assert open_credential(KEY, seal_credential(SECRET, KEY.public, grant, caller), grant, caller) == FIELDS


@given(st.data())
def test_a_flipped_bit_anywhere_breaks_it(data: st.DataObject) -> None:
    sealed = bytearray(seal())
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    # X25519 ignores the top bit of a public key: flipped there, HPKE still notices, as the key is part of its context.
    sealed[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(SealBroken):
        open_credential(KEY, bytes(sealed), GRANT, CALLER)


@given(st.binary(max_size=100))
def test_noise_does_not_open(noise: bytes) -> None:
    with pytest.raises(SealBroken):
        open_credential(KEY, noise, GRANT, CALLER)


def test_another_key_does_not_open() -> None:
    with pytest.raises(SealBroken):
        open_credential(DeliveryKey.generate(), seal(), GRANT, CALLER)


@pytest.mark.parametrize("pair", [("grt_1|caller:a", "x"), ("grt_1", "caller:a|x")])
def test_a_separator_in_a_name_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"'\|'"):
        seal_credential(SECRET, KEY.public, *pair)


def test_no_repr_shows_a_secret() -> None:
    shown = repr(KEY) + repr(SECRET)
    assert KEY.text not in shown
    assert SECRET.secret_access_key not in shown
    assert SECRET.session_token not in shown


def test_a_key_survives_its_text() -> None:
    again = DeliveryKey.parse(KEY.text)
    assert again.public == KEY.public == parse_public_key(KEY.public_text)
    assert open_credential(again, seal(), GRANT, CALLER) == FIELDS


@pytest.mark.parametrize("text", ["", "not base64!", "Zm9v", base64.b64encode(bytes(33)).decode(), "ä"])
def test_a_bad_private_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(not base64|\d+ bytes instead of 32)$"):
        DeliveryKey.parse(text)


@pytest.mark.parametrize(
    "raw",
    [b"", bytes(31), bytes(33), bytes(32), b"\x01" + bytes(31), bytes.fromhex("ec" + "ff" * 30 + "7f")],
    ids=["none", "short", "long", "zero", "one", "minus one"],
)
def test_a_public_key_that_nothing_can_be_sealed_to_is_refused(raw: bytes) -> None:
    with pytest.raises(Inadmissible) as refused:
        parse_public_key(base64.b64encode(raw).decode())
    assert refused.value.field == "public_key"


def test_tokens_are_long_new_and_tell_their_kind() -> None:
    assert re.fullmatch(r"cs_[A-Za-z0-9_-]{43}", new_api_key())
    assert re.fullmatch(r"css_[A-Za-z0-9_-]{43}", new_token("session"))
    assert re.fullmatch(r"csl_[A-Za-z0-9_-]{43}", new_token("link"))
    assert len({new_api_key() for _ in range(50)}) == 50


def test_a_key_is_stored_as_its_sha256() -> None:
    assert (
        hash_key("cs_abc") == "5194b158cd585be3d960f2998c3fd5b2b2c003bdd09661b7a71e104d81278149"
    )  # printf cs_abc | sha256sum


def test_the_command_prints_a_pair_that_the_settings_take() -> None:
    printed = subprocess.run([sys.executable, "-m", "workers.vault"], capture_output=True, text=True, check=True).stdout
    environ = dict(line.split("=", 1) for line in printed.splitlines())
    settings = load({"COUNTERSIGN_REDIS_URL": "redis://localhost", **environ}, "worker")
    assert settings.delivery_key
    pair = DeliveryKey.parse(settings.delivery_key.get_secret_value())
    assert pair.public_text == settings.delivery_public_key
