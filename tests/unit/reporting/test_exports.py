"""The submission folder, judged by XTREME's evaluate.py, as `xtreme_program` has it from its definition.

Every official language of every task; the scores must be those that the families measure.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stiltgrid.data.rows import RawRow
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Evaluation
from stiltgrid.reporting.exports import Part, export_benchmark, exported_tasks
from stiltgrid.tasks.families import family
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.utils.strict_yaml import read_yaml
from xtreme_program import evaluate, file_of, tatoeba_labels

ROOT = Path(__file__).parents[3]
WORDS = ("harbour", "lamp", "Boot", "老灯塔", "قارب", "the rye bread", "la barca", "cliff")


def card_of(task: str) -> TaskCard:
    values = read_yaml(ROOT / "tasks" / f"{task}.yaml")
    return TaskCard(name=task, **{
        key: tuple(value) if isinstance(value, list) else value
        for key, value in values.items()
        if key in TaskCard.__dataclass_fields__
    })  # fmt: skip


# ---- rows and answers of each family, made up -----------------------------------------------------------------------


def sequence_rows(card: TaskCard, language: str, generator: np.random.Generator) -> list[dict]:
    names = list(card.fields.values())
    return [{names[0]: "a", names[1]: "b", "label": int(generator.integers(len(card.labels)))} for _ in range(7)]


def tagging_rows(card: TaskCard, language: str, generator: np.random.Generator) -> list[dict]:
    rows = []
    for _ in range(6):
        tags = [card.labels[number] for number in generator.integers(len(card.labels), size=generator.integers(1, 9))]
        rows.append({"tokens": ["w"] * len(tags), card.fields["tags"]: tags})
    return rows


def span_rows(card: TaskCard, language: str, generator: np.random.Generator) -> list[dict]:
    rows = []
    for number in range(6):
        words = [WORDS[place] for place in generator.integers(len(WORDS), size=6)]
        context, answer = " ".join(words), words[int(generator.integers(6))]
        answers = {"text": [answer, words[0]], "answer_start": [context.index(answer), 0]}
        rows.append({
            "id": f"q{number}", "context": context, "question": "?", "title": "t", "answers": answers,
        })  # fmt: skip
    return rows


def choice_rows(card: TaskCard, language: str, generator: np.random.Generator) -> list[dict]:
    return [
        {"idx": number, "premise": "p", "question": "cause", "choice1": "a", "choice2": "b",
         "label": int(generator.integers(2))}
        for number in range(8)
    ]  # fmt: skip


def pair_rows(card: TaskCard, language: str, generator: np.random.Generator) -> list[dict]:
    """Tatoeba: English sentences out of order, one of them twice."""
    english = ["zebra", "apple", "Mango", "apple", "äpfel", "kiwi", "box"]
    return [{"source_sentence": f"{language} {number}", "target_sentence": text} for number, text in enumerate(english)]


def pool_rows(card: TaskCard, language: str, generator: np.random.Generator) -> list[dict]:
    queries = [
        {"id": f"{language}-{number:09d}", "role": "query", "text": f"q{number}",
         "gold": [f"en-{number:09d}"] if number < 6 else []}
        for number in range(10)
    ]  # fmt: skip
    candidates = [{"id": f"en-{number:09d}", "role": "candidate", "text": f"c{number}"} for number in range(12)]
    return queries + candidates


def entity_rows(card: TaskCard, language: str, generator: np.random.Generator) -> list[dict]:
    queries = [
        {"id": f"{language}{number}", "role": "query", "text": f"m{number}", "gold": [f"Q{number}"]}
        for number in range(5)
    ]  # fmt: skip
    entities = [{"id": f"Q{number}", "role": "candidate", "text": f"e{number}"} for number in range(30)]
    return queries + (entities if language == card.languages[0] else [])


RAW: Mapping[str, Callable[..., list[dict]]] = {
    "sequence": sequence_rows, "tagging": tagging_rows, "span": span_rows, "choice": choice_rows, "dual": entity_rows,
}  # fmt: skip


def outputs_of(card: TaskCard, rows: pa.Table, generator: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    """Outputs as the family's `predict` gives them, at random, and the encoded columns that decoding reads."""
    size = rows.num_rows
    columns: dict[str, Any] = {"example": np.arange(size)}
    if card.family == "sequence":
        return list(generator.integers(len(card.labels), size=size)), columns
    if card.family == "tagging":
        tags = rows.column("tags").to_pylist()
        noisy = [
            np.where(generator.random(len(t)) < 0.5, t, generator.integers(len(card.labels), size=len(t))) for t in tags
        ]
        return noisy, columns
    if card.family == "choice":
        return list(generator.random(2 * size)), {"example": np.repeat(np.arange(size), 2)}
    if card.family == "span":
        found = []
        for context, starts in zip(
            rows.column("context").to_pylist(), rows.column("answer_starts").to_pylist(), strict=True
        ):
            start = starts[0] if generator.random() < 0.6 else int(generator.integers(len(context) - 3))
            found.append(
                np.asarray([[-9, 0, 0], [1.0, start, min(len(context), start + int(generator.integers(2, 14)))]])
            )
        return found, columns
    vectors = generator.standard_normal((size, 2 if card.family == "embedding" else 1, 8))
    if card.family == "dual":
        return list(vectors[:, 0]), columns
    return list(vectors), columns


def noisy_pairs(rows: pa.Table, outputs: list[Any], generator: np.random.Generator) -> list[Any]:
    """Retrieval that often works: candidates get the vector of the query that wants them, with noise."""
    place = {name: number for number, name in enumerate(rows.column("id").to_pylist())}
    for number, gold in enumerate(rows.column("gold").to_pylist()):
        for name in gold:
            noise = 0.8 * generator.standard_normal(np.shape(outputs[number]))
            outputs[place[name]] = np.asarray(outputs[number]) + noise
    return outputs


class Cell:
    """One task's rows, predictions and measured scores, on disk and in hand."""

    def __init__(
        self, folder: Path, task: str, benchmark: str, change: Callable[[TaskCard], TaskCard] = lambda c: c
    ) -> None:
        generator = np.random.default_rng([7, sum(map(ord, task))])
        self.task, card = task, card_of(task)
        self.card = card = change(replace(card, languages=tuple(card.benchmarks[benchmark])))
        kind = family(card.family)
        make = {"tatoeba": pair_rows, "bucc2018": pool_rows}.get(task) or RAW[card.family]
        examples = []
        for language in card.languages:
            for split in ("dev", "test") if task == "bucc2018" else ("test",):
                raw = [RawRow(row, f"row {number}") for number, row in enumerate(make(card, language, generator))]
                examples += kind.examples(card, raw, language, split)
        self.rows = pa.Table.from_pylist(examples, schema=kind.schema)
        outputs, columns = outputs_of(card, self.rows, generator)
        if "gold" in self.rows.column_names:
            outputs = noisy_pairs(self.rows, outputs, generator)
        options = {"retrieval_layer": 1, "hidden_layers": 1, "layers": [0, 1]}
        predictions = kind.decode(card, outputs, columns, self.rows, options)
        self.scores = {
            (item.language, item.metric): item.value
            for item in kind.measure(card, predictions, self.rows)
            if item.split == "test"
        }
        self.part = Part(
            task, card.family, card.labels, card.languages, str(folder / f"{task}.predictions.parquet"),
            str(folder / f"{task}.rows.parquet"), "mnli",
        )  # fmt: skip
        pq.write_table(self.rows, self.part.rows)
        published = kind.published(predictions)
        order = np.random.default_rng(1).permutation(published.num_rows)  # nothing may hang on the order of a file
        pq.write_table(published.take(order), self.part.predictions)

    def test_rows(self, language: str) -> list[dict]:
        return [row for row in self.rows.to_pylist() if (row["language"], row["split"]) == (language, "test")]


# ---- labels as the program has them ---------------------------------------------------------------------------------


def write_labels(cell: Cell, folder: Path) -> None:
    """The official label file of every language, from the rows."""
    for language in cell.card.languages:
        path = file_of(folder, cell.task, language)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(labels_of(cell, language, cell.test_rows(language)), encoding="utf-8")


def labels_of(cell: Cell, language: str, rows: list[dict]) -> str:
    task, names = cell.task, cell.card.labels
    queries = [row for row in rows if row.get("role") == "query"]
    if task == "xnli":
        return lines(("entailment", "neutral", "contradiction")[row["label"]] for row in rows)
    if task == "pawsx":
        return lines(row["label"] for row in rows)
    if task == "xcopa":
        return lines(json.dumps({"premise": "p", "label": row["label"]}) for row in rows)
    if task in ("udpos", "panx"):
        return "\n".join(lines(names[tag] for tag in row["tags"]) for row in rows)
    if task == "tatoeba":
        return lines(tatoeba_labels([row["text"].strip() for row in queries]))
    if task == "bucc2018":
        return lines("\t".join(raw_id(name) for name in (row["id"], gold)) for row in queries for gold in row["gold"])
    if task == "mewslix":
        return json.dumps({row["id"].rsplit("_", 1)[0]: row["gold"] for row in queries})
    questions = [{"id": row["id"], "answers": [{"text": text} for text in row["answer_texts"]]} for row in rows]
    return json.dumps({"data": [{"paragraphs": [{"qas": questions}]}]})


def lines(items: Iterable[Any]) -> str:
    return "".join(f"{item}\n" for item in items)


def raw_id(name: str) -> str:
    return "-".join(name.split("-")[-2:])


@pytest.mark.parametrize("benchmark", ["xtreme", "xtreme_r"])
def test_the_official_program_would_print_our_scores(tmp_path: Path, benchmark: str) -> None:
    cells = [Cell(tmp_path, task, benchmark) for task in exported_tasks(benchmark)]
    export_benchmark(benchmark, [cell.part for cell in cells], tmp_path / "out", {"model": "tiny", "seed": 1})
    assert len(cells) == 9
    for cell in cells:
        write_labels(cell, tmp_path / "labels")
        for language in cell.card.benchmarks[benchmark]:
            for metric, value in evaluate(tmp_path / "out", tmp_path / "labels", cell.task, language).items():
                assert cell.scores[language, metric] == pytest.approx(value, abs=1e-6), (cell.task, language, metric)
        assert 0 < np.mean([cell.scores[code, cell.card.metric] for code in cell.card.languages]) < 100


def test_files_are_the_official_ones_and_the_manifest_says_what_they_are(tmp_path: Path) -> None:
    cells = [Cell(tmp_path, task, "xtreme") for task in exported_tasks("xtreme")]
    export_benchmark("xtreme", [cell.part for cell in cells], tmp_path / "out", {"model": "tiny", "seed": 3})
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    expected = {f"{cell.task}/test-{code}." + ("json" if cell.card.family == "span" else "tsv")
                for cell in cells for code in cell.card.benchmarks["xtreme"]}  # fmt: skip
    assert names == expected | {"export.json"}
    manifest = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
    assert (manifest["benchmark"], manifest["model"], manifest["seed"]) == ("xtreme", "tiny", 3)
    assert manifest["tasks"]["xnli"]["intermediate"] == "mnli" and manifest["tasks"]["xnli"]["rows"]["de"] == 7


def test_everything_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    cells = [Cell(tmp_path, task, "xtreme") for task in ("xnli", "tatoeba")]
    parts = [
        replace(cells[0].part, languages=(*cells[0].part.languages, "xx", "yy")),
        replace(cells[1].part, examples=5),
    ]
    with pytest.raises(StiltgridError) as error:
        export_benchmark("xtreme", parts, tmp_path / "out", {})
    text = str(error.value)
    for said in ("pawsx: no predictions", "xnli: no test rows in xx yy", "tatoeba ar: 7 examples, sub-sampled"):
        assert said in text
    assert not (tmp_path / "out").exists()


def test_a_partial_export_holds_what_is_whole(tmp_path: Path) -> None:
    cell = Cell(tmp_path, "xnli", "xtreme")
    export_benchmark("xtreme", [cell.part], tmp_path / "out", {}, partial=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["export.json", "xnli"]
    assert "pawsx: no predictions" in json.loads((tmp_path / "out" / "export.json").read_text())["lacks"]


def test_a_lost_prediction_is_named(tmp_path: Path) -> None:
    cell = Cell(tmp_path, "xnli", "xtreme")
    table = pq.read_table(cell.part.predictions)
    pq.write_table(table.filter(pa.compute.not_equal(table["id"], "de-test-3")), cell.part.predictions)
    with pytest.raises(StiltgridError, match="expected a prediction for xnli de 'de-test-3', found none"):
        export_benchmark("xtreme", [cell.part], tmp_path / "out", {}, partial=True)


@pytest.mark.parametrize("name", ["c\tx", "c\nx", "c\u2028x", " "])
def test_what_a_line_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    cell = Cell(tmp_path, "bucc2018", "xtreme")
    table = pq.read_table(cell.part.predictions).to_pylist()
    mined = next(row for row in table if row["split"] == "test" and row["prediction"])
    mined["prediction"], language = name, mined["language"]
    pq.write_table(pa.Table.from_pylist(table, schema=pq.read_schema(cell.part.predictions)), cell.part.predictions)
    with pytest.raises(
        StiltgridError, match=rf"bucc2018 {language}: .* cannot be exported: expected text without line"
    ):
        export_benchmark("xtreme", [cell.part], tmp_path / "out", {}, partial=True)


def test_the_other_direction_is_refused(tmp_path: Path) -> None:
    def turned(card: TaskCard) -> TaskCard:
        return replace(card, options={**card.options, "direction": "source_to_target"})

    cell = Cell(tmp_path, "tatoeba", "xtreme", turned)
    with pytest.raises(StiltgridError, match="expected English queries"):
        export_benchmark("xtreme", [cell.part], tmp_path / "out", {}, partial=True)


def test_small_languages_of_a_subsampled_grid_are_whole(tmp_path: Path) -> None:
    """`evaluation.examples: 200` cuts nothing from a language of 7 rows."""
    cell = Cell(tmp_path, "xnli", "xtreme")
    part = replace(cell.part, examples=Evaluation(examples=200).examples)
    export_benchmark("xtreme", [part], tmp_path / "out", {}, partial=True)
    assert len((tmp_path / "out" / "xnli" / "test-de.tsv").read_text(encoding="utf-8").splitlines()) == 7
