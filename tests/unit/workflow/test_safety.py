"""Nothing that a card or a configuration says is run, unpickled or put into a shell or into a path outside."""

import ast
import copy
import re
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config
from stiltgrid.config.loading import load_grid
from stiltgrid.utils.errors import ConfigError

ROOT = Path(__file__).parents[3]
CODE = sorted((ROOT / "workflow_scripts").rglob("*.py"))
RULES = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]
FORBIDDEN = {"eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "torch.load", "joblib.load",
             "yaml.load", "yaml.unsafe_load", "tarfile.extractall", "shutil.unpack_archive"}  # fmt: skip
CONFIG = {
    "source": "local",
    "data_dir": "tests/data/mirror",
    "models": {"tiny": {"path": "somewhere"}},
    "intermediates": ["none", "mnli"],
    "targets": ["xnli"],
    "seeds": [1],
    "tasks": {"xnli": {"languages": ["en", "de"]}},
}
BAD_NAMES = ("../up", "a/b", "/root", "a;b", "$(b)", "a b", "", "a\nb", "{seed}", ".hidden", "-n")


def calls(path):
    """(line, dotted name, keywords) of every call in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.name)
def test_no_code_runs_or_unpickles_what_it_reads(path):
    for line, name, keywords in calls(path):
        restricted = path.name == "conversion.py" and name == "torch.load" and keywords["weights_only"] == "True"
        assert name not in FORBIDDEN or restricted, f"{path.name}:{line}: {name}"
        assert keywords.get("shell", "False") == "False", f"{path.name}:{line}: a shell"
        assert keywords.get("trust_remote_code", "False") == "False", f"{path.name}:{line}: remote code"


def test_rules_start_scripts_only():
    for path in RULES:
        found = re.findall(r"^    (shell|run|notebook|wrapper):", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert found == [], f"{path.name}: a job's values must not pass through a shell"


def refused(**changes):
    config = copy.deepcopy(CONFIG)
    update_config(config, changes)
    with pytest.raises(ConfigError) as caught:
        load_grid(config, ROOT)
    return str(caught.value)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_become_paths_are_plain_words(name):
    assert "models" in refused(models={name: {"path": "somewhere"}})
    assert "recipes" in refused(recipes={name: {"tasks": ["mnli"]}})
    assert "intermediates" in refused(intermediates=["none", name]) or "intermediate" in refused(
        intermediates=["none", name]
    )
    assert "target" in refused(targets=[name])
    assert "language" in refused(tasks={"xnli": {"languages": ["en", name]}})


@pytest.mark.parametrize("name", ("../up", "a;b", "os"))
def test_an_adapter_is_one_of_ours(name):
    card = yaml.safe_load((ROOT / "tasks" / "xnli.yaml").read_text(encoding="utf-8"))
    assert "adapter" in refused(tasks={"xnli": {**card, "languages": ["en"], "adapter": name}})


@pytest.mark.parametrize("name", ("../up", "a/../../b", "/root", "..", "a/.."))
def test_a_mirror_is_read_and_written_inside_its_folder(name):
    local = {"folder": "mnli", "splits": {"train": "train", "dev": "dev"}}
    where = "is not a name inside the data folder"
    assert where in refused(tasks={"mnli": {"local": {"folder": name}}})
    for value in (name, [name], {"part": name}, {"part": [name]}):
        assert where in refused(tasks={"mnli": {"local": {**local, "splits": {"train": value}}}})
    assert where not in refused(tasks={"mnli": {"local": {"folder": "a/b..c"}}}), "two dots in a name climb nowhere"
