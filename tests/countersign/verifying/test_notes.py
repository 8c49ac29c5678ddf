"""Keys, notes and roots: what was signed opens, and nothing else does."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvers.notes import Signature, verifier_text
from approvers.notes import note as product_note
from countersign.verifying.core import Key, Note, Tree, parsed, read_note
from tests.countersign.verifying.logs import NEXT, OTHERS, OURS, leaf, note, root

KEY = Key.parse(OURS.text)
ROOT = hashlib.sha256(b"root").digest()
NOTE = note(4_711, ROOT, OURS)
VECTORS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = """
    6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d
    fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125
    aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77
    d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7
    4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4
    76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef
    ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c
    5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328
"""


def opened(text: str) -> Note | None:
    """Return the note if the key has signed it."""
    try:
        found = read_note(text)
        return found if found.signed_by([KEY]) else None
    except ValueError:
        return None


def test_the_roots_are_those_of_rfc_6962() -> None:
    tree = Tree()
    for sample, expected in zip(VECTORS, ROOTS.split(), strict=True):
        tree.add(bytes.fromhex(sample))
        assert tree.root().hex() == expected
    bodies = [str(number).encode() for number in range(300)]
    tree = Tree()
    for size, body in enumerate(bodies, 1):
        tree.add(body)
        assert tree.root() == root([leaf(one) for one in bodies[:size]])


def test_a_signed_note_opens() -> None:
    found = opened(NOTE)
    assert found is not None
    assert (found.origin, found.size, found.root) == (OURS.name, 4_711, ROOT)
    assert opened(note(4_711, ROOT, NEXT, OURS)) is not None
    assert opened(note(4_711, ROOT, OTHERS)) is None


def test_the_products_notes_and_keys_are_ours() -> None:
    text = f"{OURS.name}\n7\n{base64.b64encode(ROOT).decode()}\n"
    made = product_note(text, [Signature(OURS.name, OURS.public, OURS.private.sign(text.encode()))])
    assert opened(made) is not None
    assert verifier_text(OURS.name, OURS.public) == KEY.text


def test_of_a_note_with_a_good_and_a_bad_signature_nothing_is_believed() -> None:
    line = NOTE.splitlines()[-1]
    raw = base64.b64decode(line.rpartition(" ")[2])
    bad = f"\u2014 {OURS.name} {base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()}\n"
    assert opened(NOTE + bad) is None


@settings(max_examples=300)
@given(st.data())
def test_no_changed_note_opens(data: st.DataObject) -> None:
    """By hand with more (HYPOTHESIS_PROFILE=hunt); below, every single change of one character."""
    at = data.draw(st.integers(0, len(NOTE)))
    gone = data.draw(st.integers(0, 3))
    more = data.draw(
        st.text(alphabet=st.characters(codec="utf-8"), max_size=4) | st.sampled_from(["\n", "\n\n", " ", "=", "0"])
    )
    changed = NOTE[:at] + more + NOTE[at + gone :]
    assert changed == NOTE or opened(changed) is None


def test_none_of_twenty_thousand_changed_notes_opens(show: Callable[[str], None]) -> None:
    tried = 0
    for at in range(len(NOTE)):
        for char in [*map(chr, range(32, 127)), "\n", "\r", "\t", "\u2014", ""]:
            changed = NOTE[:at] + char + NOTE[at + 1 :]
            if changed != NOTE:
                tried += 1
                assert opened(changed) is None, (at, char)
    assert tried >= 20_000
    show(f"{tried:,} changed notes, none opens")


@pytest.mark.parametrize(
    "text", ["", "x", f"{OURS.text} ", OURS.text[:-1], OURS.text.replace("+", "-"), OURS.text.replace("audit", "other")]
)
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="verifier key"):
        Key.parse(text)


GOOD = b'{"at":"","by":{},"data":{"a":1},"n":1,"prev":"","subject":"sys","type":"t","v":2,"via":"x"}'


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xff", b"null", b"[]", b"[" * 100_000, GOOD + b" ", GOOD + b"\r", GOOD.replace(b"1}", b"1.0}"),
        GOOD.replace(b"1}", b"NaN}"), GOOD.replace(b"1}", b"9007199254740993}"), GOOD.replace(b"1}", b"1,\"a\":1}"),
        GOOD.replace(b'"a"', b'"\\u0061"'), GOOD.replace(b'"n":1', b'"n":true'), GOOD.replace(b'"v":2,', b""),
        GOOD.decode().encode("utf-16"), GOOD.replace(b'"t"', b'"\\ud800"'), b"9" * 5_000,
    ],
    ids=range(17),
)  # fmt: skip
def test_what_is_no_record(body: bytes) -> None:
    assert parsed(GOOD)["n"] == 1
    with pytest.raises(ValueError, match=r"^(it is no|its bytes)"):
        parsed(body)
