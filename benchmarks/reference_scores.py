"""Zero-shot scores of this project beside Hugging Face's own `Trainer`, heads and decoding, from the same examples.

    python benchmarks/reference_scores.py --configfile presets/local_mirror.yaml presets/real_encoder.yaml \
        --model e5_small --targets udpos panx xnli xcopa xquad tatoeba --seeds 1 2 3

Reads the rows that a finished grid has prepared and the scores of its row `none`, under `--results`. The reference
trains the same checkpoint on the same examples with the same settings: `AutoModelFor…` of transformers, its `Trainer`,
padded batches, a tokenizer from `AutoTokenizer`, and decoding written from the tasks' public definitions. The same
metric functions measure both sides. For each target it prints the mean of both sides over seeds and the 95 % interval
of their difference (Welch's t). `tatoeba` has no training: it compares sentence vectors of plain transformers, or with
`--sentence-transformers` of that library.

Set the model's `pooling: cls` for a like comparison of `xnli` and `xcopa`: transformers' heads read the first token.
"""

import abc
import argparse
import importlib
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq
import torch
from scipy import stats

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from configured_grid import configured_grid  # noqa: E402
from stiltgrid.grid.cards import TaskCard  # noqa: E402
from stiltgrid.grid.grid import Grid, TrainingSettings  # noqa: E402
from stiltgrid.preparation.budgets import draw_examples  # noqa: E402
from stiltgrid.tasks.metrics import accuracy as label_metrics  # noqa: E402
from stiltgrid.tasks.metrics.chunks import chunk_scores  # noqa: E402
from stiltgrid.tasks.metrics.squad import score_answer  # noqa: E402
from stiltgrid.tasks.tag_schemes import chunk_rule, scheme_of  # noqa: E402
from stiltgrid.utils.seeding import derive_seed  # noqa: E402
from transformers import (  # noqa: E402
    AutoModel,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    Trainer,
    TrainingArguments,
    set_seed,
)

IGNORED = -100  # the label of tokens that no loss is computed for
EVALUATION_BATCH = 16
SENTENCES = 64  # of one forward pass of sentence retrieval
Row = Mapping[str, Any]
Scores = dict[str, float]  # by language


@dataclass(frozen=True)
class Run:
    """What all targets of a run share."""

    grid: Grid
    model: str
    folder: Path
    results: Path
    tokenizer: Any

    def rows(self, task: str, name: str) -> list[Row]:
        """Canonical rows of `train`, `dev` or `eval`."""
        return cast(list[Row], pq.read_table(self.results / "data" / task / f"{name}.parquet").to_pylist())

    def training_rows(self, task: str, seed: int) -> list[Row]:
        """The training examples that the grid draws for a seed."""
        rows = self.rows(task, "train")
        wanted = self.settings(task).examples
        return [rows[place] for place in draw_examples(len(rows), wanted, derive_seed(seed, "examples", task))]

    def settings(self, task: str) -> TrainingSettings:
        """Hyper-parameters of a task's target stage."""
        return self.grid.training_for("target", task)

    def batch(self, features: Sequence[Mapping[str, Any]], labels: str | None = None) -> dict[str, torch.Tensor]:
        """Features padded to the longest; the list under `labels` is padded with IGNORED, scalars are stacked."""
        ids = {name: [item[name] for item in features] for name in ("input_ids", "attention_mask")}
        found = dict(self.tokenizer.pad(ids, return_tensors="pt"))
        width = found["input_ids"].shape[1]
        for name in features[0].keys() - ids.keys():
            values = [item[name] for item in features]
            if name == labels:
                values = [[*value, *[IGNORED] * (width - len(value))] for value in values]
            found[name] = torch.tensor(values)
        return cast(dict[str, torch.Tensor], found)


class Reference(abc.ABC):
    """One kind of task through transformers. Features have `input_ids`, `attention_mask` and labels by their name."""

    auto: Any
    label: str | None = None  # the name of a list of labels, one a token

    def __init__(self, run: Run, card: TaskCard) -> None:
        self.run, self.card = run, card

    def load(self, folder: str | Path) -> Any:
        """The model with its head."""
        return self.auto.from_pretrained(folder, **self.options())

    def options(self) -> dict[str, Any]:
        """Options of the model's class."""
        return {}

    @abc.abstractmethod
    def training_features(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Features with labels."""

    def collate(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """One padded batch."""
        return self.run.batch(features, self.label)

    @abc.abstractmethod
    def score(self, model: Any, rows: Sequence[Row]) -> float:
        """The headline score of the rows of one language, from 0 to 100."""

    def outputs(self, model: Any, features: Sequence[Mapping[str, Any]]) -> Iterator[tuple[dict[str, Any], Any]]:
        """(padded batch, model output) of all features in order."""
        model.eval()
        for start in range(0, len(features), EVALUATION_BATCH):
            batch = self.collate(features[start : start + EVALUATION_BATCH])
            with torch.inference_mode():
                yield batch, model(**batch)


class Classification(Reference):
    """A label for a text or a pair of texts."""

    auto = AutoModelForSequenceClassification

    def options(self) -> dict[str, Any]:
        """One output a label."""
        return {"num_labels": len(self.card.labels)}

    def training_features(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Pairs, truncated where they are longest."""
        return [{**item, "labels": row["label"]} for item, row in zip(self._texts(rows), rows, strict=True)]

    def _texts(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        kept = self.run.tokenizer(
            [row["text_a"] for row in rows], [row["text_b"] for row in rows], truncation="longest_first",
            max_length=self.card.max_length,
        )  # fmt: skip
        return unpacked(kept)

    def score(self, model: Any, rows: Sequence[Row]) -> float:
        """Accuracy of the most probable label."""
        found = [output.logits.argmax(-1) for _, output in self.outputs(model, self._texts(rows))]
        return label_metrics.accuracy([row["label"] for row in rows], torch.cat(found).tolist())


class Choice(Reference):
    """The right one of several options."""

    auto = AutoModelForMultipleChoice

    def training_features(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """A list of sequences per example."""
        found = []
        for row in rows:
            choices = row["choices"]
            kept = self.run.tokenizer(
                [row["context"]] * len(choices), choices, truncation="longest_first", max_length=self.card.max_length
            )
            names = ("input_ids", "attention_mask")
            found.append({**{name: kept[name] for name in names}, "labels": row["label"]})
        return found

    def collate(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """(examples, options, tokens)."""
        flat = [
            {name: item[name][place] for name in ("input_ids", "attention_mask")}
            for item in features
            for place in range(len(item["input_ids"]))
        ]
        padded = self.run.batch(flat)
        shaped = {name: value.view(len(features), -1, value.shape[-1]) for name, value in padded.items()}
        return {**shaped, "labels": torch.tensor([item["labels"] for item in features])}

    def score(self, model: Any, rows: Sequence[Row]) -> float:
        """Accuracy of the option with the highest score."""
        found = [output.logits.argmax(-1) for _, output in self.outputs(model, self.training_features(rows))]
        return label_metrics.accuracy([row["label"] for row in rows], torch.cat(found).tolist())


class Tags(Reference):
    """A tag for each word, read at its first token."""

    auto = AutoModelForTokenClassification
    label = "labels"

    def options(self) -> dict[str, Any]:
        """One output a tag."""
        return {"num_labels": len(self.card.labels)}

    def training_features(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Sentences, truncated; the tag stands at a word's first token."""
        kept = self.run.tokenizer(
            [row["tokens"] for row in rows], is_split_into_words=True, truncation=True, max_length=self.card.max_length
        )
        found = []
        for place, (item, row) in enumerate(zip(unpacked(kept), rows, strict=True)):
            words = kept.word_ids(place)
            first = [word is not None and (not at or words[at - 1] != word) for at, word in enumerate(words)]
            tags = [row["tags"][word] if starts else IGNORED for word, starts in zip(words, first, strict=True)]
            found.append({**item, "labels": tags})
        return found

    def score(self, model: Any, rows: Sequence[Row]) -> float:
        """F1 of chunks. A word that truncation has cut off or that has no token counts as the first label, "O"."""
        features = self.training_features(rows)
        found = [list(item) for _, output in self.outputs(model, features) for item in output.logits.argmax(-1)]
        golds, guesses = [], []
        for place, (row, tags) in enumerate(zip(rows, found, strict=True)):
            kept = self.run.tokenizer(
                row["tokens"], is_split_into_words=True, truncation=True, max_length=self.card.max_length
            ).word_ids()
            guess = [0] * len(row["tags"])
            for at in reversed(range(len(kept))):
                if kept[at] is not None:
                    guess[kept[at]] = int(tags[at])
            golds.append([self.card.labels[tag] for tag in row["tags"]])
            guesses.append([self.card.labels[tag] for tag in guess])
            assert len(features[place]["labels"]) == len(kept)
        return chunk_scores(golds, guesses, chunk_rule(self.card.options), scheme_of(self.card.options))["f1"]


class Span(Reference):
    """A span of the context, in windows with an overlap, as in transformers' question answering example."""

    auto = AutoModelForQuestionAnswering

    def options(self) -> dict[str, Any]:
        """Logits of the start and of the end, whatever the checkpoint was trained for before."""
        return {"num_labels": 2}

    def _windows(self, rows: Sequence[Row]) -> Any:
        length = self.card.max_length
        return self.run.tokenizer(
            [row["question"] for row in rows], [row["context"] for row in rows], truncation="only_second",
            max_length=length, stride=max(1, length - self.card.options["doc_stride"] - MAX_QUESTION),
            return_overflowing_tokens=True, return_offsets_mapping=True,
        )  # fmt: skip

    def training_features(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Windows with the first answer's tokens, or the first token where the answer is not whole in the window."""
        kept, found = self._windows(rows), []
        for place, item in enumerate(unpacked(kept)):
            row = rows[kept["overflow_to_sample_mapping"][place]]
            start = row["answer_starts"][0]
            stop = start + len(row["answer_texts"][0])
            inside = [at for at, part in enumerate(kept.sequence_ids(place)) if part == 1]
            spans = kept["offset_mapping"][place]
            first = last = 0
            if spans[inside[0]][0] <= start and spans[inside[-1]][1] >= stop:
                first = max(at for at in inside if spans[at][0] <= start)
                last = min(at for at in inside if spans[at][1] >= stop)
            found.append({**item, "start_positions": first, "end_positions": last})
        return found

    def score(self, model: Any, rows: Sequence[Row]) -> float:
        """F1 of the best span of at most `max_answer_length` tokens over all windows."""
        kept = self._windows(rows)
        best: dict[int, tuple[float, str]] = {}
        place = 0
        for batch, output in self.outputs(model, unpacked(kept)):
            for starts, ends in zip(output.start_logits, output.end_logits, strict=True):
                owner = kept["overflow_to_sample_mapping"][place]
                inside = [at for at, part in enumerate(kept.sequence_ids(place)) if part == 1]
                value, first, last = best_span(starts, ends, inside, self.card.options["max_answer_length"])
                spans = kept["offset_mapping"][place]
                text = rows[owner]["context"][spans[first][0] : spans[last][1]]
                best[owner] = max(best.get(owner, (-np.inf, "")), (value, text))
                place += 1
            assert len(batch["input_ids"]) <= EVALUATION_BATCH
        scores = [score_answer(row["answer_texts"], best[at][1])[0] for at, row in enumerate(rows)]
        return 100 * float(np.mean(scores))


MAX_QUESTION = 64
REFERENCES: Mapping[str, type[Reference]] = {
    "sequence": Classification, "choice": Choice, "tagging": Tags, "span": Span,
}  # fmt: skip


def unpacked(kept: Any) -> list[dict[str, Any]]:
    """One dictionary per sequence of a tokenizer's output."""
    pairs = zip(kept["input_ids"], kept["attention_mask"], strict=True)
    return [{"input_ids": ids, "attention_mask": mask} for ids, mask in pairs]


def best_span(starts: torch.Tensor, ends: torch.Tensor, inside: Sequence[int], longest: int) -> tuple[float, int, int]:
    """(sum of logits, first token, last token) of the best span of the context tokens `inside`."""
    first, last = starts[inside], ends[inside]
    sums = first[:, None] + last[None, :]
    allowed = torch.ones_like(sums).triu().tril(longest - 1).bool()
    place = int(sums.masked_fill(~allowed, -torch.inf).argmax())
    row, column = divmod(place, len(inside))
    return float(sums[row, column]), inside[row], inside[column]


def train(reference: Reference, model: Any, settings: TrainingSettings, rows: Sequence[Row], seed: int) -> None:
    """Fine-tune with Trainer; raises AssertionError for settings that it is not given here."""
    assert settings.optimizer == "adamw" and settings.lora is None
    if settings.freeze == "embeddings":
        model.get_input_embeddings().requires_grad_(False)
    features = reference.training_features(rows)
    examples = len(rows)
    steps = settings.max_steps or int(np.ceil(settings.epochs * examples / settings.batch_size - 1e-9))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=settings.batch_size,
            max_steps=steps,
            seed=seed,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=round(settings.warmup_share * steps),
            weight_decay=settings.weight_decay,
            adam_epsilon=settings.adam_epsilon,
            max_grad_norm=settings.max_grad_norm,
            save_strategy="no",
            logging_steps=10**6,
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            use_cpu=True,
        )
        Trainer(model, arguments, reference.collate, features).train()  # type: ignore[arg-type]


def reference_scores(run: Run, target: str, seed: int) -> Scores:
    """The reference's headline score of a target in each language."""
    card, folder = run.grid.cards[target], run.folder
    with tempfile.TemporaryDirectory() as scratch:
        for number, task in enumerate(card.train):
            trained = run.grid.cards[task]
            set_seed(seed)
            reference = REFERENCES[trained.family](run, trained)
            model = reference.load(folder)
            train(reference, model, run.settings(task), run.training_rows(task, seed), seed)
            folder = Path(scratch) / str(number)
            model.save_pretrained(folder)
        scored = REFERENCES[card.family](run, card)
        return {language: scored.score(model, rows) for language, rows in headline_rows(run, card).items()}


def kept(folder: Path | None, name: str, scores: Callable[[], Scores]) -> Scores:
    """`scores()`, or what an earlier run has written into the folder under this name."""
    path = folder / f"{name}.json" if folder else None
    if path and path.is_file():
        return cast(Scores, json.loads(path.read_text(encoding="utf-8")))
    found = scores()
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found), encoding="utf-8")
    return found


def headline_rows(run: Run, card: TaskCard) -> dict[str, list[Row]]:
    """The evaluation rows of a target by language, of the split that it reports."""
    rows = run.rows(card.name, "eval")
    splits = {row["split"] for row in rows}
    wanted = card.headline_split or ("test" if "test" in splits else "dev")
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["split"] == wanted:
            found.setdefault(row["language"], []).append(row)
    return found


def mean_score(scores: Scores) -> float:
    """The unweighted mean over languages."""
    return float(np.mean(list(scores.values())))


def own_scores(run: Run, target: str, seed: int) -> Scores:
    """The grid's headline score of the row `none` in each language."""
    path = run.results / "scores" / run.model / "none" / target / f"seed{seed}" / "metrics.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    return {
        item["language"]: item["value"]
        for item in record["scores"]
        if item["metric"] == record["metric"] and item["split"] == record["split"]
    }


def interval(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """(difference of means, lower, upper end of its 95 % interval) by Welch's t; infinite for single values."""
    difference = float(np.mean(ours) - np.mean(theirs))
    if min(len(ours), len(theirs)) < 2:
        return difference, -np.inf, np.inf
    found = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval()
    return difference, float(found.low), float(found.high)


# ---- sentence retrieval ----------------------------------------------------------------------------------------


def plain_vectors(run: Run) -> Callable[[Sequence[str]], np.ndarray]:
    """Sentence vectors of plain transformers: means of the last layer over all tokens of a padded batch."""
    model = AutoModel.from_pretrained(run.folder).eval()

    def encode(texts: Sequence[str]) -> np.ndarray:
        found = []
        for start in range(0, len(texts), SENTENCES):
            batch = run.tokenizer(list(texts[start : start + SENTENCES]), padding=True, return_tensors="pt")
            with torch.inference_mode():
                states = model(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None].float()
            found.append((states * mask).sum(1) / mask.sum(1))
        return torch.cat(found).numpy()

    return encode


def library_vectors(run: Run) -> Callable[[Sequence[str]], np.ndarray]:
    """Sentence vectors of the library sentence-transformers, which makes means of a plain model's last layer."""
    library = importlib.import_module("sentence_transformers")

    model = library.SentenceTransformer(str(run.folder), device="cpu")
    return lambda texts: np.asarray(model.encode(list(texts), show_progress_bar=False))


def retrieval_scores(run: Run, target: str, encode: Callable[[Sequence[str]], np.ndarray]) -> Scores:
    """Accuracy of each English sentence's nearest neighbour by cosine among the other language's."""
    found = {}
    for language, rows in headline_rows(run, run.grid.cards[target]).items():
        sides = {role: [row for row in rows if row["role"] == role] for role in ("query", "candidate")}
        vectors = {role: encode([row["text"] for row in side]) for role, side in sides.items()}
        unit = {role: item / np.linalg.norm(item, axis=1, keepdims=True) for role, item in vectors.items()}
        names = [row["id"] for row in sides["candidate"]]
        nearest = (unit["query"] @ unit["candidate"].T).argmax(1)
        right = [names[place] in row["gold"] for place, row in zip(nearest, sides["query"], strict=True)]
        found[language] = 100 * float(np.mean(right))
    return found


# ---- the report ------------------------------------------------------------------------------------------------


def compare(run: Run, target: str, seeds: Sequence[int], library: bool, folder: Path | None) -> str:
    """A line of the table: means over seeds and their values, difference, interval."""
    started = time.process_time()
    if run.grid.cards[target].train:
        found = [kept(folder, f"{target}.{seed}", partial(reference_scores, run, target, seed)) for seed in seeds]
    else:  # nothing is trained, so no seed matters
        seeds = seeds[:1]
        encode = library_vectors if library else plain_vectors
        found = [kept(folder, f"{target}.{library}", lambda: retrieval_scores(run, target, encode(run)))]
    ours = [mean_score(own_scores(run, target, seed)) for seed in seeds]
    theirs = [mean_score(item) for item in found]
    difference, low, high = interval(ours, theirs)
    sides = [f"{np.mean(side):.2f} ({', '.join(f'{value:.2f}' for value in side)})" for side in (ours, theirs)]
    between = f"{low:+.2f} to {high:+.2f}" if np.isfinite(low) else "one value each"
    seconds = time.process_time() - started
    return f"| {target} | {' | '.join(sides)} | {difference:+.2f} | {between} | {seconds:,.0f} |"


def main() -> None:
    """Print a Markdown table: a line a target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, nargs="+", required=True, help="as for the grid, in order")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--model", default="e5_small")
    parser.add_argument("--folder", type=Path, help="the model's folder; its `path` by default")
    parser.add_argument("--targets", nargs="+", default=["udpos", "panx", "xnli", "xcopa", "xquad", "tatoeba"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--sentence-transformers", action="store_true", help="that library's vectors for retrieval")
    parser.add_argument("--keep", type=Path, help="a folder for the reference's scores; what is there is not run again")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(options.threads)
    grid = configured_grid(options.configfile)
    folder = options.folder or ROOT / str(grid.models[options.model].path)
    run = Run(grid, options.model, folder, options.results, AutoTokenizer.from_pretrained(folder))
    write = sys.stdout.write
    write("| target | this project: mean (seeds) | reference | difference | 95 % interval | CPU seconds |\n")
    write("| --- | --- | --- | ---: | --- | ---: |\n")
    for target in options.targets:
        write(compare(run, target, options.seeds, options.sentence_transformers, options.keep) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
