"""Studies 1, 2 and 5 from files to summaries: planted truths in words, and refusals of what no statistic can answer."""

import csv
import re
import runpy
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file
from stiltgrid.data.sources.minilab import MiniLabSource
from stiltgrid.data.sources.minilab.registry import planted_relations
from stiltgrid.evaluation.task_vectors import write_vectors
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.grid.params import as_params
from stiltgrid.studies import architecture, retrieval, similarity
from stiltgrid.studies.errors import StudyError
from stiltgrid.studies.model_facts import (
    ModelFacts,
    beyond_attention,
    comparison_order,
    difference_sentence,
    read_facts,
)
from study_scores import write_records, write_scores

ROOT = Path(__file__).parents[3]
LANGUAGES = ("en", "qaa", "qab", "qac")


def noise(*place: object) -> float:
    return float(np.random.default_rng(zlib.crc32(repr(place).encode())).standard_normal())


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def said(path: Path) -> str:
    return " ".join(path.read_text(encoding="utf-8").split())


# ---- study 1 ---------------------------------------------------------------------------------------------------

ROWS = ("mnli", "qqp", "squad_v1", "squad_v2", "hellaswag", "ccg", "cosmos_qa", "commonsense_qa")
TARGETS = ("xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa")
FAMILIES = {**dict.fromkeys(ROWS, "choice"), **dict.fromkeys(TARGETS, "span"), "mnli": "sequence", "xnli": "sequence"}
TEXTS = ("premise", "hypothesis", "question", "context", "sentence", "ctx", "endings", "choice", "tokens", "answer")
Score = Callable[[str, str, str, int, str], float]


def words_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from value.lower().split()
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from words_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from words_of(item)


@pytest.fixture(scope="module")
def counted() -> dict[str, Counter[str]]:
    """Words of every task of the mini-lab in English: training rows of intermediate tasks, test rows of targets."""
    source = MiniLabSource({"documents": 200, "train_examples": 200, "eval_examples": 40})
    found: dict[str, Counter[str]] = {}
    for name, split in [*((row, "train") for row in ROWS), *((name, "test") for name in TARGETS)]:
        found[name] = Counter()
        for row in source.read(TaskCard(name, "", "", "", (), "", 0), split, "en", None):
            for key, value in row.values.items():
                if key.startswith(TEXTS):
                    found[name].update(words_of(value))
    return found


def planted(model: str, row: str, target: str, seed: int, language: str) -> float:
    """What the world's relations promise, nine points, and noise of one."""
    related = target in planted_relations().get(row, {}).get("targets", ())
    return 40 + 9 * related + noise(row, target, seed) + (20 if language == "en" else 0)


def layout(rows: tuple[str, ...] = ROWS, targets: tuple[str, ...] = TARGETS, seeds: tuple[int, ...] = (1, 2)) -> Layout:
    columns = tuple(Column(name, "accuracy", "test", LANGUAGES, "en") for name in targets)
    return Layout(("mini",), ("none", *rows), columns, seeds, True)


def similar(
    folder: Path, counted: Mapping[str, Counter[str]], made: Layout, score: Score = planted, drop: int = 0
) -> SimpleNamespace:
    vocabulary = sorted(set().union(*counted.values()))
    targets = [column.target for column in made.columns]
    files: dict[str, dict[str, str]] = {"rows": {}, "targets": {}}
    folder.mkdir(exist_ok=True)
    for side, names in (("rows", made.rows), ("targets", targets)):
        for name in names:
            path = folder / f"{name}.safetensors"
            write_vectors({"pieces": np.asarray([float(counted[name][word]) for word in vocabulary])}, path)
            files[side][name] = str(path)
    out = SimpleNamespace(
        pairs=folder / "pairs.tsv", associations=folder / "associations.tsv", ranking=folder / "ranking.tsv",
        choices=folder / "choices.tsv", plots=[folder / "plot.svg"], summary=folder / "summary.md",
    )  # fmt: skip
    scored = Layout(made.models, made.intermediates[drop:], made.columns, made.seeds, True)
    records = write_records(folder, made, {row: {row: 100 * n} for n, row in enumerate(made.rows, start=5)})
    similarity.write_study(
        write_scores(folder, scored, score), records, made, {"mini": {"words": files}}, FAMILIES,
        {"permutations": 199}, out,
    )  # fmt: skip
    return out


def test_tasks_of_the_world_that_share_words_with_a_target_are_those_that_help(
    tmp_path: Path, counted: Mapping[str, Counter[str]]
) -> None:
    """The relations that the mini-lab plants come out with the right sign of its own texts."""
    out = similar(tmp_path, counted, layout())
    pooled = next(line for line in lines(out.associations) if line["target"] == "all")
    assert float(pooled["low"]) > 0 and float(pooled["p"]) <= 0.05
    text = said(out.summary)
    assert "overlap of word pieces, the naive control, over all cells: more similar tasks help more" in text
    assert "for a target that is not in the grid, rank rows by this sum" in text
    assert text.index("How does the semantic similarity") < text.index(
        "mini: related to the gains, adjusted for all tests"
    )
    assert float(pooled["p"]) <= float(pooled["p_max_t"]) <= 0.05 and float(pooled["within_rows_low"]) > 0
    by_name = {line["strategy"]: line for line in lines(out.ranking)}
    assert {line["targets"] for line in by_name.values()} == {str(len(TARGETS))}
    assert float(by_name["words"]["regret1"]) < float(by_name["random"]["regret1"])
    first = {line["target"]: line["first"] for line in lines(out.choices) if line["strategy"] == "words"}
    assert first["xquad"] in ("squad_v1", "squad_v2") and first["udpos"] == "ccg"
    assert "One seed" not in text and "p = " in out.plots[0].read_text(encoding="utf-8")


def test_what_similarity_cannot_answer_is_refused(tmp_path: Path, counted: Mapping[str, Counter[str]]) -> None:
    with pytest.raises(StudyError, match="at least 2 targets, found 1"):
        similar(tmp_path / "one", counted, layout(targets=TARGETS[:1]))
    with pytest.raises(StudyError, match="association: expected at least 4 rows, found 3"):
        similar(tmp_path / "few", counted, layout(rows=ROWS[:3]))
    with pytest.raises(StudyError, match=r"similarity: expected 126 scores.*are missing: mini / none / xnli"):
        similar(tmp_path / "gap", counted, layout(), drop=1)
    with pytest.raises(StudyError, match="on no target do rows differ in gain"):
        similar(tmp_path / "flat", counted, layout(), score=lambda *place: 50.0)


def test_a_target_that_all_rows_score_alike_is_left_out_and_named(
    tmp_path: Path, counted: Mapping[str, Counter[str]]
) -> None:
    def score(model: str, row: str, target: str, seed: int, language: str) -> float:
        return 50.0 if target == "panx" else planted(model, row, target, seed, language)

    out = similar(tmp_path, counted, layout(seeds=(1,)), score)
    text = said(out.summary)
    assert "all rows have one gain on panx; it is left out" in text and "One seed: gains include the luck" in text
    assert next(line for line in lines(out.associations) if line["target"] == "all")["targets"] == "6"


# ---- study 2 ---------------------------------------------------------------------------------------------------

SHAPE: dict[str, Any] = {"model_type": "xlm-roberta", "num_hidden_layers": 2}
TRAINED: dict[str, Any] = {
    "languages": ["en"],
    "steps": 9,
    "objective": "masked",
    "mask_rate": 0.3,
    "architecture": SHAPE,
}
LEFT_TO_RIGHT: dict[str, Any] = {
    **TRAINED, "objective": "causal", "mask_rate": None, "architecture": {**SHAPE, "is_decoder": True}
}  # fmt: skip
KNOWN = {
    "a": ModelFacts("masked", 2, 1_300_000, 4000, "mean", "pretrained here", TRAINED),
    "b": ModelFacts("causal", 2, 1_300_000, 4000, "mean", "pretrained here", LEFT_TO_RIGHT),
    "far": ModelFacts("masked", 24, 560_000_000, 250_002, "cls", "someone/far"),
    "wide": ModelFacts("causal", 24, 559_000_000, 250_880, "last", "someone/wide"),
}
PATTERN = {"mnli": (12, 0, 0), "qqp": (0, 12, 0), "squad_v1": (0, 0, 12), "ccg": (6, 6, 0), "hellaswag": (0, 6, 6)}
EXAMPLES = 60


def twins(folder: Path, alike: float, seeds: tuple[int, ...] = (1, 2), models: tuple[str, ...] = ("a", "b")) -> Any:
    """Two models; the second's gains are `alike` times the first's."""
    targets = ("xnli", "pawsx", "xcopa")
    columns = tuple(Column(name, "accuracy", "test", ("en", "qaa", "qab"), "en") for name in targets)
    made = Layout(models, ("none", *PATTERN), columns, seeds, True)
    right: dict[tuple[Any, ...], np.ndarray] = {}
    predictions = {}
    for model in models:
        for row in made.intermediates:
            for place, column in enumerate(columns):
                for seed in seeds:
                    gain = PATTERN[row][place] if row != "none" else 0
                    share = 0.4 + gain / 40 * (alike if model == "b" else 1)
                    path = folder / f"{model}.{row}.{column.target}.{seed}.parquet"
                    rows = []
                    for code in column.languages:
                        draw = np.random.default_rng(zlib.crc32(f"{column.target}/{code}".encode())).random(EXAMPLES)
                        own = np.random.default_rng(zlib.crc32(str(path.name + code).encode())).random(EXAMPLES)
                        hits = (0.8 * draw + 0.2 * own < share).astype(float)
                        right[model, row, column.target, seed, code] = hits
                        rows += [
                            {"id": f"{code}-{n}", "language": code, "split": "test", "score": hit}
                            for n, hit in enumerate(hits.tolist())
                        ]  # fmt: skip
                    pq.write_table(pa.Table.from_pylist(rows), path)
                    predictions[model, row, column.target, seed] = path
    scores = write_scores(folder, made, lambda *place: float(100 * right[place].mean()))
    out = SimpleNamespace(
        divergence=folder / "divergence.tsv", likeness=folder / "likeness.tsv",
        differences=folder / "differences.tsv", plots=[folder / "gains.svg"],
        summary=folder / "summary.md",
    )  # fmt: skip
    families = {name: {"family": "sequence", "options": {}} for name in targets}
    kinds = {**dict.fromkeys(PATTERN, "sequence"), **dict.fromkeys(targets, "sequence"), "squad_v1": "span"}
    facts = architecture.GridFacts(families, kinds, predictions, {name: KNOWN[name] for name in models})
    architecture.write_study(scores, made, facts, {"permutations": 499}, out)
    return out


def test_models_that_gain_alike_and_models_that_do_not(tmp_path: Path) -> None:
    (tmp_path / "same").mkdir()
    out = twins(tmp_path / "same", 1.0)
    pattern = next(line for line in lines(out.likeness) if line["reading"] == "pattern")
    assert float(pattern["correlation"]) > 0.8
    assert float(pattern["ceiling"]) > 0.5 and 0 < float(pattern["needed"]) < 1
    text = said(out.summary)
    assert "a and b, which row suits which target:" in text and "was needed for 0.05" in text
    assert text.index("Do encoder-only and decoder-only models") < text.index(
        "a and b (a matched pair): no different patterns are shown"
    )
    overall = next(line for line in lines(out.divergence) if line["by"] == "all")
    assert float(overall["p"]) > 0.05
    (tmp_path / "differs").mkdir()
    out = twins(tmp_path / "differs", 0.0)
    overall = next(line for line in lines(out.divergence) if line["by"] == "all")
    assert float(overall["p"]) <= 0.05 and float(overall["low"]) > 0
    assert {line["by"] for line in lines(out.divergence)} == {"all", "target", "family", "language"}
    assert "a and b (a matched pair): yes, their patterns differ beyond the noise of training" in said(out.summary)
    (tmp_path / "other").mkdir()
    out = twins(tmp_path / "other", 0.0, seeds=(1,))
    cells = [line for line in lines(out.differences) if line["by"] == "cell"]
    clear = [line for line in cells if float(line["p_holm"]) <= 0.05]
    assert len(cells) == 15 and clear and all(float(line["gain_first_less_second"]) > 0 for line in clear)
    assert {line["by"] for line in lines(out.differences)} == {"cell", "target", "language", "family"}
    assert "One seed: divergence and the ceiling of likeness are unknown" in said(out.summary)


def test_a_matched_pair_comes_first_and_every_pair_says_what_it_differs_in(tmp_path: Path) -> None:
    text = said(twins(tmp_path, 1.0, models=("far", "a", "b")).summary)
    matched = text.index("a and b (a matched pair): ")
    assert matched < text.index("far and b (which differ in more than attention): ")
    assert text.index("far and b (") < text.index("far and a (of the same attention): ")
    assert (
        "a and b are a matched pair: they differ in attention (in both directions against from left to right)" in text
    )
    sizes = (
        "size (560 against 1.3 million parameters), layers (24 against 2), pieces of vocabulary (250,002 against 4,000)"
    )
    assert f"text and training (someone/far against pretrained here), {sizes}, pooling (cls against mean)" in text
    assert "No pair differs in attention alone" not in text


def test_what_two_models_differ_in() -> None:
    assert comparison_order(KNOWN["a"], KNOWN["b"]) == 0 and not beyond_attention(KNOWN["a"], KNOWN["b"])
    longer = replace(KNOWN["b"], pretrain={**LEFT_TO_RIGHT, "steps": 10})
    assert beyond_attention(KNOWN["a"], longer) == ["pretraining (steps)"]
    # 560 and 559 million parameters are the same size.
    assert [part.partition(" (")[0] for part in beyond_attention(KNOWN["far"], KNOWN["wide"])] == [
        "text and training", "pieces of vocabulary", "pooling",
    ]  # fmt: skip
    assert comparison_order(KNOWN["far"], KNOWN["wide"]) == 1 and comparison_order(KNOWN["a"], KNOWN["far"]) == 2
    assert "says nothing about attention" in difference_sentence(("a", "far"), KNOWN["a"], KNOWN["far"])


def test_facts_are_read_from_the_backbone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bloom", "n_layer": 3, "vocab_size": 90}')
    save_file({"a": np.zeros((4, 5), np.float32), "b": np.zeros(7, np.float32)}, tmp_path / "model.safetensors")
    found = read_facts(tmp_path / "config.json", tmp_path / "model.safetensors", {"hub": "someone/bloom"})
    assert found == ModelFacts("causal", 3, 27, 90, "last", "someone/bloom")


def test_the_script_reads_each_models_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`study_architecture.py` as a job runs it: configuration and weights of both models, in the order of the study."""
    written: list[Any] = []
    monkeypatch.setattr(architecture, "write_study", lambda *given: written.append(given))
    monkeypatch.setattr("stiltgrid.workflow.job_runner.run", lambda main, job: main(job))
    backbones = []
    for name, decoder in (("a", "false"), ("b", "true")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(
            f'{{"model_type": "xlm-roberta", "is_decoder": {decoder}, "vocab_size": 9}}'
        )
        save_file({"w": np.zeros(len(backbones) + 3, np.float32)}, folder / "model.safetensors")
        backbones += [str(folder / "config.json"), str(folder / "model.safetensors")]
    made = as_params(Layout(("a", "b"), ("none", "mnli"), (), (1,), True))
    params = SimpleNamespace(layout=made, families={}, kinds={}, cells=[], section={}, models={"a": {}, "b": {}})
    job = SimpleNamespace(
        input=SimpleNamespace(scores="s", predictions=[], backbones=backbones), params=params, output="out"
    )
    runpy.run_path(str(ROOT / "workflow_scripts/study_architecture.py"), init_globals={"snakemake": job})
    ((_, _, facts, _, _),) = written
    assert [(facts.models[name].objective, facts.models[name].parameters) for name in "ab"] == [
        ("masked", 3), ("causal", 5),
    ]  # fmt: skip


def test_one_model_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="architecture: expected two models at least, found a"):
        twins(tmp_path, 1.0, models=("a",))


# ---- study 5 ---------------------------------------------------------------------------------------------------

GROUPS = {
    "english": ("squad_v1", "squad_v2"), "multilingual": ("all_tydiqa",), "controls": ("mnli", "qqp"),
    "single": ("german", "chinese", "hindi"), "matched_english": ("tydiqa",), "matched_multilingual": ("all_tydiqa",),
    "matched_single": ("german", "chinese", "hindi"), "matched_single_english": ("squad_v1",) * 3,
}  # fmt: skip
LIFT = {"squad_v1": 0.25, "squad_v2": 0.24, "all_tydiqa": 0.25, "tydiqa": 0.25}


def retrieved(
    folder: Path, lift: Mapping[str, float], drop: tuple[str, ...] = (), seeds: tuple[int, ...] = (1,)
) -> Any:
    rows = ("none", *dict.fromkeys(name for names in GROUPS.values() for name in names))
    columns = tuple(
        Column(name, "map@20", "test", languages, None)
        for name, languages in {
            "mewslix": ("en", "qaa", "qab"),
            "tatoeba": ("qaa", "qab"),
            "bucc2018": ("qaa", "qab"),
        }.items()
    )
    made = Layout(("mini",), rows, columns, seeds, True)
    ranks = {}
    for row in rows:
        for column in columns:
            for phase in ("before", "after"):
                for seed in seeds:
                    path = folder / f"{row}.{column.target}.{phase}.{seed}.parquet"
                    lines_ = []
                    for code in column.languages:
                        draw = np.random.default_rng(zlib.crc32(f"{column.target}{code}".encode())).random(150)
                        own = np.random.default_rng(zlib.crc32(f"{path.name}{code}".encode())).random(150)
                        hits = 0.7 * draw + 0.3 * own < 0.4 + (lift.get(row, 0.0) if phase == "before" else 0.0)
                        lines_ += [
                            {"id": f"q{n}_{code}", "language": code, "split": "test", "group": f"q{n}", "relevant": 1,
                             "ranks": [3] if hit else [60]}
                            for n, hit in enumerate(hits.tolist())
                        ]  # fmt: skip
                    pq.write_table(pa.Table.from_pylist(lines_), path)
                    if row not in drop:
                        ranks["mini", row, column.target, phase, seed] = path
    out = SimpleNamespace(
        contrasts=folder / "contrasts.tsv", outcomes=folder / "outcomes.tsv", plots=[folder / "contrasts.svg"],
        summary=folder / "summary.md",
    )  # fmt: skip
    retrieval.write_study(made, GROUPS, ranks, "mewslix", out)
    return out


def test_question_answering_that_helps_before_training_alone(tmp_path: Path) -> None:
    out = retrieved(tmp_path, LIFT)
    text = said(out.summary)
    before = (
        "mini, before any retrieval training, over all targets, these rows: English question answering instead of a"
    )
    assert f"{before} control raises recall@10" in text
    assert "rows like these: English question answering instead of a control raises recall@10" in text
    assert "was not tested over rows" in text and "bucc2018 (not in the means)" in text
    assert text.index("Does intermediate training") < text.index("these English rows retrieve better")
    # Whether a finding speaks of more than its rows is said of each one.
    assert re.search(r"than these controls [^;]*, which holds beyond these rows; the multilingual rows", text)
    assert re.search(r"than the same tasks in English [^;]*[)] [(]too few rows for a statement beyond them[)][.]", text)
    assert "squad_v1 +" in text and "One seed" in text and "n = 750 queries in up to 3 languages" in text
    found = {(line["target"], line["phase"], line["metric"], line["contrast"]): line for line in lines(out.contrasts)}
    own = found["tatoeba", "before", "recall@10", "english over controls"]
    none = [found["tatoeba", "before", "recall@10", f"{kind} over none"] for kind in ("english", "controls")]
    headline = {phase: found["all", phase, "recall@10", "english over controls"] for phase in ("before", "after")}
    means = {phase: float(line["points"]) for phase, line in headline.items()}
    assert means["before"] > 20 > 5 > abs(means["after"])
    assert abs(float(found["all", "before", "recall@10", "multilingual over the same task in English"]["points"])) < 5
    single = "translated question answering in one other language instead of the same in English"
    assert f"mini, before any retrieval training, over all targets, these rows: {single} lowers recall@10" in text
    assert f"rows like these: {single} lowers recall@10" in text and "n = 3 rows" in text
    assert "translated by machine" in text and re.search("each row less the .other. controls: .*german [+\u2212]", text)
    # In the difference of differences the baseline cancels.
    assert float(own["points"]) == pytest.approx(
        float(none[0]["points"]) - float(none[1]["points"]), abs=2e-4
    )  # four decimals are written
    assert {line["metric"] for line in lines(out.outcomes)} == {
        "recall@1",
        "recall@5",
        "recall@10",
        "recall@20",
        "map@20",
    }


def test_ranks_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        StudyError, match="expected ranks of every cell, found 2 missing: mini / qqp / mewslix / before"
    ):
        retrieved(tmp_path, LIFT, drop=("qqp",))
