"""Digests of the code that a job runs, over syntax trees, so that a comment or a `touch` reruns nothing.

The digest of a script covers the script and the code that it reaches in every `stiltgrid` module that it imports,
directly or indirectly, at the top or inside functions: all statements that run on import, and the functions and classes
whose names are used. Modules that are imported by name at run time (a family, a source, an adapter) are passed
explicitly. Names are matched without resolving scopes, so a digest covers rather too much than too little.
"""

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path

from stiltgrid.workflow.code_outline import PACKAGE, Outline, Outlines, Piece, Target

LIBRARY = Path(__file__).resolve().parents[1]
FAMILIES = f"{PACKAGE}.tasks.families."
# Every script imports these, and they change no result: how a process starts, ends and logs.
PLUMBING = frozenset(
    f"{PACKAGE}.{name}"
    for name in (
        "workflow.job_runner",
        "workflow.fork_server",
        "workflow.runs",
        "workflow.unfinished",
        "utils.logs",
        "training.launcher",
    )
)


def code_digest(
    script: Path | str,
    modules: Sequence[str] = (),
    leave_out: Collection[str] = (),
    outlines: Outlines | None = None,
) -> str:
    """SHA-256 (its first 16 hex digits) of the code that a script runs.

    `modules` are dotted names that the script imports dynamically, or `module:name` for one name of a module.
    `leave_out` are methods of families that the script never calls. Raises FileNotFoundError for a script or module
    that does not exist and SyntaxError, naming file and line, for one that Python cannot read.
    """
    reached = _Reached(outlines or Outlines(LIBRARY), frozenset(leave_out))
    reached.whole("script", reached.outlines.of(Path(script)))
    for name in modules:
        module, _, taken = name.partition(":")
        reached.target(Target(module, taken or None))
    return hashlib.sha256("\n".join(sorted(reached.lines)).encode()).hexdigest()[:16]


class _Reached:
    """The pieces of code that are reached from a script; `lines` holds the digest of each."""

    def __init__(self, outlines: Outlines, leave_out: frozenset[str]) -> None:
        self.outlines = outlines
        self.leave_out = leave_out
        self.lines: set[str] = set()
        self._targets: set[Target] = set()

    def target(self, target: Target) -> None:
        """Add a whole module, or one name of a module and the statements that run on its import."""
        if target in self._targets or target.module in PLUMBING:
            return
        self._targets.add(target)
        found = self.outlines.of_module(target.module)
        parent = target.module.rpartition(".")[0]
        if parent:
            self.target(Target(parent, ""))
        if target.name is None:
            self.whole(target.module, found)
            return
        self._piece(target.module, "", found.always, found)
        self._named(target.module, target.name, found)

    def whole(self, module: str, found: Outline) -> None:
        """Add everything in a file."""
        self._piece(module, "", found.always, found)
        for name in found.definitions:
            self._named(module, name, found)

    def _named(self, module: str, name: str, found: Outline) -> None:
        """Add what a name refers to at the top of a module: a definition or an import."""
        if name in found.definitions:
            definition = found.definitions[name]
            self._piece(module, name, definition.body, found)
            for method, piece in definition.methods.items():
                if not (module.startswith(FAMILIES) and method in self.leave_out):
                    self._piece(module, f"{name}.{method}", piece, found)
        elif name in found.imports:
            self._imported(found.imports[name], None)

    def _piece(self, module: str, name: str, piece: Piece, found: Outline) -> None:
        line = f"{module}:{name} {piece.digest}"
        if line in self.lines or module in PLUMBING:
            return
        self.lines.add(line)
        for used in piece.names:
            if used in piece.imports:
                self._imported(piece.imports[used], None)
            else:
                self._named(module, used, found)
        for used, attributes in piece.attributes.items():
            imported = piece.imports.get(used) or found.imports.get(used)
            if imported is not None:
                self._imported(imported, attributes)
            elif used in found.definitions:
                self._named(module, used, found)

    def _imported(self, target: Target, attributes: Sequence[str] | None) -> None:
        """Add what an import refers to; of a module that is only used as `module.attribute`, those attributes alone."""
        module = target.module if target.name is None else f"{target.module}.{target.name}"
        if self.outlines.module_file(module) is None:
            self.target(target)
        elif attributes is None:
            self.target(Target(module, None))
        else:
            for name in attributes:
                self._imported(Target(module, name), None)
