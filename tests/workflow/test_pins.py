"""One set of versions: the conda environments pin what pip installs."""

from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def pins(lines: list[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        text = line.partition("#")[0].strip()
        if text and not text.startswith("-"):
            requirement = Requirement(text)
            found[requirement.name.lower().replace("_", "-")] = str(requirement.specifier)
    return found


LOCK = pins((ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())


def test_every_requirement_is_pinned() -> None:
    assert LOCK["torch"] == "==2.13.0"
    assert [name for name, specifier in LOCK.items() if not specifier.startswith("==")] == []


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_conda_environments_have_the_same_pins(path: Path) -> None:
    dependencies = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    found = pins(next(item["pip"] for item in dependencies if isinstance(item, dict)))
    assert found == {name: LOCK[name] for name in found} != {}
