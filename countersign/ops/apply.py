"""`countersign apply`: check both files together, say what changes in meaning, store them with who and why.

Nothing is stored while there is one mistake in either file; all mistakes are listed, each with its file and line. Where
the policy in force wants other people's yes (`[apply]`), the change is asked for like any other action, and the same
command applies it once they have approved exactly this.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from approvers.applying import bound, changes
from approvers.faults import ConfigError
from approvers.policy import parse_policy
from approvers.roster import parse_roster
from countersign.commands.common import Ended, put, say
from countersign.errors import OTHER
from countersign.ops.connect import By, State, who, with_store
from countersign.ops.policy_files import NAMES, Checked, NotApplied, Source, check, read_files, standing
from countersign.ops.second import Approval, Asked, second_yes
from workers.policies import Applied, NeedsApproval, apply
from workers.stores import layout
from workers.stores.port import Store

__all__ = ["NotApplied", "Source", "check", "command", "difference", "read_files", "standing"]

MOST_LINES = 60
"""How much of a change is shown; the rest is counted."""


@dataclass(frozen=True)
class _Wish:
    """What was typed: the files by their record, who, why, and whether to wait for other people's yes."""

    given: Mapping[str, Source]
    by: str
    why: str
    wait: bool

    def text(self, key: str) -> str | None:
        """Return the text of a file that was given."""
        return self.given[key].text if key in self.given else None


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="countersign.toml, policy.toml, or both.")],
    *,
    why: Annotated[str, typer.Option("--why", help="Why, for the log and for who has to approve it.")] = "",
    by: By = None,
    text: Annotated[bool, typer.Option("--text", help="Show the changed lines, too.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Where others have to approve it, wait for them.")] = False,
    state: State = None,
) -> None:
    """Check the files together with what is in force, and put them into force."""
    try:
        _apply(_Wish(read_files(files), who(by), why.strip(), wait), state, text=text)
    except NotApplied as error:
        for line in error.lines:
            say(line)
        raise Ended(OTHER) from error


def _apply(wish: _Wish, state: Path | None, *, text: bool) -> None:
    async def work(store: Store) -> list[Applied] | Asked:
        stood = await standing(store)
        _checked({**stood, **wish.given})
        _tell_changes(wish, stood, text=text)
        try:
            return await _store(store, wish, None)
        except NeedsApproval as needed:
            found = await second_yes(store, Approval(wish.by, wish.why, _bound(wish, stood), needed), wait=wish.wait)
            return await _store(store, wish, found.use) if found.use else found

    done = with_store(state, work)
    if isinstance(done, Asked):
        say(done.words)
        raise Ended(done.code)
    for one in done:
        _tell(wish.given[one.key], one, wish)


async def _store(store: Store, wish: _Wish, approval: str | None) -> list[Applied]:
    policy, roster = wish.text(layout.POLICY), wish.text(layout.ROSTER)
    by = f"user:{wish.by.removeprefix('user:')}" if approval else wish.by
    return await apply(store.records, policy=policy, roster=roster, by=by, why=wish.why, approval=approval)


def _checked(sources: Mapping[str, Source]) -> Checked:
    """Check the files, and say what is only a warning. Raises NotApplied with every mistake."""
    if missing := [NAMES[key] for key in NAMES if key not in sources]:
        raise NotApplied(f"the first apply needs both files: add {' and '.join(missing)}")
    checked = check(sources, datetime.now(UTC))
    if checked.errors:
        count = "1 mistake" if len(checked.errors) == 1 else f"{len(checked.errors)} mistakes"
        raise NotApplied(f"{count}; nothing was applied", *map(str, checked.found))
    for one in checked.found:
        say(str(one))
    return checked


def _tell_changes(wish: _Wish, stood: Mapping[str, Source], *, text: bool) -> None:
    """Show what changes. Raises NotApplied where something does, and nobody says why."""
    changed = [key for key, source in wish.given.items() if key in stood and stood[key].text != source.text]
    if changed and not wish.why:
        raise NotApplied("say why, for the log and for everybody who asks later: --why '…'; nothing was applied")
    for line in _cut(_meaning(wish, stood)) if changed else ():
        put(line)
    for key in changed if text else ():
        for line in _cut(difference(stood[key], wish.given[key])):
            put(line)


def _meaning(wish: _Wish, stood: Mapping[str, Source]) -> list[str]:
    """Return what changes in meaning, for who applies."""
    try:
        return _lines(wish, stood) or ["nothing changes in meaning"]
    except ConfigError:
        return ["what is in force cannot be read by this version; --text shows the changed lines"]


def _bound(wish: _Wish, stood: Mapping[str, Source]) -> Mapping[str, Any]:
    """Return what the approval binds: exactly what `workers.policies` works out again before it stores anything."""
    changed = {NAMES[key]: one.text for key, one in wish.given.items() if one.text != stood[key].text}
    return bound(changed, {NAMES[key]: stood[key].text for key in NAMES}, wish.why, _lines(wish, stood))


def _lines(wish: _Wish, stood: Mapping[str, Source]) -> list[str]:
    old, new = (
        (parse_policy(one[layout.POLICY].text), parse_roster(one[layout.ROSTER].text))
        for one in (stood, {**stood, **wish.given})
    )
    return list(changes(old, new))


def _tell(new: Source, applied: Applied, wish: _Wish) -> None:
    if not applied.changed:
        say(f"{new.name}: in force already, nothing changed")
        return
    because = f", because: {wish.why}" if wish.why else ""
    say(f"{new.name}: in force, sha256 {applied.sha256[:12]}…, by {wish.by}{because}")


def difference(old: Source, new: Source) -> list[str]:
    """Return what changes as the lines of a diff."""
    before, after = old.text.splitlines(), new.text.splitlines()
    return list(difflib.unified_diff(before, after, "in force", new.name, lineterm="", n=1))


def _cut(lines: list[str]) -> list[str]:
    """Cut what gets long."""
    return lines if len(lines) <= MOST_LINES else [*lines[:MOST_LINES], f"… and {len(lines) - MOST_LINES} lines more"]
