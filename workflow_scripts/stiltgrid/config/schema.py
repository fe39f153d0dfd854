"""Validation against JSON Schemas, with errors that name the key, what was expected, found and the nearest name."""

import functools
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stiltgrid.utils.errors import nearest
from stiltgrid.utils.strict_yaml import number_written_as_text, read_yaml, text_trap

_TYPES = {
    "string": "text", "number": "a number", "integer": "a whole number", "boolean": "true or false",
    "array": "a list", "object": "a mapping", "null": "null",
}  # fmt: skip


# Control characters except tabs and line breaks, and halves of surrogate pairs.
_UNUSABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Schemas:
    """The schemas of a folder, which may refer to each other by file name."""

    def __init__(self, folder: Path) -> None:
        from referencing import Registry
        from referencing.jsonschema import DRAFT202012

        self._contents = {path.name: read_yaml(path) for path in sorted(folder.glob("*.schema.yaml"))}
        for content in self._contents.values():
            content.pop("$schema")  # it names the standard's validator, which would replace ours behind a `$ref`
        resources = [(name, DRAFT202012.create_resource(content)) for name, content in self._contents.items()]
        registry: Any = Registry().with_resources(resources)
        self._validators = {name: _validator()(content, registry=registry) for name, content in self._contents.items()}

    def errors(self, name: str, value: Any) -> list["SchemaError"]:
        """All errors of a value under the schema file `name`, sorted by path. Unusable values are errors everywhere."""
        unusable = {error.path: error for error in (SchemaError.of(*item) for item in _unusable(value, ()))}
        value = _without_values(value, unusable, ()) if unusable else value
        found = [SchemaError(error) for error in self._validators[name].iter_errors(value)]
        found = [error for error in found if error.path not in unusable]
        return sorted([*found, *unusable.values()], key=lambda error: [str(step) for step in error.path])

    def coerce(self, name: str, value: Any) -> Any:
        """The value with text and single items converted to the types of the schema.

        Snakemake reads the items of `--config 'seeds=[1,2]'` as text, and `--config seeds=1,2` as one text. Only
        text that YAML would read as a number is converted: 1e-5 stays text and is refused.
        """
        return self._coerce(self._contents[name], value, name)

    def _coerce(self, schema: Mapping[str, Any], value: Any, name: str) -> Any:
        while "$ref" in schema:
            target, _, pointer = schema["$ref"].partition("#")
            name = target or name
            schema = functools.reduce(lambda node, step: node[step], pointer.split("/")[1:], self._contents[name])
        types = schema.get("type", ())
        types = (types,) if isinstance(types, str) else tuple(types)
        if isinstance(value, Mapping):
            known, rest = schema.get("properties", {}), schema.get("additionalProperties")
            rest = rest if isinstance(rest, Mapping) else {}
            return {key: self._coerce(known.get(key, rest), item, name) for key, item in value.items()}
        if types == ("array",) and isinstance(value, (str, int, float)) and not isinstance(value, bool):
            value = value.replace(",", " ").split() if isinstance(value, str) else [value]
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [self._coerce(schema.get("items", {}), item, name) for item in value]
        return _scalar(value, types) if isinstance(value, str) and "string" not in types else value


def _scalar(value: str, types: Sequence[str]) -> Any:
    if "null" in types and value in ("null", "~", ""):
        return None
    if "boolean" in types and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if "integer" in types and re.fullmatch(r"[-+]?[0-9]{1,100}", value):
        return int(value)
    if "number" in types and number_written_as_text(value) is None:
        try:
            return float(value)
        except ValueError:
            return value
    return value


@functools.lru_cache(maxsize=4)
def schemas_of(folder: Path) -> Schemas:
    """The schemas of a folder, read once in each process."""
    return Schemas(folder)


@functools.lru_cache(maxsize=1)
def _validator() -> Any:
    """JSON Schema as its standard describes it, where the jsonschema package is more lenient.

    `1.0` and `1e30` are not whole numbers, and `$` matches at the very end only, not before a final line break.
    """
    from jsonschema import Draft202012Validator, ValidationError, validators

    def pattern(validator: Any, wanted: str, instance: Any, schema: Any) -> Iterator[Any]:
        if isinstance(instance, str) and not re.search(wanted.replace("$", r"\Z"), instance):
            yield ValidationError(f"{instance!r} does not match {wanted!r}")

    def is_integer(checker: Any, instance: Any) -> bool:
        return isinstance(instance, int) and not isinstance(instance, bool)

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer)
    return validators.extend(Draft202012Validator, {"pattern": pattern}, type_checker=types)


def _unusable(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Values to which the limits of a schema do not apply: numbers that are not finite, text that no file can hold."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _unusable(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _unusable(item, (*path, number))
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, f"expected a finite number, found {value}"
    elif isinstance(value, int) and abs(value) > 10**100:
        yield path, f"expected a number that can be used, found one of {_digits(value)} digits"
    elif isinstance(value, str) and (character := _UNUSABLE.search(value)):
        yield path, f"expected text without control characters, found {character[0]!r} in it"


def _digits(value: int) -> str:
    return f"about {int(value.bit_length() * math.log10(2)):,}"  # Python refuses to write out more than 4,300


def _without_values(value: Any, paths: Collection[tuple[Any, ...]], path: tuple[Any, ...]) -> Any:
    """The value with null at some paths."""
    if path in paths:
        return None
    if isinstance(value, Mapping):
        return {key: _without_values(item, paths, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_values(item, paths, (*path, number)) for number, item in enumerate(value)]
    return value


class SchemaError:
    """A violation of a schema: its path and its message."""

    def __init__(self, error: Any) -> None:
        self._error = error
        self.path: tuple[Any, ...] = tuple(error.absolute_path)

    @classmethod
    def of(cls, path: tuple[Any, ...], sentence: str) -> "SchemaError":
        """An error that no schema describes."""
        from jsonschema import ValidationError

        return cls(ValidationError(sentence, path=path))

    @property
    def sentence(self) -> str:
        """Key and problem, as `training.all.epochs: expected …`."""
        place = place_of(self.path)
        describe = _SENTENCES.get(self._error.validator, lambda error: str(error.message))
        return f"{place}: {describe(self._error)}" if place else describe(self._error)

    @property
    def invalid_paths(self) -> list[tuple[Any, ...]]:
        """Paths to remove so that the rest of the document is valid and can be checked further."""
        if self._error.validator == "additionalProperties":
            return [(*self.path, key) for key in _extras(self._error)]
        return [self.path]


def place_of(path: Sequence[Any]) -> str:
    """`models.base.path` or `seeds[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _found(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"the text '{_short(value)}'"
    return "a mapping" if isinstance(value, Mapping) else "a list" if isinstance(value, Sequence) else _short(value)


def _short(value: Any) -> str:
    """The value as text of at most some 60 characters."""
    text = str(value)
    return text if len(text) <= 60 else f"{text[:40]}…{text[-10:]} ({len(text):,} characters)"


def _type(error: Any) -> str:
    wanted = error.validator_value
    wanted = [wanted] if isinstance(wanted, str) else list(wanted)
    value = error.instance
    if number_written_as_text(value) and {"number", "integer"} & set(wanted):
        return text_trap(value)
    if isinstance(value, bool) and "string" in wanted:
        word = "no" if value is False else "yes"
        return f'expected text, found {value}; YAML reads an unquoted {word} as {value}: write "{word}"'
    return f"expected {' or '.join(_TYPES[kind] for kind in wanted)}, found {_found(value)}"


def _extras(error: Any) -> list[str]:
    known = error.schema.get("properties", {})
    return [key for key in error.instance if key not in known]


def _additional(error: Any) -> str:
    known = list(error.schema.get("properties", {}))
    return "; ".join(
        f"unknown key '{key}', {nearest(key, known)}" if known else f"unknown key '{key}'; no keys are expected here"
        for key in _extras(error)
    )


def _unique(error: Any) -> str:
    seen: list[Any] = []
    twice = [item for item in error.instance if item in seen or seen.append(item)]  # type: ignore[func-returns-value]
    return f"given twice: {', '.join(str(item) for item in twice)}"


def _pattern(error: Any) -> str:
    shown = _short(error.instance).replace("\n", "\\n")
    return f"'{shown}' is not {error.schema.get('description', f'of the form {error.validator_value}')}"


def _required(error: Any) -> str:
    missing = [key for key in error.validator_value if key not in error.instance]
    return f"key '{missing[0]}' is missing" if len(missing) == 1 else f"keys {', '.join(missing)} are missing"


def _enum(error: Any) -> str:
    return f"'{error.instance}' is unknown; {nearest(str(error.instance), map(str, error.validator_value))}"


def _empty(error: Any) -> str:
    limit = error.validator_value
    return "must not be empty" if limit == 1 else f"expected at least {limit}, found {len(error.instance)}"


_SENTENCES: dict[str, Callable[[Any], str]] = {
    "type": _type,
    "additionalProperties": _additional,
    "uniqueItems": _unique,
    "pattern": _pattern,
    "required": _required,
    "enum": _enum,
    "minItems": _empty,
    "minLength": _empty,
    "minProperties": _empty,
    "maxItems": lambda error: "must be empty for this family" if not error.validator_value else str(error.message),
    "minimum": lambda error: f"expected at least {error.validator_value}, found {_short(error.instance)}",
    "maximum": lambda error: f"expected at most {error.validator_value}, found {_short(error.instance)}",
    "exclusiveMinimum": lambda error: f"expected more than {error.validator_value}, found {_short(error.instance)}",
    "exclusiveMaximum": lambda error: f"expected less than {error.validator_value}, found {_short(error.instance)}",
    "maxLength": lambda error: (
        f"expected at most {error.validator_value} characters, found {len(error.instance)}: '{_short(error.instance)}'"
    ),
}


def prune(value: Any, paths: Iterator[tuple[Any, ...]] | Sequence[tuple[Any, ...]]) -> Any:
    """A copy of a document without the items at `paths`; the empty path leaves an empty mapping."""
    removed = set(paths)
    if () in removed:
        return {}

    def walk(node: Any, path: tuple[Any, ...]) -> Any:
        if isinstance(node, Mapping):
            return {key: walk(item, (*path, key)) for key, item in node.items() if (*path, key) not in removed}
        if isinstance(node, list):
            return [walk(item, (*path, number)) for number, item in enumerate(node) if (*path, number) not in removed]
        return node

    return walk(value, ())
