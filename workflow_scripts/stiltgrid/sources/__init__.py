"""Where rows come from: the hub, a local mirror, or the embedded mini-lab."""

from collections.abc import Mapping
from typing import Any

from stiltgrid.errors import ConfigError, nearest
from stiltgrid.sources.base import Source

KINDS = ("minilab", "local", "hub")


def open_source(kind: str, data_dir: str | None = None, world: Mapping[str, Any] | None = None) -> Source:
    """The source that a configuration names, with only its own imports paid for.

    Raises ConfigError for an unknown kind and for `local` without `data_dir`.
    """
    if kind not in KINDS:
        raise ConfigError([f"source: '{kind}' is unknown; {nearest(kind, KINDS)}"])
    if kind == "minilab":
        from stiltgrid.sources.minilab import MiniLabSource

        return MiniLabSource(world or {})
    if kind == "hub":
        from stiltgrid.sources.hub import HubSource

        return HubSource(data_dir)
    if data_dir is None:
        raise ConfigError(["data_dir: `source: local` needs the folder that holds the mirror; found null"])
    from stiltgrid.sources.local import LocalSource

    return LocalSource(data_dir)
