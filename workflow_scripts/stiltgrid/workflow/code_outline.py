"""The outline of a Python file: what runs on import, each definition, and the names that each of them uses."""

import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = "stiltgrid"
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Target(NamedTuple):
    """A module of the package (`name` is None), or one name in it."""

    module: str
    name: str | None


@dataclass(frozen=True)
class Piece:
    """Some statements: their digest, the names they use, and the attributes they read of names (`name.attribute`)."""

    digest: str
    names: Sequence[str]
    attributes: Mapping[str, Sequence[str]]
    imports: Mapping[str, Target]


@dataclass(frozen=True)
class Definition:
    """A function, or a class without its methods and the methods by name."""

    body: Piece
    methods: Mapping[str, Piece] = field(default_factory=dict)


@dataclass(frozen=True)
class Outline:
    """A file. `always` is what runs on import, without the definitions."""

    always: Piece
    definitions: Mapping[str, Definition]
    imports: Mapping[str, Target]


class Outlines:
    """Outlines of a package's files. A file is parsed again if its time or size changed; `save` writes them to disk."""

    def __init__(self, library: Path, cache: Path | None = None) -> None:
        self.library = library
        self._cache = cache
        self._found: dict[str, Outline] = {}
        self._modules: dict[str, Path | None] = {}
        self._saved: dict[str, Any] = {}
        self._changed = False
        state = Path(__file__).stat()
        self._version = [sys.version, state.st_mtime_ns, state.st_size]
        if cache is not None and cache.is_file():
            try:
                saved = json.loads(cache.read_text(encoding="utf-8"))
                self._saved = saved["files"] if saved["version"] == self._version else {}
            except (ValueError, KeyError, OSError):
                self._saved = {}

    def of(self, path: Path) -> Outline:
        """The outline of a file. Raises FileNotFoundError and SyntaxError as Python does."""
        state = path.stat()
        key = f"{path}|{state.st_mtime_ns}|{state.st_size}"
        if key not in self._found:
            if key not in self._saved:
                self._changed = True
                self._saved[key] = asdict(self._read(path))
            self._found[key] = _from_plain(self._saved[key])
        return self._found[key]

    def of_module(self, module: str) -> Outline:
        """The outline of a module of the package. Raises FileNotFoundError where there is none."""
        path = self.module_file(module)
        if path is None:
            raise FileNotFoundError(f"module {module}: no such file in {self.library}")
        return self.of(path)

    def module_file(self, module: str) -> Path | None:
        """The file of a dotted name; None where it is not a module of the package."""
        if module not in self._modules:
            self._modules[module] = self._find(module)
        return self._modules[module]

    def _find(self, module: str) -> Path | None:
        first, *rest = module.split(".")
        if first != PACKAGE:
            return None
        path = self.library.joinpath(*rest)
        for file in (path / "__init__.py", path.parent / f"{path.name}.py"):
            if file.is_file():
                return file
        return None

    def save(self) -> None:
        """Write the outlines for the next run. Where that fails, the next run takes a second longer."""
        if self._cache is None or not self._changed:
            return
        used = {key: self._saved[key] for key in self._found}
        temporary = self._cache.with_name(f"{self._cache.name}.partial")
        try:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps({"version": self._version, "files": used}), encoding="utf-8")
            temporary.replace(self._cache)
        except OSError:
            temporary.unlink(missing_ok=True)

    def _read(self, path: Path) -> Outline:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        package = [PACKAGE, *path.parent.relative_to(self.library).parts] if path.is_relative_to(self.library) else []
        always: list[ast.stmt] = []
        definitions: dict[str, Definition] = {}
        for statement in _without_docstring(tree):
            if isinstance(statement, (*FUNCTIONS, ast.ClassDef)) and statement.name not in definitions:
                definitions[statement.name] = _definition(statement, package)
            elif not _is_type_checking(statement):
                always.append(statement)
        piece = _piece(always, package)
        return Outline(piece, definitions, piece.imports)


def _definition(node: ast.stmt, package: Sequence[str]) -> Definition:
    if not isinstance(node, ast.ClassDef):
        return Definition(_piece([node], package))
    methods = [item for item in node.body if isinstance(item, FUNCTIONS)]
    rest = [item for item in _without_docstring(node) if not isinstance(item, FUNCTIONS)]
    shell = ast.ClassDef(node.name, node.bases, node.keywords, rest, node.decorator_list)
    by_name: dict[str, list[ast.stmt]] = {}
    for method in methods:  # a property and its setter share a name
        by_name.setdefault(method.name, []).append(method)
    return Definition(_piece([shell], package), {name: _piece(found, package) for name, found in by_name.items()})


def _piece(statements: Iterable[ast.stmt], package: Sequence[str]) -> Piece:
    text: list[str] = []
    names: set[str] = set()
    attributes: dict[str, set[str]] = {}
    imports: dict[str, Target] = {}
    for statement in statements:
        for node in _walk(statement):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                attributes.setdefault(node.value.id, set()).add(node.attr)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                imports.update(_imports(node, package))
        dotted = {id(node.value) for node in _walk(statement) if isinstance(node, ast.Attribute)}
        names |= {node.id for node in _walk(statement) if isinstance(node, ast.Name) and id(node) not in dotted}
        text.extend(_tokens(statement, package))
    digest = hashlib.sha256("\x1f".join(text).encode()).hexdigest()[:32]
    plain = {name: sorted(found) for name, found in sorted(attributes.items())}
    return Piece(digest, sorted(names), plain, imports)


def _tokens(node: ast.AST, package: Sequence[str]) -> Iterator[str]:
    """A tree as text: node types, field names and values, without positions, docstrings and type-checking blocks.

    Imports from the package are left out, because the imported code has digests of its own. Empty fields are left out
    too, which keeps the text the same across versions of Python.
    """
    if isinstance(node, (ast.Import, ast.ImportFrom)) and _imports(node, package):
        return
    yield type(node).__name__
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, DOCUMENTED):
            value = _without_docstring(node)
        if value is None or value == [] or name in ("type_comment", "type_ignores", "kind", "ctx"):
            continue
        yield f"{name}("
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, ast.AST):
                yield f"{type(item).__name__} {item!r}"
            elif not _is_type_checking(item):
                yield from _tokens(item, package)
        yield ")"


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if not _is_type_checking(node):
            yield node
            waiting.extend(ast.iter_child_nodes(node))


def _imports(node: ast.Import | ast.ImportFrom, package: Sequence[str]) -> dict[str, Target]:
    """Local name -> what it imports from the package; empty for imports from elsewhere."""
    if isinstance(node, ast.Import):
        return {
            alias.asname or alias.name: Target(alias.name, None)
            for alias in node.names
            if alias.name.split(".")[0] == PACKAGE
        }
    base = node.module or ""
    if node.level:
        base = ".".join([*package[: len(package) + 1 - node.level], *([base] if base else [])])
    if base.split(".")[0] != PACKAGE:
        return {}
    return {alias.asname or alias.name: Target(base, None if alias.name == "*" else alias.name) for alias in node.names}


def _without_docstring(node: ast.AST) -> list[ast.stmt]:
    body: list[ast.stmt] = node.body  # type: ignore[attr-defined]
    return body[1:] if ast.get_docstring(node, clean=False) is not None else body  # type: ignore[arg-type]


def _is_type_checking(node: ast.AST) -> bool:
    if not isinstance(node, ast.If) or node.orelse:
        return False
    return getattr(node.test, "id", getattr(node.test, "attr", "")) == "TYPE_CHECKING"


def _from_plain(plain: Mapping[str, Any]) -> Outline:
    def piece(value: Mapping[str, Any]) -> Piece:
        imports = {name: Target(*target) for name, target in value["imports"].items()}
        return Piece(value["digest"], value["names"], value["attributes"], imports)

    definitions = {
        name: Definition(piece(value["body"]), {key: piece(method) for key, method in value["methods"].items()})
        for name, value in plain["definitions"].items()
    }
    always = piece(plain["always"])
    return Outline(always, definitions, always.imports)
