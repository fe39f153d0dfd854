"""The packages of the library stand in an order, each importing only from those before it, and no import is circular.

Read from the syntax trees, imports inside functions and for type checking included.
"""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2] / "workflow_scripts"
PACKAGE = "stiltgrid"
ORDER = (
    "utils", "grid", "data", "modeling", "tasks", "config", "preparation", "evaluation", "training", "analysis",
    "reporting", "studies", "selection", "workflow",
)  # fmt: skip


def modules() -> dict[str, Path]:
    """Dotted name -> file of every module of the library."""
    found = {}
    for path in (ROOT / PACKAGE).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The library's modules that a file imports, at its top, inside functions or for type checking."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}: relative imports are not used in this library"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in known else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def graph() -> dict[str, set[str]]:
    """Module -> the modules of the library that it imports."""
    known = modules()
    return {name: {each for each in imports(path, known) if each in known} - {name} for name, path in known.items()}


def package_of(module: str) -> str:
    """The package of a dotted name; empty for the library itself."""
    return (module.split(".") + [""])[1]


def test_every_package_has_a_place_in_the_order_and_says_what_belongs_in_it() -> None:
    folders = {path.name for path in (ROOT / PACKAGE).iterdir() if (path / "__init__.py").is_file()}
    assert folders == set(ORDER)
    for name in ORDER:
        text = ast.get_docstring(ast.parse((ROOT / PACKAGE / name / "__init__.py").read_text(encoding="utf-8")))
        assert text is not None and len(text.splitlines()) >= 3, f"{name}/__init__.py: say what belongs there"


def test_a_package_imports_only_from_those_before_it() -> None:
    place = {name: number for number, name in enumerate(ORDER)}
    back = sorted(
        f"{module} imports {other}"
        for module, others in graph().items()
        for other in others
        if package_of(module) in place and place.get(package_of(other), -1) > place[package_of(module)]
    )
    assert not back


def test_no_import_is_circular() -> None:
    TopologicalSorter(graph()).prepare()  # raises CycleError, which names the circle
