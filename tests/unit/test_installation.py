"""`pip install -e .` makes `import stiltgrid` work from any folder: the wheel that pip would install, put on a path."""

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from stiltgrid.version import VERSION

ROOT = Path(__file__).parents[2]
LOOK = """
import importlib.util, site, sys
site.addsitedir(sys.argv[1])
import stiltgrid
from stiltgrid.analysis.typology import uriel
print(stiltgrid.__file__, stiltgrid.__version__, stiltgrid.read_scores.__module__, len(uriel()) > 40)
print([name for name in ("doctor", "score_target", "collect_scores") if importlib.util.find_spec(name)])
"""


def built(clone: Path, editable: bool) -> Path:
    """The wheel of a clone, unpacked as pip would; built by setuptools itself, without a network."""
    hook = "build_editable" if editable else "build_wheel"
    command = [sys.executable, "-c", f"from setuptools import build_meta; build_meta.{hook}('dist')"]
    (clone / "dist").mkdir(exist_ok=True)
    done = subprocess.run(command, cwd=clone, text=True, check=False, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (clone / "dist").glob("*.whl")
    site = clone / ("editable" if editable else "plain")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    wheel.unlink()
    return site


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip reads of the repository."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, folder)
    unneeded = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "workflow_scripts", folder / "workflow_scripts", ignore=unneeded)
    return folder


@pytest.mark.parametrize("editable", [True, False], ids=["editable", "plain"])
def test_an_installed_package_is_imported_from_any_folder(clone: Path, tmp_path: Path, editable: bool) -> None:
    site = built(clone, editable)
    command = [sys.executable, "-c", LOOK, str(site)]
    file, version, module, features, *others = subprocess.check_output(command, text=True, cwd=tmp_path).split(
        maxsplit=4
    )
    assert Path(file) == (clone / "workflow_scripts" if editable else site) / "stiltgrid/__init__.py"
    assert (version, module, features) == (VERSION, "stiltgrid.notebook", "True")
    assert others == ["[]\n"], "the scripts of the rules are not importable"


def test_the_installation_brings_what_reading_a_grid_takes_and_the_licences(clone: Path) -> None:
    (folder,) = built(clone, editable=True).glob("*.dist-info")
    distribution = PathDistribution(folder)
    wanted = {Requirement(text).name: Requirement(text).specifier for text in distribution.requires or ()}
    assert wanted.keys() == {"pandas", "pyarrow"}
    pins = dict(line.split("#")[0].strip().split("==") for line in _pinned())
    assert all(specifier.contains(pins[name]) for name, specifier in wanted.items()), "the pinned versions fit"
    assert {path.name for path in (folder / "licenses").iterdir()} == {"LICENSE", "NOTICE"}


def test_one_version_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == VERSION


def _pinned() -> list[str]:
    return [line for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines() if "==" in line]
