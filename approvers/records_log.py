"""Model the records of the log's own life: its signing keys, what was erased, cut off, or found to be gone. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from approvers.records_parts import Count, Part, RecordType, Sha256, When, maybe, told


class Rotated(Part):
    """Say that another key signs the log from then on; a checkpoint signed by both follows."""

    new: str = told("the public half of the key that signs from then on, `NAME+ID+BASE64`")
    old: str = told("that of the key that signed until then")
    size: Count = told("the size of the newest checkpoint before")


class Lost(Part):
    """Say that a signing key is lost: the next one signs without it."""

    old: str = told("the public half of the key that is lost, `NAME+ID+BASE64`")
    size: Count = told("the size of the newest checkpoint that it signed")
    why: str = told("why, as typed")


class RolledBack(Part):
    """Say that the log is not the one that was signed, such as after a restore from an older backup."""

    found: Count = told("how many records the log had when this was found")
    root: Sha256 = told("the root that was signed")
    size: Count = told("the size at which it was signed")


class Accepted(RolledBack):
    """Say that an operator accepts the log as it is; signing goes on."""

    why: str = told("why, as typed")


class Erased(Part):
    """Say that typed texts were erased; their marks, and so the chain, stay."""

    count: Count = told("how many texts")
    person: str = maybe("whose texts; left out where all of the subject's were erased")
    subject: str = told("of which request, or `sys`")
    why: str = told("why, as typed")


class Truncated(Part):
    """Say that the log's first records were taken out, behind an export that holds them."""

    manifest_sha256: Sha256 = told("the hash of its manifest in the export that holds them")
    root: Sha256 = told("the root of the log at that size, which a checkpoint has signed")
    size: Count = told("how many records were taken out")
    until: When = told("before which moment all of them were written")
    why: str = told("why, as typed")


CLOCK, OPERATOR = "Countersign (notary)", "the operator, as named at the command"
TYPES: Mapping[str, RecordType] = {
    "key.rotated": RecordType(Rotated, "when another key begins to sign the log.", CLOCK, "sys"),
    "key.lost": RecordType(Lost, "when a signing key is said to be lost.", OPERATOR, "sys"),
    "log.rolled_back": RecordType(RolledBack, "once, when the log is not the one that was signed.", CLOCK, "sys"),
    "log.rollback_accepted": RecordType(Accepted, "when an operator accepts that.", OPERATOR, "sys"),
    "text.erased": RecordType(Erased, "when typed texts are erased.", OPERATOR, "sys"),
    "log.truncated": RecordType(Truncated, "when old records are taken out.", OPERATOR, "sys"),
}
"""The records of the log itself."""
