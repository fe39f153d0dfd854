"""Strict YAML: values that YAML silently reads as something else are reported with their line and how to write them."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from stiltgrid.utils.errors import ConfigError

# The C parser reads the whole catalogue in 15 ms; the Python one, for installations without libyaml, in 150.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_EXPONENT = re.compile(r"([-+]?\d+)([eE][-+]?\d+)")
_PLAIN_BOOLEANS = ("true", "false")
_MOST_VALUES = 100_000  # of a file with all its aliases written out; the largest file of the project has 2,000
_NESTED = "nested too deeply"


def number_written_as_text(value: Any) -> str | None:
    """`1.0e-5` for `1e-5`, which YAML 1.1 reads as text because it has no dot; None for anything else."""
    match = _EXPONENT.fullmatch(value) if isinstance(value, str) else None
    return f"{match[1]}.0{match[2]}" if match else None


def text_trap(value: str) -> str:
    """The error for a number that YAML reads as text because it has no dot."""
    return f"{value} is read as text, not as a number; write {number_written_as_text(value)}"


class _Loader(_Base):  # type: ignore[misc]
    """A YAML loader that collects problems instead of stopping at the first."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.problems: list[tuple[int, str]] = []  # (line, problem)

    def get_single_data(self) -> Any:
        """The document's content; None, with a problem, where it contains itself or too many values."""
        node = self.get_single_node()
        if node is None:
            return None
        _check_aliases(node)
        for mapping in _mappings(node):
            self._check_keys(mapping)
        return self.construct_document(node)

    def _check_keys(self, node: Any) -> None:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            line, text = key_node.start_mark.line + 1, key_node.value
            if not isinstance(text, str):
                raise _error(key_node, "a key is a list or a mapping; expected text")
            if (text, key_node.tag) in seen:
                self.problems.append((line, f"key '{text}' is given twice (first in line {seen[text, key_node.tag]})"))
            elif key_node.tag not in (_TAG + "str", _TAG + "merge"):
                key = self.construct_object(key_node, deep=True)
                if not isinstance(key, str):  # those that are text have been reported as misread
                    self.problems.append((line, f'key {text} is read as {key!r}; write "{text}"'))
            seen.setdefault((text, key_node.tag), line)


def _check_aliases(root: Any) -> None:
    """Raise ConstructorError where a node contains itself, or where writing all aliases out gives too many values."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: Any) -> int:
        if id(node) in open_nodes:
            raise _error(node, "an alias stands inside the value that it names, so the value has no end")
        if id(node) not in sizes:
            open_nodes.add(id(node))
            sizes[id(node)] = 1 + sum(size(child) for child in _children(node))
            open_nodes.remove(id(node))
        if sizes[id(node)] > _MOST_VALUES:
            raise _error(node, f"with its aliases written out this has more than {_MOST_VALUES:,} values")
        return sizes[id(node)]

    size(root)


def _error(node: Any, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(problem=problem, problem_mark=node.start_mark)


def _children(node: Any) -> list[Any]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _mappings(root: Any) -> list[Any]:
    """Every mapping of a document in the document's order, each once however many aliases it has."""
    found: dict[int, Any] = {}

    def visit(node: Any) -> None:
        if id(node) not in found:
            found[id(node)] = node
            for child in _children(node):
                visit(child)

    visit(root)
    return [node for node in found.values() if isinstance(node, yaml.MappingNode)]


def _boolean(loader: _Loader, node: Any) -> Any:
    """YAML 1.1 reads `no`, Norwegian, as False: only true and false may be written without quotes."""
    value = loader.construct_yaml_bool(node)
    if node.value.lower() in _PLAIN_BOOLEANS:
        return value
    hint = f'write "{node.value}" for the word or {str(value).lower()} for the truth value'
    loader.problems.append((node.start_mark.line + 1, f"{node.value} is read as {value}; {hint}"))
    return node.value


def _text(loader: _Loader, node: Any) -> Any:
    if not node.style and number_written_as_text(node.value):
        loader.problems.append((node.start_mark.line + 1, text_trap(node.value)))
    return loader.construct_yaml_str(node)


def _integer(loader: _Loader, node: Any) -> Any:
    """YAML 1.1 reads `1:30` as 90 and `010` as 8."""
    text = node.value
    try:
        value = loader.construct_yaml_int(node)
    except ValueError:
        return _refuse(loader, node, f"a number of {len(text):,} digits cannot be read")
    if ":" in text or re.fullmatch(r"[-+]?0[0-9_]+", text):
        return _refuse(loader, node, f'{text} is read as {value}; write "{text}" for text, or {value}')
    return value


def _float(loader: _Loader, node: Any) -> Any:
    text = node.value
    try:
        value = loader.construct_yaml_float(node)
    except ValueError:
        return _refuse(loader, node, f"{text} cannot be read as a number")
    if not math.isfinite(value):
        return _refuse(loader, node, f"{text} is read as {value}; expected a finite number")
    if ":" in text:
        return _refuse(loader, node, f'{text} is read as {value}; write "{text}" for text, or {value}')
    return value


def _date(loader: _Loader, node: Any) -> Any:
    return _refuse(loader, node, f'{node.value} is read as a date; write "{node.value}" for text')


def _refuse(loader: _Loader, node: Any, problem: str) -> Any:
    loader.problems.append((node.start_mark.line + 1, problem))
    return node.value


_CONSTRUCTORS: dict[str, Callable[[_Loader, Any], Any]] = {
    "bool": _boolean, "str": _text, "int": _integer, "float": _float, "timestamp": _date,
}  # fmt: skip
for _name, _constructor in _CONSTRUCTORS.items():
    _Loader.add_constructor(_TAG + _name, _constructor)


def read_yaml(path: str | Path, shown: str | None = None) -> Any:
    """The content of a YAML file.

    Raises ConfigError with every duplicate key, every value that YAML misreads (`1e-5`, unquoted `no`, `1:30`, dates),
    number that is not finite and key that is not text; or with the first error of syntax or of aliases. Merge keys
    (`<<`) work. `shown` is the file's name in messages.
    """
    content, problems = scan_yaml(path, shown)
    if problems:
        raise ConfigError(problems)
    return content


def scan_yaml(path: str | Path, shown: str | None = None) -> tuple[Any, list[str]]:
    """Like `read_yaml`, but returns the problems beside the content instead of raising them."""
    shown = shown or str(path)
    if Path(path).exists() and not Path(path).is_file():  # opening a pipe would wait for its writer
        return None, [f"{shown}: cannot be read (not a file)"]
    try:
        with Path(path).open(encoding="utf-8-sig") as stream:
            loader = _Loader(stream)
            content = loader.get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        known = isinstance(error, yaml.constructor.ConstructorError)
        return None, [f"{shown}{line}: {problem}" if known else f"{shown}{line}: not YAML ({problem})"]
    except RecursionError:
        return None, [f"{shown}: {_NESTED}"]
    except (OSError, UnicodeDecodeError) as error:
        return None, [f"{shown}: cannot be read ({error})"]
    return content, [f"{shown} line {line}: {problem}" for line, problem in sorted(loader.problems)]
