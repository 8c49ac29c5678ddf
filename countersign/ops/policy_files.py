"""Read the two files, and list every mistake and warning in them with its file, line and field."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from approvers.errors import CountersignError
from approvers.faults import ConfigError, Fault
from approvers.policy import Policy, findings, parse_policy
from approvers.roster import Roster, parse_roster
from countersign.ops.places import line_of
from workers.data.levels import load_levels
from workers.stores import layout
from workers.stores.port import Store

ROSTER_SECTIONS = frozenset(
    {"person", "group", "caller", "account", "role", "place", "issuer", "schedule", "delegation", "slack"}
)
POLICY_SECTIONS = frozenset(
    {"version", "default", "default_quorum", "timezone", "environments", "quorum", "ladder", "limits", "risk",
     "break_glass", "apply", "grants", "monitoring", "rule"}
)  # fmt: skip
NAMES = {layout.ROSTER: "countersign.toml", layout.POLICY: "policy.toml"}


class NotApplied(CountersignError):
    """The files are not in force; `lines` has every mistake, each with its file and line."""

    code = "bad_config"

    def __init__(self, *lines: str) -> None:
        """Keep the lines."""
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True)
class Source:
    """One of the two files: which record it is for, its name as typed (or where its text stands), its text."""

    key: str
    name: str
    text: str


@dataclass(frozen=True)
class Finding:
    """One mistake or warning, as CI reads it."""

    file: str
    line: int
    field: str
    detail: str
    remedy: str
    severity: str

    def __str__(self) -> str:
        warning = "warning: " if self.severity == "warning" else ""
        return f"{self.file}:{self.line}: {warning}{self.field}: {self.detail}; {self.remedy}"

    def json(self) -> dict[str, str | int]:
        """Return it for scripts."""
        return asdict(self)


@dataclass(frozen=True)
class Checked:
    """What the files say, where they can be read, and everything that was found in them."""

    policy: Policy | None
    roster: Roster | None
    found: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Return what stands in the way."""
        return tuple(one for one in self.found if one.severity == "error")


def read_files(files: Sequence[Path]) -> dict[str, Source]:
    """Return the files by the record they are for. Raises NotApplied: unreadable, neither of the two, or one twice."""
    found: dict[str, Source] = {}
    for path in files:
        text = _text(path)
        source = Source(_key_of(path, text), str(path), text)
        if source.key in found:
            raise NotApplied(f"{found[source.key].name} and {path} are both a {NAMES[source.key]}: give one of them")
        found[source.key] = source
    return found


async def standing(store: Store) -> dict[str, Source]:
    """Return what is in force, by record; nothing before the first apply."""
    seen = await store.records.read(list(NAMES))
    return {
        key: Source(key, f"{NAMES[key]} in force", json.loads(record.json)["text"])
        for key, record in seen.records.items()
        if record.version
    }


def check(sources: Mapping[str, Source], now: datetime) -> Checked:
    """Return what is found in the files, each alone and, where both can be read, both together."""
    roster, found = None, list[Finding]()
    try:
        roster = parse_roster(sources[layout.ROSTER].text)
    except ConfigError as error:
        found += [_finding(sources[layout.ROSTER], fault) for fault in error.faults]
    try:
        policy = parse_policy(sources[layout.POLICY].text)
    except ConfigError as error:
        found += [_finding(sources[layout.POLICY], fault) for fault in error.faults]
        return Checked(None, roster, tuple(found))
    if roster is not None:
        today = now.astimezone(policy.zone).date()
        both = findings(policy, roster, actions=load_levels(), today=today)
        found += sorted(_spelled(sources, both), key=lambda one: (one.severity, one.file, one.line))
    return Checked(policy, roster, tuple(found))


def _spelled(sources: Mapping[str, Source], faults: Iterator[Fault]) -> Iterator[Finding]:
    for fault in faults:
        head = fault.place.partition(".")[0].partition("[")[0]
        yield _finding(sources[layout.ROSTER if head in ROSTER_SECTIONS else layout.POLICY], fault)


def _finding(source: Source, fault: Fault) -> Finding:
    line = line_of(source.text, fault.place)
    return Finding(source.name, line, fault.place, fault.detail, fault.remedy, fault.severity)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise NotApplied(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise NotApplied(f"{path}:{line}: not UTF-8; save the file as UTF-8") from error


def _key_of(path: Path, text: str) -> str:
    """Tell which file this is by what is in it; a file that is no TOML, by its name."""
    try:
        sections = set(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError):
        return layout.POLICY if "policy" in path.name else layout.ROSTER
    roster, policy = len(sections & ROSTER_SECTIONS), len(sections & POLICY_SECTIONS)
    if roster == policy:
        raise NotApplied(f"{path} is neither a countersign.toml nor a policy.toml: it has {_few(sections)}")
    return layout.ROSTER if roster > policy else layout.POLICY


def _few(sections: set[str]) -> str:
    return f"the sections {', '.join(sorted(sections)[:5])}" if sections else "no section at all"
