"""Digests of code: what a job runs, told by syntax trees, so that a comment or a `touch` reruns nothing.

The digest of a script covers the script and every `stiltgrid` module that it imports, transitively, also from
inside functions. What is imported by name at run time (a family, a source, an adapter) is passed explicitly.
"""

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

PACKAGE = "stiltgrid"
LIBRARY = Path(__file__).resolve().parent
# How a process starts, ends and logs changes no result, and is imported by every script.
PLUMBING = frozenset({f"{PACKAGE}.{name}" for name in ("warm", "logs")})
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_digest(script: Path | str, modules: Sequence[str] = (), library: Path = LIBRARY) -> str:
    """SHA-256 (its first 16 hex digits) of the code that a script runs.

    `modules` are dotted names that the script imports dynamically; `library` is the package's folder.
    Raises FileNotFoundError for a script or module that does not exist and SyntaxError, naming file and line,
    for one that Python cannot read.
    """
    entry, imports = _digest(Path(script), library)
    parts = [f"script {entry}"]
    for name in sorted(_closure([*imports, *modules], library) - PLUMBING):
        parts.append(f"{name} {_digest(_file(name, library), library)[0]}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _closure(names: Iterable[str], library: Path) -> set[str]:
    """Every module reached from `names`, their packages included."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if name not in PLUMBING:
            waiting += _digest(_file(name, library), library)[1]
        if "." in name:
            waiting.append(name.rpartition(".")[0])
    return found


def _digest(path: Path, library: Path) -> tuple[str, tuple[str, ...]]:
    state = path.stat()
    return _digest_version(path, library, state.st_mtime_ns, state.st_size)


@functools.cache
def _digest_version(path: Path, library: Path, mtime: int, size: int) -> tuple[str, tuple[str, ...]]:
    """Digest of one file's syntax tree and the `stiltgrid` modules it names; read again only when it changed."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    digest = hashlib.sha256("\x1f".join(_tokens(tree)).encode()).hexdigest()
    package = [PACKAGE, *path.parent.relative_to(library).parts] if path.is_relative_to(library) else []
    return digest, tuple(sorted(_imports(tree, package, library)))


def _tokens(node: ast.AST) -> Iterator[str]:
    """A tree as text: kinds, field names and values; no positions, no docstrings, no type-checking blocks.

    Empty fields are left out, which also keeps the text the same across Python versions.
    """
    yield type(node).__name__
    for field, value in ast.iter_fields(node):
        if field == "body" and isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            value = value[1:]
        if value is None or value == [] or field in ("type_comment", "type_ignores", "kind"):
            continue
        yield f"{field}("
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.AST):
                if not _is_type_checking(item) and not isinstance(item, ast.expr_context):
                    yield from _tokens(item)
            else:
                yield f"{type(item).__name__} {item!r}"
        yield ")"


def _imports(tree: ast.AST, package: Sequence[str], library: Path) -> set[str]:
    """Dotted names of the package's own modules that the tree imports anywhere but under TYPE_CHECKING."""
    names: set[str] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package[: len(package) + 1 - node.level]
                base = ".".join([*parents, *([base] if base else [])])
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names if _exists(f"{base}.{alias.name}", library))
        waiting += [child for child in ast.iter_child_nodes(node) if not _is_type_checking(child)]
    return {name for name in names if name == PACKAGE or name.startswith(f"{PACKAGE}.")}


def _is_type_checking(node: ast.AST) -> bool:
    if not isinstance(node, ast.If):
        return False
    test = node.test
    return getattr(test, "id", getattr(test, "attr", "")) == "TYPE_CHECKING" and not node.orelse


def _path(name: str, library: Path) -> Path:
    return library.joinpath(*name.split(".")[1:])


def _exists(name: str, library: Path) -> bool:
    if not name.startswith(f"{PACKAGE}."):
        return False
    path = _path(name, library)
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _file(name: str, library: Path) -> Path:
    path = _path(name, library)
    package = path / "__init__.py"
    return package if package.is_file() else path.parent / f"{path.name}.py"
