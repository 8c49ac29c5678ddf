"""Say as lines what the server answered to auditors' commands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from approvers.audit import Head, check_chain
from approvers.taken_out import as_told
from approvers.times import stamp
from countersign.models import Receipt

MOST_NAMED = 3


def story(found: Mapping[str, Any], receipt: Receipt | None) -> Iterator[str]:
    """Yield the lines of a story, from the records and bodies that the server gave."""
    from approvers.storytelling import Witnessed, as_text  # noqa: PLC0415 callers' commands start without it
    from approvers.storytelling import story as tell  # noqa: PLC0415

    witnessed = None
    if receipt is not None:
        at = stamp(receipt.at) if receipt.at else "at a time not told"
        witnessed = Witnessed(int(receipt.log.get("size", 0)), str(receipt.log.get("root", "?")), at)
    return as_text(tell(found["records"], witnessed, _chain(found), found.get("taken_out")))


def _chain(found: Mapping[str, Any]) -> str:
    """Check here, not there, that the records are one chain."""
    bodies = [body.encode() for body in found["bodies"]]
    try:
        head = _head(bodies, found.get("taken_out"))
        check_chain(found["subject"], bodies, head)
    except (ValueError, KeyError, TypeError) as error:
        return f"THE CHAIN IS BROKEN: {error}"
    count = f"{len(bodies)} record{'' if len(bodies) == 1 else 's'}"
    cut = f" Not checked: {head.n:,} before, which were taken out of the log; an export holds them." if head.n else ""
    return f"{count}, checked here: each holds the hash of the one before.{cut}"


def _head(bodies: Sequence[bytes], taken_out: int | None) -> Head:
    """Return the end of what was taken out of the log before these records, as the first of them has it.

    Raises ValueError: the log says that it was another one.
    """
    if not bodies:
        return Head(taken_out or 0)
    first = json.loads(bodies[0])
    if taken_out not in (None, first["n"] - 1):
        raise ValueError(f"it begins with record {first['n']}, and the log took out {taken_out}")
    return Head(first["n"] - 1, first["prev"])


def hit(one: Mapping[str, Any]) -> str:
    """Return one request that was found, as a line."""
    grant = one.get("grant") or {}
    proof = f"{grant['state']} ({grant['proof']})" if grant.get("proof") else grant.get("state", "")
    by = ",".join(name.removeprefix("user:") for name in one["decided_by"]) or one["because"]
    marks = " break-glass" * bool(one["break_glass"]) + " flagged" * bool(grant.get("flagged"))
    cells = (one["asked_at"][:19] + "Z", one["request"], one["handle"], one["state"], by, proof, one["actor"],
             f"{one['action']} on {one['resource']}{marks}")  # fmt: skip
    return "  ".join(cell for cell in cells if cell)


def not_searched(found: Mapping[str, Any]) -> str:
    """Say what a search cannot find, as it was taken out of the log; empty: nothing."""
    gone = found.get("taken_out")
    return as_told(gone).from_search() if gone else ""


def csv(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the grants of a report as CSV, written as the server would: what is not in it any more is said first."""
    from approvers.reporting_row import Row, as_csv  # noqa: PLC0415 callers' commands start without it

    def cells(row: Mapping[str, Any]) -> list[object]:
        return [tuple(row[name]) if isinstance(row[name], list) else row[name] for name in Row._fields]

    said = _missing(found)
    first = [[said, *[""] * (len(Row._fields) - 1)]] if said else []
    return as_csv([*first, *map(cells, found["grants"])], Row._fields)


def _missing(found: Mapping[str, Any]) -> str:
    """Say what was taken out of the log and is not in a report; empty: nothing."""
    gone = found.get("taken_out")
    return as_told(gone).from_report(gone["requests"]) if gone else ""


def report(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield a report as lines."""
    total, log = found["summary"]["total"], found["log"]
    root = f", root {log['root']}" if log["root"] else "; no signed checkpoint covers it yet"
    left_out = f"; {log['left_out']:,} newer records are in the next report" if log.get("left_out") else ""
    yield f"{found['from'][:16]}Z to {found['to'][:16]}Z, from the log up to size {log['size']:,}{root}{left_out}"
    if said := _missing(found):
        yield said
    states = ("asked", "approved", "denied", "expired", "cancelled", "waiting", "grants", "break_glass", "flagged")
    yield ", ".join(f"{total[name]} {name.replace('_', '-')}" for name in states)
    for title in ("by_actor", "by_person", "by_role", "by_approver"):
        for one in found["summary"][title]:
            yield (
                f"  {title.replace('_', ' ')} {one['name']}: {one['asked']} asked, {one['approved']} approved, "
                f"{one['denied']} denied, half decided in {_minutes(one['p50_minutes'])}, 9 of 10 in "
                f"{_minutes(one['p90_minutes'])}"
            )
    for one in found["grants"]:
        yield _grant(one)
    for one in (*found["changes"], *found["stops"]):
        yield f"{one['at'][:19]}Z  {one['by']} {one['said']}"
    for name in found["owed"]:
        yield f"after-review owed: {name}"
    if found["not_read"]:
        named = ", ".join(found["not_read"][:MOST_NAMED])
        yield f"{len(found['not_read'])} records are of another shape and count for nothing: {named}"


def _grant(one: Mapping[str, Any]) -> str:
    by = "nobody (break-glass)" if one["break_glass"] else " and ".join(
        name.removeprefix("user:") for name in one["approved_by"]
    ) or "policy"  # fmt: skip
    person = f" for {one['person'].removeprefix('user:')}" if one["person"] else ""
    held = (
        f"{one['held_seconds']} of {one['ttl_granted_seconds']} s" if one["held_seconds"] is not None else "no end yet"
    )
    end = f"{one['end']} ({one['proof']})" if one["proof"] else "lives"
    return (
        f"{one['asked_at'][:19]}Z  {one['grant']}  {one['actor']}{person}  {one['role']} in {one['account']}  "
        f"{','.join(one['actions'])}  by {by}  {held}  {end}"
    )


def _minutes(value: float | None) -> str:
    return "–" if value is None else f"{value} min"
