"""Do task similarities and transferability scores foresee which rows help a target that nothing has been run of?

    python benchmarks/selection_features.py results --config my.yaml

Features of each row and target of a finished grid whose checkpoints are kept:

- family: share of the row's tasks that are of the target's family (`selection/affinity.py`);
- words, tfidf: the largest overlap of subwords, and cosine of TF-IDF vectors (1 + log count), of a row's task and the
  target's English training data;
- logme: LogME (You et al. 2021, arXiv 2102.11005) of the row's checkpoint on at most `--examples` English development
  examples of the target's task, with the states that its head would read. It can be known once the row is trained.

Each is centred over rows; its coefficient is learned from the other targets by `affinity.fit_slope`, as is the mean
effect of each row. Printed: the correlation, over rows, of what is then expected of a target with its standardised
effects, without and with the feature, and the points lost by the row that is expected first; means over the targets
that have the feature. Lines "beside family" add a feature to that of families.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))
sys.path.insert(0, str(ROOT / "benchmarks"))

from configured_grid import configured_grid  # noqa: E402
from selection_cells import shares_of  # noqa: E402
from selection_replay import read_grid  # noqa: E402
from stiltgrid.grid.grid import NONE, Grid  # noqa: E402
from stiltgrid.grid.paths import RESULTS  # noqa: E402
from stiltgrid.modeling.encoded import Encoded, read_encoded  # noqa: E402
from stiltgrid.selection.affinity import Slope, affinities, fit_slope  # noqa: E402
from stiltgrid.selection.prior import EarlierGrid, standardise  # noqa: E402

TOLERANCE, STEPS = 1e-6, 200


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """Log evidence for each example of linear models of `labels` (n, k) on `features` (n, d), a mean over the k.

    You et al. 2021, equations 2 to 4 and algorithm 1: the precisions α of the weights and β of the noise maximise the
    evidence by MacKay's fixed point, γ = Σ βσ / (α + βσ), α = γ / mᵀm, β = (n - γ) / ‖Fm - y‖².
    """
    number, width = features.shape
    values, vectors = np.linalg.eigh(features.T @ features)
    values = np.maximum(values, 0.0)
    along = (vectors.T @ (features.T @ labels)) ** 2
    found = [
        _evidence(number, width, values, squared, float(y @ y)) for squared, y in zip(along.T, labels.T, strict=True)
    ]
    return float(np.mean(found)) / number


def _evidence(number: int, width: int, values: np.ndarray, along: np.ndarray, length: float) -> float:
    alpha = beta = 1.0
    for _ in range(STEPS):
        precision = alpha + beta * values
        gamma = (beta * values / precision).sum()
        before = (alpha, beta)
        alpha = gamma / max((beta**2 * along / precision**2).sum(), 1e-12)
        beta = (number - gamma) / max(_error(beta, precision, values, along, length), 1e-12)
        if max(abs(alpha / before[0] - 1), abs(beta / before[1] - 1)) < TOLERANCE:
            break
    precision = alpha + beta * values
    weights = (beta**2 * along / precision**2).sum()
    error = _error(beta, precision, values, along, length)
    return float(
        number / 2 * np.log(beta / (2 * np.pi)) + width / 2 * np.log(alpha)
        - beta / 2 * error - alpha / 2 * weights - np.log(precision).sum() / 2
    )  # fmt: skip


def _error(beta: float, precision: np.ndarray, values: np.ndarray, along: np.ndarray, length: float) -> float:
    """‖Fm - y‖² at the mean m of the weights."""
    return length - float((2 * beta * along / precision - beta**2 * along * values / precision**2).sum())


def states_and_labels(backbone: Any, reader: Any, card: Any, encoded: Encoded) -> tuple[np.ndarray, np.ndarray]:
    """What the head of a task would read, (n, d), and its labels as columns, (n, k); spans have a start and an end."""
    import torch
    from stiltgrid.tasks.families import family
    from stiltgrid.tasks.families.tagging import CONTINUED

    kind, states, labels = family(card.family), [], []
    order = np.argsort(encoded.lengths)
    for start in range(0, len(order), 64):
        batch = reader.batch(kind, encoded, np.sort(order[start : start + 64]))
        numbers = batch.numbers
        with torch.no_grad():
            hidden = backbone(batch)
        if card.family == "tagging":
            marked = np.flatnonzero(numbers["tag"] != CONTINUED)
            states.append(batch.flat(hidden)[marked])
            labels.append(numbers["tag"][marked])
        elif card.family == "span":
            states.append(batch.compared(hidden))
            labels.append(_span_ends(batch))
        else:
            states.append(batch.pool(hidden))
            labels.append(numbers["gold" if card.family == "choice" else "label"])
    found = np.concatenate(labels)
    if found.ndim == 1:
        found = found[:, None] == np.unique(found)
    return torch.cat(states).double().numpy(), found.astype(float)


def _span_ends(batch: Any) -> np.ndarray:
    """(tokens, 2): 1 at the first and at the last token of each answer."""
    marks = np.zeros((batch.real_tokens, 2))
    before = np.concatenate([[0], np.cumsum(batch.lengths.numpy())[:-1]])
    inside = batch.numbers["end"] != 0
    for place, name in enumerate(("start", "end")):
        marks[before[inside] + batch.numbers[name][inside], place] = 1
    return marks


def logme_of_grid(
    folder: Path, grid: Grid, model: str, names: tuple[Sequence[str], Sequence[str]], examples: int
) -> np.ndarray:
    """(targets, rows) LogME of the checkpoints of the first seed; NaN for targets without a classifying head."""
    import torch
    from stiltgrid.evaluation.prediction import Reader
    from stiltgrid.modeling.backbone import load_backbone
    from stiltgrid.modeling.tokenization import read_special_tokens

    reader = Reader(read_special_tokens(folder / f"models/{model}/tokenizer"), grid.models[model])
    cards = [grid.cards[grid.cards[target].train[-1]] if grid.cards[target].train else None for target in names[0]]
    found = np.full((len(names[0]), len(names[1])), np.nan)
    for column, row in enumerate(names[1]):
        own = f"intermediate/{model}/{row}/seed{grid.seeds[0]}"
        backbone = load_backbone(folder / (f"models/{model}/backbone" if row == NONE else own), torch.float32).eval()
        known: dict[str, float] = {}
        for place, card in enumerate(cards):
            if card is None or card.family in ("dual", "embedding"):
                continue
            if card.name not in known:
                encoded = read_encoded(folder / f"encoded/{model}/{card.name}/dev.arrow")
                encoded = encoded.take_examples(np.unique(encoded.examples)[:examples])
                known[card.name] = logme(*states_and_labels(backbone, reader, card, encoded))
            found[place, column] = known[card.name]
    return found


def text_similarity(
    folder: Path, grid: Grid, model: str, names: tuple[Sequence[str], Sequence[str]]
) -> dict[str, np.ndarray]:
    """Feature -> (targets, rows), 0 for `none` and NaN for targets without training data."""
    counts: dict[str, np.ndarray] = {}
    pieces = 1 + max(
        int(np.max(read_encoded(path).tokens["input_ids"])) for path in folder.glob(f"encoded/{model}/*/train.arrow")
    )
    for path in sorted(folder.glob(f"encoded/{model}/*/train.arrow")):
        counts[path.parent.name] = np.bincount(read_encoded(path).tokens["input_ids"], minlength=pieces).astype(float)
    inverse = 1 + np.log((1 + len(counts)) / (1 + sum((count > 0).astype(float) for count in counts.values())))

    def words(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.minimum(one / one.sum(), other / other.sum()).sum())

    def tfidf(one: np.ndarray, other: np.ndarray) -> float:
        a, b = (np.log1p(count) * inverse for count in (one, other))
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))

    return {
        name: np.array([
            [_nearest(compare, counts, grid.recipe(row).tasks, grid.cards[target].train) for row in names[1]]
            for target in names[0]
        ])
        for name, compare in (("words", words), ("tfidf", tfidf))
    }  # fmt: skip


def _nearest(
    compare: Callable[[np.ndarray, np.ndarray], float],
    counts: dict[str, np.ndarray],
    tasks: Sequence[str],
    train: Sequence[str],
) -> float:
    if not train:
        return np.nan
    whole = np.sum([counts[task] for task in train], axis=0)
    return max((compare(counts[task], whole) for task in tasks), default=0.0)


def leave_one_out(
    z: np.ndarray, scores: np.ndarray, feature: np.ndarray, trusted: bool, beside: np.ndarray | None = None
) -> np.ndarray:
    """(targets with the feature, 4): correlation without and with it, points lost without and with it.

    `z` and `scores` (targets, rows); `trusted` starts from the coefficient that `affinity` assumes, else from 0. With
    affinities `beside`, what these let expect is there already.
    """
    there = np.flatnonzero(~np.isnan(feature).any(axis=1))
    feature = feature[there] - feature[there].mean(axis=1, keepdims=True)
    if not trusted:
        feature = feature / max(float(feature.std()), 1e-12)
    found = []
    for place, target in enumerate(there):
        rest = np.delete(np.arange(len(z)), target)
        others = np.delete(np.arange(len(there)), place)
        mean = np.broadcast_to(z[rest].mean(axis=0), z.shape)
        if beside is not None:
            mean = mean + fit_slope(z[rest] - mean[rest], beside[rest], 1.0).mean * beside
        start = Slope() if trusted else Slope(0.0, 1.0)
        slope = fit_slope(z[there[others]] - mean[there[others]], feature[others], 1.0, start)
        expected = [mean[target], mean[target] + slope.mean * feature[place]]
        if not feature[place].any():
            continue
        found.append([
            *(np.corrcoef(each, z[target])[0, 1] for each in expected),
            *(scores[target].max() - scores[target, each.argmax()] for each in expected),
        ])  # fmt: skip
    return np.array(found)


def main() -> None:
    """Print one line for each feature."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help=f"the folder {RESULTS} of a finished grid")
    parser.add_argument("--config", type=Path, nargs="*", default=[])
    parser.add_argument("--examples", type=int, default=200)
    asked = parser.parse_args()
    finished, targets, rows, _ = read_grid(asked.folder / "tables/scores.parquet", None)
    grid, names = configured_grid(asked.config), (targets, rows)
    scores = finished.judged(range(finished.scores.shape[-1]))
    z = standardise([EarlierGrid("", finished.reported if finished.reported is not None else finished.scores)]).z[0]
    shares = shares_of(grid, targets, rows)
    features = {
        "family": shares,
        **text_similarity(asked.folder, grid, finished.name, names),
        "logme": logme_of_grid(asked.folder, grid, finished.name, names, asked.examples),
    }
    sys.stdout.write("| feature | targets | correlation | with it | points lost | with it |\n")
    sys.stdout.write("| --- | ---: | ---: | ---: | ---: | ---: |\n")
    lines = [(name, feature, None) for name, feature in features.items()]
    lines += [(f"{name}, beside family", features[name], affinities(shares)) for name in features if name != "family"]
    for name, feature, beside in lines:
        found = leave_one_out(z, scores, feature, name == "family", beside)
        numbers = " | ".join(f"{value:.2f}" for value in found.mean(axis=0))
        sys.stdout.write(f"| {name} | {len(found)} | {numbers} |\n")


if __name__ == "__main__":
    main()
