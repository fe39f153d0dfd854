"""Digests of code: what a job runs, told by syntax trees, so that a comment or a `touch` reruns nothing.

The digest of a script covers the script and, in every `stiltgrid` module that it imports, transitively and also
from inside functions, what it reaches: all statements that run on import, and the functions and classes that are
named from there on. What is imported by name at run time (a family, a source, an adapter) is passed explicitly.
Names are matched, not traced, so a digest covers a little too much rather than too little.
"""

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path

from stiltgrid.workflow.code_outline import PACKAGE, Outline, Outlines, Piece, Target

LIBRARY = Path(__file__).resolve().parents[1]
FAMILIES = f"{PACKAGE}.tasks.families."
# How a process starts, ends and logs changes no result, and is imported by every script.
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

    `modules` are dotted names that the script imports dynamically, or `module:name` for what it takes from one.
    `leave_out` are the families' methods that it never calls. Raises FileNotFoundError for a script or module
    that does not exist and SyntaxError, naming file and line, for one that Python cannot read.
    """
    reached = _Reached(outlines or Outlines(LIBRARY), frozenset(leave_out))
    reached.whole("script", reached.outlines.of(Path(script)))
    for name in modules:
        module, _, taken = name.partition(":")
        reached.target(Target(module, taken or None))
    return hashlib.sha256("\n".join(sorted(reached.lines)).encode()).hexdigest()[:16]


class _Reached:
    """The pieces of code that are reached from an entry; `lines` holds each once, with its digest."""

    def __init__(self, outlines: Outlines, leave_out: frozenset[str]) -> None:
        self.outlines = outlines
        self.leave_out = leave_out
        self.lines: set[str] = set()
        self._targets: set[Target] = set()

    def target(self, target: Target) -> None:
        """A module with all that it holds, or what it calls by a name (and what runs on its import)."""
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
        """Everything in a file."""
        self._piece(module, "", found.always, found)
        for name in found.definitions:
            self._named(module, name, found)

    def _named(self, module: str, name: str, found: Outline) -> None:
        """What a name means at the top of a module: a definition, or something imported."""
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
        """What an imported name brings: of a module only the attributes that are read, where it is read by dots."""
        module = target.module if target.name is None else f"{target.module}.{target.name}"
        if self.outlines.module_file(module) is None:
            self.target(target)
        elif attributes is None:
            self.target(Target(module, None))
        else:
            for name in attributes:
                self._imported(Target(module, name), None)
