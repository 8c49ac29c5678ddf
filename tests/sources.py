"""Read the product's own sources: which files there are, what they import, what they define."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("approvers", "bot", "countersign", "workers")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One product file. Its module name has no `__init__`."""

    path: Path

    @property
    def name(self) -> str:
        return ".".join(self.path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    def imports(self) -> Iterator[str]:
        """Yield every module that is imported, also inside functions; `from a import b` gives `a.b`."""
        for node in ast.walk(self.tree):
            match node:
                case ast.Import(names=names):
                    yield from (alias.name for alias in names)
                case ast.ImportFrom(module=module, names=names, level=0):
                    yield from (f"{module}.{alias.name}" for alias in names)
                case ast.ImportFrom():
                    raise AssertionError(f"{self.name}:{node.lineno} imports relatively; write the whole name")

    def functions(self) -> Iterator[Function]:
        yield from (node for node in ast.walk(self.tree) if isinstance(node, Function))


_source = cache(Source)
"""One file is read and parsed once per process: its tree is large, and every collection of garbage walks through it."""


def sources(*packages: str) -> list[Source]:
    """Return the files of these packages (all four), in a fixed order."""
    return [_source(path) for package in packages or PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
