"""Fan-out over many files: the longest and the most branched functions of Python's standard library.

    python examples/stdlib_census.py
    python examples/stdlib_census.py --top 5 json

Every module's source goes to the mesh, where it is parsed; the findings are gathered as they come, under a progress
bar. The workers need neither this program nor the files: the function and the sources travel to them. The mesh is an
embedded one, or the one that ACTORQ_URL names.
"""

from __future__ import annotations

import argparse
import ast
import heapq
import os
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from actorq import ActorQ

app = ActorQ("stdlib_census", url=os.environ.get("ACTORQ_URL", "local://"))

STDLIB = Path(sysconfig.get_path("stdlib"))
BRANCHES = (
    *(ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.comprehension),
    *(ast.ExceptHandler, ast.Assert, ast.BoolOp, ast.match_case),
)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Function(NamedTuple):
    """One function of a module, methods and nested functions included."""

    place: str
    """File and line."""
    name: str
    lines: int
    branches: int
    """Places where the control flow forks; nested functions count for themselves only."""


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """All nodes below a function but those of the functions in it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, FUNCTIONS):
            yield node
            yield from own_nodes(node)


@app.task
def census(module: tuple[str, bytes]) -> tuple[int, list[Function]]:
    """The number of lines and the functions of one module, given as path and source."""
    path, source = module
    found: list[Function] = []

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
                name = prefix + child.name
                if isinstance(child, FUNCTIONS):
                    lines = (child.end_lineno or child.lineno) - child.lineno + 1
                    branches = sum(isinstance(each, BRANCHES) for each in own_nodes(child))
                    found.append(Function(f"{path}:{child.lineno}", name, lines, branches))
                visit(child, name + ".")
            else:
                visit(child, prefix)

    visit(ast.parse(source, path), "")
    return source.count(b"\n"), found


def stdlib_files(modules: list[str]) -> list[Path]:
    """The source files of these modules and packages (none named: all), without the library's own tests."""
    wanted = set(modules or sys.stdlib_module_names)
    return [
        path
        for path in sorted(STDLIB.rglob("*.py"))
        if path.relative_to(STDLIB).with_suffix("").parts[0] in wanted
        and not {"test", "tests", "idle_test", "site-packages"} & set(path.parts)
    ]


def table(title: str, functions: list[Function], key: Callable[[Function], int], top: int) -> Table:
    result = Table(title=title, title_justify="left")
    result.add_column("lines", justify="right")
    result.add_column("branches", justify="right")
    result.add_column("function", overflow="fold")
    result.add_column("place", overflow="fold")
    for each in heapq.nlargest(top, functions, key):
        result.add_row(f"{each.lines:,}", f"{each.branches:,}", each.name, each.place)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="modules of the standard library; default: all")
    parser.add_argument("--top", type=int, default=10, help="rows of each table; default: %(default)s")
    options = parser.parse_args()

    sources = [(str(path.relative_to(STDLIB)), path.read_bytes()) for path in stdlib_files(options.modules)]
    if not sources:
        parser.error(f"no such modules in {STDLIB}: {' '.join(options.modules)}")

    lines, functions = 0, []
    started_s = time.monotonic()
    for count, rows in app.map(census, sources, ordered=False, progress=True):
        lines += count
        functions += [Function(*row) for row in rows]
    elapsed_s = time.monotonic() - started_s

    console = Console()
    console.print(table("The longest functions", functions, lambda each: each.lines, options.top))
    console.print(table("The most branched functions", functions, lambda each: each.branches, options.top))
    console.print(
        f"{len(sources):,} files, {lines:,} lines, {len(functions):,} functions in {elapsed_s:.1f} s: "
        f"{len(sources) / elapsed_s:,.0f} files/s"
    )


if __name__ == "__main__":
    main()
