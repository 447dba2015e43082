"""What `scripts/check` holds of the house's structure: names that are unique, modules worth their file.

    .venv/bin/python scripts/structure.py

Exit code 1, with a line for each place that breaks a rule.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import grimp

PACKAGE: Final = "voice_app"
ROOT: Final = Path(__file__).parents[1]
LEAST_LINES: Final = 60
"""A module shorter than this, which one sibling alone imports, belongs into that sibling."""
HANDLERS: Final = "voice_app.webhooks"
SHARED_BY_HANDLERS: Final = frozenset(
    {"documents", "request", "responses", "resumption", "routing", "signature"}
)
"""What every webhook may import; `routes` imports them all."""


def main() -> int:
    """Check all rules; the exit code."""
    sources = {_module(path): path.read_text("utf-8") for path in sorted((ROOT / PACKAGE).rglob("*.py"))}
    trees = {module: ast.parse(source) for module, source in sources.items()}
    graph = grimp.build_graph(PACKAGE, include_external_packages=False)
    problems = [
        *_shared_class_names(trees),
        *_shadowed_modules(trees),
        *_thin_modules(graph, sources),
        *_handlers_that_import_each_other(graph),
        *_circles(graph),
    ]
    for problem in problems:
        print(problem)  # noqa: T201
    print(f"{len(sources)} modules, {sum(map(_lines, sources.values()))} lines; {len(problems)} problems")  # noqa: T201
    return bool(problems)


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _lines(source: str) -> int:
    return source.count("\n")


def _shared_class_names(trees: dict[str, ast.Module]) -> Iterator[str]:
    """A public class name stands for one thing."""
    places: dict[str, list[str]] = defaultdict(list)
    for module, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module)
    for name, modules in sorted(places.items()):
        if len(modules) > 1:
            yield f"class {name} is defined in {', '.join(modules)}: give each its own name"


def _shadowed_modules(trees: dict[str, ast.Module]) -> Iterator[str]:
    """`from package import name` must not mean a function where there is a module of that name."""
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or node.level or not node.module:
                continue
            for alias in node.names:
                name = alias.asname or alias.name
                if f"{module}.{name}" in trees and f"{node.module}.{alias.name}" != f"{module}.{name}":
                    yield f"{module} offers {name}, which hides its own module {module}.{name}: rename one"


def _thin_modules(graph: grimp.ImportGraph, sources: dict[str, str]) -> Iterator[str]:
    for module, source in sources.items():
        package = module.rpartition(".")[0]
        if (
            module not in graph.modules
            or _lines(source) >= LEAST_LINES
            or any(other.startswith(f"{module}.") for other in sources)
        ):
            continue
        importers = graph.find_modules_that_directly_import(module)
        if len(importers) == 1 and next(iter(importers)).rpartition(".")[0] == package:
            lone = next(iter(importers))
            yield f"{module} has {_lines(source)} lines and only {lone} imports it: merge them"


def _handlers_that_import_each_other(graph: grimp.ImportGraph) -> Iterator[str]:
    handlers = {
        module
        for module in graph.find_children(HANDLERS)
        if module.rpartition(".")[2] not in {*SHARED_BY_HANDLERS, "routes"}
    }
    for module in sorted(handlers):
        for other in sorted(graph.find_modules_directly_imported_by(module) & handlers):
            yield f"{module} imports {other}: handlers never import each other"


def _circles(graph: grimp.ImportGraph) -> Iterator[str]:
    """Modules that import each other, over however many steps."""
    for importer in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(importer)):
            if importer < imported and graph.chain_exists(importer=imported, imported=importer):
                yield f"{importer} and {imported} import each other in a circle"


if __name__ == "__main__":
    sys.exit(main())
