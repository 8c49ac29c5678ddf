"""The tree is RFC 6962's; notes and keys are written as C2SP writes them, and nobody can change one unseen."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers.checkpoint import Checkpoint, read_checkpoint
from approvers.notes import BadNote, note, parse_verifier
from approvers.tree import EMPTY, Frontier, leaf_hash, tree_root
from countersign.verifying.core import Key, read_note
from tests.worlds.notaries import NEW
from tests.worlds.signing import KEY, LOG
from workers.signing import public_of, signed

KNOWN = [Key.parse(public_of(KEY).text)]
VECTORS = {  # RFC 6962's own leaves and roots, as every implementation of it has them
    "": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "00": "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "10": "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "2021": "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "3031": "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "40414243": "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "5051525354555657": "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "606162636465666768696a6b6c6d6e6f": "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


class TestTree:
    def test_the_roots_are_those_of_rfc_6962(self) -> None:
        frontier, leaves = Frontier(), []
        assert frontier.root() == tree_root([]) == EMPTY
        for leaf, root in VECTORS.items():
            leaves.append(leaf_hash(bytes.fromhex(leaf)))
            frontier.append(leaves[-1])
            assert frontier.root().hex() == tree_root(leaves).hex() == root

    @given(st.integers(0, 400))
    def test_a_frontier_keeps_the_root_of_the_definition_and_survives_a_record(self, size: int) -> None:
        bodies = [str(number).encode() for number in range(size + 1)]
        frontier = Frontier()
        frontier.extend(bodies[:size])
        again = Frontier.of(frontier.size, frontier.hexes())
        again.extend(bodies[size:])
        assert again.root() == tree_root([leaf_hash(body) for body in bodies])

    @pytest.mark.parametrize(("size", "peaks"), [(1, []), (3, ["00" * 32]), (2, ["00" * 31]), (-1, [])])
    def test_peaks_that_cannot_belong_to_a_size_are_refused(self, size: int, peaks: list[str]) -> None:
        with pytest.raises(ValueError, match=r"peaks?|SHA"):
            Frontier.of(size, peaks)


class TestText:
    def test_a_verifier_key_is_read_back_and_one_with_another_id_is_not(self) -> None:
        text = public_of(KEY).text
        assert parse_verifier(f" {text}\n") == public_of(KEY)
        name, id_, key = text.split("+", 2)
        for wrong in (
            "",
            name,
            f"{name}+{id_}",
            f"{name}+00000000+{key}",
            f"{name} x+{id_}+{key}",
            text[:-2],
            KEY.text,
        ):
            with pytest.raises(BadNote):
                parse_verifier(wrong)

    @pytest.mark.parametrize("origin", ["", "a\nb", "a\n9\n"])
    def test_an_origin_cannot_forge_the_next_lines(self, origin: str) -> None:
        with pytest.raises(BadNote):
            Checkpoint(origin, 1, EMPTY).text()

    def test_a_verifier_key_is_the_one_of_the_format_s_worked_example(self) -> None:
        name, id_, key = public_of(KEY).text.split("+", 2)
        assert (name, len(id_), base64.b64decode(key)[:1]) == (LOG, 8, b"\x01")
        assert Key.parse(public_of(KEY).text).id == public_of(KEY).id

    @pytest.mark.parametrize("text", ["", "no end", "a\tb\n", "a\rb\n"])
    def test_a_text_that_is_none_is_not_signed(self, text: str) -> None:
        with pytest.raises(BadNote):
            signed(text, KEY)
        with pytest.raises(BadNote):
            note("fine\n", [])


class TestNotes:
    def test_it_opens_with_each_key_that_signed_it(self) -> None:
        checkpoint = Checkpoint(LOG, 5, tree_root([leaf_hash(b"x")]))
        both = signed(checkpoint.text(), KEY, NEW)
        assert read_checkpoint(both) == checkpoint
        for key in (KEY, NEW):
            assert len(read_note(both).signed_by([Key.parse(public_of(key).text)])) == 1
        assert not read_note(signed(checkpoint.text(), NEW)).signed_by(KNOWN)

    def test_of_twenty_thousand_changed_notes_none_opens(self) -> None:
        whole = signed(Checkpoint(LOG, 4711, tree_root([leaf_hash(b"x")])).text(), KEY)
        chance = random.Random(7)
        opens = 0
        for _ in range(20_000):
            opens += _opens(_changed(whole, chance), whole)
        assert opens == 0
        assert read_note(whole).signed_by(KNOWN) == KNOWN

    def test_every_bit_of_a_note_counts(self) -> None:
        whole = signed(Checkpoint(LOG, 4711, tree_root([leaf_hash(b"x")])).text(), KEY)
        raw = whole.encode()
        for at in range(len(raw)):
            for bit in range(8):
                changed = raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]
                assert not _opens(changed.decode("utf-8", "replace"), whole), (at, bit)


def _opens(changed: str, whole: str) -> bool:
    if changed == whole:
        return False
    try:
        return bool(read_note(changed).signed_by(KNOWN))
    except ValueError:
        return False


def _changed(whole: str, chance: random.Random) -> str:
    """Return the note with something put in, taken out, doubled, swapped or replaced."""
    at, to = sorted(chance.sample(range(len(whole) + 1), 2))
    some = chance.choice(
        ["\n", "\n\n", " ", "0", "9", "A", "=", "+", "/", "\u2014", "\r", "\x00", chr(chance.randrange(0xD000))]
    )
    return chance.choice(
        [
            whole[:at] + some + whole[at:],
            whole[:at] + some + whole[at + 1 :],
            whole[:at] + whole[to:],
            whole[:to] + whole[at:to] + whole[to:],
            whole[:at] + whole[at:to][::-1] + whole[to:],
            whole[:at] + whole[at:to].swapcase() + whole[to:],
        ]
    )
