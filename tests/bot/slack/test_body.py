"""What Slack encodes, we decode as the standard library would, only faster."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode

from hypothesis import example, given
from hypothesis import strategies as st

from bot.surfaces.slack_body import parse_form

ODD = st.text("%=&+ab0Ff\n\r _;.2D3dé", max_size=30).map(str.encode)
TEXT = st.text(st.characters(codec="utf-8"))


def slowly(raw: bytes) -> dict[str, str]:
    return dict(parse_qsl(raw.decode(), keep_blank_values=True, errors="strict"))


def outcome(parse: Callable[[bytes], dict[str, str]], raw: bytes) -> dict[str, str] | None:
    try:
        return parse(raw)
    except ValueError:
        return None


@given(st.dictionaries(TEXT, TEXT))
def test_every_form_is_read_back(form: dict[str, str]) -> None:
    assert parse_form(urlencode(form).encode()) == form


@given(st.binary(max_size=40) | ODD)
@example(b"a=%")
@example(b"a=%3d%0A%0d=b=3D&&=x&a")
@example(b"a=x=\n&b=_+%2B%ff")
def test_whatever_comes_is_read_as_the_standard_library_reads_it(raw: bytes) -> None:
    assert outcome(parse_form, raw) == outcome(slowly, raw)
