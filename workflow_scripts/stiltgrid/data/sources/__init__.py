"""Where rows come from: the hub, a local mirror, or the embedded mini-lab."""

import importlib
from collections.abc import Mapping
from typing import Any

from stiltgrid.data.sources.base import Source
from stiltgrid.utils.errors import ConfigError, nearest

CLASSES = {"minilab": "MiniLabSource", "local": "LocalSource", "hub": "HubSource"}
KINDS = tuple(CLASSES)


def open_source(kind: str, data_dir: str | None = None, world: Mapping[str, Any] | None = None) -> Source:
    """The source that a configuration names; the modules of the others are not imported.

    Raises ConfigError for an unknown kind and for `local` without `data_dir`.
    """
    if kind not in KINDS:
        raise ConfigError([f"source: '{kind}' is unknown; {nearest(kind, KINDS)}"])
    if kind == "local" and data_dir is None:
        raise ConfigError(["data_dir: `source: local` needs the folder that holds the mirror; found null"])
    # Imported by name, so that a job's code digest covers only its own source.
    module = importlib.import_module(f"stiltgrid.data.sources.{kind}")
    opened: Source = getattr(module, CLASSES[kind])((world or {}) if kind == "minilab" else data_dir)
    return opened
