"""Reads the configuration of a grid as Snakemake does, for the scripts beside this one."""

from collections.abc import Sequence
from pathlib import Path

from snakemake.utils import update_config
from stiltgrid.config.loading import load_grid
from stiltgrid.grid.grid import Grid
from stiltgrid.utils.strict_yaml import read_yaml

ROOT = Path(__file__).resolve().parents[1]


def configured_grid(files: Sequence[Path]) -> Grid:
    """The grid of some configuration files, laid over `config.yaml` one after another."""
    default = ROOT / "config.yaml"
    merged = read_yaml(default)
    for path in files:
        update_config(merged, read_yaml(path))
    return load_grid(merged, ROOT, [*files, default])
