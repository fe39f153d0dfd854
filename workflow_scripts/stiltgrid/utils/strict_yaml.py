"""Strict YAML: values that YAML silently reads as something else are reported with their line and how to write them."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from stiltgrid.utils.errors import ConfigError

# The C parser reads the whole catalogue in 15 ms; the Python one, for installations without libyaml, in 150.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_EXPONENT = re.compile(r"^([-+]?\d+)([eE][-+]?\d+)$")
_PLAIN_BOOLEANS = ("true", "false")


def number_written_as_text(value: Any) -> str | None:
    """`1.0e-5` for `1e-5`, which YAML 1.1 reads as text because it has no dot; None for anything else."""
    match = _EXPONENT.match(value) if isinstance(value, str) else None
    return f"{match[1]}.0{match[2]}" if match else None


def text_trap(value: str) -> str:
    """The error for a number that YAML reads as text because it has no dot."""
    return f"{value} is read as text, not as a number; write {number_written_as_text(value)}"


class _Loader(_Base):  # type: ignore[misc]
    """A YAML loader that collects problems instead of stopping at the first."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.problems: list[tuple[int, str]] = []  # (line, what is wrong there)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key, line, text = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1, key_node.value
            if key in seen:
                self.problems.append((line, f"key '{key}' is given twice (first in line {seen[key]})"))
            elif not isinstance(key, str):
                self.problems.append((line, f'key {text} is read as {key!r}; write "{text}"'))
            seen.setdefault(key, line)
        return dict(super().construct_mapping(node, deep=deep))


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


_Loader.add_constructor("tag:yaml.org,2002:bool", _boolean)
_Loader.add_constructor("tag:yaml.org,2002:str", _text)


def read_yaml(path: str | Path, shown: str | None = None) -> Any:
    """The content of a YAML file.

    Raises ConfigError with every duplicate key, `1e-5` (which YAML reads as text), unquoted `no` or `yes`, and key that
    is not text; or with the first syntax error. `shown` is the file's name in messages.
    """
    content, problems = scan_yaml(path, shown)
    if problems:
        raise ConfigError(problems)
    return content


def scan_yaml(path: str | Path, shown: str | None = None) -> tuple[Any, list[str]]:
    """Like `read_yaml`, but returns the problems beside the content instead of raising them."""
    shown = shown or str(path)
    try:
        with Path(path).open(encoding="utf-8") as stream:
            loader = _Loader(stream)
            content = loader.get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        return None, [f"{shown}{line}: not YAML ({getattr(error, 'problem', None) or error})"]
    except (OSError, UnicodeDecodeError) as error:
        return None, [f"{shown}: cannot be read ({error})"]
    return content, [f"{shown} line {line}: {problem}" for line, problem in sorted(loader.problems)]
