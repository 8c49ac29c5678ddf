"""What a forger can do to a log, and who notices: the table of what chains, checkpoints and witnesses are worth.

1,000 records of 200 requests, checkpoints at 250, 500, 750 and 1,000. Others kept the checkpoint at 500 (the anchor),
or one receipt in ten. The forger leaves out every receipt that would tell, and writes the manifest anew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from countersign.verifying.core import Chains, Key, Seen, parsed
from countersign.verifying.findings import Wrong
from countersign.verifying.verify import verify
from tests.countersign.verifying import logs
from tests.countersign.verifying.logs import OTHERS, OURS, Export, Log, Signing, leaf, note, root

SIZES = (250, 500, 750, 1_000)
COLUMNS = ("chains", "+ signed checkpoints", "+ one anchor", "or + kept receipts")
C, M = "caught", "missed"
KEYS = [Key.parse(OURS.text)]
Forged = tuple[list[bytes], list[str]]
"""What a forger leaves behind: records and checkpoints."""


class Attack(NamedTuple):
    """What is done, and what each column makes of it."""

    name: str
    forge: Callable[[Log], Forged]
    expected: tuple[str, str, str, str]


def signed(bodies: list[bytes], signer: Signing = OURS, sizes: tuple[int, ...] = SIZES) -> list[str]:
    leaves = [leaf(body) for body in bodies]
    ends = sorted({size for size in sizes if size < len(bodies)} | {len(bodies)})
    return [note(size, root(leaves[:size]), signer) for size in ends]


def honest(log: Log) -> Forged:
    return log.bodies(), signed(log.bodies())


def touched(position: int, log: Log) -> list[bytes]:
    """Edit one record in place; its chain goes on as it was."""
    bodies = log.bodies()
    bodies[position] = bodies[position].replace(b'"via":"api"', b'"via":"apj"')
    return bodies


def rewritten(position: int, log: Log) -> list[bytes]:
    """Edit one record and rebuild its chain."""
    forged = log.copy()
    forged.records[position]["via"] = "apj"
    return forged.bodies()


def without(log: Log, request: int) -> list[bytes]:
    forged = log.copy()
    forged.records = [one for one in forged.records if one["subject"] != f"req_{request:026}"]
    return forged.bodies()


def swapped(bodies: list[bytes], one: int, other: int) -> list[bytes]:
    bodies[one], bodies[other] = bodies[other], bodies[one]
    return bodies


def dropped(bodies: list[bytes], position: int) -> list[bytes]:
    return bodies[:position] + bodies[position + 1 :]


ATTACKS = (
    Attack("nothing at all", honest, (M, M, M, M)),
    Attack("edit a record", lambda log: (touched(100, log), signed(log.bodies())), (C, C, C, C)),
    Attack("delete a middle one", lambda log: (dropped(log.bodies(), 300), signed(log.bodies())), (C, C, C, C)),
    Attack(
        "swap two of one request", lambda log: (swapped(log.bodies(), 300, 500), signed(log.bodies())), (C, C, C, C)
    ),
    Attack(
        "swap two of different requests",
        lambda log: (swapped(log.bodies(), 300, 301), signed(log.bodies())),
        (M, C, C, C),
    ),
    Attack(
        "delete a request's last record", lambda log: (dropped(log.bodies(), 900), signed(log.bodies())), (M, C, C, C)
    ),
    Attack("remove one whole request", lambda log: (without(log, 7), signed(log.bodies())), (M, C, C, C)),
    Attack(
        "… and drop the checkpoints after it",
        lambda log: (without(log, 7), signed(log.bodies())[:0]),
        (M, C, C, C),
    ),
    Attack("edit, rebuild the chain, no key", lambda log: (rewritten(300, log), signed(log.bodies())), (M, C, C, C)),
    Attack("… and drop later checkpoints", lambda log: (rewritten(300, log), signed(log.bodies())[:1]), (M, C, C, C)),
    Attack("cut to 900", lambda log: (log.bodies()[:900], signed(log.bodies())), (M, C, C, C)),
    Attack(
        "cut to 900, drop the last checkpoint", lambda log: (log.bodies()[:900], signed(log.bodies())[:3]), (M, C, C, C)
    ),
    Attack(
        "cut to an older checkpoint (750)", lambda log: (log.bodies()[:750], signed(log.bodies())[:3]), (M, M, M, C)
    ),
    Attack(
        "rebuild, sign with another key",
        lambda log: (rewritten(300, log), signed(rewritten(300, log), OTHERS)),
        (M, C, C, C),
    ),
    Attack("rebuild, sign with our key", lambda log: (rewritten(300, log), signed(rewritten(300, log))), (M, M, C, C)),
    Attack(
        "our key, edit after the anchor", lambda log: (rewritten(600, log), signed(rewritten(600, log))), (M, M, M, C)
    ),
    Attack(
        "our key, edit after the newest receipt",
        lambda log: (grown(log), signed(grown(log), sizes=(*SIZES, 1_010))),
        (M, M, M, M),
    ),
)


def grown(log: Log) -> list[bytes]:
    """Let ten more records come after the last witness, and edit one of them."""
    forged = log.copy()
    for number in range(10):
        forged.add(f"req_{number:026}", "review.refused", told="late")
    forged.records[1_005]["via"] = "apj"
    return forged.bodies()


def by_chains(bodies: list[bytes]) -> str:
    chains = Chains({})
    try:
        for at, body in enumerate(bodies, 1):
            chains.follow(Seen(at, at, body, parsed(body)))
    except Wrong:
        return C
    return M


def by_verify(export: Export, *witnesses: Path) -> str:
    return M if verify(export.path, KEYS, witnesses_in=witnesses).whole else C


@pytest.fixture(scope="module")
def log() -> Log:
    return logs.requests(200)


@pytest.fixture(scope="module")
def kept(log: Log, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return what others kept: the checkpoint at 500, and one receipt in ten."""
    folder = tmp_path_factory.mktemp("kept")
    export = log.export(folder / "export")
    anchor, receipts = folder / "anchor.txt", folder / "receipts.txt"
    anchor.write_text(export.notes[1])
    receipts.write_text("\n".join(export.receipts[::10]))
    return anchor, receipts


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.name)
def test_who_notices(
    attack: Attack, log: Log, kept: tuple[Path, Path], tmp_path: Path, show: Callable[[str], None]
) -> None:
    bodies, notes = attack.forge(log)
    export = logs.write(tmp_path / "forged", bodies, notes, [], list(log.texts.items()))
    anchor, receipts = kept
    found = (by_chains(bodies), by_verify(export), by_verify(export, anchor), by_verify(export, receipts))
    if attack is ATTACKS[0]:
        show(f"| attack | {' | '.join(COLUMNS)} |")
    show(f"| {attack.name} | {' | '.join(found)} |")
    assert found == attack.expected


def test_a_whole_log_names_its_witnesses(log: Log, kept: tuple[Path, Path], tmp_path: Path) -> None:
    found = verify(log.export(tmp_path / "whole").path, KEYS, witnesses_in=kept)
    assert found.whole and not found.findings
    assert (found.witnesses, found.agreed) == (21, (21, 1_000))
    assert (found.counts["records"], found.counts["receipts"], found.counts["texts"]) == (1_000, 200, 200)


class TestWhere:
    """The first bad line is named."""

    def one(self, log: Log, tmp_path: Path, forge: Callable[[Log], Forged]) -> tuple[str, int | None, str]:
        bodies, notes = forge(log)
        export = logs.write(tmp_path / "forged", bodies, notes, [], list(log.texts.items()))
        found = verify(export.path, KEYS).findings
        assert found
        return found[-1].file, found[-1].line, found[-1].code

    def test_an_edited_record_is_named_by_the_next_of_its_subject(self, log: Log, tmp_path: Path) -> None:
        place = self.one(log, tmp_path, lambda one: (touched(100, one), signed(one.bodies())))
        assert place == ("records.jsonl", 101, "broken_chain")

    def test_of_what_no_chain_shows_the_checkpoints_name_the_lines(self, log: Log, tmp_path: Path) -> None:
        place = self.one(log, tmp_path, lambda one: (swapped(one.bodies(), 300, 301), signed(one.bodies())))
        assert place == ("records.jsonl", 251, "wrong_root")

    def test_of_another_key_the_checkpoint(self, log: Log, tmp_path: Path) -> None:
        place = self.one(log, tmp_path, lambda one: (one.bodies(), signed(one.bodies(), OTHERS)))
        assert place == ("checkpoints.txt", 1, "unknown_key")
