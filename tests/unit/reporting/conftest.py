"""Tiny models of several architectures, for the tests of exports."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="package")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model of some architecture, as fetch_model writes it; each is made once."""
    from architectures import write_folder
    from stiltgrid.grid.grid import Model
    from stiltgrid.preparation.models import fetch_model

    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp("model")
            write_folder(name, folder / "original")
            fetch_model(Model("tiny", path=str(folder / "original")), folder / "model")
            made[name] = folder / "model"
        return made[name]

    return get
