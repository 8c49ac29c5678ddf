"""Hold the budgets of the house rules over every product file, and print where the medians stand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from statistics import median

import pytest

from tests.sources import Function, Source, sources

FILE_STOP, FUNCTION_STOP, PORT_STOP = 350, 50, 6
FILE_MEDIAN, FUNCTION_MEDIAN = 120, 10


def length(function: Function) -> int:
    assert function.end_lineno
    return function.end_lineno - function.lineno + 1


def public(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.AST]]:
    """Yield public classes and functions, and the public methods of public classes."""
    for node in body:
        if isinstance(node, (Function | ast.ClassDef)) and not node.name.startswith("_"):
            yield f"{prefix}.{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{prefix}.{node.name}")


def methods(node: ast.ClassDef) -> list[str]:
    return [item.name for item in node.body if isinstance(item, Function)]


def protocols(source: Source) -> list[ast.ClassDef]:
    return [
        node
        for node in source.tree.body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
    ]


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.name)
def test_file(source: Source) -> None:
    assert source.lines <= FILE_STOP
    assert {
        function.name: length(function) for function in source.functions() if length(function) > FUNCTION_STOP
    } == {}


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.name)
def test_public_names_say_what_they_are(source: Source) -> None:
    if source.text.strip():
        assert ast.get_docstring(source.tree), f"{source.name} has no docstring"
    silent = [name for name, node in public(source.tree.body, source.name) if not ast.get_docstring(node)]  # type: ignore[arg-type]
    assert silent == []


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.name)
def test_ports_are_small(source: Source) -> None:
    assert {node.name: methods(node) for node in protocols(source) if len(methods(node)) > PORT_STOP} == {}


def test_medians(capsys: pytest.CaptureFixture[str]) -> None:
    files = [source.lines for source in sources() if source.path.name != "__init__.py"]
    functions = [length(function) for source in sources() for function in source.functions()]
    with capsys.disabled():
        print(
            f"\n{len(files)} product files, median {median(files):g} lines (longest {max(files)}); "
            f"{len(functions)} functions, median {median(functions):g} (longest {max(functions)})"
        )
    assert median(files) <= FILE_MEDIAN
    assert median(functions) <= FUNCTION_MEDIAN


def test_the_rulers_measure() -> None:
    tree = ast.parse("class P(Protocol):\n" + "".join(f"    def m{n}(self): ...\n" for n in range(7)))
    assert len(methods(tree.body[0])) == 7  # type: ignore[arg-type]
    assert [name for name, _ in public(tree.body, "m")] == ["m.P", *(f"m.P.m{n}" for n in range(7))]
    assert length(ast.parse("def f():\n    a = 1\n    return a\n").body[0]) == 3  # type: ignore[arg-type]
