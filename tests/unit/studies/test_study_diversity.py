"""Study 3 on planted scores: what was planted is what the files say."""

import csv
import math
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stiltgrid.analysis.tables import Cell
from stiltgrid.grid.designs.diversity import rows
from stiltgrid.grid.grid import mixture
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.grid.target_caps import uncapped
from stiltgrid.studies.diversity import write_study
from stiltgrid.studies.errors import StudyError
from stiltgrid.studies.outcomes import cell_outcomes, row_outcomes
from study_scores import write_records, write_scores

SECTION: dict[str, Any] = {
    "tasks": ["mnli", "qqp", "squad_v1", "ccg", "hellaswag"],
    "counts": [1, 2, 4],
    "examples": [100, 800],
    "draws": 3,
}
COLUMNS = (
    Column("xnli", "accuracy", "test", ("en", "de", "sw"), "en"),
    Column("tatoeba", "accuracy", "dev", ("de", "sw"), None),
)


def layout(
    seeds: tuple[int, ...] = (1, 2), columns: tuple[Column, ...] = COLUMNS, section: dict[str, Any] = SECTION
) -> Layout:
    return Layout(("tiny",), tuple(row["intermediate"] for row in rows(section)), columns, seeds, True)


def noise(*place: object) -> float:
    return float(np.random.default_rng(zlib.crc32(repr(place).encode())).standard_normal())


def planted(model: str, row: str, target: str, seed: int, language: str) -> float:
    """Two points a doubling of d, nothing for v; English is 10 above, Swahili 5 below."""
    recipe = mixture(uncapped(row))
    assert recipe is not None
    level = 50 + {"en": 10, "de": 0, "sw": -5}[language] + 2 * math.log2(len(recipe.tasks))
    return level + 0.2 * noise(recipe.tasks) + 0.2 * noise(row, target, seed, language)


def study(folder: Path, made: Layout, **options: Any) -> tuple[SimpleNamespace, list[dict[str, str]]]:
    scores = write_scores(folder, options.pop("scored", made), options.pop("score", planted))
    drawn = {}
    for row in made.intermediates:
        recipe = mixture(uncapped(row))
        assert recipe is not None and recipe.examples
        drawn[recipe.name] = {task: recipe.examples // len(recipe.tasks) for task in recipe.tasks}
    records = write_records(folder, made, drawn)
    out = SimpleNamespace(
        outcomes=folder / "outcomes.tsv",
        effects=folder / "effects.tsv",
        plots=[folder / "plot.svg", folder / "plot.png"],
        summary=folder / "summary.md",
    )
    write_study(scores, records, made, options.pop("section", SECTION), out)
    with out.effects.open(encoding="utf-8", newline="") as file:
        return out, list(csv.DictReader(file, delimiter="\t"))


def test_the_planted_effect_is_in_the_table_and_in_words(tmp_path: Path) -> None:
    out, effects = study(tmp_path, layout())
    found = {(line["outcome"], line["effect"]): line for line in effects}
    tasks = found["zero_shot", "log tasks"]
    assert float(tasks["low"]) > 0 and float(tasks["points_a_doubling"]) == pytest.approx(2, abs=0.3)
    assert float(found["zero_shot", "log tasks \u2212 log examples"]["low"]) > 0
    assert float(found["gap", "log tasks"]["low"]) < 0 < float(found["gap", "log tasks"]["high"])  # English rises too
    text = " ".join(out.summary.read_text(encoding="utf-8").split())
    assert "tiny, zero-shot mean: more different tasks raise it, which is better." in text
    assert "tiny, zero-shot mean: more tasks do more good, or less harm." in text
    assert "no effect of more examples is shown" in text
    question, said = (
        text.index("Does the number of different intermediate tasks matter"),
        text.index("the number of tasks"),
    )
    assert question < said < text.index("## Findings") and "matters more for the zero-shot mean" in text
    for said in ("9 task sets (36 rows, 2 seeds)", "95 % interval", "synthetic", "What this design cannot show"):
        assert said in text
    assert all(path.stat().st_size > 1000 for path in out.plots)
    assert "Synthetic data" in out.plots[0].read_text(encoding="utf-8")


def test_targets_with_limited_data_are_named(tmp_path: Path) -> None:
    """Such rows have the training records of the rows whose checkpoints they share."""
    section = {**SECTION, "target_examples": 4000}
    out, effects = study(tmp_path, layout(section=section), section=section)
    text = " ".join(out.summary.read_text(encoding="utf-8").split())
    assert "Targets were trained on 4,000 examples at most" in text and len(effects) == 12
    with out.outcomes.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    assert all(line["intermediate"].endswith("@4000") and line["examples"] for line in lines)


def test_outcomes_by_hand() -> None:
    cell = Cell("tiny", "row", COLUMNS[0], {1: {"en": 70.0, "de": 60.0, "sw": 50.0}}, {})
    found = cell_outcomes(cell, 1)
    assert (found["zero_shot"], found["worst"], found["gap"]) == (55.0, 50.0, 15.0)
    assert found["spread"] == pytest.approx(math.sqrt(50))


def test_a_target_without_english_has_no_gap_and_counts_for_the_rest(tmp_path: Path) -> None:
    from stiltgrid.studies.scores import complete

    made = layout()

    def score(model: str, row: str, target: str, seed: int, language: str) -> float:
        return {"xnli": {"en": 70, "de": 60, "sw": 50}, "tatoeba": {"de": 20, "sw": 10}}[target][language]

    line = next(row_outcomes(complete(write_scores(tmp_path, made, score), made, "diversity")))
    assert line["zero_shot"] == (55 + 15) / 2 and line["worst"] == (50 + 10) / 2 and line["gap"] == 15


def test_a_missing_cell_is_refused_and_named(tmp_path: Path) -> None:
    made = layout()
    fewer = Layout(made.models, made.intermediates[1:], made.columns, made.seeds, True)
    with pytest.raises(
        StudyError, match=rf"diversity: expected 72 scores.*4 are missing: tiny / {made.intermediates[0]}"
    ):
        study(tmp_path, made, scored=fewer)


def test_one_seed_and_scores_that_never_differ_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="expected at least 2 seeds, found 1"):
        study(tmp_path / "one", layout(seeds=(1,)))
    with pytest.raises(StudyError, match="the outcome is 50 in all 36 rows"):
        study(tmp_path / "flat", layout(), score=lambda *place: 50.0)


def test_one_language_beside_english_is_refused(tmp_path: Path) -> None:
    column = Column("xnli", "accuracy", "test", ("en", "de"), "en")
    with pytest.raises(StudyError, match="xnli: expected two languages beside English"):
        study(tmp_path, layout(columns=(column,)))
