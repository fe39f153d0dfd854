"""Keys of transformers' configuration classes by model type, from a generated table: transformers takes long to import.

After an update of transformers, write the table anew: `python -m stiltgrid.modeling.architecture_keys`.
"""

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_suffix(".json")
KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}


@functools.lru_cache(maxsize=1)
def _table() -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return content


def model_types() -> tuple[str, ...]:
    """Every model type that the pinned transformers knows."""
    return tuple(_table()["types"])


def has_language_model(model_type: str) -> bool:
    """Whether the pinned transformers has a masked, causal or sequence-to-sequence language model of a type."""
    return model_type in _table()["language_models"]


def known_keys(model_type: str) -> dict[str, str]:
    """Key -> kind of its default (of KINDS; empty for other kinds) for a type of language model.

    Empty for other types and for models of several parts, whose text model has a configuration of its own.
    """
    by_kind = _table()["keys"].get(model_type)
    if by_kind is None:
        return {}
    every = {**_table()["common"], **by_kind}
    kinds = {kind: f"{_table()['common'].get(kind, '')} {by_kind.get(kind, '')}".split() for kind in every}
    return {key: kind for kind, keys in kinds.items() for key in keys}


def collect(model_types: Iterable[str]) -> dict[str, dict[str, str]]:
    """Keys and kinds by model type, read from transformers' own classes; without models of several parts."""
    import inspect

    from transformers import CONFIG_MAPPING

    found = {}
    for model_type in sorted(model_types):
        kind = CONFIG_MAPPING[model_type]
        try:
            made = kind()
        except Exception:  # a few classes have no valid defaults; their keys are not checked
            continue
        if getattr(made, "sub_configs", None):
            continue
        aliases, values = kind.attribute_map, made.to_dict()
        names = {*inspect.signature(kind.__init__).parameters, *aliases, *values} - {"self", "args", "kwargs"}
        kinds = {name: type(values.get(aliases.get(name, name))).__name__ for name in sorted(names)}
        found[model_type] = {name: kind if kind in KINDS else "" for name, kind in kinds.items()}
    return found


def language_models() -> set[str]:
    """Model types with a masked, a causal or a sequence-to-sequence language model in transformers."""
    from transformers.models.auto import modeling_auto

    return {
        *modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        *modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        *modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    }


def write_table() -> None:
    """Write the table from the installed transformers."""
    import transformers

    keys = collect(language_models())
    common = dict(set.intersection(*(set(found.items()) for found in keys.values())))
    rest = {name: {key: found[key] for key in found if key not in common} for name, found in keys.items()}
    lines = [f"  {json.dumps(name)}: {json.dumps(_by_kind(found))}" for name, found in rest.items()]
    head = {
        "transformers": transformers.__version__,
        "types": sorted(transformers.CONFIG_MAPPING),
        "language_models": sorted(language_models()),
    }
    text = json.dumps({**head, "common": _by_kind(common)}, indent=1)[:-2]
    TABLE.write_text(f'{text},\n "keys": {{\n' + ",\n".join(lines) + "\n }\n}\n", encoding="utf-8")


def _by_kind(keys: Mapping[str, str]) -> dict[str, str]:
    return {kind: " ".join(key for key in keys if keys[key] == kind) for kind in sorted(set(keys.values()))}


if __name__ == "__main__":
    write_table()
