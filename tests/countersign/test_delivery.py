"""A sealed credential opens for exactly one key, one grant and one caller."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.delivery import SUITE, info_for, new_key, open_, public_text
from countersign.errors import CannotOpen

KEY = new_key()
INFO = info_for("grt_1", "caller:bot")


def sealed(plain: bytes, info: bytes = INFO) -> str:
    return base64.b64encode(SUITE.encrypt(plain, KEY.public_key(), info)).decode()


@given(st.binary(max_size=2000))
def test_what_was_sealed_opens(plain):
    assert open_(KEY, sealed(plain), INFO) == plain


@given(st.data())
def test_any_flipped_bit_is_refused(data):
    raw = bytearray(base64.b64decode(sealed(b'{"a": 1}')))
    position = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[position // 8] ^= 1 << position % 8
    # X25519 ignores the top bit of a public key, but HPKE binds the bytes as sent.
    with pytest.raises(CannotOpen):
        open_(KEY, base64.b64encode(bytes(raw)).decode(), INFO)


@pytest.mark.parametrize("info", [info_for("grt_2", "caller:bot"), info_for("grt_1", "caller:other"), b""])
def test_another_grant_or_caller_is_refused(info):
    with pytest.raises(CannotOpen):
        open_(KEY, sealed(b"x"), info)


@pytest.mark.parametrize("text", ["", "!", "AAAA", "é"])
def test_what_is_no_ciphertext_is_refused(text):
    with pytest.raises(CannotOpen):
        open_(KEY, text, INFO)


def test_another_key_is_refused():
    with pytest.raises(CannotOpen):
        open_(new_key(), sealed(b"x"), INFO)


def test_the_public_half_is_32_bytes_of_base64():
    assert base64.b64decode(public_text(KEY)) == KEY.public_key().public_bytes_raw()
