"""Reads code as syntax trees, without importing it: modules, what they import, which names they use."""

from __future__ import annotations

import ast
import builtins
import io
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Finding", "Module", "Need", "comments", "mark_names", "needs", "parse", "read_modules", "uses"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a rule has to say about one line of a module."""

    module: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Module:
    """One source file; `is_package` is true for an `__init__`."""

    name: str
    source: str
    tree: ast.Module
    is_package: bool = False

    def finding(self, line: int, text: str) -> Finding:
        """Something to say about `line` of this module."""
        return Finding(self.name, line, text)


@dataclass(frozen=True, slots=True)
class Need:
    """One name that an import statement binds.

    `target` is what is imported, dotted and absolute; for `from a import b` it is `a.b`, whether `b` is a module or not, and
    `parent` is `a`.
    """

    target: str
    parent: str | None
    bound_as: str
    line: int
    in_function: bool


def parse(name: str, source: str, *, is_package: bool = False) -> Module:
    """The module `name` whose text is `source`."""
    return Module(name, source, ast.parse(source, filename=name), is_package)


def read_modules(root: Path, *tops: str) -> list[Module]:
    """Every Python file below the directories `tops` of `root`, and the files among them, sorted by name."""
    paths = [path for top in tops for path in ([root / top] if top.endswith(".py") else (root / top).rglob("*.py"))]
    modules = []
    for path in paths:
        parts = path.relative_to(root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        modules.append(parse(name, path.read_text("utf-8"), is_package=is_package))
    return sorted(modules, key=lambda module: module.name)


@cache
def needs(module: Module) -> tuple[Need, ...]:
    """Every name that is imported anywhere in the module, under `TYPE_CHECKING`, in functions, and with `later(...)` too."""
    found: list[Need] = []
    for node, in_function in _walk(module.tree, False):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound_as = alias.asname or alias.name.partition(".")[0]
                found.append(Need(alias.name, None, bound_as, node.lineno, in_function))
        elif isinstance(node, ast.ImportFrom):
            parent = _absolute(module, node)
            for alias in node.names:
                target = f"{parent}.{alias.name}"
                found.append(Need(target, parent, alias.asname or alias.name, node.lineno, in_function))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "later":
            parent, _, name = ast.literal_eval(node.args[0]).partition(":")
            found.append(Need(f"{parent}.{name}", parent, f"later({name})", node.lineno, in_function=False))
    return tuple(found)


def _walk(node: ast.AST, in_function: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        yield child, in_function
        function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _walk(child, in_function or function)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".")
    climb = node.level - (1 if module.is_package else 0)
    base = package[: len(package) - climb]
    return ".".join([*base, *([node.module] if node.module else [])])


@cache
def uses(module: Module) -> tuple[tuple[str, int], ...]:
    """Every dotted name that the module imports or uses, with its line.

    A name is resolved through the module's imports (`import time as t; t.sleep` is `time.sleep`); built-in names stand below
    `builtins`, all others below `local`. A call in the chain is shown: `psutil.Process().kill`.
    """
    bound: dict[str, str] = {}
    found = [(need.target, need.line) for need in needs(module)]
    for need in needs(module):
        unrenamed = need.parent is None and need.bound_as == need.target.partition(".")[0]
        bound[need.bound_as] = need.bound_as if unrenamed else need.target
    inner = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in inner:
            found.append((_dotted(node, bound), node.lineno))
    return tuple(found)


def _dotted(node: ast.expr, bound: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, bound)}.{node.attr}"
    if isinstance(node, ast.Call):
        return f"{_dotted(node.func, bound)}()"
    if isinstance(node, ast.Name):
        if node.id in bound:
            return bound[node.id]
        return f"builtins.{node.id}" if hasattr(builtins, node.id) else f"local.{node.id}"
    return "expression"


def comments(module: Module) -> Iterator[tuple[str, int]]:
    """Every comment of the module with its line."""
    for token in tokenize.generate_tokens(io.StringIO(module.source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string, token.start[0]


def mark_names(nodes: Sequence[ast.expr]) -> set[str]:
    """The dotted names of decorators or marks, their arguments left out: `pytest.mark.live`."""
    return {ast.unparse(node.func if isinstance(node, ast.Call) else node) for node in nodes}
