"""Merging of configurations: overlays on cards, models that are `like` another, null entries, standalone files."""

from collections.abc import Mapping, Sequence
from typing import Any

from stiltgrid.utils.errors import nearest


def merge(base: Any, overlay: Any) -> Any:
    """Merge an overlay into a card: mappings merge, lists and values replace, null removes a key."""
    if not isinstance(base, Mapping) or not isinstance(overlay, Mapping):
        return overlay
    merged = dict(base)
    for key, value in overlay.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return {key: _without_nulls(value) for key, value in merged.items()}


def _without_nulls(value: Any) -> Any:
    """The value without null entries of mappings, at any depth."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


def resolve_like(models: Any) -> tuple[Any, list[str]]:
    """The models with every `like` replaced by the settings of the model it names, and the problems of `like` keys."""
    if not isinstance(models, Mapping):
        return models, []
    found: dict[str, Any] = {}
    problems: list[str] = []
    for name, model in models.items():
        found[name] = model
        if not isinstance(model, Mapping) or "like" not in model:
            continue
        own = {key: value for key, value in model.items() if key != "like"}
        base = models.get(str(model["like"]))
        if isinstance(base, Mapping) and "like" not in base:
            found[name] = merge(base, own)
            continue
        del found[name]
        circle = _like_circle(name, models)
        if circle:
            problems.append(f"models.{name}.like: goes in a circle: {' -> '.join(circle)}")
            continue
        others = [key for key in models if key != name]
        wrong = f"is itself like '{base['like']}'" if isinstance(base, Mapping) else "is no model"
        near = "name that one" if isinstance(base, Mapping) else nearest(str(model["like"]), others)
        problems.append(f"models.{name}.like: '{model['like']}' {wrong}, {near}")
    return found, problems


def _like_circle(name: str, models: Mapping[str, Any]) -> list[str]:
    """The models that lead from a model by their `like` back to one of them; empty where that comes to an end."""
    path = [name]
    while isinstance(model := models.get(path[-1]), Mapping) and "like" in model:
        path.append(str(model["like"]))
        if path[-1] in path[:-1]:
            return path[path.index(path[-1]) :]
    return []


def resolve_like_in_studies(studies: Any, models: Mapping[str, Any]) -> tuple[Any, dict[str, list[str]]]:
    """Like `resolve_like`, for the `own_models` of studies, which may name one of `models` too; problems by study."""
    if not isinstance(studies, Mapping):
        return studies, {}
    found: dict[str, Any] = dict(studies)
    problems: dict[str, list[str]] = {}
    for study, section in studies.items():
        if isinstance(section, Mapping) and isinstance(section.get("own_models"), Mapping):
            own = section["own_models"]
            others = {name: model for name, model in models.items() if name not in own}
            resolved, wrong = resolve_like({**others, **own})
            found[study] = {**section, "own_models": {name: resolved[name] for name in own if name in resolved}}
            if wrong:
                problems[study] = [f"studies.{study}.own_{problem}" for problem in wrong]
    return found, problems


def without_null_entries(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without what an overlay has set to null.

    Sections, named entries of sections, and keys of models; below these, null is a value (`dev_share: null`).
    """
    kept = {key: value for key, value in config.items() if value is not None}
    for place in (("models",), ("recipes",), ("tasks",), ("studies",), ("training", "tasks"), ("evaluation", "tasks")):
        holder = kept if len(place) == 1 else kept.get(place[0])
        entries = holder.get(place[-1]) if isinstance(holder, Mapping) else None
        if isinstance(holder, dict) and isinstance(entries, Mapping):
            holder[place[-1]] = {name: entry for name, entry in entries.items() if entry is not None}
    models = kept.get("models")
    if isinstance(models, Mapping):
        kept["models"] = {name: _without_null_keys(model) for name, model in models.items()}
    return kept


def _without_null_keys(model: Any) -> Any:
    if not isinstance(model, Mapping) or "like" in model:  # there null removes a key of the other model
        return model
    return {key: value for key, value in model.items() if value is not None}


def standalone(config: Mapping[str, Any], contents: Sequence[Any]) -> dict[str, Any]:
    """The configuration without what comes from the default file only, if an overlay has `standalone: true`.

    Snakemake has merged the files already: `contents` are theirs, the overlays' first and the default's last. Values
    that `--config` set differ from the default's and are kept.
    """
    *overlays, default = [content if isinstance(content, Mapping) else {} for content in contents] or [{}]
    if not any(overlay.get("standalone") is True for overlay in overlays):
        return dict(config)
    own: Any = {}
    for overlay in overlays:
        own = _merged(own, overlay)
    return _subtracted(config, default, own)


def _merged(base: Any, overlay: Any) -> Any:
    if not isinstance(base, Mapping) or not isinstance(overlay, Mapping):
        return overlay
    return {**base, **{key: _merged(base.get(key), value) for key, value in overlay.items()}}


def _subtracted(merged: Mapping[str, Any], default: Any, own: Any) -> dict[str, Any]:
    default = default if isinstance(default, Mapping) else {}
    kept: dict[str, Any] = {}
    for key, value in merged.items():
        if key in own:
            nested = isinstance(value, Mapping) and isinstance(own[key], Mapping)
            kept[key] = _subtracted(value, default.get(key), own[key]) if nested else value
        elif key not in default:
            kept[key] = value
        elif isinstance(value, Mapping) and isinstance(default[key], Mapping):
            rest = _subtracted(value, default[key], {})
            kept.update({key: rest} if rest else {})
        elif value != default[key]:
            kept[key] = value
    return kept
