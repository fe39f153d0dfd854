"""The mini-lab's matrix over seeds, and what it must show, read from a finished run.

    snakemake --cores 2 --config 'seeds=[1,2,3]' && python benchmarks/minilab_seeds.py results

The table gives each cell as English / mean of the other languages, the mean over seeds ± their standard deviation:
`none` in points, other rows as gains over the same seed's `none`. Then come the planted pairs (`moves`: by more than
two deviations in both halves) and the promises of the mini-lab, each with what was found. `--random` also scores
Tatoeba with an untrained copy of the backbone, plain and centred.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from stiltgrid.data.sources.minilab.languages import ENGLISH, LANGUAGES, distance  # noqa: E402
from stiltgrid.data.sources.minilab.registry import planted_relations  # noqa: E402
from stiltgrid.grid.cards import TaskCard  # noqa: E402

NONE = "none"
RETRIEVAL = ("bucc2018", "tatoeba")
# What guessing scores; 0 where a guess hardly ever scores (F1 of spans and of runs of tags).
CHANCE = {"xnli": 100 / 3, "pawsx": 50.0, "xcopa": 50.0}
CLEAR, CEILING = 2.0, 97.0
Scores = Mapping[tuple[str, str, int], Mapping[str, float]]


@dataclass(frozen=True)
class Promise:
    """Something that must hold, whether it does, and the figures that say so."""

    what: str
    kept: bool
    found: str


def read_scores(results: Path, model: str) -> dict[tuple[str, str, int], dict[str, float]]:
    """(intermediate, target, seed) -> headline score by language."""
    found = {}
    for path in sorted((results / "scores" / model).glob("*/*/seed*/metrics.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        headline = (record["split"], record["metric"])
        scores = {
            row["language"]: row["value"] for row in record["scores"] if (row["split"], row["metric"]) == headline
        }
        cell = record["cell"]
        found[cell["intermediate"], cell["target"], cell["seed"]] = scores
    return found


def halves(scores: Mapping[str, float]) -> tuple[float | None, float | None]:
    """The English score and the mean of the mini-lab's other languages; None where there is none."""
    others = [value for code, value in scores.items() if code in LANGUAGES and code != ENGLISH]
    return scores.get(ENGLISH), statistics.fmean(others) if others else None


def series(scores: Scores, row: str, target: str, half: int) -> list[float]:
    """One half (0 English, 1 the others) of a cell for every seed: its score, or its gain over `none`."""
    values = []
    for (name, column, seed), by_language in sorted(scores.items()):
        if (name, column) != (row, target):
            continue
        value, base = halves(by_language)[half], 0.0
        if row != NONE:
            found = halves(scores.get((NONE, target, seed), {}))[half]
            if found is None:
                continue
            base = found
        if value is not None:
            values.append(value - base)
    return values


def spread(values: Sequence[float]) -> float:
    """Standard deviation over seeds; 0 for one seed."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def shown(values: Sequence[float], signed: bool) -> str:
    """Mean ± deviation."""
    if not values:
        return "–"
    text = f"{statistics.fmean(values):{'+' if signed else ''}.1f}"
    return text + (f"±{spread(values):.1f}" if len(values) > 1 else "")


def matrix(scores: Scores, rows: Sequence[str], targets: Sequence[str]) -> Iterator[str]:
    """Markdown lines of all cells."""
    yield "| | " + " | ".join(targets) + " |"
    yield "|---" * (len(targets) + 1) + "|"
    for row in rows:
        cells = [[shown(series(scores, row, target, half), row != NONE) for half in (0, 1)] for target in targets]
        yield (
            f"| {row} | " + " | ".join(" / ".join(text for text in cell if text != "–") or "–" for cell in cells) + " |"
        )


def moved(scores: Scores, row: str, target: str) -> tuple[bool, str]:
    """Whether a row moves a target by more than two deviations, in English and elsewhere; and the gains."""
    gains = [series(scores, row, target, half) for half in (0, 1)]
    clear = all(values and statistics.fmean(values) > CLEAR * spread(values) > 0 for values in gains)
    return clear, f"{row} -> {target} {shown(gains[0], True)} / {shown(gains[1], True)}"


def natural(row: str, targets: Sequence[str]) -> Sequence[str]:
    """The targets of the grid that share a skill with an intermediate task."""
    return tuple(target for target in planted_relations().get(row, {}).get("targets", ()) if target in targets)


def alignment(scores: Scores) -> Iterator[Promise]:
    """What is promised of sentence retrieval by the pretrained backbone."""
    by_language = scores.get((NONE, "tatoeba", 1))
    if not by_language:
        return
    mean = statistics.fmean(by_language.values())
    detail = ", ".join(f"{code} {value:.1f}" for code, value in by_language.items())
    yield Promise("retrieval of at least 25 %", mean >= 25, f"mean {mean:.1f}: {detail}")
    order = sorted(by_language, key=distance)
    near, far = (statistics.fmean(by_language[code] for code in part) for part in (order[:4], order[-4:]))
    yield Promise("near languages above far ones", near > far, f"{near:.1f} against {far:.1f}, four each")


def transfer(scores: Scores, rows: Sequence[str], targets: Sequence[str]) -> Iterator[Promise]:
    """What is promised of the trained targets."""
    trained = [target for target in targets if target not in RETRIEVAL and series(scores, NONE, target, 0)]
    for target in trained:
        english, others = ([statistics.fmean(series(scores, NONE, target, half))] for half in (0, 1))
        chance, found = CHANCE.get(target, 0.0), f"{english[0]:.1f} / {others[0]:.1f}"
        yield Promise(f"{target}: chance ({chance:.0f}) < zero-shot < English", chance < others[0] < english[0], found)
        yield Promise(f"{target}: `none` not at the ceiling", max(english[0], others[0]) <= CEILING, found)
    moving = {row for row in rows if any(moved(scores, row, target)[0] for target in natural(row, targets))}
    yield Promise("six intermediates move their natural target", len(moving) >= 6, ", ".join(sorted(moving)) or "none")


def learnable(results: Path, model: str) -> Iterator[Promise]:
    """CommonsenseQA on its own development data (chance 20 %)."""
    paths = sorted((results / "intermediate" / model / "commonsense_qa").glob("seed*/training.json"))
    scores = [json.loads(path.read_text(encoding="utf-8"))["stages"][0]["best_score"] for path in paths]
    if scores:
        yield Promise("CommonsenseQA is learnable", statistics.fmean(scores) > 30, shown(scores, False))


def untrained(results: Path, model: str) -> Iterator[Promise]:
    """Tatoeba by a backbone of the same shape with random weights, by plain cosine and with centred vectors."""
    import torch
    from stiltgrid.evaluation.prediction import EvaluationPaths
    from stiltgrid.evaluation.scoring import ScoringSettings, score_target
    from stiltgrid.grid.grid import Model
    from transformers import AutoConfig, AutoModel

    card = TaskCard("tatoeba", "embedding", "", "", (), "accuracy", 0, headline_split="test")
    for centred in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(1)
            config = AutoConfig.from_pretrained(results / "models" / model / "backbone")
            AutoModel.from_config(config, add_pooling_layer=False).save_pretrained(f"{folder}/random")
            paths = EvaluationPaths(
                f"{folder}/random",
                results / "models" / model / "tokenizer",
                results / "encoded" / model / "tatoeba" / "eval.arrow",
                results / "data" / "tatoeba" / "eval.parquet",
            )
            settings = ScoringSettings(
                Model(model, retrieval_layer=config.num_hidden_layers, retrieval_centred=centred),
                card,
                None,
                {"model": model, "intermediate": NONE, "target": "tatoeba", "seed": 1},
                precision="fp32",
            )
            score_target(paths, settings, Path(folder) / "metrics.json", Path(folder) / "predictions.parquet")
            scores = json.loads((Path(folder) / "metrics.json").read_text(encoding="utf-8"))["scores"]
        values = [row["value"] for row in scores if row["metric"] == "accuracy"]
        mean = statistics.fmean(values)
        how = "centred" if centred else "plain"
        yield Promise(
            f"random weights retrieve at most 3 % ({how})", mean <= 3, f"mean {mean:.1f}, best {max(values):.1f}"
        )


def main() -> None:
    """Print the matrix and the promises; leave with 1 where one is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=ROOT / "results")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--random", action="store_true", help="score an untrained backbone too")
    asked = parser.parse_args()
    scores = read_scores(asked.results, asked.model)
    if not scores:
        raise SystemExit(f"no scores of model '{asked.model}' under {asked.results}; run the grid first")
    order = [NONE, *planted_relations(), "multi_task"]
    rows = sorted({row for row, _, _ in scores}, key=lambda row: order.index(row) if row in order else len(order))
    targets = list(dict.fromkeys(target for row, target, _ in scores if row == NONE))
    write = sys.stdout.write
    write("\n".join(matrix(scores, rows, targets)) + "\n\n")
    promises = [*alignment(scores), *transfer(scores, rows, targets), *learnable(asked.results, asked.model)]
    promises += untrained(asked.results, asked.model) if asked.random else []
    for row in rows:
        for target in natural(row, targets):
            clear, found = moved(scores, row, target)
            write(f"{'moves ' if clear else '-     '}  {found}\n")
    write("\n")
    for promise in promises:
        write(f"{'kept  ' if promise.kept else 'BROKEN'}  {promise.what}: {promise.found}\n")
    raise SystemExit(not all(promise.kept for promise in promises))


if __name__ == "__main__":
    main()
