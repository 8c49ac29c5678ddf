"""Find every kind of alert that the sources raise, in whatever way: the word before the colon of its key.

Followed are the first argument of `Alert(…)` and the key of `Alarm(…)`: constants of the module, and parameters back
through the calls that fill them. What cannot be followed so must be named in `FILLED`, or is an error.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bot.surfaces.slack_events import GONE
from workers.watching_news import AFTER_END, ASK, KILLED

ROOT = Path(__file__).parents[1]
FOLDERS = ("bot", "workers", "countersign")
FILLED: dict[tuple[str, str], set[str]] = {
    ("bot/surfaces/slack_events.py", "kind"): set(GONE),
    ("workers/watching_alerts.py", "kind"): {KILLED, ASK, AFTER_END},
    ("workers/clock/alarms.py", "alarm.key"): set(),  # what stands was made by `Alarm(…)`, which is followed itself
}
ENDING = ("clear",)
"""Functions that end an alert and raise none."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Source:
    """One file, its constants, the modules that it imports from, and which function each call stands in."""

    path: str
    constants: dict[str, str] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    calls: list[tuple[ast.Call, Function | None]] = field(default_factory=list)


def kinds() -> dict[str, set[str]]:
    """Return each kind with the files that raise it. Raises ValueError for one that cannot be found out."""
    found: dict[str, set[str]] = {}
    sources = [_read(path) for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    for source in sources:
        for call, within in source.calls:
            if (key := _key(call)) is None:
                continue
            for kind in _heads(key, source, within, sources):
                found.setdefault(kind, set()).add(source.path)
    return found


def _key(call: ast.Call) -> ast.expr | None:
    if not isinstance(call.func, ast.Name) or call.func.id not in ("Alert", "Alarm"):
        return None
    return call.args[0] if call.args else next(one.value for one in call.keywords if one.arg == "key")


def _heads(key: ast.expr, source: Source, within: Function | None, sources: list[Source]) -> Iterator[str]:
    """Yield what may stand before the colon of a key."""
    parts = key.values if isinstance(key, ast.JoinedStr) else [key]
    ways = [""]
    for part in parts:
        value = part.value if isinstance(part, ast.FormattedValue) else part
        texts = list(_texts(value, source, within, sources))
        ways = [before + text for before in ways for text in texts]
        if all(":" in way for way in ways):
            break
    yield from {way.partition(":")[0] for way in ways}


def _texts(value: ast.expr, source: Source, within: Function | None, sources: list[Source]) -> Iterator[str]:
    if isinstance(value, ast.Constant):
        yield str(value.value)
    elif isinstance(value, ast.JoinedStr):
        yield from _heads(value, source, within, sources)
    elif isinstance(value, ast.Name) and value.id in source.constants:
        yield source.constants[value.id]
    elif (source.path, ast.unparse(value)) in FILLED:
        yield from FILLED[source.path, ast.unparse(value)]
    elif isinstance(value, ast.Name) and within is not None and value.id in (names := _parameters(within)):
        yield from _filled(names.index(value.id), value.id, within, source, sources)
    else:
        raise ValueError(f"{source.path}: nobody knows what {ast.unparse(value)!r} is in an alert's key; see FILLED")


def _filled(place: int, name: str, within: Function, home: Source, sources: list[Source]) -> Iterator[str]:
    """Yield what the callers of a function give it there."""
    if within.name in ENDING:
        return
    module = home.path.removesuffix(".py").replace("/", ".")
    for source in sources:
        if source is not home and (within.name.startswith("_") or module not in source.imports):
            continue
        for call, around in source.calls:
            called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)
            if called != within.name or call in ast.walk(within):
                continue
            given = [one.value for one in call.keywords if one.arg == name] + call.args[place : place + 1]
            for value in given:
                yield from _heads(value, source, around, sources)


def _parameters(function: Function) -> list[str]:
    names = [one.arg for one in function.args.args]
    return names[1:] if names[:1] == ["self"] else names


def _read(path: Path) -> Source:
    source, tree = Source(str(path.relative_to(ROOT))), ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign):
            source.constants.update(_assigned(node))
    _collect(tree, None, source)
    return source


def _assigned(node: ast.Assign) -> Iterator[tuple[str, str]]:
    target, value = node.targets[0], node.value
    pairs = [(target, value)]
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = list(zip(target.elts, value.elts, strict=True))
    for name, given in pairs:
        if isinstance(name, ast.Name) and isinstance(given, ast.Constant) and isinstance(given.value, str):
            yield name.id, given.value


def _collect(node: ast.AST, within: Function | None, source: Source) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ImportFrom) and child.module:
            source.imports.add(child.module)
        if isinstance(child, ast.Call):
            source.calls.append((child, within))
        _collect(child, child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else within, source)
