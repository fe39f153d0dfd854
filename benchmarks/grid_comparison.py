"""A whole grid beside a loop of plain Hugging Face scripts: CPU time of both, and their scores.

    OMP_NUM_THREADS=1 python benchmarks/grid_comparison.py --results results --model mini

A grid of three rows and four targets on the mini-lab's data, from the checkpoint of a finished grid. This workflow runs
it by `snakemake --cores 1` in a folder of its own, data preparation, tables, plots and page included. The loop runs a
process a step, as a shell script over transformers' example scripts would: two intermediate trainings, then for each
cell the target's own training and its evaluation in all languages (`reference_scores.py`: `AutoModelFor…`, `Trainer`,
batches padded to the longest, 16 sequences of an evaluation at once, text tokenized in every step). Each target is
trained for itself, XQuAD and MLQA too. Both sides have the same examples, steps, batch and learning rate. The loop
reads the rows that the workflow has prepared, so preparing them costs it nothing. CPU time is that of all processes of
a side.
"""

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from stiltgrid.config.loading import load_grid  # noqa: E402
from stiltgrid.utils.strict_yaml import read_yaml  # noqa: E402

MODEL, ROWS, TARGETS = "small", ("none", "mnli", "squad_v1"), ("xquad", "mlqa", "xnli", "tatoeba")
LENGTH = 128  # what the mini-lab's model reads
PR_SET_CHILD_SUBREAPER = 36


def configuration(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The grid of this benchmark."""
    last = json.loads((folder / "model" / "config.json").read_text())["num_hidden_layers"]
    return {
        "standalone": True,
        "source": "minilab",
        "models": {MODEL: {
            "path": str(folder / "model"), "pooling": "cls", "retrieval_pooling": "mean_all", "retrieval_layer": last,
        }},
        "intermediates": list(ROWS),
        "targets": list(TARGETS),
        "seeds": options.seeds,
        "training": {"all": {
            "learning_rate": options.learning_rate, "batch_size": 16, "epochs": 100, "max_steps": options.steps,
            "warmup_share": 0.1, "examples": options.examples, "precision": "fp32",
            "evaluate_every": options.steps, "patience": None, "dev_examples": 32,
        }},
        "tasks": {name: {"max_length": LENGTH} for name in ("mnli", "xnli", "tatoeba")}
        | {name: {"max_length": LENGTH, "options": {"doc_stride": 32}} for name in ("squad_v1", "xquad", "mlqa")},
        "evaluation": {"examples": options.evaluated},
    }  # fmt: skip


def make_model(options: argparse.Namespace, folder: Path) -> None:
    """A Hugging Face folder of the checkpoint and its tokenizer."""
    from scoring_comparison import library_tokenizer
    from transformers import AutoModel

    place = options.results / "models" / options.model
    AutoModel.from_pretrained(place / "backbone", add_pooling_layer=False).save_pretrained(folder)
    library_tokenizer(place / "tokenizer").save_pretrained(folder)


def run_step(folder: Path, row: str, target: str | None, seed: int) -> None:
    """One process of the loop: train a row's intermediate, or train and evaluate a target from a row's checkpoint."""
    import reference_scores as reference
    import torch
    from transformers import AutoTokenizer, set_seed

    torch.set_num_threads(1)
    configfile = folder / "grid.yaml"
    grid = load_grid(read_yaml(configfile), ROOT, [configfile])
    tuned = folder / "loop" / row / str(seed)
    start = folder / "model"
    run = reference.Run(grid, MODEL, start, folder / "ours" / "results", AutoTokenizer.from_pretrained(start))
    if target is None:
        card = grid.cards[row]
        set_seed(seed)
        trained = reference.REFERENCES[card.family](run, card)
        model = trained.load(start)
        reference.train(trained, model, run.settings(row), run.training_rows(row, seed), seed)
        model.base_model.save_pretrained(tuned)  # a target has a head of its own, as in this workflow
        return
    run = run if row == "none" else replace(run, folder=tuned)
    if grid.cards[target].train:
        scores = reference.reference_scores(run, target, seed)
    else:
        scores = reference.retrieval_scores(run, target, reference.plain_vectors(run))
    out = folder / "loop" / "scores" / f"{row}.{target}.{seed}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(scores), encoding="utf-8")


def cpu_seconds(work: Callable[[], None]) -> float:
    """CPU seconds of all processes that some work starts, those that outlive their parents included."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)

    def used() -> float:
        found = resource.getrusage(resource.RUSAGE_CHILDREN)
        return found.ru_utime + found.ru_stime

    before = used()
    work()
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return used() - before


def run_workflow(folder: Path) -> None:
    """The grid by this workflow."""
    command = ["snakemake", "--cores", "1", "--snakefile", ROOT / "Snakefile", "--directory", folder / "ours"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with (folder / "workflow.log").open("w") as log:
        subprocess.run(
            [*map(str, command), "--configfile", str(folder / "grid.yaml")],
            check=True, stdout=log, stderr=log, env=environment,
        )  # fmt: skip


def run_loop(folder: Path, seeds: Sequence[int]) -> None:
    """The grid by a process a step."""
    steps: list[list[str]] = []
    for seed in seeds:
        steps += [[row, "-", str(seed)] for row in ROWS if row != "none"]
        steps += [[row, target, str(seed)] for row in ROWS for target in TARGETS]
    with (folder / "loop.log").open("w") as log:
        for step in steps:
            command = [sys.executable, __file__, "--step", str(folder), *step]
            subprocess.run(command, check=True, stdout=log, stderr=log)


def our_score(folder: Path, row: str, target: str, seed: int) -> float:
    """The mean over languages of a cell's headline metric."""
    path = folder / "ours" / "results" / "scores" / MODEL / row / target / f"seed{seed}" / "metrics.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    wanted = (record["metric"], record["split"])
    return float(np.mean([item["value"] for item in record["scores"] if (item["metric"], item["split"]) == wanted]))


def loop_score(folder: Path, row: str, target: str, seed: int) -> float:
    """The same of the loop."""
    found: Mapping[str, float] = json.loads((folder / "loop" / "scores" / f"{row}.{target}.{seed}.json").read_text())
    return float(np.mean(list(found.values())))


def report(folder: Path, seeds: Sequence[int]) -> None:
    """Print a Markdown table of the scores of both sides, a value a seed, and of their differences (Welch's t)."""
    from reference_scores import interval

    write = sys.stdout.write
    write("\n| row | target | this workflow | the loop | difference, 95 % interval |\n")
    write("| --- | --- | ---: | ---: | ---: |\n")
    for row in ROWS:
        for target in TARGETS:
            sides = [[side(folder, row, target, seed) for seed in seeds] for side in (our_score, loop_score)]
            cells = [" ".join(f"{value:.1f}" for value in side) for side in sides]
            mean, low, high = interval(*sides)
            within = f", {low:+.1f} to {high:+.1f}" if np.isfinite([low, high]).all() else ""
            write(f"| {row} | {target} | {cells[0]} | {cells[1]} | {mean:+.1f}{within} |\n")


def compare(options: argparse.Namespace, folder: Path) -> None:
    """Run both sides and print their CPU time and scores."""
    make_model(options, folder / "model")
    (folder / "grid.yaml").write_text(yaml.safe_dump(configuration(folder, options)), encoding="utf-8")
    (folder / "ours").mkdir()
    ours = cpu_seconds(lambda: run_workflow(folder))
    sys.stdout.write(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\nthis workflow: {ours:.0f} CPU s\n")
    sys.stdout.flush()
    theirs = cpu_seconds(lambda: run_loop(folder, options.seeds))
    sys.stdout.write(f"the loop: {theirs:.0f} CPU s, {theirs / ours:.2f} times as many\n")
    report(folder, options.seeds)


def main() -> None:
    """Run from the command line; `--step` is a process of the loop."""
    if sys.argv[1:2] == ["--step"]:
        folder, row, target, seed = sys.argv[2:]
        run_step(Path(folder), row, None if target == "-" else target, int(seed))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="of the grid that has the checkpoint")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--steps", type=int, default=100, help="of every training")
    parser.add_argument("--examples", type=int, default=1000, help="of every training")
    parser.add_argument("--evaluated", type=int, default=100, help="examples of each language and split")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--folder", type=Path, help="where both sides work; a temporary one by default")
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True)
        compare(options, options.folder.resolve())
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(options, Path(folder))


if __name__ == "__main__":
    main()
