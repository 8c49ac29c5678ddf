"""Hold every record that any test commits in this process against the schema, and look for secrets in it.

Both stores make their bodies in `Commit.entries`, by `link`: what it returns is noted as it passes, a bounded number of
each type, and checked when the test is over. So no test needs to know of it, and nothing that is timed waits for it.
Subjects that are neither `sys` nor a request, and types that begin with `x.`, are a test's own.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from approvers.audit import Entry
from approvers.records import NotASchema, check
from workers.stores import port

MOST = 300
"""Bodies of one type that are kept per test: the first ones."""
OURS = re.compile("sys|req_[0-9A-Z]{26}")
SECRETS = re.compile(
    rb"cs[sl]?_[A-Za-z0-9_-]{30,}"  # our API keys, sessions and links
    rb"|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"  # Slack
    rb"|eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"  # signed tokens
    rb"|countersign-signing-key\+|-----BEGIN [A-Z ]*PRIVATE KEY|(?i:secret_?access_?key|session_?token)"
)
"""What no record may hold: the shapes of secrets, and the names that they go by."""
_seen: defaultdict[str, list[bytes]] = defaultdict(list)


def noting(link: Callable[..., list[Entry]]) -> Callable[..., list[Entry]]:
    """Return `link`, with what it returns noted by type."""

    def linked(drafts: Any, *rest: Any, **more: Any) -> list[Entry]:
        entries = link(drafts, *rest, **more)
        for draft, entry in zip(drafts, entries, strict=True):
            ours = OURS.fullmatch(draft.subject) and not draft.type.startswith("x.")
            if ours and len(kept := _seen[draft.type]) < MOST:
                kept.append(entry.body)
        return entries

    return linked


def secrets_in(bodies: dict[str, list[bytes]]) -> list[str]:
    """Return what looks like a secret in these bodies, with the type that holds it."""
    return [
        f"{kind}: {one.decode()}" for kind, some in bodies.items() for body in some for one in SECRETS.findall(body)
    ]


def complaints(bodies: dict[str, list[bytes]]) -> list[str]:
    """Return what is wrong with these bodies, by type, each complaint once."""
    found: dict[str, None] = {}
    for some in bodies.values():
        for body in some:
            try:
                check(json.loads(body))
            except NotASchema as error:
                found[str(error)] = None
    return list(found)


def pytest_configure(config: pytest.Config) -> None:
    """Begin to note."""
    port.link = noting(port.link)  # type: ignore[attr-defined]  # it stays what it was; somebody looks on


@pytest.fixture(autouse=True)
def records_are_of_the_schema() -> Iterator[None]:
    """Fail a test that committed a record of no known type, or with other fields than its type has."""
    _seen.clear()
    yield
    found, leaked = complaints(dict(_seen)), secrets_in(dict(_seen))
    _seen.clear()
    assert not found, "records that no schema describes (approvers/records.py):\n" + "\n".join(found)
    assert not leaked, "secrets in records:\n" + "\n".join(leaked)
