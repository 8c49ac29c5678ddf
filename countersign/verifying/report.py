"""Say what a verification came to: for a terminal, for a program, for an auditor's file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from countersign.verifying.checks import SKIPPED
from countersign.verifying.findings import CODES
from countersign.verifying.verify import Verified

MOST_SHOWN = 50


def as_json(found: Verified) -> dict[str, Any]:
    """Return the whole outcome."""
    count, newest = found.agreed
    return {
        "whole": found.whole,
        "origin": found.export.origin,
        "keys": list(found.keys),
        "keys_trusted_from_export": found.trusted,
        "size": found.size,
        "base": found.base,
        "root": found.root,
        "counts": dict(sorted(found.counts.items())),
        "types": dict(sorted(found.types.items())),
        "told": {headline: dict(sorted(rows.items())) for headline, rows in found.told.items()},
        "witnesses": {"given": found.witnesses, "agree": count, "newest_at": newest},
        "findings": [one._asdict() for one in found.findings],
    }


def lines(found: Verified) -> Iterator[str]:
    """Yield the verdict for a person: what was proven and by which key first, witnesses last."""
    yield verdict(found)
    yield counted(found)
    yield from skipped(found)
    for one in found.findings[:MOST_SHOWN]:
        yield f"  {one}"
    if (more := len(found.findings) - MOST_SHOWN) > 0:
        yield f"  … and {more:,} more (--json has all)"
    yield witnessed(found)


def verdict(found: Verified) -> str:
    """Return the first line."""
    wrong = next((one for one in found.findings if one.grave), None)
    if wrong is not None:
        return f"NOT WHOLE: {wrong}"
    names = ", ".join(sorted({key.partition("+")[0] for key in found.keys}))
    trust = "; THE KEY CAME FROM THE EXPORT ITSELF, which whoever made it could have chosen" if found.trusted else ""
    return f"whole: {found.export.origin} up to {found.size:,} records, as signed by {names}{trust}"


def counted(found: Verified) -> str:
    """Return what was looked at, in one line."""
    names = ("records", "subjects", "decisions", "replayed", "checkpoints", "receipts", "texts", "erased")
    parts = [f"{found.counts[name]:,} {name}" for name in names if found.counts[name]]
    flags = sum(not one.grave for one in found.findings)
    base = f"; records 1 to {found.base:,} were dropped (truncated), and stand in older exports" if found.base else ""
    return f"looked at {', '.join(parts) or 'nothing'}; {flags:,} to look at by a person{base}"


def skipped(found: Verified) -> Iterator[str]:
    """Yield what could not be decided once more, and why: nobody knows whether it follows."""
    rows = found.told.get(SKIPPED, {})
    if total := sum(rows.values()):
        yield f"not decided once more: {total:,}"
        yield from (f"  {count:,} × {why}" for why, count in sorted(rows.items()))


def witnessed(found: Verified) -> str:
    """Return the last line: how much of it somebody else can vouch for."""
    count, newest = found.agreed
    if not count:
        return "agrees with no outside witness: that nothing was rewritten is on the word of whoever holds the key"
    rest = f"; what came after is on our word: {found.size - newest:,}" if newest < found.size else ""
    return f"agrees with {count:,} outside witnesses, newest at size {newest:,} of {found.size:,}{rest}"


def markdown(found: Verified) -> str:
    """Return a report for an auditor's file."""
    rows = [
        "# Verification of an audit log",
        "",
        f"**{verdict(found)}**",
        "",
        f"- export made at {found.export.made_at}, checkpoint at size {found.export.checkpoint:,}",
        f"- root (RFC 6962) `{found.root}`",
        *[f"- key `{key}`" for key in found.keys],
        f"- {counted(found)}",
        f"- {witnessed(found)}",
        "",
        "| records of type | how many |",
        "|---|---|",
        *[f"| `{kind}` | {count:,} |" for kind, count in sorted(found.types.items())],
        "",
        *_told(found),
    ]
    if found.findings:
        rows += ["| where | what | meaning |", "|---|---|---|"]
        rows += [
            f"| {one.file}{f', line {one.line:,}' if one.line else ''} | {_cell(one.what)} | {CODES[one.code]} |"
            for one in found.findings
        ]
    else:
        rows.append("Nothing was found to be wrong, and nothing to look at.")
    return "\n".join([*rows, "", "## On our word", "", *_on_our_word(found), ""])


def _told(found: Verified) -> Iterator[str]:
    for headline, rows in found.told.items():
        if rows:
            yield from (f"| {headline} | how many |", "|---|---|")
            yield from (f"| {_cell(name)} | {count:,} |" for name, count in sorted(rows.items()))
            yield ""


def _on_our_word(found: Verified) -> Iterator[str]:
    """Yield what nobody can see from an export."""
    count, newest = found.agreed
    yield "- that what people typed is true, and that clocks were right"
    if not count:
        yield "- that whoever holds the key has not written the whole log anew: no outside witness was given"
    elif newest < found.size:
        yield f"- the records {newest + 1:,} to {found.size:,}, which no outside witness has seen"
    if found.trusted:
        yield "- the key: it came from the export itself"
    if found.counts["erased"]:
        yield f"- what {found.counts['erased']:,} texts said, which were erased: how long they were still shows"
    if found.base:
        yield f"- records 1 to {found.base:,}, which were dropped: their root is signed, and older exports hold them"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
