"""Checks a table's columns and label names against the card. Labels are matched by name, never by number."""

import json
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stiltgrid.data.rows import RawRow
from stiltgrid.grid.cards import TaskCard
from stiltgrid.utils.errors import SourceError, nearest

LABEL_FIELDS = ("label", "tags")


@dataclass(frozen=True)
class ColumnCheck:
    """Result of a check: for each label column, the card's raw label value of each number in the table."""

    values: Mapping[str, Mapping[int, Any]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, card: TaskCard, section: Mapping[str, Any], shown: str, file: Path, declared: Any = None
    ) -> "ColumnCheck":
        """Check the features of a table against the card.

        They are those `declared` (`datasets.Features`), or else those of a parquet file. The section's `columns` maps
        the table's column names to the card's. Raises SourceError naming what the card expects and what the table
        has. Files without features (JSON Lines) are checked row by row by the family.
        """
        columns = section.get("columns") or {}
        features = declared.to_dict() if declared else _features(file)
        if features is None:
            return cls()
        there = {columns.get(name, name): feature for name, feature in features.items()}
        if card.adapter is None:
            _refuse_absent_columns(card, there, shown)
        found: dict[str, Mapping[int, Any]] = {}
        for column in (card.fields.get(name) for name in LABEL_FIELDS):
            if not isinstance(column, str) or not card.labels:
                continue
            names = _label_names(there.get(column))
            if names is not None:
                found[column] = _by_name(card, names, f"{shown}, column '{column}'")
        return cls(found)

    def mapped(self, rows: Iterator[RawRow]) -> Iterator[RawRow]:
        """Rows with label numbers replaced by the card's raw label values; numbers without a name (-1) are kept."""
        if not self.values:
            return rows
        return (RawRow(self._mapped(row.values), row.place) for row in rows)

    def _mapped(self, values: Mapping[str, Any]) -> dict[str, Any]:
        changed = dict(values)
        for column, names in self.values.items():
            value = values[column]
            if isinstance(value, list):
                changed[column] = [names.get(item, item) for item in value]
            else:
                changed[column] = names.get(value, value)
        return changed


def _features(file: Path) -> dict[str, Any] | None:
    if not file.name.endswith(".parquet"):
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError):
        return None  # reading the rows reports it
    return arrow_features(schema.names, schema.metadata)


def arrow_features(names: Sequence[str], metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """Features of a parquet file's columns as plain mappings, from what `datasets` writes into its schema.

    A column that it says nothing about, or every column of a file by another library, has the feature {}.
    """
    try:
        known = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        known = {}
    return {name: known.get(name, {}) if isinstance(known, dict) else {} for name in names}


def columns_wanted(spec: Any) -> set[str]:
    """Columns that a field's description reads: a name, the first step of a path, the names in a template."""
    if not isinstance(spec, str):
        return {name for item in spec for name in columns_wanted(item)}
    if "{" in spec:
        paths = [name for _, name, _, _ in string.Formatter().parse(spec) if name]
    else:
        paths = [spec]
    return {path.split(".")[0] for path in paths}


def _refuse_absent_columns(card: TaskCard, there: Mapping[str, Any], shown: str) -> None:
    for name, spec in card.fields.items():
        for column in sorted(columns_wanted(spec)):
            if column not in there and spec not in there:
                raise SourceError(
                    f"{shown}: card '{card.name}' reads column '{column}' (field '{name}'), "
                    f"the table has {', '.join(there)}; {nearest(column, there)}"
                )


def _label_names(feature: Any) -> list[str] | None:
    """Names of a ClassLabel, or of a list of them, from a feature as a plain mapping; None for any other feature."""
    if isinstance(feature, list) and feature:  # older versions of `datasets` write a list of a feature as [feature]
        feature = feature[0]
    if isinstance(feature, Mapping) and isinstance(feature.get("feature"), Mapping):
        feature = feature["feature"]
    names = feature.get("names") if isinstance(feature, Mapping) else None
    return list(names) if isinstance(names, list) else None


def _by_name(card: TaskCard, names: list[str], shown: str) -> dict[int, Any]:
    """The card's raw value of each label number. The table's names must be the card's labels (or label_values)."""
    raw = [str(value) for value in card.label_values]
    dropped = {*(str(value) for value in card.drop_labels), *card.relabel}
    known = next((some for some in (card.labels, tuple(raw)) if set(names) - dropped == set(some)), None)
    if known is None:
        strange = next((name for name in names if name not in card.labels and name not in dropped), None)
        absent = next((name for name in card.labels if name not in names), None)
        found = f"label names {', '.join(names)}; card '{card.name}' has {', '.join(card.labels)}"
        hint = f"'{strange}': {nearest(strange, card.labels)}" if strange is not None else f"'{absent}' is not there"
        raise SourceError(f"{shown}: {found}; {hint}")
    values = card.label_values or card.labels
    return {number: values[known.index(name)] if name in known else name for number, name in enumerate(names)}
