"""Every command of the README and of the other pages works: run where that is cheap, as a dry run, or checked by parts.

Commands run in a copy of the repository that also holds the files which the pages show (cards, overlays) and stand-ins
for what a reader brings: rows and a model. A configuration is planned once, however many commands use it.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from documents import PAGES, ROOT, Block, Command, blocks, commands, split
from safetensors.numpy import save_file
from snakemake.cli import get_argument_parser
from snakemake.utils import update_config
from stiltgrid.config import loading
from stiltgrid.config.loading import load_grid
from stiltgrid.data.sources.local import LocalSource
from stiltgrid.utils.strict_yaml import read_yaml
from tokenizers import Tokenizer, models

PARTS = ("Snakefile", "Makefile", "config.yaml", "rules", "workflow_scripts", "tasks", "schemas", "presets", "profiles",
         "report", "envs", "requirements.txt", "requirements-dev.txt")  # fmt: skip
# Commands that change a machine or need a service, each with what stands for running it.
SHELL: Mapping[tuple[str, ...], str] = {
    (".", ".venv/bin/activate"): "made by python -m venv",
    ("pre-commit", "install"): "the hooks are those of make lint, see test_pages.py",
    ("nvidia-cuda-mps-control", "-d"): "a program of NVIDIA's driver",
    ("git", "rev-parse", "HEAD"): "git's own",
    ("bash", ".ci/run"): "runs this test",
    ("snakemake", "--lint"): "part of make lint",
}
OPTIONAL = {"pre-commit", "faiss-cpu"}  # installed by hand, for what no run and no test needs


def every_command() -> list[Command]:
    """The commands of all pages, each once."""
    found = {command.words: command for page in PAGES for command in commands(page)}
    return list(found.values())


def every_overlay() -> list[Block]:
    """The YAML blocks that are configurations."""
    found = [block for page in PAGES for block in blocks(page) if block.language == "yaml"]
    assert all(block.file for block in found), f"say the file: {[str(b) for b in found if not b.file]}"
    return [block for block in found if not str(block.file).startswith("tasks/")]


# ---- Classes of commands. Each gets a command, and raises AssertionError where it cannot work. --------------------


def checked_pip(command: Command) -> None:
    pins = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    pinned_versions = {line.partition("#")[0].strip() for line in pins.splitlines()}
    wanted = [word for word in command.words[2:] if word != "-e"]
    assert wanted, command
    for word in wanted:
        name, _, version = word.partition("==")
        pinned = f"{name}=={version}" in pinned_versions if version else name in OPTIONAL
        assert pinned or (word == "." and "-e" in command.words), f"{command}: {word}"  # see test_installation.py


def checked_apt(command: Command) -> None:
    packages = re.search(r"^packages=\((.*)\)$", (ROOT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)
    assert packages and list(command.words) == ["apt-get", "install", *packages[1].split()], command


def checked_pytest(command: Command) -> None:
    """Paths exist, and the words after -k occur in a test there."""
    words = command.words[3:]
    pattern = words[words.index("-k") + 1] if "-k" in words else ""
    paths = [ROOT / word for word in words if word.startswith("tests")]
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("test_*.py"))]
    assert files and all(path.exists() for path in paths), command
    names = [node.name for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
             if isinstance(node, ast.FunctionDef)]  # fmt: skip
    assert any(pattern in name for name in [*names, *(file.stem for file in files)]), command


def checked_script(command: Command) -> None:
    """The script exists and knows the options."""
    text = (ROOT / command.words[1]).read_text(encoding="utf-8")
    ast.parse(text)
    for option in command.words[2:]:
        assert not option.startswith("-") or f'"{option}"' in text, f"{command}: no option {option}"


def checked_shell(command: Command) -> None:
    assert command.words in SHELL


@dataclass
class Planner:
    """Collects what Snakemake is asked for, so that each configuration is planned once."""

    snakemake: dict[tuple[str, ...], list[tuple[Command, Any]]] = field(default_factory=dict)
    made: list[Command] = field(default_factory=list)

    def dry_run(self, command: Command) -> None:
        """A command of Snakemake; its configuration is the key."""
        words = [word for word in command.words[1:] if word not in ("-n", "--dry-run")]
        options = get_argument_parser().parse_args(words)
        for file in options.configfile or ():
            assert file.suffix == ".yaml", (
                f"{command}: Snakemake takes {file} for a configuration; put it further ahead"
            )
        for value in options.config or ():
            assert "=" in value, f"{command}: Snakemake takes {value} for a setting; put it further ahead"
        assert options.report is None or not options.targets, command
        for name in re.findall(r"(?:^| )(\w+):\w+=", " ".join(words)):
            assert re.search(rf"^rule {name}:", every_rule(), re.MULTILINE), f"{command}: no rule {name}"
        key = (*map(str, options.configfile or ()), "--config", *(options.config or ()))
        self.snakemake.setdefault(key, []).append((command, options))

    def make(self, command: Command) -> None:
        """A target of the Makefile; what it runs is classified like any other command."""
        self.made.append(command)


def every_rule() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk"))


def classes(planner: Planner) -> list[tuple[Callable[[tuple[str, ...]], bool], Callable[[Command], None]]]:
    """Which commands a class holds, and how it checks them; the first that fits counts."""
    return [
        (lambda words: words in SHELL, checked_shell),
        (lambda words: words[0] == "snakemake", planner.dry_run),
        (lambda words: words[0] == "make", planner.make),
        (lambda words: words[:2] == ("pip", "install"), checked_pip),
        (lambda words: words[:2] == ("apt-get", "install"), checked_apt),
        (lambda words: words[:3] == ("python", "-m", "pytest"), checked_pytest),
        (lambda words: words[0] == "python" and words[1].endswith(".py"), checked_script),
    ]


def classified(found: list[Command]) -> Planner:
    """Check all commands; those of Snakemake and make are left to be planned."""
    planner = Planner()
    for command in found:
        check = next((check for fits, check in classes(planner) if fits(command.words)), None)
        assert check is not None, f"{command}: no class of commands fits; add one, or mend the page"
        check(command)
    return planner


# ---- The copy of the repository that commands run in --------------------------------------------------------------


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with what the pages show and what a reader brings."""
    folder = tmp_path_factory.mktemp("reader")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(ROOT / part, folder / part)
    for page in PAGES:
        for block in blocks(page):
            if block.language == "yaml" and block.file and not (folder / block.file).exists():
                (folder / block.file).write_text(block.text, encoding="utf-8")
    for name in ("data", "mirror"):
        write_rows(folder, folder / name)
    write_model(folder / "models/mine")
    return folder


def write_rows(root: Path, mirror: Path) -> None:
    """An empty file for every file that a card may ask for; planning opens none."""
    mirror.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "data_problems", lambda grid, root: [])  # the files are written below
        configs = [read_yaml(root / f"presets/{name}.yaml") for name in ("xtreme_r", "local_mirror")]
        grids = [load_grid({**config, "data_dir": str(mirror)}, root) for config in configs]
    source, stems = LocalSource(mirror), ["text/en.txt"]
    for card in [card for grid in grids for card in grid.cards.values()]:
        for split_name in ("train", "dev", "test"):
            codes = {*card.languages, *card.train_languages}
            names = [name.stem for part in source.parts(card, split_name) or (None,)
                     for name in source.names(card, split_name, part)]  # fmt: skip
            stems += [f"{stem}.{code}.jsonl" for stem in [*names, f"{card.name}/translate_train"] for code in codes]
    for stem in [*stems, "my_questions/train.en.jsonl", "my_questions/validation.en.jsonl"]:
        (mirror / stem).parent.mkdir(parents=True, exist_ok=True)
        (mirror / stem).touch()


def write_model(folder: Path) -> None:
    """A Hugging Face folder, as small as it can be."""
    folder.mkdir(parents=True)
    config = {"model_type": "xlm-roberta", "hidden_size": 8, "num_hidden_layers": 12, "num_attention_heads": 2,
              "intermediate_size": 8, "vocab_size": 8, "max_position_embeddings": 514}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file({"embeddings.word_embeddings.weight": np.zeros((8, 8), np.float32)}, folder / "model.safetensors")
    pieces = {name: number for number, name in enumerate(("<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "b", "c"))}
    Tokenizer(models.WordLevel(pieces, unk_token="<unk>")).save(str(folder / "tokenizer.json"))
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(special), encoding="utf-8")


def run(folder: Path, *words: str) -> str:
    """Output of a command in the copy; AssertionError with its last lines where it fails."""
    done = subprocess.run(
        words, cwd=folder, text=True, check=False, timeout=600, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-4000:]}"
    return done.stdout


# ---- The tests ----------------------------------------------------------------------------------------------------


def test_every_page_has_its_commands_found() -> None:
    found = every_command()
    assert len(found) > 40 and {command.words[0] for command in found} >= {"snakemake", "make", "python", "pip"}


def test_a_command_of_no_class_does_not_pass() -> None:
    for line in ("snakemak --cores 8", "make bogus && curl example.org", "python -m http.server", "pip download torch"):
        with pytest.raises(AssertionError, match="no class of commands fits"):
            classified([command for command in split("page:1", line) if command.words[0] != "make"])


def test_a_target_behind_a_configuration_does_not_pass() -> None:
    for line in ("snakemake --configfile my.yaml studies", "snakemake --config source=local mirror"):
        with pytest.raises(AssertionError, match="put it further ahead"):
            classified(list(split("page:1", line)))


@pytest.fixture(scope="module")
def planner(sandbox: Path) -> Planner:
    """All commands, classified; those of make taken apart into what they run."""
    found = classified(every_command())
    for command in list(found.made):
        for line in run(
            sandbox, "make", "--no-print-directory", "--dry-run", "--always-make", *command.words[1:]
        ).splitlines():
            for part in split(f"{command.place} ({' '.join(command.words)})", line):
                program = next(word for word in part.words if "=" not in word).removeprefix(".venv/bin/")
                if program == "snakemake" and not {"--report", "--lint"} & set(part.words):
                    found.dry_run(Command(part.place, ("snakemake", *part.words[1:])))
                else:
                    known = ("python", "python3", "snakemake", "snakefmt", "ruff", "mypy", "yamllint", "codespell")
                    assert program in (*known, "rm", "touch", "grep", "tee", "echo", "make"), part
    return found


def dry_runs(key: tuple[str, ...], asked: Sequence[tuple[Command, Any]]) -> set[tuple[str, ...]]:
    """Arguments that plan a configuration: one dry run of all targets, and one of a small target for other options."""
    files, config = key[: key.index("--config")], key[key.index("--config") + 1 :]
    beside = [*(("--configfile", *files) if files else ()), *(("--config", *config) if config else ())]
    targets = {str(target) for _, options in asked for target in options.targets or ("all",)}
    found = {(*sorted(targets), "--quiet", "all", "--cores", "1", *beside)}
    for command, options in asked:
        words = [word for word in command.words[1:] if word not in {*map(str, options.targets), "-n", "--dry-run"}]
        if {word for word in words if word.startswith("-")} - {"--cores", "--configfile", "--config"}:
            found.add(("doctor", *words))
    return found


def test_every_configuration_is_planned_with_all_that_is_asked_of_it(planner: Planner, sandbox: Path) -> None:
    def problem(call: tuple[str, ...]) -> str | None:
        dry = () if "--unlock" in call else ("--dry-run",)
        try:
            run(sandbox, sys.executable, "-m", "snakemake", "--nocolor", "--nolock", *dry, *call)
        except AssertionError as error:
            return str(error)
        return None

    calls = sorted(call for key, asked in planner.snakemake.items() for call in dry_runs(key, asked))
    with ThreadPoolExecutor(2) as pool:
        problems = [found for found in pool.map(problem, calls) if found]
    places = {str(command) for asked in planner.snakemake.values() for command, _ in asked}
    assert not problems, "\n\n".join([*problems, "asked for by", *sorted(places)])


@pytest.mark.parametrize("block", every_overlay(), ids=lambda block: f"{block.page}:{block.line}")
def test_every_overlay_is_a_sound_configuration(block: Block, sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sandbox)
    overlay = yaml.safe_load(block.text)
    config: dict[str, Any] = {} if overlay.get("standalone") else read_yaml(sandbox / "config.yaml")
    update_config(config, overlay)
    grid = load_grid(config, sandbox, [sandbox / str(block.file)])
    assert overlay.keys() - {"standalone"} <= {item for item in config} and grid.cards


@pytest.mark.parametrize(
    "block",
    [block for page in PAGES for block in blocks(page) if (block.file or "").startswith("tasks/")],
    ids=lambda block: block.file,
)
def test_every_card_can_be_a_target(block: Block, sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sandbox)
    name = Path(str(block.file)).stem
    config = read_yaml(sandbox / "my.yaml")
    grid = load_grid({**config, "source": "local", "targets": [name]}, sandbox)
    assert grid.eval_splits(name) == ("dev", "test") and grid.trained_tasks()


def test_the_rows_of_the_readme_are_those_of_its_card(sandbox: Path) -> None:
    (row,) = (json.loads(block.text) for block in blocks("README.md") if block.language == "json")
    card = yaml.safe_load((sandbox / "tasks/reviews.yaml").read_text(encoding="utf-8"))
    assert row.keys() == set(card["fields"].values()) and row[card["fields"]["label"]] in card["labels"]


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with the results of two cells."""
    columns = ("model", "intermediate", "target", "language", "split", "seed", "metric", "value", "n")
    scores = [
        ("mini", row, "xnli", code, "test", 1, "accuracy", 40.0, 2) for row in ("mnli", "none") for code in ("en", "de")
    ]
    (tmp_path / "results/tables").mkdir(parents=True)
    pd.DataFrame(scores, columns=list(columns)).to_parquet(tmp_path / "results/tables/scores.parquet")
    transfer = "model\tintermediate\ttarget\tgain\nmini\tmnli\txnli\t2.5000\nmini\tnone\txnli\t0.0000\n"
    (tmp_path / "results/tables/transfer.tsv").write_text(transfer)
    for row in ("mnli", "none"):
        cell = tmp_path / f"results/scores/mini/{row}/xnli/seed1"
        cell.mkdir(parents=True)
        predictions = pd.DataFrame(
            {"id": ["a", "b"], "language": ["en", "de"], "prediction": ["0", "1"], "gold": ["0", "0"]}
        )
        predictions.to_parquet(cell / "predictions.parquet")
        (cell / "metrics.json").write_text(json.dumps({"provenance": {"versions": {"torch": "2"}}}))
    monkeypatch.chdir(tmp_path)
    yield


def test_the_python_of_the_pages_runs(finished: None, capsys: pytest.CaptureFixture[str]) -> None:
    found = [block for page in PAGES for block in blocks(page) if block.language == "python"]
    assert found
    names: dict[str, Any] = {}
    for block in found:
        exec(compile(block.text, f"{block.page}:{block.line}", "exec"), names)  # the blocks of a page follow each other
    output = capsys.readouterr().out
    assert "2.5" in output and "40.0" in output and "{'torch': '2'}" in output
